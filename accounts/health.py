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
from accounts.states import TRANSITIONS, move_account
from autores.x.endpoints import READS
from autores.x.errors import (
    CreditsDepletedError,
    RateLimitedError,
    SuspendedError,
    UnauthorizedError,
    UsageCapError,
    XError,
)

logger = logging.getLogger(__name__)

# X states when a window opens again; without that, a whole window is waited for.
_WINDOW_SECONDS = 900.0
# What the audit trail calls them.
_ACTIONS = {"limited": "rate_limited", "suspended": "error", "refused": "error"}
_RECOVERABLE = (AccountStatus.RATE_LIMITED, AccountStatus.ERROR)


def record_success(account: TwitterAccount, *, now: datetime) -> None:
    """A call went through: an account in trouble is active again. Costs nothing otherwise."""
    if account.status not in _RECOVERABLE and not account.last_error_code:
        return
    if account.status in _RECOVERABLE:
        # Another worker may have met the limit a moment ago: its block is newer than this success.
        is_open = Q(blocked_until=None) | Q(blocked_until__lte=now)
        opened: dict[str, Any] = {"blocked_until": None, "closed_endpoints": []}
        if _move(account, "recovered", now=now, expected=is_open, **opened):
            logger.info("Account %s is active again", account.pk)
    if account.last_error_code:
        cleared = {"last_error_code": "", "updated_at": now}
        TwitterAccount.objects.filter(pk=account.pk).filter(
            last_error_code=account.last_error_code
        ).update(**cleared)
        _apply(account, cleared)


def record_failure(account: TwitterAccount, error: XError, *, now: datetime) -> None:
    """Keep what ``error`` means: for this account, or for the whole app (402, usage cap).

    X's window limit closes one endpoint to the account until it opens again, and so does a day's
    limit of a kind of read; what the account does through others goes on. A day's budget of a kind
    of write (posts, messages) is its sender's to wait for, by ``retry_after``.
    """
    if isinstance(error, (CreditsDepletedError, UsageCapError)):
        pause_app(error.code, error.sentence, seconds=error.retry_after, now=now)
    changed: dict[str, Any] = {
        "last_error_code": error.code,
        "last_error": f"{error.sentence} X said: {error.detail}"
        if error.detail
        else error.sentence,
        "last_error_at": now,
        "updated_at": now,
    }
    TwitterAccount.objects.filter(pk=account.pk).update(**changed)
    _apply(account, changed)
    is_spent = isinstance(error, RateLimitedError) and (
        error.limit == "window" or error.endpoint in READS
    )
    if isinstance(error, RateLimitedError) and is_spent:
        seconds = error.retry_after if error.retry_after is not None else _WINDOW_SECONDS
        # Two workers may meet two limits at once; the one overwritten is met again, and kept then.
        closed = account.list_closed(now=now)
        closed[error.endpoint] = now + timedelta(seconds=seconds)
        is_limited = _move(
            account,
            "limited",
            reason=error.sentence,
            code=error.code,
            now=now,
            blocked_until=max(closed.values()),
            closed_endpoints=[
                [name, moment.isoformat(timespec="milliseconds")] for name, moment in closed.items()
            ],
        )
        if is_limited:
            logger.warning("Account %s is now rate_limited", account.pk)
    elif isinstance(error, (SuspendedError, UnauthorizedError)) and _move(
        account,
        "suspended" if isinstance(error, SuspendedError) else "refused",
        reason=error.sentence,
        code=error.code,
        now=now,
        blocked_until=None,
        closed_endpoints=[],
    ):
        logger.warning("Account %s is now in error", account.pk)


def pause_account(
    account: TwitterAccount, *, reason: str, now: datetime, actor: str = SYSTEM
) -> bool:
    """Stop work on the account until a person resumes it; False if it was paused already."""
    return _move(account, "paused", reason=reason, now=now, actor=actor)


def resume_account(account: TwitterAccount, *, now: datetime, actor: str = SYSTEM) -> bool:
    """Let a paused or failed account work again; False if it is in neither state.

    What X's limits and tokens say is found again by the next call.
    """
    return _move(account, "resumed", now=now, actor=actor, poll_due_at=None)


def _move(
    account: TwitterAccount,
    event: str,
    *,
    now: datetime,
    reason: str = "",
    code: str = "",
    actor: str = SYSTEM,
    expected: Q | None = None,
    **changes: Any,
) -> bool:
    """Apply the event, tell the listeners of a new status, and write it into ``account``."""
    before = move_account(
        account.pk,
        event,
        now=now,
        reason=reason,
        code=code,
        actor=actor,
        expected=expected,
        **changes,
    )
    if before is None:
        return False
    after = TRANSITIONS[event].target
    if before != after:
        announce(
            f"account.{_ACTIONS.get(event, event)}",
            account_id=account.pk,
            actor=actor,
            before={"status": str(before)},
            after={"status": str(after)},
            note=reason,
        )
    _apply(
        account,
        {
            **changes,
            "status": after,
            "status_reason": reason,
            "status_changed_at": now,
            "updated_at": now,
        },
    )
    return True


def _apply(account: TwitterAccount, changed: dict[str, Any]) -> None:
    for name, value in changed.items():
        setattr(account, name, value)
