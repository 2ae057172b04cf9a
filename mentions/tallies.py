"""Counts of messages and deep pages from the counters: exact, whatever is written meanwhile.

The counters and the rows that they do not have yet (mentions.models.tally) are read in one
snapshot, and so is the page that is looked up by them. Where the counters cannot be trusted, or
too many rows wait to be counted, None is returned, and the caller counts or skips the plain way.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import bson
from django.db import connection
from pymongo import DeleteOne, ReplaceOne
from pymongo.client_session import ClientSession

from autores.mongo.rawpages import aggregate_raw
from autores.mongo.transactions import is_in_transaction, run_in_transaction
from mentions.models import Message
from mentions.models.tally import (
    EVERY_ACCOUNT,
    STATE_ID,
    Tally,
    TallyKey,
    add_to_tallies,
    group_by_counter,
    parse_tally_id,
    tally_id,
)

logger = logging.getLogger(__name__)

TALLIES = Tally._meta.db_table
MESSAGES = Message._meta.db_table
# Reading so many marked rows takes as long as counting a hundred times as many by the index.
MOST_MARKED = 2000
_FOLDED_AT_ONCE = 500
_WRITTEN_AT_ONCE = 200
_REBUILD_ATTEMPTS = 5
_MARKED = {"tally": {"$gt": ""}}
_KEY_COLUMNS = {"_id": 0, "tally": 1, "account_id": 1, "status": 1, "timestamp": 1}


@contextmanager
def open_snapshot() -> Iterator[ClientSession | None]:
    """A session whose reads all see one moment; None in a transaction, which has its own."""
    if is_in_transaction():
        yield None
        return
    with connection.database.client.start_session(snapshot=True) as session:
        yield session


@dataclass(frozen=True)
class Scope:
    """Messages of these accounts (None: of all, and those without one) in this status (or any)."""

    account_ids: Sequence[str] | None
    status: str = ""

    def build_filter(self) -> dict[str, Any]:
        """Of the counters that have them."""
        query: dict[str, Any] = {
            "account_id": EVERY_ACCOUNT
            if self.account_ids is None
            else {"$in": list(self.account_ids)}
        }
        if self.status:
            query["status"] = self.status
        return query

    def holds(self, key: TallyKey) -> bool:
        return (self.account_ids is None or key.account_id in self.account_ids) and (
            not self.status or key.status == self.status
        )


def build_reading(scope: Scope, *, with_days: bool) -> list[dict[str, Any]]:
    """The pipeline that reads the scope's counters, their state, and all marked rows."""
    columns = {"status": 1, "total": 1, "is_exact": 1, **({"days": 1} if with_days else {})}
    return [
        {"$match": {"$or": [{"_id": STATE_ID}, scope.build_filter()]}},
        {"$project": columns},
        {
            "$unionWith": {
                "coll": MESSAGES,
                "pipeline": [
                    {"$match": _MARKED},
                    {"$project": _KEY_COLUMNS},
                    {"$limit": MOST_MARKED + 1},
                ],
            }
        },
    ]


def _read(
    scope: Scope, session: ClientSession | None, *, with_days: bool
) -> tuple[tuple[bytes, ...], list[TallyKey], list[TallyKey]] | None:
    """Counters (BSON), keys of the scope's marked rows as they are, and as they are counted."""
    if session is None:
        return None
    rows = aggregate_raw(TALLIES, build_reading(scope, with_days=with_days), session=session)
    counters: list[bytes] = []
    marked: list[dict[str, Any]] = []
    is_exact = False
    for row in rows:
        id_, found = _decode(row)
        if id_ is None:
            marked.append(found)
        elif id_ == STATE_ID:
            is_exact = bool(found.get("is_exact"))
        else:
            counters.append(row)
    if not is_exact or len(marked) > MOST_MARKED:
        return None
    plus = [key for key in map(TallyKey.of, marked) if scope.holds(key)]
    minus = [key for key in map(TallyKey.counted, marked) if key and scope.holds(key)]
    return tuple(counters), plus, minus


# Counters change when rows are folded; in between, all readers decode and add up the same bytes.
@lru_cache(256)
def _decode(row: bytes) -> tuple[str | None, dict[str, Any]]:
    found = bson.decode(row)
    return found.get("_id"), found


@lru_cache(64)
def _add_days(counters: tuple[bytes, ...]) -> Counter[str]:
    days: Counter[str] = Counter()
    for counter in counters:
        days.update(_decode(counter)[1].get("days") or {})
    return days


def count_by_status(account_ids: Sequence[str] | None) -> dict[str, int] | None:
    """Messages by status; None if the counters cannot tell."""
    with open_snapshot() as session:
        found = _read(Scope(account_ids), session, with_days=False)
    if found is None:
        return None
    counters, plus, minus = found
    counts: Counter[str] = Counter()
    for counter in counters:
        values = _decode(counter)[1]
        counts[values["status"]] += values["total"]
    counts.update(key.status for key in plus)
    counts.subtract(key.status for key in minus)
    return {status: count for status, count in sorted(counts.items()) if count}


def find_day(
    scope: Scope, *, skip: int, session: ClientSession | None
) -> tuple[datetime, int] | None:
    """Where the newest ``skip`` messages end: at the time's latest, and how many after it to skip.

    ``(before, rest)``: the page begins ``rest`` messages after the newest one older than
    ``before``. None if the counters cannot tell, or there are not so many.
    """
    found = _read(scope, session, with_days=True)
    if found is None:
        return None
    counters, plus, minus = found
    days = _add_days(counters).copy()
    days.update(key.day for key in plus)
    days.subtract(key.day for key in minus)
    passed = 0
    for day in sorted(days, reverse=True):
        if passed + days[day] > skip:
            midnight = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
            return midnight + timedelta(days=1), skip - passed
        passed += days[day]
    return None


def fold_marked(*, limit: int = _FOLDED_AT_ONCE) -> int:
    """Count marked rows under what they are now, and take the marks off; how many."""

    def fold() -> int:
        session = connection.session
        tallies, messages = (connection.get_collection(name) for name in (TALLIES, MESSAGES))
        state = tallies.find_one({"_id": STATE_ID}, session=session)
        if not (state and state.get("is_exact")):
            return 0
        rows = list(
            messages.find(_MARKED, {**_KEY_COLUMNS, "_id": 1}, session=session).limit(limit)
        )
        if rows:
            counted = [key for row in rows if (key := TallyKey.counted(row))]
            add_to_tallies(map(TallyKey.of, rows), minus=counted)
            # Another's write to one of them in the meantime makes all of this start again.
            ids = [row["_id"] for row in rows]
            messages.update_many({"_id": {"$in": ids}}, {"$set": {"tally": ""}}, session=session)
        return len(rows)

    folded: int = run_in_transaction(fold)
    return folded


def fold_all() -> int:
    total = 0
    while folded := fold_marked():
        total += folded
    return total


def are_counters_exact() -> bool:
    state = connection.get_collection(TALLIES).find_one({"_id": STATE_ID})
    return bool(state and state.get("is_exact"))


def distrust_counters() -> None:
    """Before rows are written without marks. The counters are not used until they are rebuilt."""
    connection.get_collection(TALLIES).update_one(
        {"_id": STATE_ID}, {"$set": {"is_exact": False}, "$inc": {"changes": 1}}, upsert=True
    )


@dataclass(frozen=True)
class Reconciliation:
    """What was found: rows, and the counters that differed ((account, status, day), was, is)."""

    messages: int
    were_exact: bool
    differences: list[tuple[TallyKey, int, int]] = field(default_factory=list)
    is_repaired: bool = False

    @property
    def is_right(self) -> bool:
        return self.were_exact and not self.differences


def reconcile_counters(*, must_repair: bool = True) -> Reconciliation:
    """Count all messages by the index, at one moment, and compare; store what was counted."""
    for _ in range(_REBUILD_ATTEMPTS):
        with connection.database.client.start_session(snapshot=True) as session:
            expected = _count_rows(session)
            stored, state = _read_counters(session)
        differences = _compare(expected, stored)
        were_exact = bool(state.get("is_exact"))
        found = Reconciliation(sum(expected.values()), were_exact, differences)
        if not must_repair or found.is_right:
            return found
        if _store(expected, differences, changes=state.get("changes")):
            return Reconciliation(found.messages, were_exact, differences, is_repaired=True)
    raise CountersChangedError(
        f"The counters were changed during each of {_REBUILD_ATTEMPTS} counts, and are not used "
        "until they are right: run this again when less is written."
    )


class CountersChangedError(Exception):
    """The repair did not come to an end; trying again later helps."""

    retryable = True


def _count_rows(session: ClientSession) -> Counter[TallyKey]:
    """What the counters must hold: each row where it says that it is counted."""
    messages = connection.get_collection(MESSAGES)
    day = {"$dateToString": {"date": "$timestamp", "format": "%Y-%m-%d"}}
    key = {"account_id": "$account_id", "status": "$status", "day": day}
    pipeline: list[Mapping[str, Any]] = [
        # A range of all values, so that the index alone answers.
        {"$match": {"timestamp": {"$gte": datetime(1, 1, 1, tzinfo=UTC)}}},
        {"$group": {"_id": key, "count": {"$sum": 1}}},
    ]
    counts: Counter[TallyKey] = Counter()
    for row in messages.aggregate(pipeline, session=session, hint="message_acct_status_idx"):
        of = row["_id"]
        account_id, status = of.get("account_id") or "", of.get("status") or ""
        counts[TallyKey(account_id, of["day"], status)] += row["count"]
    for row in messages.find(_MARKED, _KEY_COLUMNS, session=session):
        counts[TallyKey.of(row)] -= 1
        if counted := TallyKey.counted(row):
            counts[counted] += 1
    return +counts


def _read_counters(session: ClientSession) -> tuple[dict[str, dict[str, int]], dict[str, Any]]:
    """Non-zero numbers by the counter's id and day; and the state."""
    stored: dict[str, dict[str, int]] = {}
    state: dict[str, Any] = {}
    for row in connection.get_collection(TALLIES).find({}, session=session):
        if row["_id"] == STATE_ID:
            state = row
        else:
            days = {day: number for day, number in (row.get("days") or {}).items() if number}
            stored[row["_id"]] = {**days, "total": row.get("total") or 0}
    return stored, state


def _compare(
    expected: Counter[TallyKey], stored: Mapping[str, Mapping[str, int]]
) -> list[tuple[TallyKey, int, int]]:
    wanted = {
        tally_id(*counter): {**by_day, "total": sum(by_day.values())}
        for counter, by_day in group_by_counter(expected).items()
    }
    differences = []
    for id_ in sorted(wanted.keys() | stored.keys()):
        account_id, status = parse_tally_id(id_)
        are, were = wanted.get(id_, {}), stored.get(id_, {})
        for day in sorted(are.keys() | were.keys()):
            was, is_ = were.get(day, 0), are.get(day, 0)
            if was != is_:
                differences.append((TallyKey(account_id, day, status), was, is_))
    return differences


def _store(
    expected: Counter[TallyKey],
    differences: Iterable[tuple[TallyKey, int, int]],
    *,
    changes: int | None,
) -> bool:
    """Write the counters that differ; not trusted meanwhile. False if others changed some."""
    tallies = connection.get_collection(TALLIES)
    if changes is None:
        distrust_counters()
        at: int = tallies.find_one({"_id": STATE_ID})["changes"]
        if at != 1:
            return False
    else:
        at = changes + 1
        if not _set_state(changes, {"is_exact": False, "changes": at}):
            return False
    differing = sorted({tally_id(key.account_id, key.status) for key, _, _ in differences})
    wanted = {tally_id(*counter): by_day for counter, by_day in group_by_counter(expected).items()}
    for start in range(0, len(differing), _WRITTEN_AT_ONCE):
        writes = [_replace(id_, wanted.get(id_)) for id_ in differing[start:][:_WRITTEN_AT_ONCE]]

        def write(writes: list[Any] = writes) -> bool:
            # Bound to the state: somebody who began later must not be written over.
            if not _set_state(at, {"changes": at}):
                return False
            tallies.bulk_write(writes, ordered=False, session=connection.session)
            return True

        if not run_in_transaction(write):
            return False
    return _set_state(at, {"is_exact": True, "changes": at + 1})


def _set_state(changes: int, values: dict[str, Any]) -> bool:
    # The step makes it a write in any case: one that changes nothing would conflict with nobody.
    update = {"$set": values, "$inc": {"steps": 1}}
    found = connection.get_collection(TALLIES).update_one(
        {"_id": STATE_ID, "changes": changes}, update, session=connection.session
    )
    return bool(found.matched_count)


def _replace(id_: str, by_day: Mapping[str, int] | None) -> Any:
    if by_day is None:
        return DeleteOne({"_id": id_})
    account_id, status = parse_tally_id(id_)
    document = {"account_id": account_id, "status": status, "total": sum(by_day.values())}
    return ReplaceOne({"_id": id_}, {**document, "days": dict(by_day)}, upsert=True)
