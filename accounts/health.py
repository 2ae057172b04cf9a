"""What calls to X taught us about an account, kept where people and pollers see it.

Every write is conditional on the state it leaves, so that a late answer of one worker does not
undo what a person or another worker did meanwhile. A pause set by a person is never lifted here.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from accounts.models import AccountStatus, TwitterAccount
from accounts.pauses import pause_app
from accounts.signals import SYSTEM, announce
from autores.x.errors import (
    CreditsDepletedError,
    RateLimitedError,
    SuspendedError,
    UsageCapError,
    XError,
)

logger = logging.getLogger(__name__)

# X states when a window opens again; without that, a whole window is waited for.
_WINDOW_SECONDS = 900.0
_RECOVERABLE = (AccountStatus.RATE_LIMITED, AccountStatus.ERROR)


def record_success(account: TwitterAccount, *, now: datetime) -> None:
    """A call went through: an account in trouble is active again. Costs nothing otherwise."""
    if account.status not in _RECOVERABLE and not account.last_error_code:
        return
    rows = TwitterAccount.objects.filter(pk=account.pk)
    recovered: dict[str, Any] = {
        "status": AccountStatus.ACTIVE,
        "status_reason": "",
        "blocked_until": None,
        "closed_endpoints": [],
        "status_changed_at": now,
        "updated_at": now,
    }
    # Another worker may have met the limit a moment ago: its block is newer than this success.
    is_open = Q(blocked_until=None) | Q(blocked_until__lte=now)
    if rows.filter(is_open, status__in=_RECOVERABLE).update(**recovered):
        logger.info("Account %s is active again", account.pk)
        _announce_status(account, "account.recovered", before=account.status, changed=recovered)
        _apply(account, recovered)
    if account.last_error_code:
        cleared = {"last_error_code": "", "updated_at": now}
        rows.filter(last_error_code=account.last_error_code).update(**cleared)
        _apply(account, cleared)


def record_failure(account: TwitterAccount, error: XError, *, now: datetime) -> None:
    """Keep what ``error`` means: for this account, or for the whole app (402, usage cap).

    X's window limit closes one endpoint to the account until it opens again; what the account
    does through others goes on. A day's budget belongs to one kind of write (posts, messages),
    whose sender waits by ``retry_after``.
    """
    if isinstance(error, (CreditsDepletedError, UsageCapError)):
        pause_app(error.code, error.sentence, seconds=error.retry_after, now=now)
    changed: dict[str, Any] = {
        "last_error_code": error.code,
        "last_error_at": now,
        "updated_at": now,
    }
    TwitterAccount.objects.filter(pk=account.pk).update(**changed)
    _apply(account, changed)
    if isinstance(error, RateLimitedError) and error.limit == "window":
        seconds = error.retry_after if error.retry_after is not None else _WINDOW_SECONDS
        # Two workers may meet two limits at once; the one overwritten is met again, and kept then.
        closed = account.list_closed(now=now)
        closed[error.endpoint] = now + timedelta(seconds=seconds)
        _change_status(
            account,
            AccountStatus.RATE_LIMITED,
            reason=error.sentence,
            closed=closed,
            now=now,
        )
    elif isinstance(error, SuspendedError):
        _change_status(account, AccountStatus.ERROR, reason=error.sentence, now=now)


def pause_account(
    account: TwitterAccount, *, reason: str, now: datetime, actor: str = SYSTEM
) -> bool:
    """Stop work on the account until a person resumes it; False if it was paused already."""
    changed = {
        "status": AccountStatus.PAUSED,
        "status_reason": reason,
        "status_changed_at": now,
        "updated_at": now,
    }
    rows = TwitterAccount.objects.filter(pk=account.pk).exclude(status=AccountStatus.PAUSED)
    if not rows.update(**changed):
        return False
    _announce_status(account, "account.paused", before=account.status, changed=changed, actor=actor)
    _apply(account, changed)
    return True


def resume_account(account: TwitterAccount, *, now: datetime, actor: str = SYSTEM) -> bool:
    """Let a paused or failed account work again; False if it is in neither state.

    What X's limits and tokens say is found again by the next call.
    """
    changed = {
        "status": AccountStatus.ACTIVE,
        "status_reason": "",
        "status_changed_at": now,
        "updated_at": now,
    }
    rows = TwitterAccount.objects.filter(
        pk=account.pk, status__in=(AccountStatus.PAUSED, AccountStatus.ERROR)
    )
    if not rows.update(**changed):
        return False
    _announce_status(
        account, "account.resumed", before=account.status, changed=changed, actor=actor
    )
    _apply(account, changed)
    return True


def _change_status(
    account: TwitterAccount,
    status: AccountStatus,
    *,
    reason: str,
    now: datetime,
    closed: dict[str, datetime] | None = None,
) -> None:
    opens_at = closed or {}
    changed = {
        "status": status,
        "status_reason": reason,
        "blocked_until": max(opens_at.values(), default=None),
        "closed_endpoints": [
            [name, moment.isoformat(timespec="milliseconds")] for name, moment in opens_at.items()
        ],
        "status_changed_at": now,
        "updated_at": now,
    }
    fixed_by_people = (AccountStatus.PAUSED, AccountStatus.TOKEN_EXPIRED)
    rows = TwitterAccount.objects.filter(pk=account.pk).exclude(status__in=fixed_by_people)
    if rows.update(**changed):
        if account.status != status:
            _announce_status(account, f"account.{status}", before=account.status, changed=changed)
        _apply(account, changed)
        logger.warning("Account %s is now %s", account.pk, status.value)


def _announce_status(
    account: TwitterAccount,
    action: str,
    *,
    before: str,
    changed: dict[str, Any],
    actor: str = SYSTEM,
) -> None:
    announce(
        action,
        account_id=account.pk,
        actor=actor,
        before={"status": str(before)},
        after={"status": str(changed["status"])},
        note=changed["status_reason"],
    )


def _apply(account: TwitterAccount, changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        setattr(account, name, value)
