"""The cookie that ties a consent flow to the browser which began it."""

import re
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from accounts.linking import hash_browser
from accounts.models import OAUTH_STATE_SECONDS

_WELL_FORMED = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name() -> str:
    # The prefix makes browsers refuse a cookie that a neighbouring subdomain tries to plant.
    return "__Host-autores_connect" if settings.IS_PRODUCTION else "autores_connect"


def read_browser_hash(request: HttpRequest) -> str:
    """The hash of this browser's cookie, or empty."""
    return hash_browser(_read_cookie(request))


def choose_cookie(request: HttpRequest) -> str:
    """This browser's cookie value; its own again, so that two tabs can connect at once."""
    return _read_cookie(request) or secrets.token_urlsafe(32)


def set_cookie(response: HttpResponseBase, value: str) -> None:
    response.set_cookie(
        cookie_name(),
        value,
        max_age=OAUTH_STATE_SECONDS,
        path="/",
        secure=settings.IS_PRODUCTION,
        httponly=True,
        # Lax, not Strict: the callback is a navigation that comes from X.
        samesite="Lax",
    )


def _read_cookie(request: HttpRequest) -> str:
    value = request.COOKIES.get(cookie_name(), "")
    return value if _WELL_FORMED.fullmatch(value) else ""
