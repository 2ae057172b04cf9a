"""Reads and changes of several threads go to MongoDB together; each person gets his own answer."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.transactions import atomic
from autores.mongo.writes import Update
from autores.tests.mongo.proxy import connected_through
from mentions.api import changes
from mentions.api.changes import update_message
from mentions.api.queries import MessageQuery, find_encoded, find_message, find_messages
from mentions.models import AuditEntry, Message, file_entries
from mentions.models.audit import build_entry, leave_on_row
from mentions.tests.api.conftest import Client, store_message

pytestmark = pytest.mark.django_db(transaction=True)
WORKERS = 8


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def messages(acme: TwitterAccount) -> list[Message]:
    return [store_message(acme, number) for number in range(6)]


def race(work: Any, items: Any) -> list[Any]:
    """What ``work`` gives for each of the items, by several threads at once."""

    def run(item: Any) -> Any:
        try:
            return work(item)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(run, items))


def test_each_reads_the_message_that_he_asked_for(messages: list[Message]) -> None:
    asked = [message.pk for message in messages] + ["1", messages[0].pk + "0"]
    found = race(lambda id_: (find_encoded(id_), find_message(id_)), asked * 20)
    texts = {message.pk: message.text for message in messages}
    for id_, (encoded, document) in zip(asked * 20, found, strict=True):
        assert (encoded is None) == (document is None) == (id_ not in texts)
        if encoded is not None:
            assert json.loads(encoded.content)["text"] == document["text"] == texts[id_]


def test_each_lists_what_he_may_see(
    bruno: User, carla: User, messages: list[Message], client_of: Client, settings: Any
) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 10_000
    clients = [client_of(bruno), client_of(carla)]

    def ask(number: int) -> int:
        return len(clients[number % 2].get("/api/v1/messages/?limit=50").json())

    assert race(ask, range(60)) == [6, 0] * 30
    query = MessageQuery(account_ids=(messages[0].account_id,))
    pages = race(lambda skip: find_messages(query, skip=skip, limit=2), [0, 2, 4, 6] * 15)
    assert [len(page.split()) for page in pages] == [2, 2, 2, 0] * 15


def test_who_reads_in_a_transaction_reads_what_he_wrote_there(messages: list[Message]) -> None:
    id_ = messages[0].pk

    def look(_: int) -> tuple[str, int]:
        document = find_message(id_)
        assert document is not None
        ignored = MessageQuery(account_ids=(messages[0].account_id,), status="ignored")
        page = find_messages(ignored, skip=0, limit=5)
        return document["status"], len(page.split())

    def write() -> None:
        with atomic():
            Message.objects.filter(pk=id_).update(status="ignored")
            assert look(0) == ("ignored", 1)
            assert race(look, range(WORKERS)) == [("pending", 0)] * WORKERS
            raise LookupError

    with pytest.raises(LookupError):
        write()


def build_write(message: Message) -> changes._Write:
    """A change of the message as it is, with its entry."""
    entry = build_entry(
        "message.changed",
        actor="ana",
        object_type="message",
        object_id=message.pk,
        message_id=message.pk,
        after={"credits_used": 7},
    )
    left = leave_on_row(entry)
    update = {"$set": {"credits_used": 7, "version": 2, **left["$set"]}, "$push": left["$push"]}
    return changes._Write(Update({"_id": message.pk, "version": message.version}, update), entry)


def test_changes_that_went_together_are_told_apart(messages: list[Message]) -> None:
    # The parties that a race happens to make are none that a test could ask for.
    party = [build_write(message) for message in messages[:4]]
    Message.objects.filter(pk=messages[1].pk).update(version=2)
    Message.objects.filter(pk=messages[3].pk).delete()
    assert changes._write_each(party) == [True, False, True, False]
    changed = Message.objects.filter(credits_used=7).values_list("pk", flat=True)
    file_entries()
    told = AuditEntry.objects.filter(action="message.changed").values_list("message_id", flat=True)
    assert sorted(told) == sorted(changed) == [messages[0].pk, messages[2].pk]


@pytest.mark.parametrize("is_cut_before", [False, True])
@pytest.mark.parametrize("cuts", [1, 8])
def test_each_change_is_made_once_when_the_answer_for_all_is_lost(
    messages: list[Message], is_cut_before: bool, cuts: int
) -> None:
    numbers = range(1, 37)

    def change(number: int) -> int | None:
        """The number as it is answered; None where that nobody knows is answered."""
        try:
            document = find_message(messages[number % 6].pk)
            assert document is not None
            changed = update_message(
                document, changes={"credits_used": number}, actor="ana", now=timezone.now()
            )
        except OperationalError:
            return None
        answered: int = json.loads(changed.content)["credits_used"]
        return answered

    with connected_through(b"\x02update\0") as proxy:
        # The threads' client, of which there is one then.
        connection.ensure_connection()
        proxy.is_cut_before, proxy.cuts_left = is_cut_before, cuts
        answers = race(change, numbers)
        assert proxy.cuts_left == 0
    # Each one is sent again twice, at most.
    unknown = {number for number, answer in zip(numbers, answers, strict=True) if answer is None}
    assert cuts > 1 or not unknown
    answered = set(numbers) - unknown
    assert {answer for answer in answers if answer is not None} == answered
    file_entries()
    made: Counter[int] = Counter()
    for message in messages:
        entries = AuditEntry.objects.filter(message_id=message.pk, action="message.changed")
        steps = {entry.before["credits_used"]: entry.after["credits_used"] for entry in entries}
        made.update(steps.values())
        value, version = 0, 1
        while value in steps:
            value, version = steps.pop(value), version + 1
        row = connection.get_collection("messages").find_one({"_id": message.pk})
        assert (row["credits_used"], row["version"], steps) == (value, version, {})
    assert answered <= made.keys()
    assert set(made.values()) == {1}
