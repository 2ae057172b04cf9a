"""``ignore_backlog``: what is too old to be answered leaves the queue, and nothing else does."""

import io
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.tests.cast import create_person
from autores.tests.threads import run_together, wait_until
from mentions.backlog import Ignored, ignore_backlog
from mentions.models import AuditEntry, Message, MessageStatus, ReplyKind
from mentions.outbox.enqueue import enqueue_reply
from mentions.tallies import reconcile_counters
from mentions.tests.api.conftest import FIRST_POST_AT, build_message, store_message
from mentions.triage import (
    ReviewConflictError,
    claim_message,
    ignore_message,
    release_message,
    reopen_message,
)

pytestmark = pytest.mark.django_db(transaction=True)

CUT = FIRST_POST_AT + timedelta(minutes=10)


def run_command(*arguments: str) -> tuple[str, str]:
    """What it said, and its progress."""
    out, progress = io.StringIO(), io.StringIO()
    call_command(
        "ignore_backlog", "--before", CUT.isoformat(), *arguments, stdout=out, stderr=progress
    )
    return out.getvalue(), progress.getvalue()


def list_pending() -> list[str]:
    pending = Message.objects.filter(status=MessageStatus.PENDING)
    return [message.text for message in pending.order_by("timestamp")]


@pytest.fixture
def backlog(acme: TwitterAccount, ana: User) -> list[Message]:
    """Three old ones of @acme, one of no account, one that is new; one claimed, one answered."""
    rows = [store_message(acme, number) for number in range(5)]
    store_message(None, 5)
    store_message(acme, 11)
    claim_message(rows[3], user=ana, now=timezone.now())
    enqueue_reply(
        rows[4], kind=ReplyKind.PUBLIC, text="Hello!", requested_by=ana, now=timezone.now()
    )
    # As when a person was slower than the outbox.
    Message.objects.filter(pk=rows[4].pk).update(status=MessageStatus.PENDING)
    reconcile_counters()
    return rows


def test_old_mentions_are_ignored_in_a_persons_name_and_can_be_reopened(
    backlog: list[Message], ana: User
) -> None:
    said, progress = run_command("--as", "ana")
    assert "4 mentions are ignored, 1 were left" in said
    assert "1: a reply to it is under way" in said
    assert "ignoring mentions: 5 of 5 rows" in progress
    assert list_pending() == ["@acme question 4", "@acme question 11"]
    assert Message.objects.get(pk=backlog[3].pk).status == MessageStatus.PROCESSING
    entry = AuditEntry.objects.get(action="message.ignored", message_id=backlog[0].pk)
    assert (entry.actor, entry.note) == (ana.pk, f"Posted before {CUT:%Y-%m-%d %H:%M} UTC.")
    assert reconcile_counters(must_repair=False).is_right

    assert "0 mentions are ignored" in run_command("--as", "ana", "--quiet")[0]
    reopen_message(Message.objects.get(pk=backlog[0].pk), user=ana, now=timezone.now())
    assert "@acme question 0" in list_pending()


def test_nothing_changes_when_only_counted(backlog: list[Message]) -> None:
    before = list_pending()
    said, _ = run_command("--as", "ana", "--dry-run")
    assert "5 pending mentions would be ignored" in said
    assert "@acme: 4" in said
    assert "of no account: 1" in said
    assert list_pending() == before


@pytest.mark.parametrize("name", ["@ACME_Care", "x id", "id"])
def test_others_stay_when_an_account_is_named(
    backlog: list[Message], acme: TwitterAccount, name: str
) -> None:
    TwitterAccount.objects.filter(pk=acme.pk).update(twitter_username="acme_care")
    given = {"x id": acme.twitter_id, "id": acme.pk}.get(name, name)
    assert "3 mentions are ignored" in run_command("--as", "ana", "--account", given)[0]
    assert "@acme question 5" in list_pending()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--as", "nobody"], "nobody who may sign in is called 'nobody'"),
        (["--as", "gone"], "nobody who may sign in is called 'gone'"),
        (["--as", "ana", "--account", "@other"], "no account is called '@other'"),
        (["--as", "ana", "--account", ""], "no account is called ''"),
        (["--as", "ana", "--account", "@"], "no account is called '@'"),
        (["--as", "ana", "--before", "0001-01-01T00:00:00+14:00"], "must be a time"),
        (["--as", "ana", "--before", "2026-11-01"], "must be a time with its offset"),
        (["--as", "ana", "--before", "2999-01-01T00:00:00Z"], "--before lies in the future"),
    ],
)
def test_nothing_is_ignored_when_the_command_is_wrong(
    backlog: list[Message], arguments: list[str], expected: str
) -> None:
    create_person("gone", is_active=False)
    # It was never called, and has no name yet.
    TwitterAccount.objects.create(twitter_id="901")
    before = list_pending()
    with pytest.raises(CommandError, match=expected):
        run_command(*arguments)
    assert list_pending() == before


def test_a_claim_and_the_command_share_the_mentions_when_they_race(
    acme: TwitterAccount, ana: User, bruno: User
) -> None:
    rows = [store_message(acme, number % 10, id=str(number + 1)) for number in range(40)]
    claimed = []

    def claim_all() -> None:
        for row in rows:
            try:
                claim_message(row, user=bruno, now=timezone.now())
                claimed.append(row.pk)
            except ReviewConflictError:
                continue

    outcome = Ignored()
    run_together(claim_all, lambda: ignore_backlog(outcome, before=CUT, user=ana))
    statuses = dict(Message.objects.values_list("pk", "status"))
    assert {pk for pk, status in statuses.items() if status == "processing"} == set(claimed)
    assert len(claimed) + outcome.ignored == 40
    assert AuditEntry.objects.filter(action="message.ignored").count() == outcome.ignored


def test_what_others_change_or_delete_meanwhile_is_left_and_the_rest_goes_on(
    acme: TwitterAccount, ana: User
) -> None:
    rows = [store_message(acme, number % 10, id=str(number + 1)) for number in range(60)]
    messages = connection.get_collection("messages")
    outcome = Ignored()

    def delete_one(count: int) -> None:
        others = Message.objects.filter(status=MessageStatus.PENDING).exclude(pk=rows[7].pk)
        if (one := others.first()) is not None:
            one.delete()

    with connection.database.client.start_session() as session, session.start_transaction():
        messages.update_one({"_id": rows[7].pk}, {"$set": {"lang": "xx"}}, session=session)
        ignore_backlog(outcome, before=CUT, user=ana, on_rows=delete_one)
        session.abort_transaction()
    assert (outcome.ignored, outcome.left["busy"]) == (58, 1)
    assert Message.objects.get(pk=rows[7].pk).status == MessageStatus.PENDING


def test_interrupted_run_says_how_far_it_came(
    acme: TwitterAccount, ana: User, child_environ: dict[str, str]
) -> None:
    Message.objects.bulk_create(build_message(acme, 1, id=str(number)) for number in range(1, 1501))
    ignored = Message.objects.filter(status=MessageStatus.IGNORED)
    process = subprocess.Popen(
        [sys.executable, "manage.py", "ignore_backlog", "--before", CUT.isoformat(), "--as", "ana"],
        cwd=settings.BASE_DIR,
        env=child_environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background ignores it, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_until(ignored.exists)
        process.send_signal(signal.SIGINT)
        said, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "run it again for the rest" in errors
    count = int(said.split()[0])
    # It may have been stopped between the change and the counting of it.
    assert ignored.count() - count in (0, 1)
    assert 0 < ignored.count() < 1500


def test_entry_says_what_the_mention_was_when_it_was_read_too_early(
    acme: TwitterAccount, ana: User
) -> None:
    row = store_message(acme, 1)
    claim_message(row, user=ana, now=timezone.now())
    seen = Message.objects.get()
    release_message(row, user=ana, now=timezone.now())
    pending = (MessageStatus.PENDING,)
    ignore_message(seen, user=ana, now=timezone.now(), from_states=pending)
    assert AuditEntry.objects.get(action="message.ignored").before == {"status": "pending"}
