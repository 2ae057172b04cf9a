"""An audit entry that a command left on a message reaches the audit: once, whatever happens."""

import importlib
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from accounts.models import Role, TwitterAccount, User
from autores.problems import ApiProblem
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from autores.tests.mongo.proxy import connected_through
from mentions.api.changes import delete_message, update_message
from mentions.api.queries import find_message
from mentions.models import AuditEntry, Message, Reply, file_entries
from mentions.models.audit import FILED_AT_ONCE, MOST_ENTRIES, MOST_UNFILED, is_kept
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.recheck.redact import mark_deleted, redact_message
from mentions.tasks import file_audit_entries
from mentions.tests.api.conftest import store_message

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
LATER = datetime(2126, 3, 2, 8, 30, 0, 123_456, tzinfo=UTC)


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def message(acme: TwitterAccount) -> Message:
    return store_message(acme, 1)


def change(message: Message, *, actor: str = "ana", **changes: Any) -> None:
    document = find_message(message.pk)
    assert document is not None
    update_message(document, changes=changes, actor=actor, now=timezone.now())


def stored(message: Message) -> dict[str, Any]:
    return connection.get_collection("messages").find_one({"_id": message.pk})


def list_numbers(message: Message) -> list[tuple[int, int]]:
    """What the audit says of ``credits_used``: from, to, in the order of the changes."""
    entries = AuditEntry.objects.filter(message_id=message.pk, action="message.changed")
    pairs = [(entry.before["credits_used"], entry.after["credits_used"]) for entry in entries]
    return sorted(pairs)


def test_entry_waits_on_the_row_until_the_task_files_it(message: Message) -> None:
    change(message, actor="bruno", status="ignored", credits_used=3)
    assert not AuditEntry.objects.exists()
    assert stored(message)["unfiled_at"] is not None

    assert file_audit_entries() == 1

    entry = AuditEntry.objects.get()
    assert (entry.actor, entry.action, entry.object_type) == ("bruno", "message.changed", "message")
    assert (entry.object_id, entry.message_id) == (message.pk, message.pk)
    assert entry.account_id == message.account_id
    assert entry.before == {"status": "pending", "credits_used": 0}
    assert entry.after == {"status": "ignored", "credits_used": 3}
    assert abs((entry.at - timezone.now()).total_seconds()) < 60
    row = stored(message)
    assert (row["unfiled_at"], "unfiled" in row) == (None, False)
    assert file_audit_entries() == 0


def test_each_entry_is_filed_once_when_writers_and_two_filers_race(message: Message) -> None:
    is_over = threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            for step in range(12):
                change(message, credits_used=number * 100 + step + 1)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    def file() -> None:
        try:
            while not is_over.is_set():
                file_audit_entries()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    filers = [threading.Thread(target=file) for _ in range(2)]
    for thread in (*writers, *filers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in filers:
        thread.join()
    file_entries()

    assert not failures
    pairs = list_numbers(message)
    assert len(pairs) == 36
    # Each change goes on from what another left: the entries are one chain, with no link twice.
    froms, tos = Counter(pair[0] for pair in pairs), Counter(pair[1] for pair in pairs)
    assert max(froms.values()) == max(tos.values()) == 1
    assert froms - tos == Counter([0])
    assert tos - froms == Counter([stored(message)["credits_used"]])
    assert stored(message)["version"] == 37


def test_a_row_takes_so_many_entries_and_no_more(message: Message) -> None:
    for number in range(1, MOST_UNFILED + 4):
        change(message, credits_used=number)
    assert len(stored(message)["unfiled"]) == 3
    assert AuditEntry.objects.count() == MOST_UNFILED
    file_entries()
    assert list_numbers(message) == [(number, number + 1) for number in range(MOST_UNFILED + 3)]


def test_all_rows_are_filed_when_more_wait_than_go_into_one_transaction(
    acme: TwitterAccount,
) -> None:
    messages = [store_message(acme, number) for number in range(FILED_AT_ONCE + 5)]
    for message in messages:
        change(message, status="ignored")
    # Who reads sees the newest first.
    assert file_entries(newest_first=True) == FILED_AT_ONCE
    found = set(AuditEntry.objects.values_list("message_id", flat=True))
    assert found == {message.pk for message in messages[5:]}
    assert file_audit_entries() == 5
    assert AuditEntry.objects.count() == len(messages)


def test_one_transaction_files_so_many_entries_and_no_more(acme: TwitterAccount) -> None:
    messages = [store_message(acme, number) for number in range(MOST_ENTRIES // MOST_UNFILED + 1)]
    for message in messages:
        for number in range(1, MOST_UNFILED + 1):
            change(message, credits_used=number)
    assert file_entries() == len(messages) - 1
    assert AuditEntry.objects.count() == MOST_ENTRIES
    assert file_audit_entries() == 1
    assert AuditEntry.objects.count() == MOST_ENTRIES + MOST_UNFILED


def test_long_texts_do_not_make_a_row_grow(message: Message) -> None:
    for number in range(60):
        change(message, public_response=f"{number} " + "🙏" * 25_000, dm_response=str(number))
    assert "unfiled" not in stored(message)
    assert AuditEntry.objects.filter(action="message.changed").count() == 60
    change(message, public_response="short", credits_used=1)
    assert "unfiled" not in stored(message)
    change(message, public_response="shorter")
    assert len(stored(message)["unfiled"]) == 1
    file_entries()
    newest = AuditEntry.objects.order_by("-at").first()
    assert newest is not None
    assert newest.before == {"public_response": "short"}


def test_time_does_not_go_back_when_another_was_first(message: Message) -> None:
    document = find_message(message.pk)
    assert document is not None
    change(message, credits_used=1)
    before = stored(message)["updated_at"]
    update_message(document, changes={"credits_used": 2}, actor="a", now=LONG_AGO)
    assert stored(message)["updated_at"] == before
    assert stored(message)["version"] == 3


def test_entries_are_kept_when_the_message_is_deleted(message: Message) -> None:
    change(message, public_response="By hand.")
    delete_message(message.pk, actor="ana", now=timezone.now())
    actions = AuditEntry.objects.filter(message_id=message.pk).order_by("at")
    assert [entry.action for entry in actions] == ["message.changed", "message.deleted"]


def test_nothing_waits_when_the_change_was_refused(message: Message) -> None:
    document = find_message(message.pk)
    assert document is not None
    change(message, status="pending")
    assert "unfiled" not in stored(message)
    Message.objects.filter(pk=message.pk).delete()
    with pytest.raises(Exception, match="deleted meanwhile"):
        update_message(document, changes={"status": "error"}, actor="a", now=timezone.now())
    assert (file_entries(), AuditEntry.objects.count()) == (0, 0)


def test_an_object_loaded_before_takes_nothing_off_the_row(message: Message, ana: User) -> None:
    old = Message.objects.get(pk=message.pk)
    enqueue_reply(message, kind="public", text="Yes.", requested_by=ana, now=timezone.now())
    change(message, credits_used=9)
    old.author_name = "Lena L."
    old.save()
    row = stored(message)
    assert (row["author_name"], row["has_replies"], len(row["unfiled"])) == ("Lena L.", True, 1)
    assert row["unfiled_at"] is not None


def test_what_a_stranger_deleted_is_taken_out_of_an_entry_that_waits(message: Message) -> None:
    quote = f"You asked: {message.text}"
    change(message, public_response=quote)
    mark_deleted(Message.objects.get(pk=message.pk), now=timezone.now())
    assert redact_message(message.pk, now=timezone.now())
    (entry,) = AuditEntry.objects.filter(action="message.changed")
    assert message.text not in str(entry.after)
    assert message.text not in str(stored(message))


def test_the_desk_and_the_audit_show_it_at_once(
    message: Message, acme: TwitterAccount, client: Any
) -> None:
    erin = create_person("erin")
    give_role(erin, acme, Role.MANAGER)
    admin = create_person("root", is_superuser=True)
    change(message, actor=erin.pk, status="ignored")
    client.force_login(admin)
    listed = client.get("/admin/mentions/auditentry/")
    assert "message.changed" in listed.content.decode()
    change(message, actor=erin.pk, status="error")
    desk = client.get(f"/admin/mentions/message/{message.pk}/change/")
    assert desk.content.decode().count("message.changed") >= 2


def test_reply_or_answer_by_hand_goes_first_when_both_come_at_once(
    acme: TwitterAccount, ana: User
) -> None:
    """Never both: what was answered by hand is not answered again, and a reply stands alone."""
    outcomes = Counter[str]()
    for number in range(24):
        message = store_message(acme, number, text="Open?")
        both = threading.Barrier(2)
        queued: list[str] = []

        def queue(
            message: Message = message,
            both: threading.Barrier = both,
            queued: list[str] = queued,
        ) -> None:
            try:
                loaded = Message.objects.get(pk=message.pk)
                both.wait()
                enqueue_reply(loaded, kind="public", text="Yes.", now=timezone.now())
                queued.append("queued")
            except OutboxRefusedError as error:
                queued.append(error.code)
            finally:
                connection.close()

        thread = threading.Thread(target=queue)
        thread.start()
        both.wait()
        # Not a wait for something: the two start together, and this lets each be first sometimes.
        time.sleep(number / 1500)
        try:
            change(message, status="replied", public_response="By phone.")
            changed = "changed"
        except ApiProblem as error:
            changed = error.code
        thread.join()
        outcomes[f"{changed} {queued[0]}"] += 1
        assert Reply.objects.filter(message_id=message.pk).count() == (queued[0] == "queued")
    assert set(outcomes) <= {"changed already_replied", "reply_unsettled queued"}, outcomes


def test_messages_that_had_replies_are_marked_by_the_migration(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    answered, other = store_message(acme, 1), store_message(acme, 2)
    enqueue_reply(answered, kind="public", text="Yes.", now=timezone.now())
    messages = connection.get_collection("messages")
    messages.update_many({}, {"$unset": {"has_replies": "", "unfiled_at": ""}})
    migration = importlib.import_module("mentions.migrations.0002_entries_left_on_messages")
    with connection.schema_editor() as editor:
        migration.mark_messages_with_replies(apps, editor)
    assert (stored(answered)["has_replies"], stored(other).get("has_replies")) == (True, None)
    change(other, status="ignored")
    assert file_entries() == 1


@pytest.mark.parametrize("is_cut_before", [False, True])
@pytest.mark.parametrize("cuts", [1, 2])
def test_a_change_is_made_once_when_its_answer_is_lost(
    message: Message, is_cut_before: bool, cuts: int
) -> None:
    document = find_message(message.pk)
    assert document is not None
    with connected_through(b"\x02update\0") as proxy:
        proxy.is_cut_before, proxy.cuts_left = is_cut_before, cuts
        changed = update_message(
            document,
            changes={"credits_used": 5},
            actor="ana",
            now=timezone.now(),
            expected_version=message.version,
        )
        assert proxy.cuts_left == 0
    assert changed.version == message.version + 1
    row = stored(message)
    assert (row["credits_used"], row["version"]) == (5, message.version + 1)
    assert len(row["unfiled"]) == 1


def test_a_change_is_known_to_be_made_when_its_entry_was_filed_before_anybody_looked(
    message: Message,
) -> None:
    change(message, credits_used=5)
    entry = stored(message)["unfiled"][0]
    assert is_kept(entry)
    file_audit_entries()
    assert is_kept(entry)
    assert not is_kept({**entry, "_id": "of another"})


def test_time_of_a_change_is_told_as_it_is_stored(message: Message) -> None:
    document = find_message(message.pk)
    assert document is not None
    changed = update_message(document, changes={"status": "processing"}, actor="a", now=LATER)
    assert b'"claimed_at":"2126-03-02T08:30:00.123000Z"' in changed.content
    latest = find_message(message.pk)
    assert latest is not None
    assert latest["claimed_at"] == latest["updated_at"] == LATER.replace(microsecond=123_000)
