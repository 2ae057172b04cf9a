"""How many messages there are, by account, status and day: counters that no crash makes wrong.

Who writes messages does not touch the counters. He leaves on each row where the counters have it,
in the same write (column ``tally``):

    ""  or missing   counted as the row is now (its account, status and day)
    a key            changed since: still counted under this key
    "+"              new: not counted yet

So the true figure is always the counters and what the marked rows add to it, read at one moment
(``mentions.tallies``). Folding moves marked rows into the counters, in a transaction.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from django.db import connection, models
from django.db.models import Expression
from pymongo import UpdateOne

from autores.mongo.transactions import run_in_transaction

NOT_COUNTED = "+"
EVERY_ACCOUNT = "*"
STATE_ID = "state"
_DAY = "%Y-%m-%d"
# Ids of accounts and statuses of the former system may hold the sign that parts a key.
_KEY = re.compile(r"(.*)\|(\d{4}-\d\d-\d\d)\|(.*)", re.ASCII | re.DOTALL)


class TallyKey(NamedTuple):
    """What a message is counted under. ``day`` is of its timestamp, in UTC: "2026-03-01"."""

    account_id: str
    day: str
    status: str

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "TallyKey":
        """That of a document of collection ``messages`` as it is."""
        timestamp: datetime = row["timestamp"]
        # Not strftime, which writes the year 203 with three digits.
        day = timestamp.date().isoformat()
        return cls(row.get("account_id") or "", day, row.get("status") or "")

    @classmethod
    def counted(cls, row: Mapping[str, Any]) -> "TallyKey | None":
        """Where the counters have the row; None if nowhere."""
        mark = row.get("tally") or ""
        if not mark:
            return cls.of(row)
        if mark == NOT_COUNTED:
            return None
        key = _KEY.fullmatch(mark)
        if key is None:
            raise ValueError(f"{mark!r} is no key of a counter.")
        return cls(*key.groups())


class KeepTally(Expression):
    """Value of ``tally`` in an update that changes the account, the status or the time."""

    output_field = models.CharField()

    # The parts of a ``TallyKey``, joined; also for updates by a pipeline below the ORM.
    MQL: ClassVar[Mapping[str, Any]] = {
        "$cond": [
            {"$gt": ["$tally", ""]},
            "$tally",
            {
                "$concat": [
                    {"$ifNull": ["$account_id", ""]},
                    "|",
                    {"$dateToString": {"date": "$timestamp", "format": _DAY}},
                    "|",
                    {"$ifNull": ["$status", ""]},
                ]
            },
        ]
    }

    def as_mql(self, compiler: Any, connection: Any, as_expr: bool = False) -> Any:
        return self.MQL


def keep_tally(row: Mapping[str, Any]) -> str:
    """The same for an update of ``row``, a document, that matches only if it is still like that."""
    return row.get("tally") or "|".join(TallyKey.of(row))


_COUNTED_FIELDS = frozenset({"account", "account_id", "status", "timestamp"})


class MessageQuerySet(models.QuerySet[Any]):
    """Keeps the counters true: marks what is changed, and takes off them what is deleted."""

    def update(self, **changes: Any) -> int:
        if _COUNTED_FIELDS & changes.keys():
            changes.setdefault("tally", KeepTally())
        return super().update(**changes)

    def delete(self) -> tuple[int, dict[str, int]]:
        def remove() -> tuple[int, dict[str, int]]:
            columns = ("tally", "account_id", "timestamp", "status")
            counted = [TallyKey.counted(row) for row in self.values(*columns)]
            deleted = super(MessageQuerySet, self).delete()
            add_to_tallies(Counter(), minus=[key for key in counted if key])
            return deleted

        return run_in_transaction(remove)


def add_to_tallies(plus: Iterable[TallyKey], *, minus: Iterable[TallyKey] = ()) -> None:
    """Change the counters, within the transaction that runs."""
    changes: Counter[TallyKey] = Counter(plus)
    changes.subtract(minus)
    writes: list[Any] = []
    for (account_id, status), by_day in group_by_counter(changes).items():
        steps = {f"days.{day}": number for day, number in by_day.items() if number}
        if steps:
            steps["total"] = sum(steps.values())
            writes.append(
                UpdateOne(
                    {"_id": tally_id(account_id, status)},
                    {"$inc": steps, "$setOnInsert": {"account_id": account_id, "status": status}},
                    upsert=True,
                )
            )
    if writes:
        # There from the first change on, so that a first build in progress notices it.
        writes.append(UpdateOne({"_id": STATE_ID}, {"$inc": {"changes": 1}}, upsert=True))
        tallies = connection.get_collection(Tally._meta.db_table)
        tallies.bulk_write(writes, ordered=False, session=connection.session)


def group_by_counter(numbers: Mapping[TallyKey, int]) -> dict[tuple[str, str], Counter[str]]:
    """(account, status) to numbers by day; each account, and all together."""
    grouped: dict[tuple[str, str], Counter[str]] = {}
    for key, number in numbers.items():
        for account_id in (key.account_id, EVERY_ACCOUNT):
            grouped.setdefault((account_id, key.status), Counter())[key.day] += number
    return grouped


def tally_id(account_id: str, status: str) -> str:
    return f"{account_id.replace('%', '%25').replace('|', '%7C')}|{status}"


def parse_tally_id(id_: str) -> tuple[str, str]:
    """Account and status."""
    account_id, _, status = id_.partition("|")
    return account_id.replace("%7C", "|").replace("%25", "%"), status


class Tally(models.Model):
    """A counter: messages of an account ("" for those without, "*" for all) in a status, by day.

    The row ``state`` says whether the counters are exact, and counts their changes.
    """

    id = models.CharField(primary_key=True, max_length=128, db_column="_id")
    account_id = models.CharField(max_length=64)
    status = models.CharField(max_length=50)
    total = models.IntegerField(default=0)
    days = models.JSONField(default=dict)

    class Meta:
        db_table = "message_tallies"
        verbose_name_plural = "tallies"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account_id", "status"], name="message_tally_account_idx")
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.total}"
