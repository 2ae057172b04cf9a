"""The short way answers what the view answers, byte for byte, and takes only what it may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.urls import resolve

from accounts.api.throttling import requests_per_minute
from accounts.models import Membership, TwitterAccount, User
from accounts.verified import sign_ins
from autores.tests.other_server import connected_to
from mentions.api import fastpath
from mentions.models import Message
from mentions.tests.api.conftest import Client
from mentions.tests.api.short_way.conftest import Ways, describe, is_short, open_client

PATHS = [
    "messages",
    "messages/",
    "messages/?limit=2",
    "messages/?limit=2&skip=1",
    "messages/?limit=0",
    "messages/?status=pending&limit=3",
    "messages/?status=none",
    "messages/?kind=direct&replyable=true&author=lena",
    "messages/{one}",
    "messages/{one}/",
    "messages/{one}?whatever=1",
    "messages/{colon}",
]
LEFT_TO_THE_VIEW = [
    "messages/stats",
    "messages/{one}/reply",
    "messages/{one}/drafts",
    "messages/none",
    "messages/?format=json",
    "messages/?limit=x",
    "messages/?limit=-1",
    "messages/?cursor=abc",
    "messages/?since=2026-03-01T09:00:00%2B00:00",
    "messages/?author=%ff",
    "messages/404",
    "messages/{foreign}",
    "messages/404/",
    "messagesx",
    "messages/?" + "&".join(f"a{number}=1" for number in range(1100)),
]


@pytest.mark.parametrize("path", PATHS)
def test_same_answer_is_given_when_the_short_way_is_taken(
    stored: dict[str, str], ways: Ways, path: str
) -> None:
    path = path.format(**stored)
    for headers in (
        {"accept": "*/*"},
        {"accept": "application/json"},
        {"accept": "application/json, text/plain, */*"},
        {"origin": "https://elsewhere.example"},
        {"origin": "http://localhost:3000"},
        {"accept-encoding": "gzip"},
        {"accept-encoding": "gzip, deflate, br"},
        {"accept-encoding": "identity"},
        {"x-forwarded-proto": "https"},
        {"x-forwarded-for": "192.0.2.7, 10.0.0.1"},
        {},
    ):
        long, short = ways.ask(path, **headers)
        assert (is_short(long), is_short(short)) == (False, True)
        assert describe(short) == describe(long)
    long, short = ways.ask(path, **{"if-none-match": long["ETag"]})
    assert is_short(short)
    assert short.status_code == 304
    assert not short.has_header("Content-Length")
    assert describe(short) == describe(long)


@pytest.mark.parametrize("path", LEFT_TO_THE_VIEW)
def test_same_answer_is_given_when_the_view_has_to(
    stored: dict[str, str], ways: Ways, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    long, short = ways.ask(path.format(**stored))
    assert not is_short(short)
    assert describe(short) == describe(long)
    assert "broken" not in caplog.text


def test_page_for_people_comes_from_the_view(ways: Ways) -> None:
    for accept in ("text/html", "application/json; indent=4"):
        answer = ways.short.get("/api/v1/messages/", headers={"accept": accept})
        assert not is_short(answer)
        assert answer["Content-Type"].startswith(accept.partition(";")[0])


def test_everybody_gets_his_own_when_the_short_way_is_open(
    ana: User, bruno: User, carla: User, stored: dict[str, str], client_of: Client
) -> None:
    clients = {person.username: open_client(client_of, person) for person in (bruno, carla)}
    for _ in range(2):
        seen = {name: client.get("/api/v1/messages/").json() for name, client in clients.items()}
        assert (len(seen["bruno"]), seen["carla"]) == (8, [])
        assert clients["carla"].get(f"/api/v1/messages/{stored['one']}").status_code == 404


def test_role_taken_away_ends_the_short_way_at_once_in_the_process(
    bruno: User, acme: TwitterAccount, stored: dict[str, str], client_of: Client
) -> None:
    client = open_client(client_of, bruno)
    for _ in range(2):
        assert client.get(f"/api/v1/messages/{stored['one']}").status_code == 200
    Membership.objects.filter(user=bruno).delete()
    sign_ins.forget_all()
    assert client.get(f"/api/v1/messages/{stored['one']}").status_code == 404
    User.objects.filter(pk=bruno.pk).update(is_active=False)
    sign_ins.forget_all()
    assert client.get(f"/api/v1/messages/{stored['one']}").status_code == 401


def test_each_request_is_counted_once_on_either_way(
    bruno: User, stored: dict[str, str], client_of: Client, settings: Any
) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 6
    client = open_client(client_of, bruno)
    paths = [f"messages/{stored['one']}", "messages/404", "messages/?limit=1"] * 2
    answers = [client.get(f"/api/v1/{path}").status_code for path in paths]
    assert answers == [200, 404, 200] * 2
    for path in paths:
        refused = client.get(f"/api/v1/{path}")
        assert (refused.status_code, refused["Content-Type"]) == (429, "application/problem+json")
    requests_per_minute.forget()


def test_foreign_host_is_refused(
    bruno: User, stored: dict[str, str], client_of: Client, settings: Any
) -> None:
    settings.ALLOWED_HOSTS = ["testserver"]
    client = open_client(client_of, bruno)
    client.get("/api/v1/messages/")
    answer = client.get("/api/v1/messages/", headers={"host": "evil.example"})
    assert answer.status_code == 400


def test_503_is_answered_when_the_database_is_away(ways: Ways) -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=200"
    with connected_to(nowhere, OPTIONS={}):
        long, short = ways.ask("messages/")
    assert is_short(short)
    assert (short.status_code, short.json(), short["Retry-After"]) == (503, long.json(), "5")
    assert short["Content-Type"] == long["Content-Type"]


def test_only_those_ids_take_the_short_way_that_are_messages(stored: dict[str, str]) -> None:
    for path in ("/api/v1/messages/12", "/api/v1/messages/12:9/", "/api/v1/messages/"):
        assert fastpath._PATH.fullmatch(path)
        assert resolve(path).func.actions.get("get") in {"retrieve", "list"}
    for path in ("/api/v1/messages/stats", "/api/v1/messages/1/reply", "/api/v1/messages/١"):
        assert not fastpath._PATH.fullmatch(path)
    assert Message.objects.count() == len(stored)


@pytest.mark.parametrize(
    "given",
    [
        {"HTTP_COOKIE": "sessionid=abc"},
        {"SCRIPT_NAME": "/autores"},
        {"HTTP_TRANSFER_ENCODING": "chunked"},
        {"HTTP_HOST": ""},
        {"HTTP_ACCEPT": ""},
    ],
)
def test_what_depends_on_more_is_left_to_django(
    stored: dict[str, str], ways: Ways, given: dict[str, str]
) -> None:
    assert is_short(ways.short.get("/api/v1/messages/"))
    assert not is_short(ways.short.get("/api/v1/messages/", **given))


def test_plain_http_is_redirected_before_anything_is_done(
    ways: Ways, stored: dict[str, str], settings: Any
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    for handler in (ways.long.handler, ways.short.django):
        handler.load_middleware()
    for protocol, status in [("https", 200), ("http", 301), ("https", 200), ("http", 301)]:
        long, short = ways.ask("messages/?limit=1", **{"x-forwarded-proto": protocol})
        assert is_short(short) == (status == 200)
        assert short.status_code == status
        assert describe(short) == describe(long)
    path, headers = f"/api/v1/messages/{stored['one']}", {"x-forwarded-proto": "http"}
    assert ways.short.patch(path, {"status": "error"}, headers=headers).status_code == 301
    assert Message.objects.get(pk=stored["one"]).version == 1


def test_request_is_named_and_logged_as_by_django(
    ways: Ways, stored: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    for _ in range(2):
        for answer in ways.ask(f"messages/{stored['one']}?a=b", **{"x-request-id": "req-1"}):
            assert answer["X-Request-ID"] == "req-1"
    first, *others = [line.rpartition(" bytes ")[0] for line in caplog.messages]
    assert first.startswith(f"127.0.0.1 GET /api/v1/messages/{stored['one']} 200 ")
    assert others == [first] * 3
    unfit = ways.short.get("/api/v1/messages/", headers={"x-request-id": "a b"})
    assert is_short(unfit)
    assert unfit["X-Request-ID"] not in {"", "a b"}


class BrokenMiddleware:
    """What an upgrade of a library may bring."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        raise AttributeError("no longer there")


def test_django_answers_when_the_short_way_is_broken(
    ways: Ways, stored: dict[str, str], settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ANSWER_MIDDLEWARE = [f"{__name__}.BrokenMiddleware"]
    answer = ways.short.get("/api/v1/messages/")
    assert not is_short(answer)
    assert answer.status_code == 200
    (told,) = [record for record in caplog.records if "short way is broken" in record.message]
    assert told.request_id == answer["X-Request-ID"]
