"""JSON of the API's answers, also of those that have it ready; which renderer a request gets."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from django.http import Http404
from orjson import loads
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request


class ReadyJSON:
    """An answer's data whose JSON exists: the bytes that ``JSONRenderer`` would make of it."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content


def ready_json(request: Request, content: bytes) -> Any:
    """What a view answers with whose JSON is ``content``: other renderers need the data."""
    return ReadyJSON(content) if request.accepted_renderer.format == "json" else loads(content)


class ReadyJSONRenderer(JSONRenderer):
    """DRF's renderer, which sends what is ready as it is."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if isinstance(data, ReadyJSON):
            if self.get_indent(accepted_media_type, renderer_context or {}) is None:
                return data.content
            data = loads(data.content)
        rendered: bytes = super().render(data, accepted_media_type, renderer_context)
        return rendered


_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z


def render_json(data: Any) -> bytes:
    """The bytes that ``JSONRenderer`` makes of it, several times as fast.

    For data of dicts, lists, strings, integers, booleans, None and times in UTC (a naive one is
    UTC); of others the form may differ.
    """
    # DRF escapes both, so that JSON is JavaScript, too.
    return (
        orjson.dumps(data, option=_OPTIONS)
        .replace(b"\xe2\x80\xa8", rb"\u2028")
        .replace(b"\xe2\x80\xa9", rb"\u2029")
    )


class KeptContentNegotiation(DefaultContentNegotiation):
    """DRF's choice of a renderer, made once for each Accept header that clients send."""

    def select_renderer(
        self,
        request: Request,
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        if format_suffix or self.settings.URL_FORMAT_OVERRIDE in request.query_params:
            try:
                chosen: tuple[BaseRenderer, str] = super().select_renderer(
                    request, renderers, format_suffix
                )
            except Http404:
                raise NotAcceptable(available_renderers=renderers) from None
            return chosen
        classes = tuple(type(renderer) for renderer in renderers)
        key = (request.META.get("HTTP_ACCEPT", "*/*"), classes)
        if found := _choices.get(key):
            return renderers[found[0]], found[1]
        renderer, media_type = super().select_renderer(request, renderers, format_suffix)
        if len(_choices) < _MOST_CHOICES:
            _choices[key] = (list(renderers).index(renderer), media_type)
        return renderer, media_type


_MOST_CHOICES = 256
_choices: dict[tuple[str, tuple[type[BaseRenderer], ...]], tuple[int, str]] = {}
