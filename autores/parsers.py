"""Queries and bodies of API requests: what cannot be read is refused, never read as something else.

Django reads bytes that are no UTF-8 as U+FFFD, which would then be posted in somebody's name.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FormParser, JSONParser

from autores.problems import ApiProblem, answer_plainly

_INVALID = ("invalid_encoding", "The {} is not UTF-8: encode each character's UTF-8 bytes as %XX.")


class ReadableQueryMiddleware:
    """Refuses a query that is no UTF-8, below /api/."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        query = str(request.META.get("QUERY_STRING", ""))
        # WSGI hands bytes over as Latin-1.
        if request.path.startswith("/api/") and not _is_utf8(query.encode("latin-1", "replace")):
            code, detail = _INVALID
            return answer_plainly(400, code, detail.format("query"))
        return self._get_response(request)


class StrictFormParser(FormParser):
    """A form's text that is no UTF-8 is the sender's error."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        body = stream.read()
        if not _is_utf8(body):
            code, detail = _INVALID
            raise ApiProblem(code, detail.format("form"))
        return super().parse(BytesIO(body), media_type, parser_context)


class BoundedJSONParser(JSONParser):
    """JSON that is nested too deeply to be read is the sender's error, not ours."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None


def _is_utf8(encoded: bytes) -> bool:
    try:
        unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return True
