"""Which accounts are to be polled now: claimed by an index, spread over the interval.

Each account has its own time, ``poll_due_at``, and keeps its place in the interval from poll to
poll. A round takes no more than its share of all accounts, so that many that fall due at once (an
import, a long outage) are spread over the interval instead of meeting X, and the workers, together.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.models import AccountStatus, TwitterAccount

ROUND = timedelta(seconds=5)
# A round may take so much more than its share: a little, so that many that fall due at once fill
# the interval evenly; and more where the longest due has missed a whole interval.
_EVEN = 1.1
_CATCH_UP = 1.5
_SMALLEST_ROUND = 20
# So many intervals.
_LONGEST_WAIT = 6
_REFUSED = ["account_suspended", "account_locked"]
# An account in error is tried again: most errors pass. Those are for a person to end.
NOT_POLLED = (AccountStatus.PAUSED, AccountStatus.TOKEN_EXPIRED)


def claim_due_accounts(*, now: datetime) -> list[str]:
    """Ids of accounts to be polled now, the longest due first; each is due again an interval later.

    Two callers at the same moment may both be given an account; a poll that runs twice stores
    nothing twice.
    """
    accounts = connection.get_collection(TwitterAccount._meta.db_table)
    # Also those without a time: documents that were written before there was one.
    due: dict[str, Any] = {"poll_due_at": {"$not": {"$gt": now}}}
    # A clock that was ahead once must not put anybody off for as long.
    too_late = {"poll_due_at": {"$gt": now + _LONGEST_WAIT * _interval()}}
    accounts.update_many(too_late, {"$set": {"poll_due_at": now}})
    count = accounts.estimated_document_count()
    rows = accounts.find(
        {**due, "status": {"$nin": [status.value for status in NOT_POLLED]}},
        {"poll_due_at": 1},
        sort=[("poll_due_at", 1)],
        limit=_share_of(count, _CATCH_UP),
    ).to_list()
    if not _has_missed_one(rows, now=now):
        rows = rows[: _share_of(count, _EVEN)]
    ids = [row["_id"] for row in rows]
    if ids:
        accounts.update_many({"_id": {"$in": ids}, **due}, [{"$set": {"poll_due_at": _next(now)}}])
    return ids


def _share_of(accounts: int, factor: float) -> int:
    rounds = max(1.0, _interval() / ROUND)
    return max(_SMALLEST_ROUND, math.ceil(accounts / rounds * factor))


def _has_missed_one(rows: list[dict[str, Any]], *, now: datetime) -> bool:
    """Whether the longest due of the rows should have been polled twice by now."""
    due_at = next((row["poll_due_at"] for row in rows if row.get("poll_due_at")), None)
    return due_at is not None and due_at.replace(tzinfo=UTC) <= now - _interval()


def _next(now: datetime) -> dict[str, Any]:
    """An interval after the last due time; after now for one that fell a whole interval behind.

    What X suspended or locked is asked for less often: it takes a person to end that.
    """
    milliseconds = round(_interval() / timedelta(milliseconds=1))
    on_time = {"$add": ["$poll_due_at", milliseconds]}
    is_refused = {"$in": ["$last_error_code", _REFUSED]}
    return {
        "$switch": {
            "branches": [
                {"case": is_refused, "then": now + _LONGEST_WAIT * _interval()},
                {"case": {"$gt": [on_time, now]}, "then": on_time},
            ],
            "default": now + _interval(),
        }
    }


def _interval() -> timedelta:
    return timedelta(minutes=settings.TWITTER_POLLING_INTERVAL)
