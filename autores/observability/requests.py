"""Gives each HTTP request an id, each answer the header that says it, and the log a line of it."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse
from rest_framework.throttling import BaseThrottle

from autores.observability import context
from autores.observability.redaction import redact

_access = logging.getLogger("autores.access")
# What asks whether we live asks all the time.
_PROBES = frozenset({"/healthz", "/readyz"})


@contextmanager
def naming_log_lines(given: str) -> Iterator[str]:
    """The log lines in this block carry the id it gives: ``given`` if well-formed, or a new one."""
    request_id = given if context.is_request_id(given) else context.new_request_id()
    token = context.request_id.set(request_id)
    try:
        yield request_id
    finally:
        context.request_id.reset(token)


class RequestIdMiddleware:
    """Takes a well-formed X-Request-ID from the caller, or makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with naming_log_lines(request.headers.get("X-Request-ID", "")) as request_id:
            request.request_id = request_id
            began = time.perf_counter()
            response = self.get_response(request)
            log_request(
                request.META,
                path=request.path,
                status=response.status_code,
                size=None if response.streaming else len(response.content),
                began=began,
            )
        response["X-Request-ID"] = request_id
        return response


def _describe_sender(meta: Mapping[str, Any]) -> str:
    """The caller's address, by as many X-Forwarded-For entries as TRUSTED_PROXIES says."""
    headers = {"x-forwarded-for": meta.get("HTTP_X_FORWARDED_FOR")}
    return BaseThrottle().get_ident(SimpleNamespace(META=meta, headers=headers)) or ""


def log_request(
    meta: Mapping[str, Any], *, path: str, status: int, size: int | None, began: float
) -> None:
    """Without the query, which may hold a reply's text or an OAuth code.

    Args:
        meta: the request's headers and method, as WSGI names them.
        size: in bytes; None of what is streamed.
        began: by ``time.perf_counter``.
    """
    level = logging.DEBUG if path in _PROBES else logging.INFO
    if not _access.isEnabledFor(level):
        return
    _access.log(
        level,
        "%s %s %s %s %s %.0f ms",
        quote(_describe_sender(meta), safe=":., ")[:64],
        quote(meta.get("REQUEST_METHOD", ""))[:16],
        # Redacted before it is quoted: an escape's last character would hide where a secret begins.
        quote(redact(path), safe="/[]"),
        status,
        "streamed" if size is None else f"{size} bytes",
        (time.perf_counter() - began) * 1000,
    )
