"""The counters tell what the rows tell, whatever is written, and whoever dies on the way."""

import contextlib
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.errors import TransactionConflictError
from autores.mongo.plans import recorded_plans
from autores.mongo.transactions import run_in_transaction
from autores.sandbox.server import RunningSandbox
from autores.tests.threads import run_together
from mentions import tallies
from mentions.api.changes import delete_message, update_message
from mentions.api.queries import MessageQuery, build_count, find_message, find_messages
from mentions.ingest.poll import poll_account
from mentions.legacy.lease import ImportLease
from mentions.models import Message
from mentions.tallies import (
    count_by_status,
    distrust_counters,
    fold_all,
    fold_marked,
    reconcile_counters,
)
from mentions.tasks import check_tallies, fold_tallies
from mentions.tests.api.conftest import store_message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def accounts(db: None) -> list[TwitterAccount]:
    return [
        TwitterAccount.objects.create(
            id=id_, twitter_id=f"900{number}", twitter_username=f"team{number}"
        )
        # As a former system may have named them.
        for number, id_ in enumerate(["account-1", "50%|2024-01-01|x"])
    ]


@pytest.fixture
def messages(accounts: list[TwitterAccount]) -> list[Message]:
    """Sixty of ten days, two accounts and none, three states; counted."""
    rows = [
        store_message(
            (*accounts, None)[number % 3],
            number * 240,
            status=("pending", "ignored", "in review|2")[number % 7 % 3],
        )
        for number in range(60)
    ]
    reconcile_counters()
    fold_all()
    return rows


def count_plainly(account_ids: list[str] | None) -> dict[str, int]:
    rows = connection.database.command(build_count(account_ids))["cursor"]["firstBatch"]
    return {row["_id"]: row["count"] for row in sorted(rows, key=lambda row: str(row["_id"]))}


def list_ids(query: MessageQuery, *, skip: int, limit: int) -> list[str]:
    found = find_messages(query, skip=skip, limit=limit).split()
    return [bson.decode(stored)["_id"] for stored in found]


def assert_exact(accounts: list[TwitterAccount]) -> None:
    """Counts and deep pages, by the counters and the plain way; then the counters themselves."""
    ids = [account.pk for account in accounts]
    for scope in (None, tuple(ids), tuple(ids[:1])):
        assert count_by_status(scope) == count_plainly(scope)
        for status in ("", "pending"):
            query = MessageQuery(account_ids=scope, status=status)
            everything = list_ids(query, skip=0, limit=1000)
            for skip in range(0, len(everything) + 2, 7):
                with tallies.open_snapshot() as snapshot:
                    place = tallies.find_day(
                        tallies.Scope(scope, status), skip=skip, session=snapshot
                    )
                assert (place is None) == (skip >= len(everything))
                if place:
                    deep = MessageQuery(account_ids=scope, status=status, until=place[0])
                    assert list_ids(deep, skip=place[1], limit=5) == everything[skip : skip + 5]
    assert reconcile_counters(must_repair=False).is_right


def change_something(message: Message, *, chance: random.Random, actor: str) -> None:
    status = chance.choice(["pending", "ignored", "replied"])
    kind = chance.randrange(3)
    if kind == 0:
        Message.objects.filter(pk=message.pk).update(status=status)
    elif kind == 1:
        document = find_message(message.pk)
        assert document is not None
        update_message(document, changes={"status": status}, actor=actor, now=timezone.now())
    else:
        later = message.timestamp + timedelta(days=chance.randrange(3))
        Message.objects.filter(pk=message.pk).update(timestamp=later)


def test_nothing_is_told_until_the_counters_are_built(accounts: list[TwitterAccount]) -> None:
    store_message(accounts[0], 1)
    assert count_by_status(None) is None

    fold_tallies()

    assert count_by_status(None) == {"pending": 1}


def test_deletions_during_the_very_first_build_are_counted(
    accounts: list[TwitterAccount],
) -> None:
    """Each round, one deletion at some moment of a first build: no later one makes up for it."""
    numbers = iter(range(1000))
    chance = random.Random(7)
    for _ in range(40):
        connection.get_collection("message_tallies").delete_many({})
        message = store_message(accounts[0], next(numbers), tally="")
        store_message(accounts[0], next(numbers), tally="")
        pause = chance.random() * 0.02

        def delete(message: Message = message, pause: float = pause) -> None:
            # Not a wait for anything: it spreads the deletions over the build.
            time.sleep(pause)
            message.delete()

        run_together(reconcile_counters, delete)
        assert count_by_status(None) == {"pending": Message.objects.count()}


def test_counts_and_pages_are_exact_before_and_after_rows_are_folded(
    accounts: list[TwitterAccount], messages: list[Message]
) -> None:
    assert_exact(accounts)
    Message.objects.filter(pk=messages[3].pk).update(status="ignored")
    Message.objects.filter(pk=messages[3].pk).update(status="replied")
    Message.objects.filter(account=None, status="pending").update(account=accounts[1])
    messages[5].status = "error"
    messages[5].save()
    store_message(accounts[0], 5000)
    Message.objects.get(pk=messages[8].pk).delete()
    Message.objects.filter(pk__in=[messages[3].pk, messages[9].pk]).delete()
    assert_exact(accounts)

    assert fold_all() > 3

    assert Message.objects.filter(tally__gt="").count() == 0
    assert_exact(accounts)


def test_counts_are_exact_when_messages_are_older_than_a_thousand_years(
    accounts: list[TwitterAccount], messages: list[Message], ana: User
) -> None:
    old = store_message(accounts[1], 7000, timestamp=datetime(203, 5, 5, 12, tzinfo=UTC))
    fold_all()
    document = find_message(old.pk)
    assert document is not None
    update_message(document, changes={"status": "ignored"}, actor=ana.pk, now=timezone.now())
    assert_exact(accounts)
    fold_all()
    Message.objects.filter(pk=old.pk).update(status="replied")
    assert_exact(accounts)


def test_polled_mentions_are_counted_without_a_write_to_the_counters(
    acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    poll_account(acme, now=timezone.now())
    reconcile_counters()
    sandbox.control.create_mentions(account="acme", count=15)
    poll_account(acme, now=timezone.now())

    assert count_by_status([acme.pk]) == count_plainly([acme.pk])
    assert Message.objects.filter(tally="+").count() == 15
    fold_all()
    assert_exact([acme])


def test_counts_are_exact_when_writers_folders_and_readers_race(
    accounts: list[TwitterAccount], messages: list[Message], ana: User
) -> None:
    is_over = threading.Event()
    failures: list[Any] = []

    def run(number: int) -> None:
        chance = random.Random(number)
        try:
            for _ in range(25):
                message = chance.choice(messages[number * 20 : number * 20 + 20])
                change_something(message, chance=chance, actor=ana.pk)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    def read() -> None:
        # No message is added or deleted: whatever the moment, there are sixty.
        try:
            while not is_over.is_set():
                counts = count_by_status(None)
                if counts is not None and sum(counts.values()) != len(messages):
                    failures.append(counts)
        finally:
            connection.close()

    def fold() -> None:
        try:
            while not is_over.is_set():
                # Those who write go first.
                with contextlib.suppress(TransactionConflictError):
                    fold_marked(limit=5)
        finally:
            connection.close()

    writers = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    others = [threading.Thread(target=read), threading.Thread(target=fold)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in others:
        thread.join()

    assert not failures
    assert_exact(accounts)
    fold_all()
    assert_exact(accounts)


def test_counters_stay_right_when_a_fold_or_a_deletion_dies_halfway(
    accounts: list[TwitterAccount], messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    Message.objects.filter(pk=messages[0].pk).update(status="replied")

    def die(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    def fold_and_die() -> None:
        fold_marked()
        die()

    with pytest.raises(ZeroDivisionError):
        run_in_transaction(fold_and_die)
    monkeypatch.setattr("mentions.models.tally.add_to_tallies", die)
    with pytest.raises(ZeroDivisionError):
        messages[1].delete()

    assert Message.objects.filter(pk=messages[1].pk).exists()
    assert_exact(accounts)


def test_deleting_by_the_api_is_counted(
    accounts: list[TwitterAccount], messages: list[Message], ana: User
) -> None:
    delete_message(messages[0].pk, actor=ana.pk, now=timezone.now())

    assert_exact(accounts)


def test_import_leaves_counters_that_are_right_though_it_writes_no_marks(
    accounts: list[TwitterAccount], messages: list[Message]
) -> None:
    documents = connection.get_collection(Message._meta.db_table)
    with ImportLease("a test"):
        assert count_by_status(None) is None
        documents.update_many({"status": "pending"}, {"$set": {"status": "replied"}})
        documents.delete_one({"_id": messages[0].pk})
        fold_tallies()
        assert count_by_status(None) is None

    assert_exact(accounts)


def test_damage_is_found_and_repaired(
    accounts: list[TwitterAccount], messages: list[Message], capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("reconcile_counters", "--check")
    assert "right (60 messages)" in capsys.readouterr().out
    documents = connection.get_collection(Message._meta.db_table)
    documents.update_one({"_id": messages[0].pk}, {"$set": {"status": "secretly"}})
    with pytest.raises(CommandError, match="without --check"):
        call_command("reconcile_counters", "--check")
    assert "'secretly', 2026-03-01: counted 0, are 1" in capsys.readouterr().out

    call_command("reconcile_counters")

    assert "Repaired: 60" in capsys.readouterr().out
    assert check_tallies() is True
    assert_exact(accounts)


def test_repair_starts_again_when_counters_change_under_it(
    accounts: list[TwitterAccount], messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    distrust_counters()
    count_rows, times = tallies._count_rows, []

    def count_and_be_overtaken(session: Any) -> Counter[Any]:
        counted = count_rows(session)
        times.append(1)
        if len(times) == 1:
            messages[0].delete()
        return counted

    monkeypatch.setattr(tallies, "_count_rows", count_and_be_overtaken)

    assert reconcile_counters().is_repaired
    assert len(times) == 2
    monkeypatch.undo()
    assert_exact(accounts)


def test_later_rebuild_wins_when_two_run_at_once(
    accounts: list[TwitterAccount], messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stands still before it writes; meanwhile rows change, and another rebuilds."""
    distrust_counters()
    monkeypatch.setattr(tallies, "_WRITTEN_AT_ONCE", 2)
    replace, overtaken = tallies._replace, []

    def replace_late(*args: Any) -> Any:
        if not overtaken:
            overtaken.append(1)
            messages[0].delete()
            reconcile_counters()
        return replace(*args)

    monkeypatch.setattr(tallies, "_replace", replace_late)
    connection.get_collection("message_tallies").delete_one({"_id": "*|pending"})

    reconcile_counters()

    monkeypatch.undo()
    assert_exact(accounts)


def test_plain_count_is_taken_when_too_many_rows_are_marked(
    messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tallies, "MOST_MARKED", 2)
    Message.objects.filter(pk__in=[row.pk for row in messages[:3]]).update(status="error")

    assert count_by_status(None) is None


def test_indexes_alone_answer_what_the_counters_are_asked(
    accounts: list[TwitterAccount], messages: list[Message]
) -> None:
    Message.objects.filter(pk=messages[0].pk).update(status="error")
    with recorded_plans() as plans:
        count_by_status([accounts[0].pk])
        fold_marked()

    assert plans
    for plan in plans:
        assert plan.is_index_scan, plan
        assert plan.docs_examined <= 10, plan
