"""Limits on callers: requests a minute, and attempts at a password.

Counters live in Redis under fixed windows and are raised atomically, so parallel requests cannot
all see the same old count. Without Redis nobody is counted and nobody refused: the API goes on.
"""

import ipaddress
import logging
import time
from typing import Any

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.models import PersonalToken
from autores.problems import ApiProblem

logger = logging.getLogger(__name__)

MINUTE = 60


class PerMinuteThrottle(BaseThrottle):
    """RATE_LIMIT_PER_MINUTE for each personal token, person or, not signed in, address."""

    def allow_request(self, request: Request, view: Any) -> bool:
        count, self._wait = _raise_counter(f"rate:{self._caller(request)}", seconds=MINUTE)
        return count <= settings.RATE_LIMIT_PER_MINUTE

    def wait(self) -> float:
        return self._wait

    def _caller(self, request: Request) -> str:
        if isinstance(request.auth, PersonalToken):
            return f"token:{request.auth.pk}"
        if request.user is not None and request.user.is_authenticated:
            return f"person:{request.user.pk}"
        return f"address:{address_of(request)}"


def address_of(request: Request) -> str:
    """The caller's address, by as many X-Forwarded-For entries as TRUSTED_PROXIES says.

    An IPv6 caller usually owns a whole /64, so that is what counts.
    """
    text = BaseThrottle().get_ident(request)
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return "unreadable"
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False).network_address)
    return str(address)


class GuessGuard:
    """Counts failed sign-ins, and refuses more of them for a while.

    Per name and address a few; per address more, as offices share one; per name many, so that a
    stranger cannot lock a person out cheaply.
    """

    def __init__(self, request: Request, *, username: str) -> None:
        address, name = address_of(request), username.lower()[:150]
        # (counter, failures allowed, window in seconds)
        self._counters = (
            (f"guess:pair:{address}:{name}", 5, 5 * MINUTE),
            (f"guess:address:{address}", 30, 5 * MINUTE),
            (f"guess:name:{name}", 100, 15 * MINUTE),
        )

    def refuse_when_spent(self) -> None:
        """Raise ApiProblem (429) once too many attempts failed."""
        for counter, limit, seconds in self._counters:
            count, wait = _read_counter(counter, seconds=seconds)
            if count >= limit:
                raise ApiProblem(
                    "too_many_attempts",
                    f"Too many failed attempts to sign in. Try again in {round(wait)} seconds.",
                    status_code=429,
                    retry_after=wait,
                )

    def record_failure(self) -> None:
        for counter, _, seconds in self._counters:
            _raise_counter(counter, seconds=seconds)


def _window(name: str, *, seconds: int) -> tuple[str, float]:
    now = time.time()
    return f"{name}:{int(now // seconds)}", seconds - now % seconds


def _raise_counter(name: str, *, seconds: int) -> tuple[int, float]:
    """The count with this one, and the seconds until it starts anew."""
    key, left = _window(name, seconds=seconds)
    try:
        cache.add(key, 0, timeout=seconds + 1)
        return cache.incr(key), left
    except (RedisError, ValueError) as error:
        # ValueError: the counter expired in between.
        logger.warning("Requests are not counted: %s", type(error).__name__)
        return 1, left


def _read_counter(name: str, *, seconds: int) -> tuple[int, float]:
    key, left = _window(name, seconds=seconds)
    try:
        return int(cache.get(key) or 0), left
    except RedisError as error:
        logger.warning("Failed sign-ins are not counted: %s", type(error).__name__)
        return 0, left
