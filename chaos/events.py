"""What breaks at once, one after the other: processes, databases, X, tokens, one account.

Every event mends what it broke before it returns, as an operator would.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from autores.sandbox.control import SandboxControl
from chaos.api import ApiClient
from chaos.deployment import WORKERS, Deployment
from chaos.ledger import Ledger
from chaos.sizes import Size

_WRITES = ("create_post", "dm")
_READS = ("mentions", "timeline", "dm_events", "search", "me", "users", "lookup")


class Events:
    """``accounts`` maps usernames to X ids."""

    def __init__(
        self,
        deployment: Deployment,
        accounts: dict[str, str],
        *,
        size: Size,
        ledger: Ledger,
        chance: random.Random,
        only: str | None = None,
    ) -> None:
        self._only = only
        self._deployment = deployment
        self._accounts = accounts
        self._size = size
        self._ledger = ledger
        self._random = chance
        self._x = SandboxControl(deployment.sandbox_url)
        self._api = ApiClient(deployment.web_url)

    def plan(self) -> list[Callable[[], None]]:
        """All events, each ``size.rounds`` times, in an order of chance; kills twice as often."""
        each: list[Callable[[], None]] = [
            self.kill_one_worker,
            self.kill_one_worker,
            self.kill_both_workers,
            self.lose_valkey,
            self.stop_mongod,
            self.kill_mongod,
            self.run_out_of_credits,
            self.reach_usage_cap,
            self.limit_every_account,
            self.limit_the_day,
            self.expire_tokens,
            self.revoke_one_account,
            self.fail_one_account,
            self.fail_everywhere,
        ]
        if self._only:
            each = [event for event in each if event.__name__ == self._only]
        planned: list[Callable[[], None]] = []
        for _ in range(self._size.rounds):
            self._random.shuffle(each)
            planned += each
        return planned

    # Processes -----------------------------------------------------------------------------

    def kill_one_worker(self) -> None:
        name = self._random.choice(WORKERS)
        self._deployment.kill_worker(name)
        self._ledger.inject("workers killed (SIGKILL)")
        self._deployment.launch_worker(name)
        self._deployment.wait_for_worker(name)

    def kill_both_workers(self) -> None:
        for name in WORKERS:
            self._deployment.kill_worker(name)
            self._ledger.inject("workers killed (SIGKILL)")
        for name in WORKERS:
            self._deployment.launch_worker(name)
        for name in WORKERS:
            self._deployment.wait_for_worker(name)

    def lose_valkey(self) -> None:
        self._deployment.stop_valkey()
        self._rest(0.3)
        self._deployment.start_valkey()
        self._ledger.inject("restarts of Valkey, its data lost")
        self._rest(1)
        for name in self._deployment.find_silent_workers():
            self._ledger.end(f"{name} took no tasks any more after Valkey was away")
            worker = name.partition("@")[0]
            self._deployment.kill_worker(worker)
            self._deployment.launch_worker(worker)
            self._deployment.wait_for_worker(worker)

    def stop_mongod(self) -> None:
        self._restart_mongod(is_killed=False)
        self._ledger.inject("stops of MongoDB (SIGTERM)")

    def kill_mongod(self) -> None:
        self._restart_mongod(is_killed=True)
        self._ledger.inject("kills of MongoDB (SIGKILL)")

    def _restart_mongod(self, *, is_killed: bool) -> None:
        self._deployment.stop_mongod(is_killed=is_killed)
        self._rest(0.5)
        self._deployment.start_mongod()
        self._rest(1)

    # X -------------------------------------------------------------------------------------

    def run_out_of_credits(self) -> None:
        """402 everywhere; credits are bought, and an operator resumes or a probe finds out."""
        with self._fault_on((*_WRITES, *_READS), "credits_depleted"):
            self._rest(1)
        self._ledger.inject("credits depleted (402)")
        if self._random.random() < 0.5:
            self._api.call("DELETE", "/pause")
        self._rest(0.5)

    def reach_usage_cap(self) -> None:
        with self._fault_on((*_WRITES, *_READS), "usage_cap"):
            self._rest(1)
        self._ledger.inject("usage caps (429 UsageCapExceeded)")
        self._rest(0.5)

    def limit_every_account(self) -> None:
        """As X's window of the whole app does."""
        params = {"reset_in_seconds": 5}
        with self._fault_on(_WRITES, "rate_limit_window", params=params):
            self._rest(0.5)
        self._ledger.inject("windows spent for all accounts (429)")

    def limit_the_day(self) -> None:
        params = {"reset_in_seconds": 5}
        for fault in ("rate_limit_app_day", "rate_limit_user_day"):
            with self._fault_on(_WRITES, fault, params=params):
                self._rest(0.5)
        self._ledger.inject("days spent, of the app and of accounts (429)")

    def fail_everywhere(self) -> None:
        with self._fault_on(("*",), "server_error"):
            self._rest(1)
        self._ledger.inject("outages of X (503)")

    def fail_one_account(self) -> None:
        """X answers nothing for one account; the others must go on as if nothing was."""
        username = self._random.choice(sorted(self._accounts))
        account_id, begun_at = self._accounts[username], datetime.now(UTC)
        held = {"seconds": 8}
        with self._fault_on(
            (*_WRITES, *_READS), "timeout_before", account_id=account_id, params=held
        ):
            self._rest(4)
        self._ledger.trouble(account_id, begun_at=begun_at, what="X answers it nothing")
        self._ledger.inject("spells in which X answered one account nothing")

    # Tokens --------------------------------------------------------------------------------

    def expire_tokens(self) -> None:
        for account_id in self._accounts.values():
            self._x.expire_tokens(account_id)
        self._ledger.inject("access tokens expired", len(self._accounts))
        self._rest(0.5)

    def revoke_one_account(self) -> None:
        """Its owner takes the access back on X; later the account is connected again."""
        username = self._random.choice(sorted(self._accounts))
        self._x.revoke_tokens(self._accounts[username])
        self._ledger.inject("accounts revoked on X")
        self._rest(1)

    # ---------------------------------------------------------------------------------------

    @contextmanager
    def _fault_on(self, routes: Iterable[str], name: str, **values: object) -> Iterator[None]:
        ids = [self._x.add_fault(route, name, times=None, **values) for route in routes]
        try:
            yield
        finally:
            for fault_id in ids:
                self._x.clear_fault(fault_id)

    def _rest(self, spells: float) -> None:
        time.sleep(spells * self._size.spell)
