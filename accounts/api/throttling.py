"""The limit of requests a minute."""

from typing import TYPE_CHECKING

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


class PerMinuteThrottle(BaseThrottle):
    """RATE_LIMIT_PER_MINUTE for each personal token, person or, not signed in, address."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        taken = requests_per_minute.take(
            self._caller(request), limit=settings.RATE_LIMIT_PER_MINUTE
        )
        self._wait = taken.seconds_left
        return taken.is_allowed

    def wait(self) -> float:
        return self._wait

    def _caller(self, request: Request) -> str:
        if isinstance(request.auth, PersonalToken):
            return f"token:{request.auth.pk}"
        if request.user is not None and request.user.is_authenticated:
            return f"person:{request.user.pk}"
        return f"address:{address_of(request)}"
