import gzip

import brotli
import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from autores.compression import CompressJSONMiddleware, choose_coding

LONG = b'{"text":"' + b"Are you open on Sundays? " * 400 + b'"}'


def answer(
    content: bytes = LONG,
    *,
    method: str = "GET",
    accept: str = "br, gzip",
    content_type: str = "application/json",
    **headers: str,
) -> HttpResponse:
    request = RequestFactory().generic(method, "/api/v1/messages/", HTTP_ACCEPT_ENCODING=accept)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    response = HttpResponse(content, content_type=content_type, headers=headers)
    return CompressJSONMiddleware(lambda request: response)(request)


@pytest.mark.parametrize(
    ("accept", "coding", "expand"),
    [("gzip, deflate, br", "br", brotli.decompress), ("gzip", "gzip", gzip.decompress)],
)
def test_long_json_is_compressed_for_who_takes_it(accept, coding, expand) -> None:
    response = answer(accept=accept, ETag='"7"')

    assert response["Content-Encoding"] == coding
    assert expand(response.content) == LONG
    assert int(response["Content-Length"]) == len(response.content) < len(LONG) / 10
    # Another form of the same: what If-None-Match and If-Match compare without the mark.
    assert (response["ETag"], response["Vary"]) == ('W/"7"', "Accept-Encoding")


def test_a_weak_tag_stays_as_it_is() -> None:
    assert answer(ETag='W/"7"')["ETag"] == 'W/"7"'


def test_who_takes_none_is_told_that_others_get_another_form() -> None:
    assert answer(accept="identity")["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("", None),
        ("identity", None),
        ("deflate, zstd", None),
        ("br;q=0, gzip;q=0", None),
        ("br;q=0, gzip", "gzip"),
        ("gzip, br", "br"),
        ("GZIP;q=1.0, BR ; q=0.5", "gzip"),
        ("gzip;q=0.5, br;q=0.8", "br"),
        ("*", "br"),
        ("*;q=0", None),
        ("br;q=0, *", "gzip"),
        ("gzip;q=2", None),
        ("x-br, mygzip", None),
        (", ,;q=1", None),
    ],
)
def test_the_coding_is_the_one_that_the_caller_likes_best(accept, coding) -> None:
    assert choose_coding(accept) == coding


@pytest.mark.parametrize(
    "response",
    [
        answer(accept="identity"),
        answer(b'{"a":1}'),
        answer(content_type="text/html; charset=utf-8"),
        answer(method="POST"),
        answer(Cache_Control="no-store"),
    ],
    ids=["not asked for", "short", "page", "answer to a change", "secret"],
)
def test_nothing_else_is_compressed(response: HttpResponse) -> None:
    assert "Content-Encoding" not in response
