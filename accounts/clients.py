"""The one way to call X for an account."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.utils import timezone

from accounts.budgets import OBSERVED, observe_rate
from accounts.errors import AccountBlockedError, AppPausedError, ReconnectNeededError
from accounts.health import record_failure, record_success
from accounts.models import AccountStatus, AppPause, TwitterAccount
from accounts.tokens import ACCESS_REJECTED, access_token_for, require_reconnect
from accounts.wire import oauth_client
from autores.x.client import XClient
from autores.x.errors import KnownLimitError, UnauthorizedError, XError
from autores.x.transport import Observe
from autores.x.types import Call

__all__ = ["XClient", "call_x", "check_callable", "oauth_client", "x_client"]

T = TypeVar("T")
# What X refuses of the token endpoint names no endpoint: without a token no call can be made.
TOKEN_ENDPOINT = ""


def call_x(
    account: TwitterAccount, call: Callable[[XClient], T], *, now: datetime | None = None
) -> T:
    """``call`` with a client for the account, and the outcome kept as the account's health.

    A 401 changed nothing at X: the token is refreshed once and ``call`` is made again, from its
    start. ``account`` gets its current status and health written into it.

    Raises AppPausedError, AccountBlockedError and TokenUnavailableError before anything is sent
    (all of them CallRefusedError), and XError for what X did; health is recorded by then.
    """
    moment = now or timezone.now()
    check_callable(account, now=moment)
    closed = account.list_closed(now=moment)
    if TOKEN_ENDPOINT in closed:
        raise _blocked(account, opens_at=closed[TOKEN_ENDPOINT], now=moment)
    try:
        token = access_token_for(account, now=moment)
        try:
            result = call(_client_for(account, token, closed=closed))
        except UnauthorizedError:
            token = access_token_for(account, now=moment, must_refresh=True, rejected_token=token)
            result = call(_client_for(account, token, closed=closed))
    except KnownLimitError as error:
        raise _blocked(account, opens_at=closed[error.endpoint], now=moment) from None
    except UnauthorizedError as error:
        record_failure(account, error, now=moment)
        require_reconnect(
            account.pk,
            pair=account.refresh_token,
            sentence=ACCESS_REJECTED,
            code=error.code,
            now=moment,
        )
        raise ReconnectNeededError(ACCESS_REJECTED) from None
    except XError as error:
        record_failure(account, error, now=moment)
        raise
    record_success(account, now=moment)
    return result


def check_callable(account: TwitterAccount, *, now: datetime) -> None:
    """Raise AppPausedError or AccountBlockedError if X may not be called for the account now."""
    pause = AppPause.current(now=now)
    if pause is not None:
        seconds = None if pause.until is None else (pause.until - now).total_seconds()
        raise AppPausedError(
            f"All calls to X are paused: {pause.reason}",
            retryable=seconds is not None,
            retry_after=seconds,
        )
    stored = TwitterAccount.objects.get(pk=account.pk)
    for name in (
        *("status", "status_reason", "last_error_code"),
        *("blocked_until", "closed_endpoints"),
    ):
        setattr(account, name, getattr(stored, name))
    if stored.status == AccountStatus.PAUSED:
        raise AccountBlockedError(
            f"{stored} is paused{_because(stored.status_reason)} Resume it to go on."
        )


def _client_for(account: TwitterAccount, token: str, *, closed: Collection[str]) -> XClient:
    account_id = account.pk

    def keep_rate(call: Call) -> None:
        if call.endpoint in OBSERVED:
            observe_rate(call.endpoint, account_id=account_id, rate=call.rate, now=timezone.now())

    return x_client(token, scopes=account.scopes, closed=closed, observe=keep_rate)


def x_client(
    access_token: str,
    *,
    scopes: list[str],
    closed: Collection[str] = (),
    observe: Observe | None = None,
) -> XClient:
    """A client for one token. A call that lacks its scope, or is ``closed``, is refused unsent."""
    return XClient(
        base_url=settings.X_API_BASE_URL,
        access_token=access_token,
        vocabulary=settings.X_FIELD_VOCABULARY,
        connect_timeout=settings.X_CONNECT_TIMEOUT_SECONDS,
        read_timeout=settings.X_READ_TIMEOUT_SECONDS,
        # Legacy rows know no scopes: X itself tells them what they may not do.
        granted_scopes=frozenset(scopes) if scopes else None,
        closed=closed,
        observe=observe,
    )


def _blocked(account: TwitterAccount, *, opens_at: datetime, now: datetime) -> AccountBlockedError:
    return AccountBlockedError(
        f"X's limit for this kind of call is reached by {account}; it opens again at "
        f"{opens_at:%H:%M:%S} UTC.",
        code="account_rate_limited",
        retryable=True,
        retry_after=(opens_at - now).total_seconds(),
    )


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}." if reason else "."
