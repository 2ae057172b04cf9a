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
from autores.mongo.errors import TransactionConflictError
from mentions.models import Message, MessageStatus
from mentions.triage import ReviewConflictError, ignore_message

# Few: what was read a while ago may be another's by now.
_BATCH = 50


@dataclass
class Ignored:
    """``left`` counts those that stayed, by the code of the reason."""

    ignored: int = 0
    left: Counter[str] = field(default_factory=Counter)


def count_backlog(*, before: datetime, account: TwitterAccount | None = None) -> Counter[str]:
    """The pending mentions that were posted before that time, by the account's id, "" for none."""
    found = connection.get_collection(Message._meta.db_table).aggregate(
        [
            {"$match": _match(before, account)},
            {"$group": {"_id": "$account_id", "count": {"$sum": 1}}},
        ]
    )
    return Counter({row["_id"] or "": row["count"] for row in found})


def ignore_backlog(
    outcome: Ignored,
    *,
    before: datetime,
    user: User,
    account: TwitterAccount | None = None,
    on_rows: Callable[[int], None] = lambda count: None,
) -> None:
    """Ignore them in ``user``'s name, and count in ``outcome`` what is done.

    May be interrupted and repeated. Raises DatabaseError when MongoDB is away.
    """
    note = f"Posted before {before.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    for ids in _list_ids(before, account):
        found = list(Message.objects.filter(pk__in=ids).defer("raw"))
        outcome.left["gone"] += len(ids) - len(found)
        for message in found:
            reason = _ignore(message, user=user, note=note)
            if reason:
                outcome.left[reason] += 1
            else:
                outcome.ignored += 1
        on_rows(len(ids))


def _ignore(message: Message, *, user: User, note: str) -> str:
    """The code of the reason why it stays; empty when it is ignored."""
    try:
        ignore_message(
            message,
            user=user,
            now=timezone.now(),
            note=note,
            from_states=(MessageStatus.PENDING,),
        )
    except ReviewConflictError as error:
        return error.code
    except TransactionConflictError:
        return "busy"
    except Message.DoesNotExist:
        return "gone"
    return ""


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
