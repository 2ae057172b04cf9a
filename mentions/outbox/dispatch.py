"""What is to be sent, and looked up, next: fair to each account, whatever others have queued."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice, zip_longest
from typing import Any

from django.db import connection

from mentions.models import Reply, ReplyState

# So many rows of one account are under way at a time: the others' senders stay free when X is
# slow for it alone. X itself lets an account post 100 times in 15 minutes.
LANE = 8
_LONGEST_ROUND = 200


def find_due(*, now: datetime, limit: int = _LONGEST_ROUND) -> list[str]:
    """Ids of queued rows whose time has come: each account's in turn, its oldest first.

    No account gets more than its lane, less what is being sent for it now.
    """
    return _take_turns(ReplyState.QUEUED, busy=_count_sending(now), now=now, limit=limit)


def find_unknown(*, now: datetime, limit: int = _LONGEST_ROUND) -> list[str]:
    """Ids of rows that are due for a look on X, in the same order: an account that X answers
    slowly, or not at all, keeps no other from being settled.
    """
    return _take_turns(ReplyState.UNKNOWN, busy={}, now=now, limit=limit)


def has_room(account_id: str, *, now: datetime) -> bool:
    """Whether the account has less waiting than its lane holds: others need not be sent for."""
    return len(_list_due(ReplyState.QUEUED, account_id, now=now, limit=LANE + 1)) <= LANE


def _take_turns(
    state: ReplyState, *, busy: Mapping[str, int], now: datetime, limit: int
) -> list[str]:
    lanes = []
    for account_id in islice(_list_waiting_accounts(state, now), limit):
        room = LANE - busy.get(account_id, 0)
        if room > 0:
            lanes.append(_list_due(state, account_id, now=now, limit=room))
    turns = (row_id for turn in zip_longest(*lanes) for row_id in turn if row_id is not None)
    return list(islice(turns, limit))


def _list_due(state: ReplyState, account_id: str, *, now: datetime, limit: int) -> list[str]:
    rows = Reply.objects.filter(state=state, account_id=account_id, not_before__lte=now).order_by(
        "not_before"
    )
    return list(rows.values_list("pk", flat=True)[:limit])


def _list_waiting_accounts(state: ReplyState, now: datetime) -> Iterator[str]:
    """Accounts with a due row, the one that waits longest first.

    One key of the index is read per account, not one per row.
    """
    first_of_each: Iterable[dict[str, Any]] = _replies().aggregate(
        [
            {"$match": {"state": state.value}},
            {"$sort": {"state": 1, "account_id": 1, "not_before": 1}},
            {"$group": {"_id": "$account_id", "oldest": {"$first": "$not_before"}}},
        ],
        hint="reply_lane_idx",
    )
    moment = now.replace(tzinfo=None)
    due = [(row["oldest"], row["_id"]) for row in first_of_each if row["oldest"] <= moment]
    return (account_id for _, account_id in sorted(due))


def _count_sending(now: datetime) -> dict[str, int]:
    rows = _replies().aggregate(
        [
            {"$match": {"state": ReplyState.SENDING.value, "lease_until": {"$gt": now}}},
            {"$group": {"_id": "$account_id", "count": {"$sum": 1}}},
        ],
        hint="reply_lease_idx",
    )
    return {row["_id"]: row["count"] for row in rows}


def _replies() -> Any:
    return connection.get_collection(Reply._meta.db_table)
