"""Moderators: they answer mentions over the API, click twice, retry, and take back."""

import random
import threading
import uuid

import requests

from autores.sandbox.control import SandboxControl, SandboxControlError
from chaos.api import ApiClient
from chaos.ledger import Ledger
from chaos.pace import Pace
from chaos.sizes import Size

_MODERATORS = 4
_SAME_WORDS = "Thank you, we are on it!"
_PHRASES = (
    "Thanks for telling us, we look into it.",
    "Sorry about that & thank you for your patience <3",
    "It is all here: https://help.example.com/orders?id=7&lang=en and in our guide.",
    "Grüße aus Köln — 我们会尽快处理。",
    "Please try once more,\nand tell us how it went.",
)


class Desk:
    """Has exactly ``size.sends`` replies accepted, at the pace given."""

    def __init__(
        self,
        web_url: str,
        sandbox_url: str,
        account_ids: list[str],
        *,
        size: Size,
        pace: Pace,
        ledger: Ledger,
        seed: int,
    ) -> None:
        self._web_url, self._sandbox_url = web_url, sandbox_url
        self._account_ids = account_ids
        self._size = size
        self._ledger = ledger
        self._seed = seed
        self._lock = threading.Lock()
        self._taken: set[str] = set()
        self._pace = pace
        self._claimed = 0
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(n,), name=f"moderator-{n}", daemon=True)
            for n in range(_MODERATORS)
        ]
        self.error: BaseException | None = None

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        self._stopping.set()

    # ---------------------------------------------------------------------------------------

    def _run(self, number: int) -> None:
        try:
            moderator = _Moderator(
                ApiClient(self._web_url),
                SandboxControl(self._sandbox_url),
                random.Random(self._seed * 100 + number),
                self._ledger,
            )
            while not self._stopping.is_set() and self._claim_place():
                while not self._stopping.is_set():
                    message = self._pick(moderator)
                    if message is not None and moderator.answer(message):
                        break
                    self._stopping.wait(0.3)
        except BaseException as error:
            self.error = error

    def _claim_place(self) -> bool:
        """Wait until the next reply is due; False when all are taken."""
        with self._lock:
            if self._claimed >= self._size.sends:
                return False
            place = self._claimed
            self._claimed += 1
        while not self._pace.allow(place / self._size.sends):
            if self._stopping.wait(0.2):
                return False
        return True

    def _pick(self, moderator: "_Moderator") -> dict[str, str] | None:
        found = moderator.list_open(moderator.chance.choice(self._account_ids))
        moderator.chance.shuffle(found)
        with self._lock:
            for message in found:
                if message["id"] not in self._taken:
                    self._taken.add(message["id"])
                    return message
        return None


class _Moderator:
    def __init__(
        self, api: ApiClient, x: SandboxControl, chance: random.Random, ledger: Ledger
    ) -> None:
        self._api, self._x, self.chance, self._ledger = api, x, chance, ledger

    def list_open(self, account_id: str) -> list[dict[str, str]]:
        query = {"account_id": account_id, "status": "pending", "replyable": "true", "limit": "40"}
        answer = self._api.call("GET", "/messages/", params=query)
        return list(answer.json()) if answer.ok else []

    def answer(self, message: dict[str, str]) -> bool:
        """True when the API took the reply."""
        chance = self.chance
        kind = "dm" if chance.random() < 0.2 else "public"
        is_twin = chance.random() < 0.1
        text = _SAME_WORDS if is_twin else f"{chance.choice(_PHRASES)} ({uuid.uuid4().hex[:8]})"
        if kind == "public" and chance.random() < 0.02:
            self._delete_on_x(message)
        key = uuid.uuid4().hex
        is_undone = chance.random() < 0.02
        is_clicked_twice = not is_undone and chance.random() < 0.1
        answers = self._click(message, kind, text, key, is_undone, times=1 + is_clicked_twice)
        taken = [answer for answer in answers if answer.ok]
        if not taken:
            return False
        self._ledger.accept(key=key, message_id=message["id"], kind=kind, text=text)
        if is_clicked_twice:
            self._ledger.inject("second clicks")
        if is_undone and taken[0].status_code == 202:
            reply_id = taken[0].json()["reply"]["id"]
            if self._api.call("POST", f"/replies/{reply_id}/cancel").ok:
                self._ledger.inject("replies undone")
        return True

    def _click(
        self,
        message: dict[str, str],
        kind: str,
        text: str,
        key: str,
        is_undone: bool,
        *,
        times: int,
    ) -> list[requests.Response]:
        path = f"/messages/{message['id']}/{'dm-reply' if kind == 'dm' else 'reply'}"
        body: dict[str, object] = {"response": text}
        if is_undone:
            body["undo_seconds"] = 20
        return [
            self._api.call("POST", path, json=body, headers={"Idempotency-Key": key})
            for _ in range(times)
        ]

    def _delete_on_x(self, message: dict[str, str]) -> None:
        try:
            self._x.delete_post(message["post_id"])
        except SandboxControlError:
            return
        self._ledger.inject("mentions deleted on X before the reply")
