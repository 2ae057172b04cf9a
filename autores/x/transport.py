"""The one place that talks to X over HTTP: sends, bounds, times, logs, and types every failure.

Nothing is ever sent twice from here, on any method: whether a call may be repeated is the
caller's decision, by the error it gets. Redirects are not followed, since they would carry
tokens elsewhere.
"""

import json
import logging
import os
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookiejar import DefaultCookiePolicy
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from autores.x.classify import CallKind, classify_refusal
from autores.x.errors import BadRequestError, ConnectError, ContractError, NoAnswerError, XError
from autores.x.limits import parse_rate_limits, read_server_time
from autores.x.types import Call, RateLimits

log = logging.getLogger("autores.x")

MAX_BODY_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 64 * 1024
_POOL_SIZE = 64
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
Observe = Callable[[Call], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole 2xx answer: parsed JSON and the budgets its headers reported."""

    status: int
    body: Any
    rate: RateLimits


def is_loopback(url: str) -> bool:
    """Whether the URL names this very machine, by a name that DNS cannot redirect."""
    return (urlsplit(url).hostname or "") in _LOOPBACK_HOSTS


def build_adapter() -> HTTPAdapter:
    """A connection pool that never retries."""
    return HTTPAdapter(pool_connections=8, pool_maxsize=_POOL_SIZE, max_retries=0)


def build_session() -> requests.Session:
    """A session safe to share between threads and accounts: it keeps no cookies."""
    session = requests.Session()
    # X sets cookies; kept, they would tie the accounts of one process to each other.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.headers.update({"User-Agent": "Autores", "Accept": "application/json"})
    adapter = build_adapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


_shared: dict[int, requests.Session] = {}
_shared_lock = Lock()


def get_shared_session() -> requests.Session:
    """One session per process, so that connections outlive the short-lived clients.

    Keyed by process id: a forked worker must not write into its parent's sockets.
    """
    with _shared_lock:
        session = _shared.get(os.getpid())
        if session is None:
            _shared.clear()
            session = _shared[os.getpid()] = build_session()
        return session


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two bytes, and until the whole body must have been read."""

    connect: float
    read: float
    total: float


def send(
    request: Callable[..., requests.Response],
    method: str,
    url: str,
    *,
    call: CallKind,
    timeouts: Timeouts,
    **options: Any,
) -> tuple[requests.Response, bytes]:
    """Sends once through `request` (a `Session.request`), and reads the whole bounded body.

    Raises ConnectError when nothing left, NoAnswerError when no whole answer came, and
    ContractError for a body too large; the outcome of a write is unknown in the last two.
    """
    deadline = time.monotonic() + timeouts.total
    failure: XError
    try:
        response = request(
            method,
            url,
            timeout=(timeouts.connect, timeouts.read),
            allow_redirects=False,
            stream=True,
            **options,
        )
        with response:
            body = _read_body(response, deadline=deadline, call=call)
            return response, body
    except UnicodeError:
        failure = BadRequestError(
            "The request to X was not sent: a text in it is not valid Unicode.",
            code="invalid_argument",
        )
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        failure = _classify_failure(error, call=call)
    # Raised outside the handler: the library's error holds the request, and with it the token.
    raise failure


def read_answer(
    response: requests.Response, body: bytes, *, call: CallKind, secrets: tuple[str, ...] = ()
) -> Answer:
    """The parsed answer, or the typed error for what X refused or garbled."""
    status, headers = response.status_code, response.headers
    rate = parse_rate_limits(headers)
    parsed, is_json = _parse_json(body)
    if status >= 400:
        error = classify_refusal(
            status,
            parsed,
            call=call,
            headers=headers,
            rate=rate,
            now=read_server_time(headers) or datetime.now(UTC),
        )
        error.detail = _scrub(error.detail, secrets)
        raise error
    if not 200 <= status < 300:
        raise ContractError(
            "Something between Autores and X answered with a redirect. Check X_API_BASE_URL "
            "and the network's proxy.",
            code="redirected",
            status=status,
            rate=rate,
        )
    if not is_json:
        raise ContractError(
            "X's answer is not JSON, or was cut.",
            code="not_json",
            status=status,
            rate=rate,
            retryable=call in ("read", "delete"),
            is_outcome_unknown=is_write(call),
        )
    return Answer(status=status, body=parsed, rate=rate)


def report(observe: Observe | None, call: Call) -> None:
    """Logs a call and tells the observer, whose own failure must not undo a sent reply."""
    facts = {
        "x_method": call.method,
        "x_path": call.path,
        "x_status": call.status,
        "x_seconds": round(call.seconds, 3),
        "x_error": call.error_code,
    }
    level = logging.INFO if call.error_code is None else logging.WARNING
    outcome = call.error_code or "ok"
    log.log(
        level,
        "%s %s -> %s %s in %.3fs",
        call.method,
        call.path,
        call.status or "no answer",
        outcome,
        call.seconds,
        extra=facts,
    )
    if observe is None:
        return
    try:
        observe(call)
    except Exception:
        log.exception("The observer of X calls failed for %s %s", call.method, call.path)


def is_write(call: CallKind) -> bool:
    """Whether the call changes something at X; issuing tokens does."""
    return call not in ("read", "revoke")


def _read_body(response: requests.Response, *, deadline: float, call: CallKind) -> bytes:
    chunks, size = [], 0
    for chunk in _iterate_chunks(response):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise ContractError(
                "X's answer is far larger than any it documents.",
                code="answer_too_large",
                status=response.status_code,
                is_outcome_unknown=is_write(call),
            )
        # The read time-out is per byte: an answer that drips would hold a worker for ever.
        if time.monotonic() > deadline:
            raise requests.ReadTimeout
    return b"".join(chunks)


def _iterate_chunks(response: requests.Response) -> Iterator[bytes]:
    # read1 hands over what has arrived; read(n) would wait for n bytes past the deadline.
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        yield chunk


def _parse_json(body: bytes) -> tuple[Any, bool]:
    try:
        return orjson.loads(body), True
    except orjson.JSONDecodeError:
        whole = _replace_halves(body)
    try:
        return (None, False) if whole is None else (orjson.loads(whole), True)
    except orjson.JSONDecodeError:
        return None, False


def _replace_halves(body: bytes) -> bytes | None:
    """The JSON with U+FFFD for each half of a character, None if that is not what is wrong.

    A name that was cut inside an emoji leaves one, as ``\\ud83d``. JSON allows it, orjson does not,
    and one such name must not keep the other mentions of a page out.
    """
    if not _ESCAPED_HALF.search(body):
        return None
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _classify_failure(error: Exception, *, call: CallKind) -> XError:
    causes = list(_walk_causes(error))
    name = type(causes[-1]).__name__
    if any(isinstance(cause, _NEVER_LEFT) for cause in causes):
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return ConnectError(
                "The server at X's address could not prove that it is X. Nothing was sent.",
                code="certificate_refused",
                detail=name,
                retryable=False,
            )
        return ConnectError(detail=name)
    return NoAnswerError(
        detail=name,
        is_outcome_unknown=is_write(call),
        # A deletion and a token call may be repeated; a post or a message never.
        retryable=call not in ("post", "dm"),
    )


_NEVER_LEFT = (
    requests.ConnectTimeout,
    requests.exceptions.ProxyError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    urllib3.exceptions.LocationParseError,
    ssl.SSLCertVerificationError,
)


def _walk_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps: urllib3 keeps causes in args and `reason`, not only in links."""
    queue: list[BaseException] = [error]
    seen: set[int] = set()
    while queue:
        current = queue.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [getattr(current, "reason", None), current.__cause__, current.__context__]
        queue += [e for e in (*current.args, *inner) if isinstance(e, BaseException)]


def _scrub(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        if secret:
            text = text.replace(secret, "[hidden]")
    return text
