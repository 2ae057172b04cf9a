"""The limit of requests a minute."""

from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.counting import SharedLimit
from accounts.guessing import MINUTE, address_of
from accounts.models import PersonalToken

if TYPE_CHECKING:
    # DRF's views import this module, by its settings.
    from rest_framework.views import APIView


requests_per_minute = SharedLimit("rate", seconds=MINUTE)
# In the WSGI environment, where no header of a caller can have such a name.
_COUNTED = "autores.is_counted"


class PerMinuteThrottle(BaseThrottle):
    """RATE_LIMIT_PER_MINUTE for each personal token, person or, not signed in, address."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        if request.META.get(_COUNTED):
            return True
        caller = caller_of(request.user, request.auth) or f"address:{address_of(request)}"
        taken = requests_per_minute.take(caller, limit=settings.RATE_LIMIT_PER_MINUTE)
        self._wait = taken.seconds_left
        return taken.is_allowed

    def wait(self) -> float:
        return self._wait


def caller_of(user: Any, auth: Any) -> str | None:
    """Under what name a request is counted; None for one that nobody signed in for."""
    if isinstance(auth, PersonalToken):
        return f"token:{auth.pk}"
    if user is not None and user.is_authenticated:
        return f"person:{user.pk}"
    return None


def count_once(environ: dict[str, Any], *, user: Any, auth: Any) -> bool:
    """Whether one more is let through. What was let through is not counted again by a view.

    ``environ`` is WSGI's.
    """
    caller = caller_of(user, auth)
    assert caller is not None
    is_allowed = requests_per_minute.take(caller, limit=settings.RATE_LIMIT_PER_MINUTE).is_allowed
    if is_allowed:
        environ[_COUNTED] = True
    return is_allowed
