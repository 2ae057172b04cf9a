"""Rows that wait for something that does not pass by itself are due again once it has passed."""

from typing import Any

from django.utils import timezone

from mentions.models import Reply, ReplyState

# Why a row was put off for a time that nobody could know.
WAITING_CODES = (
    "app_paused",
    "app_not_allowed",
    "credits_depleted",
    "usage_cap",
    "account_paused",
    "no_refresh_token",
    "reconnect_needed",
    "token_unavailable",
    "token_unreadable",
    "refresh_fenced",
    "unauthorized",
)
_ENDS_OF_WAITING = frozenset(
    {
        "app.resumed",
        "account.resumed",
        "account.recovered",
        "account.connected",
        "account.reconnected",
    }
)


def wake_waiting(sender: Any, *, action: str, account_id: str, **kwargs: Any) -> None:
    """Receiver of ``accounts.signals.account_changed``; ``account_id`` "" concerns all."""
    if action not in _ENDS_OF_WAITING:
        return
    now = timezone.now()
    rows = Reply.objects.filter(
        state=ReplyState.QUEUED, not_before__gt=now, reason_code__in=WAITING_CODES
    )
    if account_id:
        rows = rows.filter(account_id=account_id)
    rows.update(not_before=now, updated_at=now)
