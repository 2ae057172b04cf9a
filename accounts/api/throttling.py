"""The limit of requests a minute."""

from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from accounts.counting import raise_counter
from accounts.guessing import MINUTE, address_of
from accounts.models import PersonalToken

if TYPE_CHECKING:
    # DRF's views import this module, by its settings.
    from rest_framework.views import APIView


class PerMinuteThrottle(BaseThrottle):
    """RATE_LIMIT_PER_MINUTE for each personal token, person or, not signed in, address."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        raised = raise_counter(f"rate:{self._caller(request)}", seconds=MINUTE)
        self._wait = raised.seconds_left
        return raised.count <= settings.RATE_LIMIT_PER_MINUTE

    def wait(self) -> float:
        return self._wait

    def _caller(self, request: Request) -> str:
        if isinstance(request.auth, PersonalToken):
            return f"token:{request.auth.pk}"
        if request.user is not None and request.user.is_authenticated:
            return f"person:{request.user.pk}"
        return f"address:{address_of(request)}"
