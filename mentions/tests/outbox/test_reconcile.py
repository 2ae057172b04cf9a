"""Unknown outcomes: settled by what X shows, by the parent and the text; else by a person."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.x.errors import ServerError
from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import Message, Reply, ReplyState
from mentions.outbox.decide import Outcome, cancel_reply, settle_reply
from mentions.outbox.deliver import claim_reply, deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.lookback import absent_after
from mentions.outbox.reconcile import ABSENT_READS, reconcile_reply
from mentions.outbox.settle import mark_departed, mark_sent

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "Thanks, we are on it!"


@pytest.fixture
def mentions(acme: TwitterAccount, sandbox: RunningSandbox) -> list[Message]:
    """Three mentions by lena, oldest first."""
    for number in range(3):
        sandbox.control.create_mention(account="acme", author="lena", text=f"@acme help {number}")
    poll_account(acme, now=timezone.now())
    return list(Message.objects.order_by("timestamp"))


def send(message: Message, *, text: str = TEXT, kind: str = "public") -> Reply:
    row = enqueue_reply(message, kind=kind, text=text, now=timezone.now())
    deliver_reply(row.pk, now=timezone.now())
    row.refresh_from_db()
    return row


def look(reply: Reply, *, after: timedelta = timedelta(0), times: int = 1) -> Reply:
    """Reconcile as if ``after`` had passed since the send."""
    reply.refresh_from_db()
    Reply.objects.filter(pk=reply.pk).update(
        sending_at=reply.sending_at - after, first_sending_at=reply.first_sending_at - after
    )
    for _ in range(times):
        Reply.objects.filter(pk=reply.pk, state=ReplyState.UNKNOWN).update(
            not_before=timezone.now()
        )
        reconcile_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    return reply


def look_to_the_end(reply: Reply) -> Reply:
    return look(reply, after=absent_after(), times=ABSENT_READS)


def test_same_text_to_two_posts_is_told_apart_by_the_parent(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    sandbox.control.change_settings(duplicate_window_seconds=0)
    sandbox.control.add_fault("create_post", "reset_before")
    lost = send(mentions[0])
    sandbox.control.add_fault("create_post", "reset_after")
    arrived = send(mentions[1])
    assert (lost.state, arrived.state) == (ReplyState.UNKNOWN, ReplyState.UNKNOWN)
    assert look(lost).state == ReplyState.UNKNOWN, "the other's post must not settle it"
    assert look(arrived).state == ReplyState.SENT
    (post,) = sandbox.control.list_posts(in_reply_to=mentions[1].pk)
    assert (arrived.x_post_id, arrived.proof["found"]) == (post["id"], post["id"])
    lost = look_to_the_end(lost)
    assert (lost.state, lost.reason_code, lost.proof["found"]) == ("queued", "proved_absent", None)


def test_proof_says_what_was_read_and_shows_what_is_nearest(
    mentions: list[Message], acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    send(mentions[0], text="Thanks, we are on it, @lena!")
    send(mentions[1], text="Entirely different words about opening hours")
    sandbox.control.add_fault("create_post", "reset_before")
    reply = look(send(mentions[2]))
    assert reply.state == ReplyState.UNKNOWN
    assert reply.proof["items_read"] == 2
    (nearest,) = reply.proof["candidates"]
    assert nearest["text"] == "@lena Thanks, we are on it, @lena!" or "on it" in nearest["text"]
    assert 0.5 < nearest["likeness"] < 1
    assert not nearest["is_to_parent"]
    assert nearest["in_reply_to_post_id"] == mentions[0].post_id


def test_found_though_the_lost_attempt_was_not_the_last(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    """The first attempt went through and showed late; the second was called a duplicate."""
    sandbox.control.change_settings(timeline_delay_seconds=3600)
    sandbox.control.add_fault("create_post", "reset_after")
    reply = look_to_the_end(send(mentions[0]))
    assert (reply.state, reply.reason_code) == (ReplyState.QUEUED, "proved_absent")
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == (ReplyState.UNKNOWN, "duplicate_content")
    sandbox.control.advance_clock(4000)
    reply = look(reply)
    assert reply.state == ReplyState.SENT
    assert len(sandbox.control.list_posts(in_reply_to=mentions[0].pk)) == 1


def test_fails_with_a_sentence_when_the_duplicate_is_an_answer_to_somebody_else(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    other = send(mentions[0])
    sandbox.control.add_fault("create_post", "reset_before")
    reply = look_to_the_end(send(mentions[1]))
    assert reply.state == ReplyState.QUEUED
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == (ReplyState.UNKNOWN, "duplicate_content")
    reply = look_to_the_end(reply)
    assert (reply.state, reply.reason_code) == (ReplyState.FAILED, "duplicate_content")
    assert reply.proof["twin"] == other.x_post_id
    assert "Change the text." in reply.reason


@pytest.fixture
def contradicted(mentions: list[Message], sandbox: RunningSandbox) -> Reply:
    """X says it has the text, and shows it nowhere."""
    sandbox.control.add_fault("create_post", "reset_before")
    reply = look_to_the_end(send(mentions[0]))
    sandbox.control.add_fault("create_post", "duplicate")
    deliver_reply(reply.pk, now=timezone.now())
    return look_to_the_end(reply)


def test_waits_for_a_person_when_x_contradicts_itself(contradicted: Reply) -> None:
    assert contradicted.state == ReplyState.UNKNOWN
    assert contradicted.proof["needs_person"]
    # Each look is billed, and X has said what it says.
    booked = look(contradicted, after=timedelta(hours=3)).not_before
    assert booked >= timezone.now() + timedelta(minutes=59)
    assert look(contradicted, after=timedelta(hours=3)).state == ReplyState.UNKNOWN


def say(acme: TwitterAccount, text: str, *, to: Message) -> str:
    """What a colleague posts on X itself; the id."""
    return call_x(acme, lambda x: x.create_reply(text, in_reply_to_post_id=to.post_id)).id


def settle(reply: Reply, outcome: Outcome, *, by: User, x_post_id: str = "") -> None:
    reply.refresh_from_db()
    settle_reply(reply, outcome=outcome, x_post_id=x_post_id, user=by, now=timezone.now())


def refusal_of(reply: Reply, outcome: Outcome, *, by: User, x_post_id: str = "") -> str:
    with pytest.raises(OutboxRefusedError) as caught:
        settle(reply, outcome, by=by, x_post_id=x_post_id)
    return caught.value.code


def test_settled_by_the_post_that_a_person_points_at(
    contradicted: Reply, mentions: list[Message], acme: TwitterAccount, ana: User
) -> None:
    elsewhere = send(mentions[1])
    other = say(acme, "Not the same mention", to=mentions[2])
    reworded = say(acme, "Thanks! We are at it.", to=mentions[0])
    stranger = mentions[0].post_id
    for post, code in (
        ("123", "x_post_not_ours"),
        (stranger, "x_post_not_ours"),
        (other, "x_post_not_ours"),
        (elsewhere.x_post_id, "x_post_taken"),
        ("0", "x_post_not_ours"),
        ("x" * 9, "x_post_id_invalid"),
        ("\u0661\u0662", "x_post_id_invalid"),
        # Without an id: the one with exactly these words, and there is none.
        ("", "x_post_id_needed"),
    ):
        assert refusal_of(contradicted, "sent", by=ana, x_post_id=post) == code, post
    settle(contradicted, "sent", by=ana, x_post_id=reworded)
    contradicted.refresh_from_db()
    assert (contradicted.state, contradicted.x_post_id) == (ReplyState.SENT, reworded)
    assert contradicted.proof["settled_by"] == ana.pk
    assert contradicted.proof["text"].endswith("We are at it.")
    assert refusal_of(contradicted, "absent", by=ana) == "not_unknown"


def test_sent_again_when_a_person_found_it_absent(
    contradicted: Reply, ana: User, sandbox: RunningSandbox
) -> None:
    settle(contradicted, "absent", by=ana)
    deliver_reply(contradicted.pk, now=timezone.now())
    contradicted.refresh_from_db()
    assert contradicted.state == ReplyState.SENT


@pytest.mark.parametrize("kind", ["public", "dm"])
def test_not_sent_again_on_the_word_of_a_person_while_x_may_still_show_it(
    mentions: list[Message], ana: User, sandbox: RunningSandbox, kind: str
) -> None:
    sandbox.control.add_fault("create_post" if kind == "public" else "dm", "reset_after")
    reply = send(mentions[0], kind=kind)
    for outcome in ("absent", "abandoned"):
        assert refusal_of(reply, outcome, by=ana) == "too_early"
    reply.refresh_from_db()
    assert reply.state == ReplyState.UNKNOWN
    Reply.objects.filter(pk=reply.pk).update(sending_at=timezone.now() - absent_after())
    assert refusal_of(reply, "absent", by=ana) == "found_on_x"
    reply.refresh_from_db()
    assert reply.state == ReplyState.SENT
    assert reply.x_post_id


def test_two_people_who_disagree_send_nothing_twice(
    contradicted: Reply, ana: User, bruno: User, sandbox: RunningSandbox
) -> None:
    def decide(outcome: Outcome, who: User) -> str:
        try:
            settle(contradicted, outcome, by=who)
        except OutboxRefusedError as error:
            return error.code
        finally:
            connection.close()
        return "done"

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(decide, "absent", ana)
        other = pool.submit(decide, "abandoned", bruno)
        said = sorted([one.result(), other.result()])
    assert said == ["done", "not_unknown"]


def test_settled_as_sent_by_its_words_and_so_taken_by_no_other(
    mentions: list[Message], ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("dm", "reset_after")
    arrived = send(mentions[0], kind="dm", text="Your order number?")
    settle(arrived, "sent", by=ana)
    arrived.refresh_from_db()
    assert arrived.x_post_id
    sandbox.control.add_fault("dm", "reset_before")
    lost = look_to_the_end(send(mentions[1], kind="dm", text="Your order number?"))
    assert (lost.state, lost.reason_code) == (ReplyState.QUEUED, "proved_absent")


def test_given_up_by_a_person_even_if_x_cannot_be_read(
    contradicted: Reply, mentions: list[Message], ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("timeline", "server_error", times=2)
    with pytest.raises(ServerError):
        settle(contradicted, "absent", by=ana)
    contradicted.refresh_from_db()
    assert contradicted.state == ReplyState.UNKNOWN
    settle(contradicted, "abandoned", by=ana)
    contradicted.refresh_from_db()
    assert (contradicted.state, contradicted.reason_code) == (ReplyState.FAILED, "abandoned")
    assert contradicted.proof["not_read"] == "server_error"
    assert send(mentions[0], text="Another try, in other words.").state == ReplyState.SENT


def test_message_of_other_words_does_not_stand_for_a_lost_one(
    mentions: list[Message], acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("dm", "reset_after")
    arrived = send(mentions[0], kind="dm", text="Is it order 5511?")
    sandbox.control.add_fault("dm", "reset_before")
    lost = send(mentions[1], kind="dm", text="Is it order 5512?")
    (event,) = sandbox.control.list_dms()
    assert refusal_of(lost, "sent", by=ana, x_post_id=event["id"]) == "x_post_not_ours"
    settle(arrived, "sent", by=ana, x_post_id=event["id"])
    other = call_x(acme, lambda x: x.send_dm("Bye.", participant_id=mentions[1].user)).event_id
    assert refusal_of(lost, "sent", by=ana, x_post_id=other) == "x_post_not_ours"
    like = call_x(acme, lambda x: x.send_dm("Is it order 5512??", participant_id=mentions[1].user))
    settle(lost, "sent", by=ana, x_post_id=like.event_id)
    lost.refresh_from_db()
    assert (lost.state, lost.x_post_id) == (ReplyState.SENT, like.event_id)


def test_same_words_find_the_post_of_what_was_given_up(
    mentions: list[Message], ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "reset_after")
    given_up = send(mentions[0])
    Reply.objects.filter(pk=given_up.pk).update(sending_at=timezone.now() - absent_after())
    sandbox.control.add_fault("timeline", "server_error")
    settle(given_up, "abandoned", by=ana)
    again = send(mentions[0])
    assert (again.state, again.reason_code) == (ReplyState.UNKNOWN, "duplicate_content")
    again = look(again)
    (post,) = sandbox.control.list_posts(in_reply_to=mentions[0].post_id)
    assert (again.state, again.x_post_id) == (ReplyState.SENT, post["id"])


def test_what_a_deleted_mention_was_told_settles_no_other(
    mentions: list[Message], ana: User, sandbox: RunningSandbox
) -> None:
    told = send(mentions[0], kind="dm", text="Your order number?")
    delete_message(mentions[0].pk, actor=ana.pk, now=timezone.now())
    sandbox.control.add_fault("dm", "reset_before")
    lost = send(mentions[1], kind="dm", text="Your order number?")
    assert look(lost).state == ReplyState.UNKNOWN, "what stands there was said to the deleted one"
    with pytest.raises(IntegrityError):
        mark_sent(lost, x_post_id=told.x_post_id, now=timezone.now())
    assert refusal_of(lost, "sent", by=ana, x_post_id=told.x_post_id) == "x_post_taken"
    lost = look_to_the_end(lost)
    assert (lost.state, lost.reason_code) == (ReplyState.QUEUED, "proved_absent")
    deliver_reply(lost.pk, now=timezone.now())
    lost.refresh_from_db()
    assert lost.state == ReplyState.SENT
    assert lost.x_post_id != told.x_post_id


def test_one_message_settles_one_row_when_two_lost_the_same_words_to_one_person(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("dm", "reset_after")
    arrived = send(mentions[0], kind="dm", text="Your order number?")
    sandbox.control.add_fault("dm", "reset_before")
    lost = send(mentions[1], kind="dm", text="Your order number?")
    assert (arrived.state, lost.state) == (ReplyState.UNKNOWN, ReplyState.UNKNOWN)
    states = {look(arrived).state, look(lost).state}
    assert states == {ReplyState.SENT, ReplyState.UNKNOWN}
    rest = arrived if arrived.state == ReplyState.UNKNOWN else lost
    assert look_to_the_end(rest).state == ReplyState.QUEUED


def test_message_is_not_taken_from_a_row_that_is_sending_it_now(
    mentions: list[Message], acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("dm", "reset_before")
    lost = send(mentions[0], kind="dm", text="Your order number?")
    now = timezone.now()
    row = enqueue_reply(mentions[1], kind="dm", text="Your order number?", now=now)
    other = claim_reply(row.pk, now=now)
    assert other is not None
    assert mark_departed(other, now=now, lease_until=now + timedelta(seconds=30))
    sent = call_x(acme, lambda x: x.send_dm(other.text, participant_id=mentions[1].user))
    assert look(lost).state == ReplyState.UNKNOWN, "what stands there is the other's"
    assert mark_sent(other, x_post_id=sent.event_id, now=now, lease=other.lease)
    assert look_to_the_end(lost).state == ReplyState.QUEUED


def test_undone_while_it_waits_and_not_after(
    mentions: list[Message], ana: User, sandbox: RunningSandbox
) -> None:
    now = timezone.now()
    row = enqueue_reply(
        mentions[0], kind="public", text=TEXT, not_before=now + timedelta(seconds=5), now=now
    )
    cancel_reply(row, user=ana, now=now)
    assert (row.state, row.reason_code) == (ReplyState.FAILED, "cancelled")
    mentions[0].refresh_from_db()
    assert mentions[0].status == "pending"
    assert deliver_reply(row.pk, now=now + timedelta(minutes=1)) is None
    sent = send(mentions[0])
    assert sent.state == ReplyState.SENT
    with pytest.raises(OutboxRefusedError) as caught:
        cancel_reply(sent, user=ana, now=now)
    assert caught.value.code == "not_cancellable"
    mentions[0].refresh_from_db()
    assert mentions[0].status == "replied"


def test_absence_is_not_concluded_from_looks_that_x_did_not_answer(
    mentions: list[Message], sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "reset_before")
    reply = send(mentions[0])
    sandbox.control.add_fault("timeline", "server_error", times=ABSENT_READS)
    assert look_to_the_end(reply).state == ReplyState.UNKNOWN
    assert look(reply).proof["reads"] == 1
    reply = look(reply, times=ABSENT_READS - 1)
    assert (reply.state, reply.proof["reads"]) == (ReplyState.QUEUED, ABSENT_READS)
