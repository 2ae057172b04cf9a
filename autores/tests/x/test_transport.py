"""Odd bytes over real sockets: what left, what came back, and what may be tried again."""

import gzip
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from autores.tests.scripted_server import ScriptedServer
from autores.tests.x.bodies import ANA, page_body
from autores.tests.x.conftest import ACCESS_TOKEN
from autores.x import errors as x
from autores.x import transport
from autores.x.client import XClient
from autores.x.types import Call

# One line each, side by side.
READ: Callable[[XClient], Any] = lambda client: client.get_me()  # noqa: E731
POST: Callable[[XClient], Any] = lambda client: client.create_reply(  # noqa: E731 - likewise
    "Hi", in_reply_to_post_id="5"
)
DELETE: Callable[[XClient], Any] = lambda client: client.delete_post("5")  # noqa: E731 - likewise
SEND: Callable[[XClient], Any] = lambda client: client.send_dm("Hi", participant_id="5")  # noqa: E731

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NO_WHOLE_ANSWER = {
    "reset": {"after": "reset"},
    "closed without a word": {"after": "close"},
    "silence": {"after": "hang"},
    "cut in the status line": {"raw": b"HTTP/1.1 20", "after": "close"},
    "cut in the headers": {"raw": _HEAD, "after": "reset"},
    "half a body": {"raw": _HEAD + b"Content-Length: 100\r\n\r\n{", "after": "close"},
    "half a body, then reset": {"raw": _HEAD + b"Content-Length: 99\r\n\r\n{", "after": "reset"},
    "half a body, then silence": {"raw": _HEAD + b"Content-Length: 99\r\n\r\n{", "after": "hang"},
    "half a chunk": {"raw": _HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\n{", "after": "close"},
    "broken gzip": {
        "raw": _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
        "after": "keep",
    },
    "not HTTP": {"raw": b"SSH-2.0-OpenSSH_9.2\r\n", "after": "close"},
}


@pytest.mark.parametrize(
    ("act", "retryable", "unknown"),
    [(READ, True, False), (POST, False, True), (DELETE, True, True), (SEND, False, True)],
    ids=["read", "post", "delete", "message"],
)
@pytest.mark.parametrize("step", NO_WHOLE_ANSWER.values(), ids=NO_WHOLE_ANSWER.keys())
def test_no_answer_is_told_from_a_refusal_when_the_line_fails(
    x_step: None, x: ScriptedServer, client: XClient, act: Any, retryable: bool, unknown: bool
) -> None:
    with pytest.raises(transport.NoAnswerError) as caught:
        act(client)
    assert (caught.value.retryable, caught.value.is_outcome_unknown) == (retryable, unknown)
    assert caught.value.code == "no_answer"
    assert len(x.received) == 1, "a request was sent again"


@pytest.fixture
def x_step(x: ScriptedServer, step: dict[str, Any]) -> None:
    x.act(**step)


@pytest.mark.parametrize("act", [READ, POST, DELETE, SEND])
def test_nothing_left_when_the_port_is_closed(make_client: Any, act: Any) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        client = make_client(base_url=f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(x.ConnectError) as caught:
        act(client)
    assert (caught.value.retryable, caught.value.is_outcome_unknown) == (True, False)


def test_nothing_left_when_the_name_does_not_exist(make_client: Any) -> None:
    with pytest.raises(x.ConnectError):
        POST(make_client(base_url="https://x.invalid"))


def test_nothing_left_when_the_server_does_not_speak_tls(
    x: ScriptedServer, make_client: Any
) -> None:
    client = make_client(base_url=x.url.replace("http:", "https:"))
    with pytest.raises(transport.XError):
        READ(client)
    assert x.received == []


GARBLED = {
    "an HTML page": (b"<html>Sign in to the hotel's WiFi</html>", "text/html"),
    "an empty body": (b"", "application/json"),
    "half JSON": (b'{"data": {"id"', "application/json"),
    "deep nesting": (b"[" * 100_000 + b"]" * 100_000, "application/json"),
    "not UTF-8": (b'{"data": "\xff\xfe"}', "application/json"),
    "NaN": (b"NaN", "application/json"),
}


@pytest.mark.parametrize(("body", "content_type"), GARBLED.values(), ids=GARBLED.keys())
@pytest.mark.parametrize(
    ("act", "retryable", "unknown"),
    [(READ, True, False), (POST, False, True)],
    ids=["read", "post"],
)
def test_a_success_is_not_believed_when_its_body_is(
    x: ScriptedServer, client: XClient, body: bytes, content_type: str, act: Any, retryable: bool,
    unknown: bool,
) -> None:  # fmt: skip
    x.answer(body, content_type=content_type)
    with pytest.raises(transport.ContractError) as caught:
        act(client)
    assert (caught.value.code, caught.value.retryable) == ("not_json", retryable)
    assert caught.value.is_outcome_unknown is unknown


@pytest.mark.parametrize(
    ("escaped", "read"),
    [
        (rb"\ud83d", "\ufffd"),
        (rb"Lena \uD83D and \ude00 \ud83d\ude00\ud83d", "Lena \ufffd and \ufffd 😀\ufffd"),
        (rb"\\ud83d \ude00\ud83d", "\\ud83d \ufffd\ufffd"),
    ],
)
def test_other_halves_are_shown_as_missing_when_a_text_was_cut_inside_a_character(
    x: ScriptedServer, client: XClient, escaped: bytes, read: str
) -> None:
    x.answer(json.dumps({"data": ANA}).encode().replace(b"ana_team", escaped))
    assert client.get_me().username == read


@pytest.mark.parametrize(
    "body", [rb'{"data": "\ud83d"', rb'["\ud83d", NaN]', b'"\\ud83d' + b"[" * 9]
)
def test_answer_is_refused_when_more_is_wrong_than_half_a_character(
    x: ScriptedServer, client: XClient, body: bytes
) -> None:
    x.answer(body)
    with pytest.raises(transport.ContractError) as caught:
        client.get_me()
    assert caught.value.code == "not_json"


def test_json_is_read_when_its_content_type_is_wrong(x: ScriptedServer, client: XClient) -> None:
    x.answer({"data": ANA}, content_type="text/html")
    assert client.get_me().username == "ana_team"


def test_an_error_page_is_typed_by_its_status_when_it_is_html(
    x: ScriptedServer, client: XClient
) -> None:
    x.answer(b"<html>" + b"Bad gateway " * 1000, status=502, content_type="text/html")
    with pytest.raises(transport.XError) as caught:
        client.get_me()
    assert (caught.value.code, caught.value.status) == ("server_error", 502)
    assert caught.value.detail == ""


@pytest.mark.parametrize("status", [400, 403])
def test_a_refused_post_is_looked_up_when_the_reason_was_cut(
    x: ScriptedServer, client: XClient, status: int
) -> None:
    """Whether the post above is gone or the request was wrong is said in the body alone."""
    x.answer(b'{"detail": "The post you are rep', status=status)
    with pytest.raises(transport.XError) as caught:
        POST(client)
    assert (caught.value.code, caught.value.status) == ("unread_refusal", status)
    assert (caught.value.retryable, caught.value.is_outcome_unknown) == (False, True)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed_when_one_is_answered(
    x: ScriptedServer, client: XClient, status: int
) -> None:
    x.answer(b"", status=status, headers={"Location": f"{x.url}/elsewhere"})
    with pytest.raises(transport.ContractError) as caught:
        POST(client)
    assert (caught.value.code, caught.value.is_outcome_unknown) == ("redirected", False)
    assert [request.path for request in x.received] == ["/2/tweets"]


def test_reading_stops_when_the_body_is_huge(
    x: ScriptedServer, client: XClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_BODY_BYTES", 100_000)
    packed = gzip.compress(b"[" + b" " * 3_000_000 + b"]")
    x.answer(packed, headers={"Content-Encoding": "gzip"})
    with pytest.raises(transport.ContractError) as caught:
        client.get_me()
    assert caught.value.code == "answer_too_large"


def test_waiting_ends_when_an_answer_drips_for_longer_than_allowed(
    x: ScriptedServer, make_client: Any
) -> None:
    body = json.dumps({"data": ANA}).encode() + b" " * 10_000
    x.answer(body, pieces=40, pause=0.2)
    started = time.perf_counter()
    with pytest.raises(transport.NoAnswerError):
        make_client(connect_timeout=0.5, read_timeout=0.4).get_me()
    assert time.perf_counter() - started < 3


def test_an_answer_is_read_when_it_comes_slowly_in_compressed_pieces(
    x: ScriptedServer, client: XClient
) -> None:
    packed = gzip.compress(json.dumps({"data": ANA}).encode())
    x.answer(packed, headers={"Content-Encoding": "gzip"}, pieces=5, pause=0.05)
    assert client.get_me().id == ANA["id"]


def test_one_connection_serves_when_calls_follow_each_other(
    x: ScriptedServer, make_client: Any
) -> None:
    for _ in range(5):
        x.answer({"data": ANA})
        make_client().get_me()
    assert len(x.connections) == 1


def test_cookies_are_not_kept_when_x_sets_some(x: ScriptedServer, client: XClient) -> None:
    for _ in range(2):
        x.answer({"data": ANA}, headers={"Set-Cookie": "guest_id=1; Path=/"})
        client.get_me()
    assert "cookie" not in x.received[1].headers


def test_threads_share_the_pool_when_many_call_at_once(x: ScriptedServer, client: XClient) -> None:
    for _ in range(32):
        x.answer({"data": ANA})
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(client.get_me().username)) for _ in range(32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == ["ana_team"] * 32


def test_the_callers_token_is_sent_when_a_netrc_knows_the_host(
    x: ScriptedServer, client: XClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ana password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    x.answer({"data": ANA})
    client.get_me()
    assert x.received[0].headers["authorization"] == f"Bearer {ACCESS_TOKEN}"


def test_the_token_is_nowhere_when_calls_fail_and_are_logged(
    x: ScriptedServer, client: XClient, calls: list[Call], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    x.answer({"title": "Forbidden", "detail": f"Bad token {ACCESS_TOKEN}"}, status=403)
    x.act(after="reset")
    x.answer(page_body(data=[{}, {}]))
    shown = [repr(client)]
    for _ in range(3):
        with pytest.raises(transport.XError) as caught:
            client.get_mentions("1001")
        shown += [str(caught.value), repr(caught.value), repr(caught.value.__cause__)]
        assert caught.value.__context__ is None or caught.value.__suppress_context__
    assert ACCESS_TOKEN not in " ".join([*shown, repr(calls), caplog.text])
    assert [call.error_code for call in calls] == ["forbidden", "no_answer", "missing_field"]
    assert "/2/users/{id}/mentions -> 403" in caplog.text


def test_a_sent_reply_stays_sent_when_the_observer_fails(
    x: ScriptedServer, make_client: Any
) -> None:
    def observe(_: Call) -> None:
        raise RuntimeError("metrics are down")

    x.answer({"data": {"id": "77", "text": "Hi"}}, status=201)
    assert POST(make_client(observe=observe)).id == "77"
