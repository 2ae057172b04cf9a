"""A change of a message that was seen before is one command, and never by a picture out of date."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import bson
import pytest
from django.db import connection, connections
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.errors import TransactionConflictError
from autores.tests.profile import recorded_operations
from mentions.api.changes import delete_message
from mentions.api.seen import SeenMessages, seen_messages
from mentions.models import AuditEntry, Message, file_entries
from mentions.outbox.enqueue import enqueue_reply
from mentions.tallies import fold_all, reconcile_counters
from mentions.tests.api.conftest import Client, store_message
from mentions.tests.api.short_way.conftest import Ways, describe, is_short, open_client


@contextmanager
def recorded_commands() -> Iterator[list[str]]:
    """What the database did with messages: "query", "update", …"""
    commands: list[str] = []
    with recorded_operations(ns=f"{connection.database.name}.messages") as operations:
        yield commands
    commands += [operation["op"] for operation in operations]


def read_row(message_id: str) -> dict[str, Any]:
    return connection.get_collection("messages").find_one({"_id": message_id})


def count_all() -> None:
    """So that no message is marked as one that the counters do not have."""
    reconcile_counters()
    fold_all()


def list_entries(message_id: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    file_entries()
    entries = AuditEntry.objects.filter(message_id=message_id, action="message.changed")
    entries = entries.order_by("at", "pk")
    return [(entry.before, entry.after) for entry in entries]


@pytest.fixture
def path(stored: dict[str, str]) -> str:
    return f"/api/v1/messages/{stored['0']}"


@pytest.mark.parametrize("read", ["messages/{id}", "messages/?limit=100", None])
def test_message_that_was_seen_is_changed_without_reading_it(
    ways: Ways, stored: dict[str, str], path: str, read: str | None
) -> None:
    # A list tells nothing of what the counters do not have yet.
    count_all()
    seen_messages.forget(stored["0"])
    if read:
        ways.short.get("/api/v1/" + read.format(id=stored["0"]))
    with recorded_commands() as commands:
        answer = ways.short.patch(path, {"status": "ignored"}, headers={"if-match": '"1"'})
    assert is_short(answer)
    assert (answer.status_code, answer["ETag"][:3]) == (200, '"2-')
    assert commands == (["update"] if read else ["query", "update"])
    with recorded_commands() as commands:
        answer = ways.short.patch(path, {"status": "error"})
    assert (answer["ETag"][:3], commands) == ('"3-', ["update"])
    assert describe(ways.long.get(path))[1] == answer.content
    assert list_entries(stored["0"]) == [
        ({"status": "pending"}, {"status": "ignored"}),
        ({"status": "ignored"}, {"status": "error"}),
    ]


def change_elsewhere(message_id: str) -> None:
    Message.objects.filter(pk=message_id).update(
        status="processing", version=2, updated_at=timezone.now()
    )


def queue_reply(message_id: str) -> None:
    enqueue_reply(Message.objects.get(pk=message_id), kind="public", text="Y", now=timezone.now())


def check_on_x(message_id: str) -> None:
    # As the worker does, without another version.
    Message.objects.filter(pk=message_id).update(x_checked_at=timezone.now(), draft_state="done")


def give_to_another_account(message_id: str) -> None:
    globex = TwitterAccount.objects.get(twitter_username="globex")
    Message.objects.filter(pk=message_id).update(account=globex)


def delete_elsewhere(message_id: str) -> None:
    delete_message(message_id, actor="another", now=timezone.now())


@pytest.mark.parametrize(
    ("befall", "changes", "given", "etag"),
    [
        (change_elsewhere, {"status": "ignored"}, {}, '"3-'),
        # What it was when it was seen: the other's change is taken back, not passed over.
        (change_elsewhere, {"status": "pending"}, {}, '"3-'),
        (change_elsewhere, {"status": "processing"}, {}, '"2-'),
        (change_elsewhere, {"status": "ignored"}, {"if-match": '"2"'}, '"3-'),
        (queue_reply, {"credits_used": 3}, {}, '"3-'),
        (check_on_x, {"credits_used": 3}, {}, '"2-'),
    ],
)
def test_change_is_made_of_the_message_as_it_is_when_it_was_seen_otherwise(
    ways: Ways,
    stored: dict[str, str],
    path: str,
    befall: Callable[[str], None],
    changes: dict[str, Any],
    given: dict[str, str],
    etag: str,
) -> None:
    ways.short.get(path)
    befall(stored["0"])
    before = read_row(stored["0"])
    answer = ways.short.patch(path, changes, headers=given)
    assert is_short(answer)
    assert (answer.status_code, answer["ETag"][:3]) == (200, etag)
    assert describe(ways.long.get(path))[1] == answer.content
    after = read_row(stored["0"])
    assert {name: after[name] for name in changes} == changes
    differing = {name: before[name] for name in changes if before[name] != changes[name]}
    assert list_entries(stored["0"]) == ([(differing, changes)] if differing else [])


@pytest.mark.parametrize(
    ("befall", "changes", "given", "refusal"),
    [
        (change_elsewhere, {"status": "ignored"}, {"if-match": '"1"'}, (412, "changed_meanwhile")),
        (queue_reply, {"status": "replied"}, {}, (409, "reply_unsettled")),
        (give_to_another_account, {"status": "ignored"}, {}, (404, "message_not_found")),
        (delete_elsewhere, {"status": "ignored"}, {}, (404, "message_not_found")),
    ],
)
def test_change_is_refused_as_if_it_had_never_been_seen(
    ways: Ways,
    stored: dict[str, str],
    path: str,
    befall: Callable[[str], None],
    changes: dict[str, Any],
    given: dict[str, str],
    refusal: tuple[int, str],
) -> None:
    ways.short.get(path)
    befall(stored["0"])
    before = read_row(stored["0"])
    answers = [client.patch(path, changes, headers=given) for client in (ways.short, ways.long)]
    assert (answers[0].status_code, answers[0].json()["code"]) == refusal
    assert describe(answers[0]) == describe(answers[1])
    assert read_row(stored["0"]) == before
    assert list_entries(stored["0"]) == []


def test_a_row_that_another_has_under_the_same_version_is_read(
    ways: Ways, acme: TwitterAccount, stored: dict[str, str], path: str
) -> None:
    ways.short.get(path)
    Message.objects.filter(pk=stored["0"]).delete()
    store_message(acme, 0, text="out of a backup")
    answer = ways.short.patch(path, {"status": "ignored"})
    assert (answer.status_code, answer.json()["text"]) == (200, "out of a backup")


def test_each_change_is_made_once_and_counted_when_pictures_are_out_of_date(
    bruno: User, stored: dict[str, str], client_of: Client, settings: Any
) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 10_000
    count_all()
    ids = [stored["0"], stored["1"]]
    pictures = {id_: [bson.encode(read_row(id_))] for id_ in ids}
    workers, changes = 4, 15
    outcomes: Counter[str] = Counter()

    def work(number: int) -> None:
        chance = random.Random(number)
        client = open_client(client_of, bruno)
        client.get("/api/v1/messages/?limit=1")
        for change in range(1, changes + 1):
            for id_ in ids:
                if chance.random() < 0.4:
                    seen_messages.note(id_, chance.choice(pictures[id_]))
                answer = client.patch(
                    f"/api/v1/messages/{id_}",
                    {
                        "credits_used": number * 1000 + change,
                        "status": chance.choice(["pending", "ignored", "error"]),
                    },
                )
                outcomes[f"{answer.status_code} {'short' if is_short(answer) else 'long'}"] += 1
                pictures[id_].append(bson.encode(read_row(id_)))
            if chance.random() < 0.2:
                # Those who write go first.
                with suppress(TransactionConflictError):
                    fold_all()
        connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(1, workers + 1)))

    assert outcomes == {"200 short": workers * changes * len(ids)}
    for id_ in ids:
        steps = {before["credits_used"]: after for before, after in list_entries(id_)}
        value, made = 0, 0
        while value in steps:
            value, made = steps.pop(value)["credits_used"], made + 1
        row = read_row(id_)
        assert (value, made, steps) == (row["credits_used"], workers * changes, {})
        assert row["version"] == 1 + made
    assert reconcile_counters(must_repair=False).is_right


def test_so_many_are_remembered_and_the_latest_of_each() -> None:
    seen = SeenMessages(most=2)
    for number, key in enumerate(["a", "b", "a", "c"]):
        seen.note(key, bson.encode({"_id": key, "number": number}))
    assert seen.recall("a") == {"_id": "a", "number": 2}
    assert seen.recall("b") is None
    seen.forget("a")
    seen.forget("a")
    assert [seen.recall(key) for key in "abc"] == [None, None, {"_id": "c", "number": 3}]
