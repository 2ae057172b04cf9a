"""A change by the short way is the view's, and so is each refusal."""

import io
import json
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Role, TwitterAccount, User
from autores.tests.cast import create_person, give_role
from autores.tests.other_server import connected_to
from mentions.api import fastpath
from mentions.models import AuditEntry, Message, file_entries
from mentions.outbox.enqueue import enqueue_reply
from mentions.tests.api.conftest import Client, store_message
from mentions.tests.api.short_way.conftest import Ways, describe, is_short, open_client
from mentions.tests.api.short_way.test_reads import BrokenMiddleware

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
        # Of two messages: the digest after the version differs as they do.
        headers["ETag"] = headers["ETag"].partition("-")[0]
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


@pytest.mark.parametrize("match", ['"1"', 'W/"1"', '"9", "1"', '"1-0badc0de"', 'W/"1-0a"', "*"])
def test_change_is_made_at_the_version_that_was_named(
    stored: dict[str, str], ways: Ways, match: str
) -> None:
    path = f"/api/v1/messages/{stored['one']}"
    answer = ways.short.patch(path, {"credits_used": 5}, headers={"if-match": match})
    assert is_short(answer)
    assert (answer.status_code, answer["ETag"][:3]) == (200, '"2-')
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


def test_a_change_is_made_once_when_the_short_way_breaks_after_it(
    ways: Ways, stored: dict[str, str], settings: Any
) -> None:
    settings.ANSWER_MIDDLEWARE = [f"{BrokenMiddleware.__module__}.BrokenMiddleware"]
    answer = ways.short.patch(f"/api/v1/messages/{stored['0']}", {"status": "ignored"})
    assert not is_short(answer)
    assert (answer.status_code, answer.json()["version"]) == (200, 2)
    file_entries()
    assert AuditEntry.objects.filter(message_id=stored["0"]).count() == 1
