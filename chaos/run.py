"""One run: start, connect, work while things break, settle, and have it checked."""

import random
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pymongo.errors import PyMongoError

from autores.sandbox.control import SandboxControl
from chaos.api import ApiClient
from chaos.crowd import BLOCKING_PERSON, CLOSED_PERSON, Crowd
from chaos.deployment import DATABASE, ROOT, Deployment
from chaos.desk import Desk
from chaos.events import Events
from chaos.ledger import LEDGER, Ledger
from chaos.noise import arm_noise, relax_limits
from chaos.owner import Owner
from chaos.pace import Pace
from chaos.settling import list_unsettled
from chaos.sizes import Size
from chaos.ticker import Ticker

_OLD_MENTIONS = 15


class Run:
    """``say`` gets a line for whoever watches."""

    def __init__(
        self, folder: Path, *, size: Size, seed: int, only: str | None, say: Callable[[str], None]
    ) -> None:
        self._size = size
        self._seed = seed
        self._only = only
        self._random = random.Random(seed)
        self._tell = say
        self._began = time.monotonic()
        self._ledger = Ledger()
        self._deployment = Deployment(folder, X_SEARCH_INTERVAL=str(size.search_hours))

    def execute(self) -> int:
        """Run to the end; the checker's exit code."""
        deployment = self._deployment
        try:
            self._say("starting MongoDB, Valkey, the sandbox, the web process and two workers")
            deployment.start()
            accounts = self._connect_accounts()
            self._work(accounts)
            deployment.stop_working()
            self._ledger.store(
                deployment.mongodb_url,
                seed=self._seed,
                seconds=self._elapsed(),
                sends=self._size.sends,
                mentions=self._size.mentions,
                accounts=self._size.accounts,
            )
            self._say("checking")
            return self._check()
        finally:
            self._say("stopping")
            deployment.stop()

    def _connect_accounts(self) -> dict[str, str]:
        """Usernames and X ids of the accounts, each with some mentions of before."""
        deployment, x = self._deployment, SandboxControl(self._deployment.sandbox_url)
        relax_limits(x)
        # Refreshed all the time, and the old access token ends with it.
        x.change_settings(access_token_seconds=420, refresh_revokes_access=True)
        # An own post is not in the timeline at once.
        x.change_settings(timeline_delay_seconds=4)
        x.create_user(CLOSED_PERSON, receives_your_dm=False)
        api = ApiClient(deployment.web_url)
        names = {}
        for number in range(1, self._size.accounts + 1):
            username = f"account_{number:02d}"
            names[username] = str(x.create_user(username)["id"])
            x.create_mentions(account=username, count=_OLD_MENTIONS)
            api.connect_account(username, on=x)
        x.create_user(BLOCKING_PERSON, blocks=list(names.values()))
        self._say(f"connected {len(names)} accounts")
        return names

    def _work(self, accounts: dict[str, str]) -> None:
        deployment, ledger, seed = self._deployment, self._ledger, self._seed
        x = SandboxControl(deployment.sandbox_url)
        web, sandbox = deployment.web_url, deployment.sandbox_url
        ids = [account["id"] for account in ApiClient(web).list_accounts()]
        events = Events(
            deployment,
            accounts,
            size=self._size,
            ledger=ledger,
            chance=self._random,
            only=self._only,
        )
        planned = events.plan()
        pace = Pace(len(planned), event_seconds=2 * self._size.spell)
        work: dict[str, Any] = {"size": self._size, "pace": pace, "ledger": ledger, "seed": seed}
        ticker, owner = Ticker(deployment.redis_url), Owner(web, sandbox, ledger=ledger)
        crowd, desk = Crowd(sandbox, list(accounts), **work), Desk(web, sandbox, ids, **work)
        with ExitStack() as stack:
            stack.callback(owner.stop)
            stack.callback(ticker.stop)
            ticker.start()
            owner.start()
            self._wait_for_baselines(len(accounts))
            arm_noise(x)
            stack.callback(crowd.stop)
            stack.callback(desk.stop)
            crowd.start()
            desk.start()
            self._break_things(planned, pace, crowd, desk)
            x.clear_faults()
            self._say("X is well again; what is under way may settle")
            self._settle(made_at=time.time())

    def _wait_for_baselines(self, count: int) -> None:
        deadline = time.monotonic() + 120
        api = ApiClient(self._deployment.web_url)
        while sum(bool(row["last_polled_at"]) for row in api.list_accounts()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError("the accounts' first polls did not come")
            time.sleep(0.5)
        self._say("the accounts' first polls are done")

    def _break_things(
        self, planned: list[Callable[[], None]], pace: Pace, crowd: Crowd, desk: Desk
    ) -> None:
        for event in planned:
            pace.advance()
            self._say(self._describe(event.__name__.replace("_", " ")))
            event()
            for sentence in self._deployment.replace_ended():
                self._say(sentence)
                self._ledger.end(sentence.partition(".")[0])
            self._raise_errors(crowd, desk)
            time.sleep(self._random.uniform(0.3, 0.7) * self._size.spell)
        pace.advance()
        self._say(self._describe("nothing more breaks; the rest of the work"))
        while not (crowd.is_done() and desk.is_done()):
            self._raise_errors(crowd, desk)
            time.sleep(0.5)
        self._raise_errors(crowd, desk)

    def _settle(self, *, made_at: float) -> None:
        shown_at = datetime.fromtimestamp(made_at + max(self._size.delays) + 5, UTC)
        give_up_at = time.monotonic() + self._size.settle
        told: dict[str, int] = {}
        while time.monotonic() < give_up_at:
            try:
                left = list_unsettled(self._deployment.mongodb_url, since=shown_at)
            except PyMongoError:
                left = {"MongoDB does not answer": 1}
            if not left:
                self._say("all is settled")
                return
            if left != told:
                told = left
                self._say("under way: " + ", ".join(f"{n} {what}" for what, n in left.items()))
            time.sleep(3)
        self._say("it did not settle in time")

    def _check(self) -> int:
        return subprocess.run(
            [
                *(sys.executable, "-m", "chaos.checker"),
                *("--sandbox", self._deployment.sandbox_url),
                *("--mongodb", self._deployment.mongodb_url),
                *("--database", DATABASE),
                *("--ledger", LEDGER),
            ],
            cwd=ROOT,
            check=False,
        ).returncode

    @staticmethod
    def _raise_errors(*parts: Crowd | Desk) -> None:
        for part in parts:
            if part.error is not None:
                raise part.error

    def _describe(self, what: str) -> str:
        return f"{what} ({self._ledger.count_accepted()} replies accepted)"

    def _elapsed(self) -> float:
        return round(time.monotonic() - self._began, 1)

    def _say(self, sentence: str) -> None:
        self._tell(f"[{self._elapsed():7.1f} s] {sentence}")
