"""X's tokens of an account: handed out, refreshed by one process at a time, stored before use.

A refresh token works once. So a refresh runs under the account's lease, reads the stored pair
again inside it, and writes the new pair before anybody sees it. What decides whether a pair may
be replaced is the pair itself: each write compares the refresh token it started from, so a
process that slept past its lease can neither overwrite a newer pair nor condemn the account.

A crash between X's answer and the write loses the new pair, and nothing on our side can bring it
back. The window is one database write; the database was seen alive by taking the lease, and the
write is tried again for as long as the lease lasts.
"""

import logging
import random
import secrets
import time
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from pymongo.errors import PyMongoError

from accounts.errors import (
    ReconnectNeededError,
    RefreshBusyError,
    RefreshFencedError,
    TokenUnreadableError,
)
from accounts.models import AccountStatus, TwitterAccount
from accounts.signals import announce
from accounts.states import move_account
from accounts.stored_tokens import token_cipher
from accounts.wire import oauth_client
from autores.crypto import CipherError
from autores.x.errors import InvalidGrantError, XError
from autores.x.types import TokenGrant

logger = logging.getLogger(__name__)

REFRESH_AHEAD = timedelta(minutes=5)
# With less life left than this a token may expire on the way to X.
SHORTEST_LIFE = timedelta(seconds=30)
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.5
_FENCED_SECONDS = 60.0
_NOT_REFRESHABLE = (
    "X gave no refresh token for this account (offline.access was not granted), and its access "
    "token has expired. Connect the account again."
)
_REFRESH_REJECTED = (
    "X no longer accepts this account's refresh token: access was revoked on X, or the token was "
    "used elsewhere. Connect the account again."
)


def lease_duration() -> timedelta:
    """Longer than a refresh can take over the wire, with room to store its result."""
    seconds = settings.X_CONNECT_TIMEOUT_SECONDS + settings.X_READ_TIMEOUT_SECONDS
    return timedelta(seconds=2 * seconds + 30)


def access_token_for(
    account: TwitterAccount,
    *,
    now: datetime | None = None,
    must_refresh: bool = False,
    rejected_token: str | None = None,
    ahead: timedelta = REFRESH_AHEAD,
    stored: TwitterAccount | None = None,
) -> str:
    """A plain access token that X should accept, refreshed when it expires within ``ahead``.

    must_refresh    the token that ``account`` holds is not good enough: any newer one is
    rejected_token  the same, for this very token, which X refused
    stored          the account as the caller read it a moment ago

    ``account`` gets the stored token, expiry, scopes and status written into it.
    Raises TokenUnavailableError (ReconnectNeededError, RefreshBusyError, RefreshFencedError,
    TokenUnreadableError) and XError for what X or the network did to the refresh.
    """
    request = _Request(account, now=now or timezone.now(), rejected=rejected_token, ahead=ahead)
    try:
        if must_refresh and rejected_token is None:
            request.rejected = _decrypt(account.access_token)
        token = request.find_token(stored)
        return token if token is not None else _refresh(request)
    except TokenUnreadableError as error:
        _mark_unreadable(request.row, error, now=request.now)
        raise


def store_grant(account_id: str, grant: TokenGrant, *, now: datetime) -> None:
    """Keep the pair of a fresh consent; it replaces whatever was there and clears the trouble.

    A refresh under way notices by comparing the pair, and takes this one. A paused account
    stays paused: a person paused it.
    """
    accounts = TwitterAccount.objects.filter(pk=account_id)
    # The pair is our own from here on, whoever used the one before.
    accounts.update(**grant_fields(grant, now=now), fenced_since=None, poll_due_at=None)
    move_account(account_id, "reconnected", now=now, **_OPENED)


def grant_fields(grant: TokenGrant, *, now: datetime) -> dict[str, object]:
    """Column values that store the pair, encrypted."""
    cipher = token_cipher()
    return {
        "access_token": cipher.encrypt(grant.access_token),
        "refresh_token": cipher.encrypt(grant.refresh_token or ""),
        "token_expires_at": grant.expires_at,
        "scopes": sorted(grant.scopes),
        "updated_at": now,
    }


def require_reconnect(
    account_id: str, *, pair: str, sentence: str, code: str, now: datetime
) -> bool:
    """Mark the account token_expired, if ``pair`` (refresh token ciphertext) is still stored."""
    is_marked = (
        move_account(
            account_id,
            "token_rejected",
            now=now,
            reason=sentence,
            code=code,
            expected=Q(refresh_token=pair),
            last_error_code=code,
            last_error=sentence,
            last_error_at=now,
            **_OPENED,
        )
        is not None
    )
    if is_marked:
        announce(
            "account.token_expired",
            account_id=account_id,
            after={"status": str(AccountStatus.TOKEN_EXPIRED), "code": code},
            note=sentence,
        )
    return is_marked


def _mark_unreadable(row: TwitterAccount, error: TokenUnreadableError, *, now: datetime) -> None:
    """Let people see it: state error, not token_expired, as the account is well again by itself
    once the key is back, and is tried until then at no cost to X.
    """
    is_same = Q(access_token=row.access_token, refresh_token=row.refresh_token)
    is_told = Q(status=AccountStatus.ERROR, last_error_code=error.code)
    is_marked = move_account(
        row.pk,
        "token_unreadable",
        now=now,
        reason=error.sentence,
        code=error.code,
        expected=is_same & ~is_told,
        last_error_code=error.code,
        last_error=error.sentence,
        last_error_at=now,
    )
    if is_marked:
        announce(
            "account.error",
            account_id=row.pk,
            after={"status": str(AccountStatus.ERROR), "code": error.code},
            note=error.sentence,
        )


def take_lease(account_id: str) -> str | None:
    """The name of a lease on the account's tokens, or None while another process holds it."""
    owner, now = secrets.token_hex(16), timezone.now()
    free = Q(refresh_lease="") | Q(refresh_lease_until__lte=now)
    taken = TwitterAccount.objects.filter(free, pk=account_id).update(
        refresh_lease=owner, refresh_lease_until=now + lease_duration()
    )
    return owner if taken else None


def release_lease(account_id: str, owner: str) -> None:
    """Give the lease back, unless it ran out and somebody else has it."""
    TwitterAccount.objects.filter(pk=account_id, refresh_lease=owner).update(
        refresh_lease="", refresh_lease_until=None
    )


_OPENED: dict[str, Any] = {"blocked_until": None, "closed_endpoints": []}


class _Request:
    """One caller's wish for a token, and the row as last read."""

    def __init__(
        self, account: TwitterAccount, *, now: datetime, rejected: str | None, ahead: timedelta
    ) -> None:
        self.account = account
        self.now = now
        self.rejected = rejected
        self.ahead = ahead
        self.row = account

    def find_token(self, stored: TwitterAccount | None = None) -> str | None:
        """Read the stored pair; its access token if that will do, None if it must be refreshed.

        ``stored`` was read just now. A refresh reads again, under the lease.
        """
        self.row = row = stored or TwitterAccount.objects.get(pk=self.account.pk)
        for name in ("access_token", "refresh_token", "token_expires_at", "scopes", "status"):
            setattr(self.account, name, getattr(row, name))
        if row.status == AccountStatus.TOKEN_EXPIRED:
            raise ReconnectNeededError(row.status_reason)
        token = _decrypt(row.access_token)
        return token if token and self._is_good(token, self.ahead) else None

    def find_old_token(self) -> str | None:
        """The access token about to be replaced, while it still lives."""
        token = _decrypt(self.row.access_token)
        return token if token and self._is_good(token, SHORTEST_LIFE) else None

    def _is_good(self, token: str, life: timedelta) -> bool:
        if token == self.rejected:
            return False
        expires_at = self.row.token_expires_at
        if expires_at is None:
            # Its life is not known, so X is asked for one whose life is, if that can be done.
            return not self.row.refresh_token
        return expires_at - self.now > life


def _refresh(request: _Request) -> str:
    account_id = request.account.pk
    give_up_at = time.monotonic() + settings.X_CONNECT_TIMEOUT_SECONDS
    give_up_at += settings.X_READ_TIMEOUT_SECONDS
    pause = _FIRST_PAUSE_SECONDS
    while True:
        owner = take_lease(account_id)
        if owner is not None:
            try:
                return _refresh_under_lease(request)
            finally:
                release_lease(account_id, owner)
        old = request.find_old_token()
        if old is not None:
            return old
        if time.monotonic() > give_up_at:
            raise RefreshBusyError(retry_after=5.0)
        time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)
        token = request.find_token()
        if token is not None:
            return token


def _refresh_under_lease(request: _Request) -> str:
    # Whoever held the lease before may have stored a new pair after our last read.
    token = request.find_token()
    if token is not None:
        return token
    if request.row.is_fenced:
        old = request.find_old_token()
        if old is not None:
            return old
        raise RefreshFencedError(retry_after=_FENCED_SECONDS)
    used = request.row.refresh_token
    account_id, now = request.account.pk, request.now
    if not used:
        require_reconnect(
            account_id, pair="", sentence=_NOT_REFRESHABLE, code="no_refresh_token", now=now
        )
        raise ReconnectNeededError(_NOT_REFRESHABLE, code="no_refresh_token")
    plain = _decrypt(used)
    try:
        grant = oauth_client().refresh(plain)
    except InvalidGrantError as error:
        if not require_reconnect(
            account_id, pair=used, sentence=_REFRESH_REJECTED, code=error.code, now=now
        ):
            token = request.find_token()
            if token is not None:
                return token
        logger.warning("Account %s must be connected again: %s", account_id, error.code)
        raise ReconnectNeededError(_REFRESH_REJECTED) from None
    except XError as error:
        old = request.find_old_token()
        if old is None:
            raise
        logger.warning("Account %s keeps its token for now: %s", account_id, error.code)
        return old
    return _store_refreshed(request, grant, used=used, plain=plain)


def _store_refreshed(request: _Request, grant: TokenGrant, *, used: str, plain: str) -> str:
    """Replace the pair that was spent, and only that one; the stored access token."""
    account_id, now = request.account.pk, request.now
    fields = grant_fields(grant, now=now)
    if grant.refresh_token is None:
        # RFC 6749, section 6: without a new one the old one stays good.
        del fields["refresh_token"]
    if not grant.scopes:
        del fields["scopes"]
    give_up_at = time.monotonic() + lease_duration().total_seconds()
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            accounts = TwitterAccount.objects.filter(pk=account_id)
            if accounts.filter(refresh_token=used).update(**fields):
                # Somebody who met the spent token meanwhile may have condemned the account.
                move_account(account_id, "token_stored", now=now, **_OPENED)
                request.row = TwitterAccount.objects.get(pk=account_id)
                for name in ("access_token", "refresh_token", "token_expires_at", "scopes"):
                    setattr(request.account, name, getattr(request.row, name))
                return grant.access_token
            row = accounts.get()
            if not _holds(row, plain, as_read=request.row):
                # Connected anew while we asked X: that consent is the newer one.
                return request.find_token() or grant.access_token
            used = row.refresh_token
        except (DatabaseError, PyMongoError):
            if time.monotonic() > give_up_at:
                logger.critical(
                    "The new tokens of account %s could not be stored; it must be connected again.",
                    account_id,
                )
                raise
            logger.warning("Storing the new tokens of account %s failed; trying again", account_id)
            time.sleep(pause)
            pause = min(2.0, pause * 2)


def _holds(row: TwitterAccount, plain: str, *, as_read: TwitterAccount) -> bool:
    """Whether the row's refresh token still is this one, that X has just spent."""
    try:
        return bool(row.refresh_token) and _decrypt(row.refresh_token) == plain
    except TokenUnreadableError:
        # Put under a key that this process was not given yet; a consent would expire otherwise.
        return row.token_expires_at == as_read.token_expires_at


def _decrypt(ciphertext: str) -> str:
    try:
        return token_cipher().decrypt(ciphertext)
    except CipherError:
        raise TokenUnreadableError from None
