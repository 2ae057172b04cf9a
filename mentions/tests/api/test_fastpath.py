"""The short way answers what the view answers, byte for byte, and takes only what it may."""

import gzip
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import brotli
import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.urls import resolve
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.api.throttling import requests_per_minute
from accounts.models import Membership, Role, TwitterAccount, User
from accounts.verified import sign_ins
from autores.tests.cast import create_person, give_role
from autores.tests.other_server import connected_to
from mentions.api import fastpath
from mentions.models import AuditEntry, Message, file_entries
from mentions.outbox.enqueue import enqueue_reply
from mentions.tests.api.conftest import Client, store_message

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
CHANGING = {"Date", "X-Request-ID"}


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def stored(acme: TwitterAccount) -> dict[str, str]:
    """Ids of messages, by what is special about them; all but ``foreign`` are acme's."""
    other = TwitterAccount.objects.create(twitter_id="9009", twitter_username="globex")
    messages = {str(number): store_message(acme, number, text="„Ä“\u2028") for number in range(6)}
    messages["one"] = store_message(acme, 7, status="replied", public_response="Yes")
    messages["colon"] = store_message(acme, 8, id="1900000000000000099:9001")
    messages["foreign"] = store_message(other, 9)
    return {name: message.pk for name, message in messages.items()}


@dataclass
class Ways:
    """Two clients of bruno, with the short way and without."""

    short: Any
    long: Any

    def ask(self, path: str, **headers: str) -> tuple[Any, Any]:
        """What the view answers, and what is answered with the short way open."""
        address = f"/api/v1/{path}"
        return self.long.get(address, headers=headers), self.short.get(address, headers=headers)


@pytest.fixture
def ways(bruno: User, stored: dict[str, str], client_of: Client, settings: Any) -> Ways:
    ways = Ways(short=open_client(client_of, bruno), long=client_of(bruno))
    ways.long.defaults["HTTP_HOST"] = "testserver"
    # Only a sign-in that was verified a moment ago may take the short way.
    for answer in ways.ask("messages/?limit=1"):
        assert not is_short(answer)
    return ways


class ShortAnswer(HttpResponse):
    """One that Django did not give."""


def open_short_way(client: APIClient) -> APIClient:
    """The client's requests come by the short way first, as the web server's do."""
    django = client.handler

    def ask(environ: dict[str, Any]) -> Any:
        left: list[Any] = []
        sent: list[Any] = []

        def leave(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            left.append(django(environ))
            return []

        short_way = fastpath.ShortWay(leave)
        short_way.__dict__.update(kept)
        parts = short_way(environ, lambda status, headers: sent.extend([status, headers]))
        if left:
            return left[0]
        status, headers = sent
        answer = ShortAnswer(b"".join(parts), status=int(status[:3]))
        del answer["Content-Type"]
        for name, value in headers:
            assert name not in answer
            answer[name] = value
        answer.wsgi_request = WSGIRequest(environ)
        return answer

    # Answers are dressed by those before them.
    kept: dict[str, Any] = {"_origins": {}, "_frames": {}}
    client.defaults["HTTP_HOST"] = "testserver"
    client.handler, client.django = ask, django
    return client


def open_client(client_of: Client, person: User) -> APIClient:
    return open_short_way(client_of(person))


def is_short(answer: Any) -> bool:
    return isinstance(answer, ShortAnswer)


def describe(answer: Any) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.items() if name not in CHANGING}
    content = answer.content
    if headers.get("Content-Encoding") == "gzip":
        # Its length is random on purpose.
        content = gzip.decompress(content)
        del headers["Content-Length"]
    elif headers.get("Content-Encoding") == "br":
        content = brotli.decompress(content)
    return answer.status_code, content, headers


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


def test_django_answers_when_the_short_way_is_broken(
    ways: Ways,
    stored: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(fastpath, "count_once", lambda *args, **kwargs: 1 / 0)
    answer = ways.short.get("/api/v1/messages/")
    assert not is_short(answer)
    assert answer.status_code == 200
    (told,) = [record for record in caplog.records if "short way is broken" in record.message]
    assert told.request_id == answer["X-Request-ID"]


CHANGES = [
    {"status": "ignored"},
    {"status": "processing", "credits_used": 7},
    {"status": "replied", "public_response": "„Ä“\u2028 🙏", "dm_response": None},
    {"public_response": "$set", "redirected": True},
    {"public_response": "x" * 5000},
    {"credits_used": 0},
    {"status": "pending"},
    {},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_same_change_is_made_by_either_way(
    acme: TwitterAccount, stored: dict[str, str], ways: Ways, changes: dict[str, Any]
) -> None:
    answers = []
    for client, number in ((ways.long, 20), (ways.short, 21)):
        message = store_message(acme, number, text="alike")
        answer = client.patch(f"/api/v1/messages/{message.pk}", changes)
        again = client.get(f"/api/v1/messages/{message.pk}")
        assert (again.content, again["ETag"]) == (answer.content, answer["ETag"])
        status, content, headers = describe(answer)
        shown = {
            name: value
            for name, value in json.loads(content).items()
            if value != message.pk and not name.endswith(("_at", "url")) and name != "timestamp"
        }
        file_entries()
        entries = AuditEntry.objects.filter(message_id=message.pk)
        told = [(entry.actor, entry.action, entry.before, entry.after) for entry in entries]
        # The length of a time depends on it.
        del headers["Content-Length"]
        answers.append((status, shown, headers, told))
        assert is_short(answer) == (client is ways.short)
    assert answers[0] == answers[1]
    differs = any(value not in ("pending", 0) for value in changes.values())
    assert len(answers[0][3]) == differs


@pytest.mark.parametrize(
    ("body", "given"),
    [
        (b'{"status": "done"}', {}),
        (b'{"colour": 1}', {}),
        (b'{"text": "x"}', {}),
        (b"{", {}),
        (b"[]", {}),
        (b'"\xff"', {}),
        (b'{"status": "ignored"', {}),
        (b'{"status": NaN}', {}),
        (b"", {}),
        (b'{"status": "ignored"}', {"CONTENT_TYPE": "text/plain"}),
        (b'{"status": "ignored"}', {"CONTENT_TYPE": "application/json; charset=utf-16"}),
        (b'{"status": "ignored"}', {"HTTP_IF_MATCH": '"7"'}),
        (b'{"status": "ignored"}', {"HTTP_IF_MATCH": ""}),
        (b'{"status": "ignored"}', {"HTTP_TRANSFER_ENCODING": "chunked"}),
        (b'{"credits_used": 1' + b" " * 300_000 + b"}", {"HTTP_IF_MATCH": '"7"'}),
    ],
)
def test_same_refusal_is_given_by_either_way(
    stored: dict[str, str], ways: Ways, body: bytes, given: dict[str, str]
) -> None:
    path = f"/api/v1/messages/{stored['one']}"
    answers = [
        client.generic("PATCH", path, body, **{"CONTENT_TYPE": "application/json", **given})
        for client in (ways.long, ways.short)
    ]
    assert not is_short(answers[1])
    assert describe(answers[0]) == describe(answers[1])
    assert answers[1].status_code >= 400 or body == b""
    assert Message.objects.get(pk=stored["one"]).version == 1


@pytest.mark.parametrize("length", ["999", "x", "-1", "", "9" * 5000])
def test_body_that_was_cut_is_left_to_django_as_it_came(
    stored: dict[str, str], ways: Ways, length: str
) -> None:
    left: list[bytes] = []

    def django(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        left.append(environ["wsgi.input"].read())
        return []

    body = b'{"status": "ignored"}'
    environ = {
        "REQUEST_METHOD": "PATCH",
        "PATH_INFO": f"/api/v1/messages/{stored['one']}",
        "HTTP_HOST": "testserver",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": length,
        "HTTP_AUTHORIZATION": ways.short._credentials["HTTP_AUTHORIZATION"],
    }
    fastpath.ShortWay(django)(environ, lambda status, headers: None)
    assert left == [body]
    assert Message.objects.get(pk=stored["one"]).status == "replied"


@pytest.mark.parametrize("match", ['"1"', 'W/"1"', '"9", "1"', "*"])
def test_change_is_made_at_the_version_that_was_named(
    stored: dict[str, str], ways: Ways, match: str
) -> None:
    path = f"/api/v1/messages/{stored['one']}"
    answer = ways.short.patch(path, {"credits_used": 5}, headers={"if-match": match})
    assert is_short(answer)
    assert (answer.status_code, answer["ETag"]) == (200, '"2"')
    answer = ways.short.patch(path, {"credits_used": 6}, headers={"if-match": '"1"'})
    assert (answer.status_code, answer.json()["current_etag"]) == (412, '"2"')


def test_only_who_may_change_it_changes_it_on_the_short_way(
    acme: TwitterAccount, stored: dict[str, str], client_of: Client
) -> None:
    for role, status in [
        (Role.VIEWER, 403),
        (Role.RESPONDER, 200),
        (Role.MANAGER, 200),
        (None, 404),
    ]:
        person = create_person(f"person-{role}", is_staff=False)
        if role:
            give_role(person, acme, role)
        client = open_client(client_of, person)
        client.get("/api/v1/messages/?limit=1")
        answer = client.patch(f"/api/v1/messages/{stored['one']}", {"status": f"{'ignored'}"})
        assert answer.status_code == status
        assert is_short(answer) == (status == 200)
        assert client.patch(f"/api/v1/messages/{stored['foreign']}", {}).status_code == 404


def test_nothing_is_changed_while_a_reply_is_under_way(
    stored: dict[str, str], ways: Ways, bruno: User
) -> None:
    message = Message.objects.get(pk=stored["0"])
    enqueue_reply(message, kind="public", text="Yes.", requested_by=bruno, now=timezone.now())
    path = f"/api/v1/messages/{message.pk}"
    for changes in ({"public_response": "No."}, {"status": "replied"}):
        answers = [client.patch(path, changes) for client in (ways.long, ways.short)]
        assert describe(answers[0]) == describe(answers[1])
        assert (answers[1].status_code, answers[1].json()["code"]) == (409, "reply_unsettled")
    other = ways.short.patch(path, {"dm_response": "By mail."})
    assert (is_short(other), other.status_code) == (True, 200)


def test_a_change_is_not_tried_again_when_the_database_is_away(
    ways: Ways, stored: dict[str, str]
) -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=200"
    with connected_to(nowhere, OPTIONS={}):
        answer = ways.short.patch(f"/api/v1/messages/{stored['one']}", {"status": "ignored"})
    assert is_short(answer)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
