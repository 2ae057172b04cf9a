"""From a draft to a reply: one road, conditional at every step."""

import contextlib
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.errors import TransactionConflictError
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.review import (
    approve_draft,
    edit_draft,
    reject_draft,
    submit_draft,
    undo_reply,
    write_draft,
)
from mentions.triage import (
    ReviewConflictError,
    claim_message,
    ignore_message,
    release_message,
    reopen_message,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hello?")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


@pytest.fixture
def draft(mention: Message, bruno: User) -> Draft:
    return write_draft(mention, text="Hello Dora!", user=bruno, now=timezone.now())


def test_approved_and_queued_in_one_step(draft: Draft, ana: User) -> None:
    reply = approve_draft(draft, user=ana, now=timezone.now())
    assert (reply.text, reply.state, reply.requested_by_id) == ("Hello Dora!", "queued", ana.pk)
    assert (draft.state, draft.decided_by_id) == ("approved", ana.pk)
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert {"draft.written", "draft.approved", "reply.queued.public"} <= actions


def test_sends_the_approvers_words_when_they_edit_while_approving(draft: Draft, ana: User) -> None:
    reply = approve_draft(draft, user=ana, now=timezone.now(), text="Hi Dora, sorry!")
    assert reply.text == "Hi Dora, sorry!"
    assert draft.text == "Hi Dora, sorry!"
    assert draft.original_text == "Hello Dora!"


def test_one_reply_when_two_approvers_click_at_once(draft: Draft, ana: User) -> None:
    barrier = threading.Barrier(4)
    outcomes = []

    def click() -> None:
        barrier.wait()
        try:
            own = Draft.objects.get(pk=draft.pk)
            approve_draft(own, user=ana, now=timezone.now(), version=own.version)
            outcomes.append("approved")
        except (ReviewConflictError, OutboxRefusedError) as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("approved") == 1
    assert len(outcomes) == 4
    assert Reply.objects.count() == 1


def test_nothing_is_approved_when_the_outbox_refuses(
    draft: Draft, mention: Message, ana: User
) -> None:
    Message.objects.filter(pk=mention.pk).update(
        is_replyable=False, replyable_code="reply_settings", replyable_reason="Closed."
    )
    with pytest.raises(OutboxRefusedError):
        approve_draft(Draft.objects.get(pk=draft.pk), user=ana, now=timezone.now())
    draft.refresh_from_db()
    assert draft.state == "edited"
    assert not Reply.objects.exists()


def test_refused_when_somebody_edited_it_meanwhile(draft: Draft, ana: User, bruno: User) -> None:
    seen = draft.version
    edit_draft(draft, text="Changed", user=bruno, now=timezone.now())
    with pytest.raises(ReviewConflictError) as caught:
        approve_draft(draft, user=ana, now=timezone.now(), version=seen)
    assert caught.value.code == "draft_changed"
    assert not Reply.objects.exists()


def test_refused_unedited_when_the_gate_found_something(draft: Draft, ana: User) -> None:
    Draft.objects.filter(pk=draft.pk).update(
        violations=[{"code": "link", "sentence": "It holds a link nobody allowed."}]
    )
    draft.refresh_from_db()
    with pytest.raises(ReviewConflictError, match="link nobody allowed"):
        approve_draft(draft, user=ana, now=timezone.now())
    assert approve_draft(draft, user=ana, now=timezone.now(), text="Clean words").pk


@pytest.mark.parametrize("decide", [reject_draft, submit_draft])
def test_closed_drafts_stay_closed(decide, draft: Draft, ana: User) -> None:
    reject_draft(draft, user=ana, now=timezone.now(), note="too cold")
    with pytest.raises(ReviewConflictError) as caught:
        decide(draft, user=ana, now=timezone.now())
    assert caught.value.code == "draft_closed"


def test_a_new_draft_can_be_written_after_a_rejection(
    draft: Draft, mention: Message, ana: User
) -> None:
    with pytest.raises(ReviewConflictError):
        write_draft(mention, text="Second", user=ana, now=timezone.now())
    reject_draft(draft, user=ana, now=timezone.now())
    assert write_draft(mention, text="Second", user=ana, now=timezone.now()).state == "edited"


def test_one_person_gets_the_mention_when_two_claim_it(mention: Message, ana: User) -> None:
    claim_message(mention, user=ana, now=timezone.now())
    with pytest.raises(ReviewConflictError) as caught:
        claim_message(Message.objects.get(), user=ana, now=timezone.now())
    assert caught.value.code == "wrong_status"
    assert release_message(mention, user=ana, now=timezone.now()).status == "pending"


def test_ignored_and_reopened_with_a_trace(mention: Message, ana: User) -> None:
    ignore_message(mention, user=ana, now=timezone.now())
    reopen_message(mention, user=ana, now=timezone.now())
    assert Message.objects.get().status == "pending"
    trail = AuditEntry.objects.filter(object_type="message").order_by("at")
    assert [entry.after["status"] for entry in trail] == ["ignored", "pending"]
    assert {entry.actor for entry in trail} == {ana.pk}


def test_an_edit_that_changes_nothing_clears_nothing(draft: Draft, ana: User, bruno: User) -> None:
    promise = "We refund $500 at https://evil.example"
    found = [{"code": "link", "sentence": "It holds a link nobody allowed."}]
    Draft.objects.filter(pk=draft.pk).update(text=promise, violations=found)
    draft.refresh_from_db()
    for text in (promise, f"{promise} !"):
        edit_draft(draft, text=text, user=bruno, now=timezone.now())
        with pytest.raises(ReviewConflictError) as caught:
            approve_draft(draft, user=ana, now=timezone.now())
        assert caught.value.code == "draft_violates_rules"
    with pytest.raises(ReviewConflictError):
        approve_draft(draft, user=ana, now=timezone.now(), text=f"{promise} !!")
    assert not Reply.objects.exists()


def test_an_ignored_mention_is_not_answered_by_approving(
    draft: Draft, mention: Message, ana: User
) -> None:
    ignore_message(mention, user=ana, now=timezone.now())
    with pytest.raises(ReviewConflictError) as caught:
        approve_draft(Draft.objects.get(pk=draft.pk), user=ana, now=timezone.now())
    assert caught.value.code == "wrong_status"
    assert not Reply.objects.exists()


@pytest.mark.parametrize("set_aside", [ignore_message, release_message])
def test_a_mention_is_not_set_aside_while_its_reply_is_under_way(
    set_aside: Callable[..., Message], draft: Draft, mention: Message, ana: User
) -> None:
    reply = approve_draft(draft, user=ana, now=timezone.now())
    with pytest.raises(ReviewConflictError, match="undo it") as caught:
        set_aside(Message.objects.get(), user=ana, now=timezone.now())
    assert caught.value.code == "reply_unsettled"
    assert Message.objects.get().status == "processing"
    undo_reply(reply, user=ana, now=timezone.now())
    claim_message(Message.objects.get(), user=ana, now=timezone.now())
    assert set_aside(Message.objects.get(), user=ana, now=timezone.now()).status != "processing"


def test_a_mention_is_ignored_or_answered_when_both_come_at_once(
    mention: Message, ana: User, bruno: User
) -> None:
    outcomes = set()
    for _ in range(8):
        draft = write_draft(Message.objects.get(), text="Yes.", user=bruno, now=timezone.now())
        barrier = threading.Barrier(2)

        def ignore(barrier: threading.Barrier = barrier) -> None:
            message = Message.objects.get()
            barrier.wait()
            with contextlib.suppress(ReviewConflictError, TransactionConflictError):
                ignore_message(message, user=bruno, now=timezone.now())
            connection.close()

        thread = threading.Thread(target=ignore)
        thread.start()
        barrier.wait()
        with contextlib.suppress(ReviewConflictError, TransactionConflictError):
            approve_draft(draft, user=ana, now=timezone.now())
        thread.join()
        replies = Reply.objects.filter(state="queued")
        outcomes.add((Message.objects.get().status, replies.count()))
        for reply in replies:
            undo_reply(reply, user=ana, now=timezone.now())
        reject_draft(Draft.objects.get(pk=draft.pk), user=ana, now=timezone.now())
        Message.objects.update(status="pending")
    assert outcomes <= {("ignored", 0), ("processing", 1)}


def test_what_was_approved_clean_is_approved_again_after_it_was_undone(
    draft: Draft, ana: User
) -> None:
    found = [{"code": "phone_number", "sentence": "It holds a phone number."}]
    Draft.objects.filter(pk=draft.pk).update(text="Call 030 1234567.", violations=found)
    draft.refresh_from_db()
    for decide in (approve_draft, approve_draft, submit_draft):
        text = {} if decide is submit_draft or not draft.violations else {"text": "Thank you!"}
        reply = decide(draft, user=ana, now=timezone.now(), **text)
        if decide is approve_draft:
            undo_reply(reply, user=ana, now=timezone.now())
            draft.refresh_from_db()
    assert (draft.state, draft.text, draft.violations) == ("submitted", "Thank you!", [])


def test_a_draft_does_not_answer_for_an_account_the_mention_went_to(
    draft: Draft, mention: Message, ana: User
) -> None:
    other = TwitterAccount.objects.create(twitter_id="77", twitter_username="other")
    Message.objects.update(account=other)
    with pytest.raises(ReviewConflictError) as caught:
        approve_draft(draft, user=ana, now=timezone.now())
    assert caught.value.code == "draft_of_another_account"
    assert not Reply.objects.exists()
    reject_draft(draft, user=ana, now=timezone.now())
    assert (
        write_draft(Message.objects.get(), text="Hi", user=ana, now=timezone.now()).account == other
    )


def test_line_breaks_of_browsers_become_plain_ones(draft: Draft, ana: User) -> None:
    reply = approve_draft(draft, user=ana, now=timezone.now(), text="Yes!\r\n\r\nFrom nine.")
    assert reply.text == "Yes!\n\nFrom nine."


def test_a_draft_can_be_approved_when_the_mention_was_answered_by_a_message_alone(
    mention: Message, draft: Draft, ana: User
) -> None:
    message = enqueue_reply(mention, kind="dm", text="Hello", requested_by=ana, now=timezone.now())
    deliver_reply(message.pk, now=timezone.now())
    assert Message.objects.get().status == "replied"
    reply = approve_draft(draft, user=ana, now=timezone.now())
    deliver_reply(reply.pk, now=timezone.now())
    assert set(Reply.objects.values_list("kind", "state")) == {("dm", "sent"), ("public", "sent")}
    with pytest.raises(OutboxRefusedError) as caught:
        enqueue_reply(
            Message.objects.get(), kind="public", text="Again", requested_by=ana, now=timezone.now()
        )
    assert caught.value.code == "already_replied"


def test_what_was_marked_as_answered_by_hand_is_not_answered_again(
    mention: Message, draft: Draft, ana: User
) -> None:
    Message.objects.update(status="replied")
    with pytest.raises(OutboxRefusedError) as caught:
        approve_draft(draft, user=ana, now=timezone.now(), version=draft.version)
    assert caught.value.code == "already_replied"
    assert not Reply.objects.exists()
