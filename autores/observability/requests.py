"""Gives each HTTP request an id, each answer the header that says it, and the log a line of it."""

import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from rest_framework.throttling import BaseThrottle

from autores.observability import context
from autores.observability.redaction import redact

_access = logging.getLogger("autores.access")
# What asks whether we live asks all the time.
_PROBES = frozenset({"/healthz", "/readyz"})


class RequestIdMiddleware:
    """Takes a well-formed X-Request-ID from the caller, or makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if context.is_request_id(given) else context.new_request_id()
        request.request_id = request_id
        token = context.request_id.set(request_id)
        began = time.perf_counter()
        try:
            response = self.get_response(request)
            level = logging.DEBUG if request.path_info in _PROBES else logging.INFO
            if _access.isEnabledFor(level):
                _access.log(level, "%s", _describe(request, response, began=began))
        finally:
            context.request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response


def _describe(request: HttpRequest, response: HttpResponse, *, began: float) -> str:
    """Without the query, which may hold a reply's text or an OAuth code."""
    size = "streamed" if response.streaming else f"{len(response.content)} bytes"
    # Redacted before it is quoted: an escape's last character would hide where a secret begins.
    path = quote(redact(request.path), safe="/[]")
    sender = quote(BaseThrottle().get_ident(request) or "", safe=":., ")[:64]
    return (
        f"{sender} {quote(request.method or '')[:16]} {path} "
        f"{response.status_code} {size} {(time.perf_counter() - began) * 1000:.0f} ms"
    )
