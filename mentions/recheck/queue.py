"""Which mentions are to be looked up next, and how many an account still may today."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.cache import cache

from mentions.models import EPOCH, Message, MessageStatus, XState

OPEN_STATUSES = (MessageStatus.PENDING, MessageStatus.PROCESSING, MessageStatus.ERROR)
_DAY = timedelta(days=1)


def find_due(account_id: str, *, now: datetime, limit: int) -> list[Message]:
    """What X did not find last time, then open mentions, then the others; the newest first.

    ``limit`` is what the day's budget still allows, up to 100; what is to be confirmed is looked up
    in any case.
    """
    due = Message.objects.filter(
        account_id=account_id, recheck_at__gt=EPOCH, recheck_at__lte=now
    ).order_by("-timestamp", "-pk")
    rows = list(
        Message.objects.filter(
            x_state__in=_unconfirmed_states(),
            x_state__gt="",
            account_id=account_id,
            recheck_at__lte=now,
        )[:100]
    )
    limit = min(limit, 100 - len(rows))
    if limit > 0:
        rows += _others(due.filter(status__in=OPEN_STATUSES)[:limit], rows)
    if (rest := limit - len(rows)) > 0:
        rows += _others(due[: rest + len(rows)], rows)[:rest]
    return rows


def find_unconfirmed(*, now: datetime) -> set[str]:
    """Accounts of mentions that X did not find, and that are to be looked up once more by now."""
    rows = Message.objects.filter(
        x_state__in=_unconfirmed_states(), x_state__gt="", recheck_at__lte=now
    ).values_list("account_id", flat=True)
    return set(rows.distinct())


def _unconfirmed_states() -> tuple[XState, ...]:
    """Also hidden ones where nothing is looked up by itself: those are asked about once more."""
    return (XState.MISSING,) if settings.X_RECHECK_INTERVAL else (XState.MISSING, XState.HIDDEN)


def next_check(message: Message, *, now: datetime) -> datetime | None:
    """When a mention that X showed just now is to be looked up again; None: not any more."""
    if not settings.X_RECHECK_INTERVAL:
        return None
    is_relevant = (
        message.status in OPEN_STATUSES or message.timestamp > now - settings.X_RECHECK_DAYS * _DAY
    )
    return now + timedelta(hours=settings.X_RECHECK_INTERVAL) if is_relevant else None


def read_budget(account_id: str, *, now: datetime) -> int:
    """How many posts the account may still look up on this day (UTC)."""
    spent = int(cache.get(_budget_key(account_id, now)) or 0)
    return max(0, settings.X_RECHECK_POSTS_PER_DAY - spent)


def spend_budget(account_id: str, posts: int, *, now: datetime) -> None:
    key = _budget_key(account_id, now)
    cache.add(key, 0, timeout=2 * _DAY.total_seconds())
    try:
        cache.incr(key, posts)
    except ValueError:
        # Redis lost its data between the two commands.
        cache.set(key, posts, timeout=2 * _DAY.total_seconds())


def _budget_key(account_id: str, now: datetime) -> str:
    return f"recheck-budget:{account_id}:{now:%Y%m%d}"


def _others(found: Iterable[Message], known: list[Message]) -> list[Message]:
    keys = {row.pk for row in known}
    return [row for row in found if row.pk not in keys]
