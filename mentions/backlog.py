"""Ignores what nobody will answer any more: a former system's years of open mentions, for one.

Each mention is ignored as a person would do it, by one conditional change with its audit entry:
what somebody works on, or a reply to which is under way, stays.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount, User
from mentions.models import Message, MessageStatus
from mentions.triage import ReviewConflictError, ignore_message

_BATCH = 500


@dataclass
class Backlog:
    """``by_account``: how many open mentions there are, by the account's id, "" for none."""

    by_account: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        return self.by_account.total()


@dataclass
class Ignored:
    """``left`` counts those that stayed, by the code of the reason."""

    ignored: int = 0
    left: Counter[str] = field(default_factory=Counter)


def count_backlog(*, before: datetime, account: TwitterAccount | None = None) -> Backlog:
    """The pending mentions that were posted before that time."""
    found = connection.get_collection(Message._meta.db_table).aggregate(
        [
            {"$match": _match(before, account)},
            {"$group": {"_id": "$account_id", "count": {"$sum": 1}}},
        ]
    )
    return Backlog(Counter({row["_id"] or "": row["count"] for row in found}))


def ignore_backlog(
    *,
    before: datetime,
    user: User,
    account: TwitterAccount | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> Ignored:
    """Ignore them in ``user``'s name. May be interrupted and repeated."""
    outcome = Ignored()
    note = f"Posted before {before.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    for ids in _list_ids(before, account):
        for message in Message.objects.filter(pk__in=ids).defer("raw"):
            try:
                ignore_message(
                    message,
                    user=user,
                    now=timezone.now(),
                    note=note,
                    from_states=(MessageStatus.PENDING,),
                )
            except ReviewConflictError as error:
                outcome.left[error.code] += 1
            else:
                outcome.ignored += 1
        on_rows(len(ids))
    return outcome


def _list_ids(before: datetime, account: TwitterAccount | None) -> Iterator[list[str]]:
    """Some at a time, from the newest: their index is walked while its entries go."""
    pending = connection.get_collection(Message._meta.db_table).find(
        _match(before, account), {"_id": 1}, sort=[("timestamp", -1), ("_id", -1)]
    )
    ids: list[str] = []
    for row in pending.batch_size(_BATCH):
        ids.append(row["_id"])
        if len(ids) == _BATCH:
            yield ids
            ids = []
    if ids:
        yield ids


def _match(before: datetime, account: TwitterAccount | None) -> dict[str, Any]:
    of_account = {"account_id": account.pk} if account else {}
    return {**of_account, "status": MessageStatus.PENDING.value, "timestamp": {"$lt": before}}
