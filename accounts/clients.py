"""The one way to call X for an account."""

import hashlib
from collections.abc import Callable, Collection
from datetime import datetime
from typing import TypeVar

from django.conf import settings
from django.utils import timezone

from accounts.budgets import OBSERVED, observe_rate
from accounts.counting import recall, remember
from accounts.errors import AccountBlockedError, AppPausedError
from accounts.health import record_failure, record_success
from accounts.models import AccountStatus, AppPause, TwitterAccount
from accounts.pauses import PROBE_SECONDS, end_probe, take_probe
from accounts.tokens import access_token_for
from accounts.wire import oauth_client
from autores.mongo.instances import find_instance
from autores.x.client import XClient
from autores.x.errors import KnownLimitError, UnauthorizedError, XError
from autores.x.transport import Observe
from autores.x.types import Call

__all__ = ["XClient", "call_x", "oauth_client", "x_client"]

T = TypeVar("T")
# What X refuses of the token endpoint names no endpoint: without a token no call can be made.
TOKEN_ENDPOINT = ""
_REFUSED_SECONDS = 900
ACCESS_REFUSED = (
    "X refuses this account's sign-in, although it renewed it. It is tried again; if that lasts, "
    "connect the account again."
)


def call_x(
    account: TwitterAccount, call: Callable[[XClient], T], *, now: datetime | None = None
) -> T:
    """``call`` with a client for the account, and the outcome kept as the account's health.

    A 401 changed nothing at X: the token is refreshed once and ``call`` is made again, from its
    start. Refused even then, the account is in error, and tried again. ``account`` gets its
    current status and health written into it.

    Raises AppPausedError, AccountBlockedError and TokenUnavailableError before anything is sent
    (all of them CallRefusedError), and XError for what X did; health is recorded by then.
    """
    moment = now or timezone.now()
    stored = _check_account(account)
    probe = _check_pause(now=moment)
    has_succeeded = False
    try:
        result = _call(account, call, stored=stored, now=moment)
        has_succeeded = True
    finally:
        if probe is not None:
            end_probe(probe, has_succeeded=has_succeeded)
    return result


def _call(
    account: TwitterAccount, call: Callable[[XClient], T], *, stored: TwitterAccount, now: datetime
) -> T:
    closed = account.list_closed(now=now)
    refused = f"sign-in-refused:{account.pk}"
    if TOKEN_ENDPOINT in closed:
        raise _blocked(account, opens_at=closed[TOKEN_ENDPOINT], now=now)
    try:
        token = access_token_for(account, stored=stored, now=now)
        try:
            result = call(_client_for(account, token, closed=closed))
        except UnauthorizedError:
            if recall(refused) == _digest(token):
                raise
            token = access_token_for(account, now=now, must_refresh=True, rejected_token=token)
            try:
                result = call(_client_for(account, token, closed=closed))
            except UnauthorizedError:
                # It is not renewed again for each call while X refuses it.
                remember(refused, seconds=_REFUSED_SECONDS, value=_digest(token))
                raise
    except KnownLimitError as error:
        raise _blocked(account, opens_at=closed[error.endpoint], now=now) from None
    except UnauthorizedError as error:
        # Whose token X has just renewed has not lost its consent: it is X that fails, or the app.
        error.sentence = ACCESS_REFUSED
        record_failure(account, error, now=now)
        raise
    except XError as error:
        record_failure(account, error, now=now)
        raise
    record_success(account, now=now)
    return result


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def _check_pause(*, now: datetime) -> AppPause | None:
    """Raise AppPausedError while all calls are paused.

    A pause is returned when this call is the one that tries whether X takes calls again: it must
    be given to ``accounts.pauses.end_probe``.
    """
    pause = AppPause.standing()
    if pause is None:
        return None
    if pause.is_in_force(now=now):
        raise AppPausedError(
            f"All calls to X are paused: {pause.reason}",
            retryable=pause.until is not None,
            retry_after=None if pause.until is None else (pause.until - now).total_seconds(),
        )
    if not pause.is_probed:
        return None
    if not take_probe(pause, now=now):
        raise AppPausedError(
            f"All calls to X are paused, and one is being tried now: {pause.reason}",
            retryable=True,
            retry_after=float(PROBE_SECONDS),
        )
    return pause


def _check_account(account: TwitterAccount) -> TwitterAccount:
    """The account as it is stored; its status and health are written into ``account``.

    Raises AccountBlockedError if X may not be called for it now.
    """
    stored = find_instance(TwitterAccount, {"_id": account.pk})
    if stored is None:
        raise TwitterAccount.DoesNotExist(f"Account {account.pk} is gone.")
    for name in (
        *("status", "status_reason", "last_error_code"),
        *("blocked_until", "closed_endpoints"),
    ):
        setattr(account, name, getattr(stored, name))
    if stored.status == AccountStatus.PAUSED:
        raise AccountBlockedError(
            f"{stored} is paused{_because(stored.status_reason)} Resume it to go on."
        )
    return stored


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
