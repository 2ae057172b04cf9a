import gzip

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from autores.compression import GZipJSONMiddleware

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
    return GZipJSONMiddleware(lambda request: response)(request)


def test_long_json_is_compressed_for_who_takes_gzip() -> None:
    response = answer(ETag='"7"')

    assert response["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.content) == LONG
    assert len(response.content) < len(LONG) / 10
    # Another form of the same: what If-None-Match and If-Match compare without the mark.
    assert (response["ETag"], response["Vary"]) == ('W/"7"', "Accept-Encoding")


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
