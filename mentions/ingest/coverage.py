"""How completely an account's mentions were seen: figures counted from the messages themselves.

Counted, not kept: a counter beside the rows would be wrong after the first crash between the two.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db import connection

from mentions.models import FoundBy, Gap, GapState, Message

_SOURCES = {
    FoundBy.BASELINE.value: "by_baseline",
    FoundBy.POLL.value: "by_poll",
    FoundBy.SWEEP.value: "by_sweep",
    FoundBy.SEARCH.value: "by_search",
}


@dataclass(slots=True)
class Day:
    """Mentions made on one day (UTC), by what showed them first. ``late`` counts those among them
    that X showed after the polls had passed them.
    """

    day: date
    by_baseline: int = 0
    by_poll: int = 0
    by_sweep: int = 0
    by_search: int = 0
    late: int = 0

    @property
    def total(self) -> int:
        return self.by_baseline + self.by_poll + self.by_sweep + self.by_search


@dataclass(frozen=True, slots=True)
class Coverage:
    """Days, the newest first, without those that saw none; and the gaps that touch the days."""

    days: list[Day] = field(default_factory=list)
    open_gaps: int = 0
    lost_gaps: int = 0


def read_days(account_id: str, *, since: date, until: date) -> list[Day]:
    """The days from ``since`` to ``until``, both included. An index holds all that is read."""
    start = datetime.fromisoformat(f"{since}T00:00:00+00:00")
    end = datetime.fromisoformat(f"{until}T00:00:00+00:00") + timedelta(days=1)
    rows = connection.get_collection(Message._meta.db_table).aggregate(
        [
            {
                "$match": {
                    "account_id": account_id,
                    "timestamp": {"$gte": start, "$lt": end},
                    "found_by": {"$gt": ""},
                }
            },
            {"$project": {"_id": 0, "timestamp": 1, "found_by": 1, "is_late": 1}},
            {
                "$group": {
                    "_id": {
                        "day": {"$dateToString": {"date": "$timestamp", "format": "%Y-%m-%d"}},
                        "found_by": "$found_by",
                    },
                    "count": {"$sum": 1},
                    "late": {"$sum": {"$cond": ["$is_late", 1, 0]}},
                }
            },
        ]
    )
    days: dict[str, Day] = {}
    for row in rows:
        name = row["_id"]["day"]
        day = days.setdefault(name, Day(date.fromisoformat(name)))
        source = _SOURCES.get(row["_id"]["found_by"])
        if source is not None:
            setattr(day, source, getattr(day, source) + row["count"])
        day.late += row["late"]
    return [days[name] for name in sorted(days, reverse=True)]


def read_coverage(account_id: str, *, since: date, until: date) -> Coverage:
    gaps = Gap.objects.filter(account_id=account_id)
    return Coverage(
        days=read_days(account_id, since=since, until=until),
        open_gaps=gaps.filter(state=GapState.OPEN).count(),
        lost_gaps=gaps.filter(state=GapState.EXPIRED).count(),
    )
