from typing import Any

import pytest
from rest_framework.exceptions import NotAcceptable
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from autores.browsable import BrowsableRenderer
from autores.renderers import KeptContentNegotiation, ReadyJSON, ReadyJSONRenderer, render_json

RENDERERS: list[BaseRenderer] = [ReadyJSONRenderer(), BrowsableRenderer()]


def choose(accept: str | None, query: str = "") -> tuple[BaseRenderer, str]:
    headers = {} if accept is None else {"HTTP_ACCEPT": accept}
    request = Request(APIRequestFactory().get(f"/{query}", **headers))
    return KeptContentNegotiation().select_renderer(request, RENDERERS)


def test_ready_json_is_sent_as_it_is_unless_it_is_to_be_indented() -> None:
    ready = ReadyJSON(b'{"a":1}')

    assert ReadyJSONRenderer().render(ready, "application/json", {}) is ready.content
    indented = ReadyJSONRenderer().render(ready, "application/json; indent=2", {})
    assert indented == b'{\n  "a": 1\n}'


def test_json_is_drfs_when_strings_would_end_a_line_of_javascript() -> None:
    data = {"a": "x\u2028y\u2029", "b": [True, None, -1], "ü": "\x00\x1f\x7f😀"}

    assert render_json(data) == JSONRenderer().render(data)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("accept", "query", "format", "media_type"),
    [
        (None, "", "json", "application/json"),
        ("*/*", "", "json", "application/json"),
        ("application/json; indent=4", "", "json", "application/json; indent=4"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "", "api", "text/html"),
        ("text/html", "?format=json", "json", "application/json"),
        ("application/json", "?format=api", "api", "text/html"),
    ],
)
def test_renderer_is_the_one_asked_for_the_first_time_and_later(
    times: int, accept: str | None, query: str, format: str, media_type: str
) -> None:
    found: Any = None
    if query:
        # A format in the query is for who accepts it.
        accept = "*/*"
    for _ in range(times):
        found = choose(accept, query)

    assert (found[0].format, found[1]) == (format, media_type)


def test_refusal_stays_when_nothing_is_acceptable() -> None:
    for _ in range(2):
        with pytest.raises(NotAcceptable):
            choose("image/png")


def test_a_format_that_is_not_there_is_refused_as_any_other_that_is_not_acceptable() -> None:
    with pytest.raises(NotAcceptable):
        choose("*/*", "?format=xml")
