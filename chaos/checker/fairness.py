"""While X fails for one account, the others are sent for and read as ever."""

from collections.abc import Iterator
from datetime import datetime
from statistics import median

from chaos.checker.facts import Facts, Row
from chaos.checker.report import Report

_WRITES = ("create_post", "dm")


def check_fairness(facts: Facts, report: Report) -> None:
    fairness = _Fairness(facts)
    report.figure("spells in which X failed for one account", len(facts.promised.troubles))
    report.figure("other accounts with replies due then", len(fairness.with_work))
    report.check("accounts blocked by another's failure", fairness.find_blocked())
    waits = sorted(fairness.list_waits())
    if waits:
        report.figure("their wait until the send, median", f"{median(waits):.1f} s")
        report.figure("their wait until the send, longest", f"{waits[-1]:.1f} s")
    report.check("accounts not well at the end", fairness.find_unwell())


class _Fairness:
    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._calls = [(datetime.fromisoformat(call["at"]), call) for call in facts.x.calls]
        # (trouble, our account, its rows due in the first half of the spell)
        self.with_work: list[tuple[Row, str, list[Row]]] = []
        for trouble in facts.promised.troubles:
            begun_at, ended_at = trouble["begun_at"], trouble["ended_at"]
            middle = begun_at + (ended_at - begun_at) / 2
            for account_id, account in facts.stored.accounts.items():
                due = [
                    row
                    for row in facts.stored.replies
                    if row["account_id"] == account_id
                    and begun_at <= row["due_at"] <= middle
                    and row["reason_code"] != "cancelled"
                ]
                if due and account["twitter_id"] != trouble["account_x_id"]:
                    self.with_work.append((trouble, account_id, due))

    def find_blocked(self) -> Iterator[str]:
        for trouble, account_id, _ in self.with_work:
            x_id = self._facts.x_id_of(account_id)
            if not any(
                trouble["begun_at"] <= at <= trouble["ended_at"]
                and call["account_id"] == x_id
                and call["route"] in _WRITES
                for at, call in self._calls
            ):
                yield f"{account_id} had replies due, and none left, from {trouble['begun_at']}"
        for trouble in self._facts.promised.troubles:
            for account_id, account in self._facts.stored.accounts.items():
                x_id = account["twitter_id"]
                if x_id != trouble["account_x_id"] and not any(
                    trouble["begun_at"] <= at <= trouble["ended_at"]
                    and call["account_id"] == x_id
                    and call["route"] == "mentions"
                    for at, call in self._calls
                ):
                    yield f"{account_id} was not read from {trouble['begun_at']}"

    def list_waits(self) -> Iterator[float]:
        for _, _, rows in self.with_work:
            for row in rows:
                left_at = row.get("first_sending_at") or row.get("sending_at")
                if left_at is not None:
                    yield (left_at - row["due_at"]).total_seconds()

    def find_unwell(self) -> Iterator[str]:
        for account in self._facts.stored.accounts.values():
            if account["status"] not in ("active", "rate_limited"):
                yield f"@{account['twitter_username']} is {account['status']}"
        for pause in self._facts.stored.pauses:
            yield f"all calls to X are paused still: {pause['code']}"
