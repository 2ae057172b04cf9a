"""What becomes of replies, and of who would answer, when a mention is deleted on X."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Draft, Message, Reply
from mentions.outbox.decide import settle_reply
from mentions.outbox.deliver import claim_reply, deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.preflight import check_reply
from mentions.outbox.reconcile import reconcile_reply
from mentions.outbox.settle import mark_queued_again
from mentions.recheck.redact import mark_deleted, redact_message, resume_redactions
from mentions.review import write_draft
from mentions.triage import ReviewConflictError

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "@acme my parcel 4711-0815 vanished, call me 0171 5550123 now"
QUOTE = "You wrote: my parcel 4711-0815 vanished, call me 0171 5550123. We are on it."


@pytest.fixture(autouse=True)
def short_timeout(settings: LazySettings) -> None:
    settings.X_READ_TIMEOUT_SECONDS = 1


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text=TEXT)
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


def send(mention: Message, by: User, **values: Any) -> Reply:
    given = {"kind": "dm", "text": QUOTE, "now": timezone.now()} | values
    return enqueue_reply(mention, requested_by=by, **given)


def remove(mention: Message, *, now: datetime | None = None) -> bool:
    """As when X says for the second time that it does not find the post."""
    now = now or timezone.now()
    assert mark_deleted(mention, now=now)
    return redact_message(mention.pk, now=now)


def look_until_settled(reply: Reply) -> None:
    for _ in range(4):
        past = timezone.now() - timedelta(minutes=10)
        Reply.objects.filter(pk=reply.pk).update(not_before=past, sending_at=past)
        reconcile_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()


def test_a_message_of_unknown_outcome_is_ended_before_its_words_are_cut(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    """Words that were cut are not found on X: it would be sent a second time, and mutilated."""
    sandbox.control.add_fault("dm", "timeout_after")
    reply = send(mention, ana)
    deliver_reply(reply.pk, now=timezone.now())
    assert not remove(mention)
    assert Reply.objects.get().text == QUOTE

    resume_redactions(now=timezone.now() + timedelta(hours=20, minutes=1))

    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "abandoned")
    assert "4711" not in reply.text
    assert Message.objects.get().x_state == "redacted"
    look_until_settled(reply)
    with pytest.raises(OutboxRefusedError, match="unknown outcome"):
        settle_reply(reply, outcome="absent", user=ana, now=timezone.now())
    deliver_reply(reply.pk, now=timezone.now())
    assert [message["text"] for message in sandbox.control.list_dms()] == [QUOTE]


def test_what_x_put_off_while_the_mention_went_is_not_sent(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    now = timezone.now()
    reply = claim_reply(send(mention, ana, now=now).pk, now=now)
    assert reply is not None
    assert not remove(mention)
    assert mark_queued_again(
        reply,
        code="rate_limited_window",
        sentence="Later.",
        now=now,
        delay=timedelta(0),
        lease=reply.lease,
    )
    assert resume_redactions(now=now) == 1
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "deleted_on_x")
    assert "4711" not in reply.text
    assert sandbox.control.list_dms() == []


@pytest.mark.parametrize("fault", ["timeout_before", "timeout_after"])
def test_what_is_found_absent_after_the_mention_went_is_not_sent_again(
    mention: Message, ana: User, sandbox: RunningSandbox, fault: str
) -> None:
    sandbox.control.add_fault("dm", fault)
    reply = send(mention, ana, text="Hello, we look into it")
    deliver_reply(reply.pk, now=timezone.now())
    assert remove(mention)
    look_until_settled(reply)
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    has_arrived = fault == "timeout_after"
    assert (reply.state, reply.reason_code) == (
        ("sent", "") if has_arrived else ("failed", "deleted_on_x")
    )
    assert len(sandbox.control.list_dms()) == has_arrived


@pytest.mark.parametrize("kind", ["public", "dm"])
@pytest.mark.parametrize("origin", ["direct", "legacy"])
def test_nobody_can_answer_it_any_more(
    mention: Message, ana: User, client: Client, kind: str, origin: str
) -> None:
    Message.objects.update(kind=origin)
    assert remove(mention)
    gone = Message.objects.get()
    refusal = check_reply(gone, kind=kind, now=timezone.now()).first_refusal
    assert refusal is not None
    assert refusal.code == "deleted_on_x"
    with pytest.raises(OutboxRefusedError):
        send(gone, ana, kind=kind)
    with pytest.raises(ReviewConflictError) as caught:
        write_draft(mention, text=QUOTE, user=ana, now=timezone.now())
    assert caught.value.code == "deleted_on_x"
    client.force_login(ana)
    page = client.post(
        f"/admin/mentions/message/{mention.pk}/change/",
        {"act": "save", "text": QUOTE, "seen_post": ""},
        follow=True,
    ).content.decode()
    assert "The draft is saved." not in page
    assert not Draft.objects.exists()
    assert not Reply.objects.exists()


def test_what_was_answered_stays_answered_when_another_reply_ends_with_the_mention(
    mention: Message, ana: User
) -> None:
    deliver_reply(send(mention, ana, kind="public", text="Done.").pk, now=timezone.now())
    mention.refresh_from_db()
    later = send(mention, ana, text="Hello", not_before=timezone.now() + timedelta(days=2))
    assert remove(mention)
    later.refresh_from_db()
    assert (later.state, later.reason_code) == ("failed", "deleted_on_x")
    mention.refresh_from_db()
    assert (mention.status, mention.public_response) == ("replied", "Done.")


def test_what_somebody_typed_about_it_is_forgotten_too(
    mention: Message, ana: User, client: Client
) -> None:
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    client.post(desk, {"act": "claim", "text": QUOTE})
    assert client.get(desk).context["desk_text"] == QUOTE
    assert remove(mention)
    sessions = [session.get_decoded() for session in Session.objects.all()]
    assert "4711" not in str(sessions)
    # She is signed in as before.
    assert client.get(desk).status_code == 200
