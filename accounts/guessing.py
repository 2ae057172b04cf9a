"""Failed sign-ins are counted, and more of them refused for a while.

It sits in the authentication backend, so that the API, the admin and the browsable API's form
share one count. An attempt is counted before its password is looked at, and given back when it
was right: however many arrive at once, no more than the limit are tried.
"""

import ipaddress
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from accounts.counting import is_remembered, lower_counter, raise_counter, remember
from accounts.models import User

MINUTE = 60
_DAY = 24 * 60 * MINUTE
# An address from which a person signed in stays his for so long.
_KNOWN_SECONDS = 30 * _DAY


def address_of(request: Any) -> str:
    """The caller's address, by as many X-Forwarded-For entries as TRUSTED_PROXIES says.

    An IPv6 caller usually owns a whole /64, so that is what counts; an IPv4 caller met on an IPv6
    socket (``::ffff:a.b.c.d``) is the IPv4 address.
    """
    text = BaseThrottle().get_ident(request) or ""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return "unreadable"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


class GuessGuard:
    """The counters of one address and name.

    Per name and address a few failures; per address more, as offices share one; per name many,
    so that a stranger cannot lock a person out cheaply, and none from where the person signed in
    before.
    """

    def __init__(self, request: Any, *, username: str) -> None:
        address, name = address_of(request), username.lower()[:150]
        self._known = f"guess:known:{address}:{name}"
        # (counter, failures allowed, window in seconds)
        self._counters = [
            (f"guess:pair:{address}:{name}", 5, 5 * MINUTE),
            (f"guess:address:{address}", 30, 5 * MINUTE),
        ]
        if not is_remembered(self._known):
            self._counters.append((f"guess:name:{name}", 100, 15 * MINUTE))
        self._raised: list[str] = []

    def begin_attempt(self) -> float:
        """Count an attempt; 0 if it may be made. Otherwise uncount it: the seconds to wait."""
        for counter, limit, seconds in self._counters:
            raised = raise_counter(counter, seconds=seconds)
            self._raised.append(raised.key)
            if raised.count > limit:
                self.give_back()
                return max(1.0, raised.seconds_left)
        return 0.0

    def give_back(self) -> None:
        """Uncount the attempt."""
        for key in self._raised:
            lower_counter(key)
        self._raised.clear()

    def record_success(self) -> None:
        self.give_back()
        remember(self._known, seconds=_KNOWN_SECONDS)


def seconds_until_retry(request: HttpRequest) -> float:
    """How long the last attempt to sign in by this request has to wait; 0 if it was tried."""
    return float(getattr(request, _WAIT, 0.0))


# Django's authenticate() keeps no reason for a refusal.
_WAIT = "sign_in_seconds_to_wait"


class GuardedBackend(ModelBackend):
    """Django's own backend, with the guard before it and every failure counted."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        if request is None or not username:
            return super().authenticate(request, username=username, password=password, **kwargs)
        guard = GuessGuard(request, username=username)
        if wait := guard.begin_attempt():
            setattr(request, _WAIT, wait)
            raise PermissionDenied
        try:
            user = super().authenticate(request, username=username, password=password, **kwargs)
        except Exception:
            # No guess was answered.
            guard.give_back()
            raise
        if user is not None:
            guard.record_success()
        return user
