"""A backup is restored, and what was sent after it stands on X alone: nothing is sent twice."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from redis import Redis

from accounts.models import TwitterAccount, User
from accounts.pauses import pause_app, resume_app
from autores.observability.probe import BEAT_LOCK_KEY
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message, Reply
from mentions.outbox import lookback
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.lookback import absent_after
from mentions.outbox.reconcile import ABSENT_READS, reconcile_reply
from mentions.review import write_draft

pytestmark = pytest.mark.django_db(transaction=True)

KEPT = ("messages", "mentions_reply", "mentions_draft", "mentions_cursor")


@pytest.fixture
def mentions(acme: TwitterAccount, sandbox: RunningSandbox) -> list[Message]:
    for number in range(3):
        sandbox.control.create_mention(account="acme", author="dora", text=f"@acme q{number}")
    poll_account(acme, now=timezone.now())
    return list(Message.objects.order_by("post_id"))


@pytest.fixture
def back_up(db: None) -> Iterator[Callable[[], Callable[[], None]]]:
    """Takes a backup of what the outbox and the polls know; gives what restores it."""

    def take() -> Callable[[], None]:
        kept = {name: list(connection.get_collection(name).find()) for name in KEPT}

        def restore() -> None:
            for name, documents in kept.items():
                connection.get_collection(name).delete_many({})
                if documents:
                    connection.get_collection(name).insert_many(documents)

        return restore

    return take


def queue(message: Message, text: str, *, kind: str = "public", **values: Any) -> Reply:
    message.refresh_from_db()
    return enqueue_reply(message, kind=kind, text=text, now=timezone.now(), **values)


def deliver(reply: Reply) -> None:
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "sent", reply.reason


def recover(*arguments: str, since: timedelta = timedelta(minutes=1)) -> None:
    call_command("recover_replies", "--since", (timezone.now() - since).isoformat(), *arguments)


def settle(reply: Reply) -> Reply:
    """Reconcile as often and as long as a proof of absence takes."""
    Reply.objects.filter(pk=reply.pk).update(sending_at=timezone.now() - absent_after())
    for _ in range(ABSENT_READS):
        Reply.objects.filter(pk=reply.pk, state="unknown").update(not_before=timezone.now())
        reconcile_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    return reply


def test_nothing_is_sent_twice_after_a_restore(
    mentions: list[Message],
    acme: TwitterAccount,
    ana: User,
    sandbox: RunningSandbox,
    back_up: Callable[[], Callable[[], None]],
) -> None:
    waiting = queue(mentions[0], "It waited in the backup.")
    message = queue(mentions[0], "So did this.", kind="dm")
    draft = write_draft(mentions[1], text="Proposed", user=ana, now=timezone.now())
    restore = back_up()
    for reply in (waiting, message):
        deliver(reply)
    deliver(queue(mentions[1], "Decided on after the backup."))
    sandbox.control.create_mention(account="acme", author="emil", text="@acme came later")
    poll_account(acme, now=timezone.now())
    late = Message.objects.exclude(pk__in=[known.pk for known in mentions]).get()
    deliver(queue(late, "Came & was answered: https://acme.example/a?b=1&c=2 <3"))
    before = {post["id"] for post in sandbox.control.list_posts(author="acme")}
    restore()
    assert set(find_due(now=timezone.now())) == {waiting.pk, message.pk}

    recover()

    assert find_due(now=timezone.now()) == []
    waiting.refresh_from_db()
    assert waiting.state == "sent"
    # X shows direct messages by conversation only: reconciliation looks there.
    assert settle(message).state == "sent"
    for mention in (mentions[1], late):
        mention.refresh_from_db()
        assert mention.status == "replied"
        with pytest.raises(OutboxRefusedError) as refused:
            queue(mention, "Once more?")
        assert refused.value.code == "already_replied"
    draft.refresh_from_db()
    assert draft.state == "superseded"
    texts = set(Reply.objects.filter(state="sent", kind="public").values_list("text", flat=True))
    assert texts == {
        "It waited in the backup.",
        "Decided on after the backup.",
        "Came & was answered: https://acme.example/a?b=1&c=2 <3",
    }
    assert AuditEntry.objects.filter(note__startswith="Found on X after").count() == 2
    # Again: nothing is left to do, and nothing went out.
    recover()
    assert Reply.objects.filter(kind="public").count() == 3
    assert {post["id"] for post in sandbox.control.list_posts(author="acme")} == before
    assert len(sandbox.control.list_dms()) == 1


def test_what_was_not_sent_goes_out_once_x_has_shown_that(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    reply = queue(mentions[0], "Never left.")
    recover(since=timedelta(hours=5))
    # X may show late what was sent just before the restore.
    for _ in range(ABSENT_READS + 1):
        Reply.objects.filter(pk=reply.pk).update(not_before=timezone.now())
        reconcile_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "unknown"
    assert settle(reply).state == "queued"
    deliver(reply)
    assert len(sandbox.control.list_posts(in_reply_to=mentions[0].post_id)) == 1


def test_waiting_reply_is_dropped_when_x_shows_other_words_of_ours_to_the_mention(
    mentions: list[Message],
    sandbox: RunningSandbox,
    back_up: Callable[[], Callable[[], None]],
) -> None:
    waiting = queue(mentions[0], "The first thought.")
    restore = back_up()
    Reply.objects.filter(pk=waiting.pk).update(state="failed", live_key=waiting.pk)
    deliver(queue(mentions[0], "The better one."))
    restore()

    recover()

    waiting.refresh_from_db()
    assert (waiting.state, waiting.reason_code) == ("failed", "already_replied")
    assert Reply.objects.get(state="sent").text == "The better one."
    mentions[0].refresh_from_db()
    assert (mentions[0].status, mentions[0].public_response) == ("replied", "The better one.")


@pytest.mark.parametrize(
    ("text", "state"), [("Put off.", "sent"), ("Said at once, in other words.", "failed")]
)
def test_reply_that_was_put_off_is_not_sent_to_a_mention_that_was_answered_since(
    mentions: list[Message],
    back_up: Callable[[], Callable[[], None]],
    text: str,
    state: str,
) -> None:
    later = timezone.now() + timedelta(days=2)
    waiting = queue(mentions[0], "Put off.", not_before=later)
    restore = back_up()
    Reply.objects.filter(pk=waiting.pk).update(state="failed", live_key=waiting.pk)
    deliver(queue(mentions[0], text))
    restore()

    recover()

    assert settle(waiting).state == state
    assert find_due(now=later + timedelta(days=1)) == []
    assert Reply.objects.filter(state="sent").count() == 1


@pytest.mark.parametrize("kind", ["public", "dm"])
def test_reply_whose_time_has_not_come_keeps_its_time(mentions: list[Message], kind: str) -> None:
    later = timezone.now() + timedelta(hours=1)
    reply = queue(mentions[0], "Later.", kind=kind, not_before=later)
    recover(since=absent_after() + timedelta(seconds=1))
    assert settle(reply).state == "queued"
    assert reply.not_before == reply.due_at
    assert find_due(now=timezone.now()) == []


@pytest.mark.parametrize("kind", ["public", "dm"])
def test_reply_that_a_pause_put_off_is_not_sent_again_when_it_went_out_since(
    mentions: list[Message],
    sandbox: RunningSandbox,
    back_up: Callable[[], Callable[[], None]],
    kind: str,
) -> None:
    waiting = queue(mentions[0], "Held up.", kind=kind)
    pause_app("usage_cap", "The cap is reached.", seconds=None, now=timezone.now())
    deliver_reply(waiting.pk, now=timezone.now())
    waiting.refresh_from_db()
    assert waiting.not_before > timezone.now()
    restore = back_up()
    resume_app()
    deliver(waiting)
    restore()

    recover()

    assert settle(waiting).state == "sent"


def test_nothing_is_done_while_beat_runs(mentions: list[Message]) -> None:
    reply = queue(mentions[0], "Waits.")
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.set(BEAT_LOCK_KEY, "held", ex=30)
        try:
            with pytest.raises(CommandError, match="Beat is running"):
                recover()
        finally:
            redis.delete(BEAT_LOCK_KEY)
    reply.refresh_from_db()
    assert reply.state == "queued"


def test_all_is_read_however_much_was_posted_since(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    reply = queue(mentions[0], "Never left.")
    # A page more than is read of the timeline for a reply otherwise.
    own = 100 * lookback.MAX_PAGES + 1
    sandbox.control.create_user("globex")
    sandbox.control.create_mentions(account="globex", author="acme", count=own)
    recover()
    assert settle(reply).state == "queued"


def test_rehearsal_writes_nothing(mentions: list[Message], capsys: Any) -> None:
    reply = queue(mentions[0], "Waits.")
    recover("--dry-run")
    reply.refresh_from_db()
    assert reply.state == "queued"
    assert "1 waiting replies would be looked up" in capsys.readouterr().out
    assert not Draft.objects.exists()


def test_accounts_that_could_not_be_read_are_named(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("timeline", "server_error")
    with pytest.raises(CommandError, match=r"1 accounts could not be read(.|\n)*@acme: X failed"):
        recover()


@pytest.mark.parametrize("since", ["yesterday", "2026-11-27T03:00:00", "2999-01-01T00:00:00Z", ""])
def test_time_is_asked_for_when_it_cannot_be_used(db: None, since: str) -> None:
    with pytest.raises(CommandError, match="--since"):
        call_command("recover_replies", "--since", since)


@pytest.mark.parametrize("later_edits", [0, 1])
def test_a_reply_to_a_version_in_between_is_found_after_a_restore(
    mentions: list[Message],
    acme: TwitterAccount,
    ana: User,
    sandbox: RunningSandbox,
    back_up: Any,
    later_edits: int,
) -> None:
    restore = back_up()
    edited = sandbox.control.edit_post(mentions[0].post_id, "@acme second")
    poll_account(acme, now=timezone.now())
    mention = Message.objects.get(pk=mentions[0].pk)
    deliver(queue(mention, "Answer to the second", requested_by=ana))
    for _ in range(later_edits):
        sandbox.control.edit_post(edited["id"], "@acme third")
    restore()
    recover()
    mention.refresh_from_db()
    assert [reply.state for reply in Reply.objects.filter(message=mention)] == ["sent"]
    assert mention.status == "replied"
