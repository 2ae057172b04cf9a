"""Sending: once, whatever X answers, whoever clicks, whichever worker dies."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import AppPause, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Message, Reply, ReplyState
from mentions.outbox import reconcile
from mentions.outbox.deliver import claim_reply, deliver_reply, recover_abandoned
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.reconcile import reconcile_reply
from mentions.outbox.settle import mark_departed

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)
TEXT = "On its way & tracked: https://acme.example/track?id=1 🚚"


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme where is it?")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


@pytest.fixture
def queued(mention: Message, ana: User) -> Reply:
    return enqueue_reply(mention, kind="public", text=TEXT, requested_by=ana, now=timezone.now())


def deliver(reply: Reply) -> Reply | None:
    return deliver_reply(reply.pk, now=timezone.now())


def replies_on_x(sandbox: RunningSandbox, mention_id: str) -> list[dict]:
    return sandbox.control.list_posts(in_reply_to=mention_id)


def look_again(reply: Reply, *, after: timedelta = timedelta(0)) -> Reply | None:
    """Reconcile as if ``after`` had passed since the send."""
    reply.refresh_from_db()
    Reply.objects.filter(pk=reply.pk).update(
        not_before=timezone.now(), sending_at=reply.sending_at - after
    )
    return reconcile_reply(reply.pk, now=timezone.now())


def test_reaches_the_public_once_and_the_message_says_so(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    deliver(queued)
    (post,) = replies_on_x(sandbox, queued.message_id)
    queued.refresh_from_db()
    assert (queued.state, queued.x_post_id) == (ReplyState.SENT, post["id"])
    message = Message.objects.get()
    assert (message.status, message.public_response) == ("replied", TEXT)
    actions = list(
        AuditEntry.objects.filter(object_id=queued.pk)
        .order_by("at")
        .values_list("action", flat=True)
    )
    assert actions == ["reply.queued.public", "reply.sending.public", "reply.sent.public"]


def test_sent_once_when_many_workers_race_for_the_row(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    barrier = threading.Barrier(6)

    def work() -> None:
        barrier.wait()
        try:
            deliver(queued)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sandbox.control.list_calls(route="create_post")) == 1
    assert Reply.objects.get().state == ReplyState.SENT


def test_one_row_when_many_people_click_at_once(mention: Message, ana: User) -> None:
    barrier = threading.Barrier(6)
    rows, refusals = [], []

    def click(text: str) -> None:
        barrier.wait()
        try:
            rows.append(
                enqueue_reply(
                    mention, kind="public", text=text, requested_by=ana, now=timezone.now()
                ).pk
            )
        except OutboxRefusedError as error:
            refusals.append(error.code)
        finally:
            connection.close()

    threads = [
        threading.Thread(target=click, args=(text,)) for text in ["Same"] * 4 + ["Other", "Third"]
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Reply.objects.count() == 1
    assert len(set(rows)) == 1
    assert set(refusals) <= {"reply_under_way"}
    assert len(rows) + len(refusals) == 6


@pytest.mark.parametrize("fault", ["timeout_after", "reset_after", "reset_mid_body"])
def test_found_on_x_when_the_answer_was_lost(
    fault: str, queued: Reply, sandbox: RunningSandbox, settings
) -> None:
    settings.X_READ_TIMEOUT_SECONDS = 1
    sandbox.control.add_fault("create_post", fault)
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state == ReplyState.UNKNOWN
    assert deliver(queued) is None, "an unknown row must never be sent"
    look_again(queued)
    queued.refresh_from_db()
    (post,) = replies_on_x(sandbox, queued.message_id)
    assert (queued.state, queued.x_post_id) == (ReplyState.SENT, post["id"])
    assert queued.proof["found"] == post["id"]
    assert Message.objects.get().status == "replied"


@pytest.mark.parametrize("fault", ["timeout_before", "server_error", "reset_before"])
def test_sent_again_only_after_it_is_proved_absent(
    fault: str, queued: Reply, sandbox: RunningSandbox, settings
) -> None:
    settings.X_READ_TIMEOUT_SECONDS = 1
    sandbox.control.add_fault("create_post", fault)
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state == ReplyState.UNKNOWN
    for _ in range(reconcile.ABSENT_READS):
        assert look_again(queued).state == ReplyState.UNKNOWN, "too early to conclude"
    look_again(queued, after=reconcile.absent_after())
    queued.refresh_from_db()
    assert (queued.state, queued.reason_code) == (ReplyState.QUEUED, "proved_absent")
    deliver(queued)
    assert len(replies_on_x(sandbox, queued.message_id)) == 1


def test_stays_unknown_when_x_cannot_be_read(queued: Reply, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("create_post", "reset_before")
    deliver(queued)
    sandbox.control.add_fault("timeline", "server_error", times=None)
    for _ in range(6):
        assert look_again(queued, after=timedelta(hours=1)).state == ReplyState.UNKNOWN


def test_unknown_when_the_sender_died_after_the_request_may_have_left(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    now = timezone.now()
    row = claim_reply(queued.pk, now=now)
    assert row is not None
    assert mark_departed(row, now=now, lease_until=now + timedelta(seconds=30))
    assert recover_abandoned(now=now) == 0, "its lease still runs"
    assert recover_abandoned(now=now + timedelta(hours=1)) == 1
    queued.refresh_from_db()
    assert (queued.state, queued.reason_code) == (ReplyState.UNKNOWN, "sender_died")


def test_queued_again_when_the_sender_died_before_the_request_left(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    now = timezone.now()
    row = claim_reply(queued.pk, now=now)
    assert row is not None
    later = now + timedelta(minutes=2)
    assert recover_abandoned(now=later) == 1
    queued.refresh_from_db()
    assert (queued.state, queued.reason_code, queued.attempts) == ("queued", "sender_died", 0)
    # Should it wake up after all, it cannot depart.
    assert not mark_departed(row, now=later, lease_until=later + timedelta(seconds=30))
    assert deliver_reply(queued.pk, now=later).state == ReplyState.SENT
    assert len(replies_on_x(sandbox, queued.message_id)) == 1


def test_nothing_leaves_when_the_lease_ended_while_a_token_was_waited_for(
    queued: Reply, sandbox: RunningSandbox, monkeypatch: Any
) -> None:
    monkeypatch.setattr("mentions.outbox.deliver.claim_seconds", lambda: 0.0)
    deliver(queued)
    queued.refresh_from_db()
    assert (queued.state, queued.reason_code) == (ReplyState.QUEUED, "sender_too_slow")
    assert not sandbox.control.list_calls(route="create_post")


def test_age_counts_from_when_it_was_to_go_out(mention: Message, sandbox: RunningSandbox) -> None:
    now = timezone.now()
    row = enqueue_reply(mention, kind="public", text="Later", not_before=now, now=now - 3 * DAY)
    sandbox.control.add_fault("create_post", "rate_limit_window")
    deliver(row)
    row.refresh_from_db()
    assert row.state == ReplyState.QUEUED
    Reply.objects.filter(pk=row.pk).update(due_at=now - DAY, not_before=now)
    TwitterAccount.objects.update(closed_endpoints=[])
    deliver(row)
    row.refresh_from_db()
    assert (row.state, row.reason_code) == (ReplyState.FAILED, "too_late")
    assert row.reason.startswith("Not sent within 24 hours. ")


def test_nothing_leaves_after_a_day_although_nothing_is_in_the_way_any_more(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    """As after a pause of all calls: some would go out, and those X limits would not."""
    Reply.objects.filter(pk=queued.pk).update(due_at=timezone.now() - DAY)
    deliver(queued)
    queued.refresh_from_db()
    assert (queued.state, queued.reason_code) == (ReplyState.FAILED, "too_late")
    assert not sandbox.control.list_calls(route="create_post")
    assert Message.objects.get().status == "error"


@pytest.mark.parametrize(
    ("fault", "params", "code"),
    [
        ("duplicate", {}, "duplicate_content"),
        ("forbidden", {"detail": "You are suspended from posting here for now, odd words"}, None),
    ],
)
def test_failed_with_a_sentence_when_x_refuses(
    fault: str, params: dict, code: str | None, queued: Reply, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", fault, params=params)
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state in {ReplyState.FAILED, ReplyState.QUEUED}
    if code:
        assert (queued.state, queued.reason_code) == (ReplyState.FAILED, code)
        assert Message.objects.get().status == "error"
    assert queued.reason.endswith((".", "…"))


def test_can_be_answered_anew_when_the_first_reply_failed(
    queued: Reply, mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "duplicate")
    deliver(queued)
    mention.refresh_from_db()
    second = enqueue_reply(
        mention, kind="public", text="Another try", requested_by=ana, now=timezone.now()
    )
    deliver(second)
    (post,) = replies_on_x(sandbox, mention.pk)
    assert "Another try" in post["text"]


def test_waits_and_goes_out_when_x_limits_the_account(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "rate_limit_user_day")
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state == ReplyState.QUEUED
    assert queued.not_before > timezone.now()
    assert deliver(queued) is None, "not due yet"


def test_everything_pauses_when_the_credits_are_gone(
    queued: Reply, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "credits_depleted")
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state == ReplyState.QUEUED
    assert AppPause.current() is not None
    calls = len(sandbox.control.list_calls())
    Reply.objects.filter(pk=queued.pk).update(not_before=timezone.now())
    deliver(queued)
    assert len(sandbox.control.list_calls()) == calls, "nothing leaves while paused"
    AppPause.objects.all().delete()
    Reply.objects.filter(pk=queued.pk).update(not_before=timezone.now())
    assert deliver(queued).state == ReplyState.SENT


def test_refreshes_once_and_sends_when_the_token_was_rejected(
    queued: Reply, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.expire_tokens(acme.twitter_id)
    deliver(queued)
    queued.refresh_from_db()
    assert queued.state == ReplyState.SENT
    assert len(replies_on_x(sandbox, queued.message_id)) == 1


def test_the_same_key_gives_the_same_row(mention: Message, ana: User) -> None:
    def ask(text: str, key: str) -> Reply:
        return enqueue_reply(
            mention,
            kind="public",
            text=text,
            requested_by=ana,
            idempotency_key=key,
            now=timezone.now(),
        )

    first = ask("Hello", "k1")
    assert ask("Hello", "k1").pk == first.pk
    with pytest.raises(OutboxRefusedError) as caught:
        ask("Other words", "k1")
    assert caught.value.code == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("", "empty_text"), ("  \n", "empty_text"), ("\u200b\u3164\u202e", "empty_text")),
        *(("a" * 281, "text_too_long"), ("a\0b", None), ("a\ufeffb", "invalid_characters")),
    ],
)
def test_refused_before_a_row_is_made_when_the_text_cannot_be_sent(
    text: str, code: str | None, mention: Message
) -> None:
    with pytest.raises(OutboxRefusedError) as caught:
        enqueue_reply(mention, kind="public", text=text, now=timezone.now())
    assert caught.value.code == (code or "control_characters")
    assert not Reply.objects.exists()


def test_a_dm_reaches_the_author_once(mention: Message, ana: User, sandbox: RunningSandbox) -> None:
    row = enqueue_reply(
        mention, kind="dm", text="Your order number?", requested_by=ana, now=timezone.now()
    )
    deliver(row)
    (dm,) = sandbox.control.list_dms()
    assert dm["text"] == "Your order number?"
    mention.refresh_from_db()
    assert mention.dm_response == "Your order number?"
    assert mention.public_response is None


# A gateway says 408 of a request that it may have handed on.
@pytest.mark.parametrize(
    ("fault", "params"),
    [
        ("reset_after", {}),
        *(("server_error", {"status": status, "applied": True}) for status in (408, 500, 504)),
    ],
)
def test_a_lost_dm_answer_is_found_in_the_conversation(
    mention: Message, ana: User, sandbox: RunningSandbox, fault: str, params: dict[str, Any]
) -> None:
    sandbox.control.add_fault("dm", fault, params=params)
    row = enqueue_reply(mention, kind="dm", text="Hi!", requested_by=ana, now=timezone.now())
    deliver(row)
    row.refresh_from_db()
    assert row.state == ReplyState.UNKNOWN
    assert deliver(row) is None, "an unknown row must never be sent"
    look_again(row)
    row.refresh_from_db()
    assert row.state == ReplyState.SENT
    assert len(sandbox.control.list_dms()) == 1


def test_failed_with_a_sentence_when_the_author_takes_no_dms(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_user("gus", receives_your_dm=False)
    sandbox.control.create_mention(account="acme", author="gus", text="@acme hm")
    poll_account(acme, now=timezone.now())
    row = enqueue_reply(
        Message.objects.get(), kind="dm", text="Hi", requested_by=ana, now=timezone.now()
    )
    deliver(row)
    row.refresh_from_db()
    assert row.state == ReplyState.FAILED
    assert row.reason
