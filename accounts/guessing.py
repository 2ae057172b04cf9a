"""Failed sign-ins are counted, and more of them refused for a while.

It sits in the authentication backend, so that the API, the admin and the browsable API's form
share one count.
"""

import ipaddress
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from rest_framework.throttling import BaseThrottle

from accounts.counting import raise_counter, read_counter
from accounts.models import User

MINUTE = 60


def address_of(request: Any) -> str:
    """The caller's address, by as many X-Forwarded-For entries as TRUSTED_PROXIES says.

    An IPv6 caller usually owns a whole /64, so that is what counts.
    """
    text = BaseThrottle().get_ident(request) or ""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return "unreadable"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


class GuessGuard:
    """The counters of one address and name.

    Per name and address a few failures; per address more, as offices share one; per name many,
    so that a stranger cannot lock a person out cheaply.
    """

    def __init__(self, request: Any, *, username: str) -> None:
        address, name = address_of(request), username.lower()[:150]
        # (counter, failures allowed, window in seconds)
        self._counters = (
            (f"guess:pair:{address}:{name}", 5, 5 * MINUTE),
            (f"guess:address:{address}", 30, 5 * MINUTE),
            (f"guess:name:{name}", 100, 15 * MINUTE),
        )

    def seconds_to_wait(self) -> float:
        """0 while another attempt is allowed."""
        for counter, limit, seconds in self._counters:
            count, left = read_counter(counter, seconds=seconds)
            if count >= limit:
                return max(1.0, left)
        return 0.0

    def record_failure(self) -> None:
        for counter, _, seconds in self._counters:
            raise_counter(counter, seconds=seconds)


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
        if guard.seconds_to_wait():
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is None:
            guard.record_failure()
        return user
