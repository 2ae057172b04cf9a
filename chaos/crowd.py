"""People who mention the accounts: a steady trickle, mentions X shows late, and bursts."""

import random
import threading

from autores.sandbox.control import SandboxControl
from chaos.ledger import Ledger
from chaos.pace import Pace
from chaos.sizes import Size

CLOSED_PERSON, BLOCKING_PERSON = "closed_person", "blocking_person"
_KINDS = ("direct", "reply", "quote", "implicit", "repost")
_WEIGHTS = (80, 8, 6, 3, 3)
_LATE_SHARE = 0.05
_LARGEST_GROUP = 25


class Crowd:
    """Makes exactly ``size.mentions`` mentions, at the pace given."""

    def __init__(
        self,
        sandbox_url: str,
        accounts: list[str],
        *,
        size: Size,
        pace: Pace,
        ledger: Ledger,
        seed: int,
    ) -> None:
        self._pace = pace
        self._sandbox_url = sandbox_url
        self._accounts = accounts
        self._size = size
        self._ledger = ledger
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="crowd", daemon=True)
        self.error: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def is_done(self) -> bool:
        return not self._thread.is_alive()

    def stop(self) -> None:
        """Ask it to end, and return at once; so does every part: a Ctrl-C must not wait."""
        self._stopping.set()

    def _run(self) -> None:
        try:
            self._make_all(SandboxControl(self._sandbox_url))
        except BaseException as error:
            self.error = error

    def _make_all(self, x: SandboxControl) -> None:
        size, chance = self._size, self._random
        total = size.mentions - size.bursts * size.burst
        bursts = sorted(chance.uniform(0.1, 0.8) for _ in range(size.bursts))
        made = 0
        while made < total or bursts:
            while not self._pace.allow(made / total):
                if self._stopping.wait(0.2):
                    return
            if bursts and made / total >= bursts[0]:
                bursts.pop(0)
                self._burst(x, size.burst)
            else:
                made += self._trickle(x, min(total - made, chance.randint(1, _LARGEST_GROUP)))

    def _trickle(self, x: SandboxControl, count: int) -> int:
        chance = self._random
        order: dict[str, object] = {"kind": chance.choices(_KINDS, _WEIGHTS)[0]}
        if chance.random() < _LATE_SHARE:
            order["index_delay_seconds"] = chance.choice(self._size.delays)
            self._ledger.inject("mentions shown late", count)
        account = chance.choice(self._accounts)
        if chance.random() < 0.06:
            order |= {"kind": "direct", "text": f"@{chance.choice(self._accounts)} and all of you"}
        elif chance.random() < 0.06:
            order |= {
                "author": chance.choice([CLOSED_PERSON, BLOCKING_PERSON]),
                "kind": "direct",
            }
        x.create_mentions(account=account, count=count, **order)
        return count

    def _burst(self, x: SandboxControl, count: int) -> None:
        """All at once; the first of them are such as search does not find."""
        account = self._random.choice(self._accounts)
        if self._random.random() < 0.5:
            # The poll that meets it is cut amid its pages.
            user = next(user for user in x.list_users() if user["username"] == account)
            after = self._random.randint(1, 5)
            params = {"reset_in_seconds": 4}
            x.add_fault(
                "mentions", "rate_limit_window", after=after, account_id=user["id"], params=params
            )
            self._ledger.inject("polls cut by 429 amid a burst")
        quotes, reposts = count // 10, count // 20
        x.create_mentions(account=account, kind="quote", count=quotes)
        x.create_mentions(account=account, kind="repost", count=reposts)
        x.create_mentions(account=account, count=count - quotes - reposts)
        self._ledger.inject(f"bursts of {count} mentions")
