"""The short way to what programs do most, past Django and DRF: read messages, and change one.

A program that signed in needs no session, no CSRF check, no form and no page for people: more than
half of its request's time went into them, and threads that wait for each other doubled it. Here
it is answered in front of Django, by the functions that DRF's view calls; whatever is not quite
plain is left to that view, and so are all refusals.
"""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from types import MappingProxyType
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from django.conf import settings
from django.core.exceptions import DisallowedHost, SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, close_old_connections
from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.utils import timezone
from django.utils.module_loading import import_string
from django.views import View
from rest_framework.exceptions import APIException

from accounts.api.throttling import count_once
from accounts.models import Role
from accounts.verified import sign_ins
from autores.compression import SHORTEST, choose_coding
from autores.observability.requests import log_request, naming_log_lines
from autores.parsers import BoundedJSONParser
from autores.problems import answer_error
from mentions.api import listing, reading
from mentions.api.access import load_document, recall_document
from mentions.api.changes import Change, change_as_seen, update_message
from mentions.api.etags import is_match, require_match
from mentions.api.serializers import MessageUpdateSerializer

logger = logging.getLogger(__name__)

_PREFIX = "/api/v1/messages"
_PATH = re.compile(rf"{_PREFIX}(?:/(?P<id>[0-9]+(?::[0-9]+)?))?/?", re.ASCII)
# By each of these, DRF's negotiation gives plain JSON.
_JSON = frozenset({"*/*", "application/json", "application/json, text/plain, */*"})
# What Django makes of these depends on a session, or on more than the path and the body.
_NOT_PLAIN = ("HTTP_COOKIE", "HTTP_TRANSFER_ENCODING", "SCRIPT_NAME")
_JSON_BODIES = frozenset({"application/json", "application/json; charset=utf-8"})
_ORIGIN = (
    "HTTP_HOST",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "wsgi.url_scheme",
)
_MOST_ORIGINS = 256
_METHODS = frozenset({"GET", "PATCH"})
# Two answers at full length, and what JSON adds.
_LONGEST_BODY = 262_144
_LENGTH = re.compile(r"[0-9]{1,6}", re.ASCII)
_LONGEST_KEPT = 1000

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: str
    headers: Headers
    content: bytes


def _read_changes(body: bytes) -> Mapping[str, Any]:
    """What a PATCH asks for. Raises ParseError or ValidationError, as the view does."""
    return _read_kept(body) if len(body) <= _LONGEST_KEPT else _read(body)


def _read(body: bytes) -> Mapping[str, Any]:
    data = _parser.parse(BytesIO(body), parser_context={"encoding": "utf-8"})
    serializer = MessageUpdateSerializer(data=data, partial=True)
    serializer.is_valid(raise_exception=True)
    return MappingProxyType(serializer.validated_data)


_parser = BoundedJSONParser()
# Programs change many messages alike.
_read_kept = lru_cache(512)(_read)


class ShortWay:
    """A WSGI application that answers plain requests for messages, and leaves the rest to Django's.

    Its answers get the headers of ``settings.ANSWER_MIDDLEWARE``. What these add to a plain answer
    does not change, so it is asked of them once; an answer to be compressed, or for another
    site's page, goes through them each time.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application
        self._dress = _chain(settings.ANSWER_MIDDLEWARE)
        self._allow: dict[bool, str] = {}
        self._origins: dict[tuple[Any, ...], str] = {}
        self._frames: dict[tuple[Any, ...], Headers] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_ours = environ["REQUEST_METHOD"] in _METHODS
        if is_ours and environ["PATH_INFO"].startswith(_PREFIX):
            with naming_log_lines(environ.get("HTTP_X_REQUEST_ID", "")) as request_id:
                began = time.perf_counter()
                try:
                    answer = self._answer(environ)
                except Exception:
                    # A bug here is told with its traceback, and takes nobody's answer away: Django
                    # has one. It finds a change that was made, and does not make it again; with
                    # If-Match it says that the message is another by now.
                    logger.exception("The short way is broken; Django answers instead.")
                    environ["HTTP_X_REQUEST_ID"] = request_id
                    answer = None
                if answer is not None:
                    log_request(
                        environ,
                        path=environ["PATH_INFO"],
                        status=int(answer.status[:3]),
                        size=len(answer.content),
                        began=began,
                    )
                    start_response(answer.status, [*answer.headers, ("X-Request-ID", request_id)])
                    return [answer.content]
        return self._application(environ, start_response)

    def _answer(self, environ: WSGIEnvironment) -> _Answer | None:
        """None if Django has to."""
        path = _PATH.fullmatch(environ["PATH_INFO"])
        query_string = environ.get("QUERY_STRING", "")
        if (
            path is None
            or environ.get("HTTP_ACCEPT", "*/*") not in _JSON
            # Another form asked for, or bytes that may be no UTF-8.
            or "format" in query_string
            or "%" in query_string
            or not query_string.isascii()
            or any(environ.get(name) for name in _NOT_PLAIN)
        ):
            return None
        known = sign_ins.peek(environ.get("HTTP_AUTHORIZATION", "").encode("latin-1"))
        if known is None:
            return None
        origin = self._find_origin(environ)
        if origin is None:
            return None
        user, auth = known
        message_id = path["id"]
        try:
            if environ["REQUEST_METHOD"] == "PATCH":
                found = self._change(environ, message_id, user=user, auth=auth)
            elif environ.get("CONTENT_LENGTH"):
                return None
            elif message_id:
                if not count_once(environ, user=user, auth=auth):
                    return None
                found = reading.read_one(environ, user, message_id)
            else:
                wanted = listing.read_query(query_string)
                if not count_once(environ, user=user, auth=auth):
                    return None
                address = f"{origin}{environ['PATH_INFO']}"
                found = reading.read_page(environ, user, wanted, address=address)
        except (APIException, SuspiciousOperation):
            return None
        except DatabaseError as error:
            # The view would wait for the database once more, and fail as well; and whether a
            # change was made is not known.
            close_old_connections()
            return _send(self._dress_up(environ, answer_error(error)))
        if found is None:
            return None
        return self._frame(environ, found, origin=origin, is_one=bool(message_id))

    def _change(
        self, environ: WSGIEnvironment, message_id: str | None, *, user: Any, auth: Any
    ) -> reading.Answer | None:
        length = environ.get("CONTENT_LENGTH", "")
        if (
            message_id is None
            or environ.get("CONTENT_TYPE", "").lower() not in _JSON_BODIES
            or _LENGTH.fullmatch(length) is None
            or not 0 < int(length) <= _LONGEST_BODY
        ):
            return None
        body = environ["wsgi.input"].read(int(length))
        # For Django, should this not be for here after all.
        environ["wsgi.input"] = BytesIO(body)
        if len(body) != int(length):
            return None
        changes = _read_changes(body)
        if not count_once(environ, user=user, auth=auth):
            return None
        work: Change = {"changes": changes, "actor": user.pk, "now": timezone.now()}
        seen = recall_document(user, message_id, role=Role.RESPONDER)
        message = None
        if seen is not None and is_match(environ, seen.get("version") or 1):
            message = change_as_seen(seen, **work)
        if message is None:
            document = load_document(user, message_id, role=Role.RESPONDER)
            expected = require_match(environ, document.get("version") or 1)
            message = update_message(document, **work, expected_version=expected)
        return reading.Answer(message.content, {"ETag": message.etag}, is_known=False)

    def _find_origin(self, environ: WSGIEnvironment) -> str | None:
        """Scheme and host as the caller wrote them; None if Django refuses or redirects them."""
        key = tuple([environ.get(name) for name in _ORIGIN])
        origin = self._origins.get(key)
        if origin is None and environ.get("HTTP_HOST"):
            request = WSGIRequest(environ)
            try:
                origin = f"{request.scheme}://{request.get_host()}"
            except DisallowedHost:
                return None
            if settings.SECURE_SSL_REDIRECT and not request.is_secure():
                return None
            if len(self._origins) >= _MOST_ORIGINS:
                self._origins.clear()
                self._frames.clear()
            self._origins[key] = origin
        return origin

    def _frame(
        self, environ: WSGIEnvironment, found: reading.Answer, *, origin: str, is_one: bool
    ) -> _Answer:
        content = b"" if found.is_known else found.content
        method = environ["REQUEST_METHOD"]
        is_long = method == "GET" and len(content) >= SHORTEST
        is_special = "HTTP_ORIGIN" in environ or (
            is_long and choose_coding(environ.get("HTTP_ACCEPT_ENCODING", "")) is not None
        )
        key = (origin, method, is_one, found.is_known, is_long)
        frame = None if is_special else self._frames.get(key)
        own = {**found.headers}
        if not found.is_known:
            own["Content-Length"] = str(len(content))
        if frame is not None:
            status = "304 Not Modified" if found.is_known else "200 OK"
            return _Answer(status, [*frame, *own.items()], content)
        response = HttpResponse(content, content_type="application/json")
        if found.is_known:
            response = HttpResponse(status=304)
            del response["Content-Type"]
        response["Vary"] = "Accept"
        response["Allow"] = self._list_methods(environ["PATH_INFO"], is_one=is_one)
        for name, value in own.items():
            response[name] = value
        dressed = self._dress_up(environ, response)
        if dressed is response and not is_special:
            self._frames[key] = [item for item in dressed.items() if item[0] not in own]
        return _send(dressed)

    def _dress_up(self, environ: WSGIEnvironment, response: HttpResponse) -> HttpResponse:
        request: Any = WSGIRequest(environ)
        request.ready = response
        return self._dress(request)

    def _list_methods(self, path: str, *, is_one: bool) -> str:
        """As DRF's view tells them; read from the route once, for the list and for one message."""
        if is_one not in self._allow:
            actions = resolve(path).func.actions
            # DRF answers HEAD where it answers GET.
            known = {*actions, "head", "options"}
            names = [name for name in View.http_method_names if name in known]
            self._allow[is_one] = ", ".join(name.upper() for name in names)
        return self._allow[is_one]


def _chain(middlewares: Iterable[str]) -> Callable[[HttpRequest], HttpResponse]:
    """The middlewares around a view that answers with the request's ``ready``."""

    def answer(request: Any) -> HttpResponse:
        ready: HttpResponse = request.ready
        return ready

    handler: Callable[[HttpRequest], HttpResponse] = answer
    for name in reversed(list(middlewares)):
        handler = import_string(name)(handler)
    return handler


def _send(response: HttpResponse) -> _Answer:
    return _Answer(
        f"{response.status_code} {response.reason_phrase}",
        list(response.items()),
        response.content,
    )
