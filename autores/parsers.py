"""Queries and bodies of API requests: what cannot be read is refused, never read as something else.

Django reads bytes that are no UTF-8 as U+FFFD, which would then be posted in somebody's name.
"""

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import IO, Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import DataAndFiles, FormParser, JSONParser, MultiPartParser

from autores.problems import ApiProblem, answer_plainly

_REPLACED = "\ufffd"
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


class WholeBodyMiddleware:
    """Refuses a body whose end cannot be told from a cut: half a text must not be posted.

    Django takes a body without Content-Length for an empty one, so that what it holds (another
    text, "not yet") would be passed over in silence.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.META.get("HTTP_TRANSFER_ENCODING"):
            return answer_plainly(
                411,
                "length_required",
                "Send the body with Content-Length, not in chunks. Nothing was done.",
            )
        length = str(request.META.get("CONTENT_LENGTH") or "0")
        expected = int(length) if length.isascii() and length.isdecimal() else 0
        # A longer one is refused further on.
        if 0 < expected <= (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0):
            try:
                is_whole = len(request.body) == expected
            except UnreadablePostError:
                is_whole = False
            if not is_whole:
                return answer_plainly(
                    400, "incomplete_body", "The body ended before its length. Nothing was done."
                )
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


class StrictMultiPartParser(MultiPartParser):
    """The same for a form in parts. No endpoint takes files, so all of it has to be text."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> DataAndFiles:
        body = stream.read()
        parsed = super().parse(BytesIO(body), media_type, parser_context)
        # A part may be encoded once more (base64): what Django could not read of it is U+FFFD.
        is_replaced = _REPLACED.encode() not in body and any(
            _REPLACED in str(value) for values in parsed.data.lists() for value in values[1]
        )
        if is_replaced or not _is_text(body):
            code, detail = _INVALID
            raise ApiProblem(code, detail.format("form"))
        return parsed


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
    return _is_text(unquote_to_bytes(encoded))


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _printable(name: str) -> str:
    """A field's name as it can be answered: half a character cannot be encoded."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def refuse_unknown_fields(
    serializer: serializers.Serializer[Any], *, read_only: set[str] | None = None
) -> None:
    """Raise a ValidationError that names each field the serializer does not take."""
    allowed = ", ".join(serializer.fields)
    errors: dict[str, serializers.ValidationError] = {}
    for name in serializer.initial_data:
        if name in serializer.fields or name == "csrfmiddlewaretoken":
            continue
        if name in (read_only or ()):
            error = serializers.ValidationError(
                f"Cannot be changed here. Fields to change: {allowed}.", code="read_only"
            )
        else:
            error = serializers.ValidationError(
                f"There is no such field. Fields to give: {allowed}.", code="unknown_field"
            )
        errors[_printable(name)] = error
    if errors:
        raise serializers.ValidationError({name: error.detail for name, error in errors.items()})
