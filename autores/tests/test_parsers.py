import json
from base64 import b64encode
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import LimitedStream
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from autores.parsers import WholeBodyMiddleware


@pytest.mark.django_db
def test_refused_with_a_sentence_when_json_is_nested_too_deeply(client: Client) -> None:
    answer = client.post(
        "/api/v1/auth/token", "[" * 100_000 + "]" * 100_000, content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "parse_error"


@pytest.mark.django_db
def test_read_as_ever_when_json_is_plain(client: Client) -> None:
    body = {"username": "nobody", "password": "wrong"}
    answer = client.post("/api/v1/auth/token", body, content_type="application/json")
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/messages/1/reply?response=%ed%a0%80",
        "/api/v1/messages/?search=%ff",
        "/api/v1/auth/me?x=caf%e9",
    ],
)
def test_refused_with_its_own_code_when_the_query_is_not_utf8(client: Client, path: str) -> None:
    for answer in (client.get(path), client.post(path)):
        assert answer.status_code == 400
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "invalid_encoding"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query", ["response=%C3%A9%F0%9F%8E%89", "response=%25ed", "response=50%", ""]
)
def test_query_is_read_as_ever_when_it_is_utf8(client: Client, query: str) -> None:
    assert client.get(f"/api/v1/auth/me?{query}").status_code == 401


@pytest.mark.django_db
def test_refused_with_its_own_code_when_the_form_is_not_utf8(client: Client) -> None:
    kind = "application/x-www-form-urlencoded"
    answer = client.post("/api/v1/auth/token", "username=%ed%a0%80&password=x", content_type=kind)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_encoding"
    good = client.post("/api/v1/auth/token", "username=%C3%A9&password=x", content_type=kind)
    assert good.status_code == 401


def send_part(client: Client, username: bytes, *headers: str) -> Any:
    head = "\r\n".join(['Content-Disposition: form-data; name="username"', *headers])
    body = b"--x\r\n" + head.encode() + b"\r\n\r\n" + username + b"\r\n--x--\r\n"
    return client.post("/api/v1/auth/token", body, content_type="multipart/form-data; boundary=x")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("username", "headers"),
    [
        (b"bad \xff\xfe bytes", ()),
        (b64encode(b"bad \xff\xfe bytes"), ("Content-Transfer-Encoding: base64",)),
    ],
)
def test_refused_with_its_own_code_when_a_part_is_not_utf8(
    client: Client, username: bytes, headers: tuple[str, ...]
) -> None:
    answer = send_part(client, username, *headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_encoding"


@pytest.mark.django_db
def test_part_is_read_as_ever_when_it_is_utf8(client: Client) -> None:
    answer = send_part(client, "é \ufffd".encode())
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["password"]


def test_nothing_is_done_when_the_body_is_cut_short() -> None:
    reached: list[HttpRequest] = []

    def answer(request: HttpRequest) -> HttpResponse:
        reached.append(request)
        return HttpResponse()

    middleware = WholeBodyMiddleware(answer)
    form = {"content_type": "application/x-www-form-urlencoded"}
    cut = RequestFactory().post("/", data=b"", CONTENT_LENGTH="60", **form)
    cut._stream = LimitedStream(BytesIO(b"text=Hello wor"), 60)
    refused = middleware(cut)
    assert (refused.status_code, json.loads(refused.content)["code"]) == (400, "incomplete_body")
    assert reached == []
    whole = RequestFactory().post("/", data=b"text=Hello+world", **form)
    assert middleware(whole).status_code == 200
    assert reached[0].POST["text"] == "Hello world"
