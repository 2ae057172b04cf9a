"""What X refuses for good ends as a sentence, at once, and leaves the queue."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AccountStatus, TwitterAccount, User
from autores.sandbox import problems
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account
from mentions.ingest.poll import poll_account
from mentions.models import CONFIRM_AFTER, Message, Reply, ReplyState
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.preflight import check_reply
from mentions.recheck.check import check_account

pytestmark = pytest.mark.django_db(transaction=True)

Act = Callable[[RunningSandbox, Message], None]
WRITES = ("create_post", "dm")


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hi")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


def send(message: Message, *, kind: str = "public", text: str = "Hello!") -> Reply:
    row = enqueue_reply(message, kind=kind, text=text, now=timezone.now())
    deliver_reply(row.pk, now=timezone.now())
    row.refresh_from_db()
    return row


def count_writes(sandbox: RunningSandbox) -> int:
    return sum(len(sandbox.control.list_calls(route=route)) for route in WRITES)


def assert_ended(reply: Reply, sandbox: RunningSandbox, *, code: str, requests: int = 1) -> None:
    assert (reply.state, reply.reason_code) == (ReplyState.FAILED, code)
    assert len(reply.reason) > 20
    assert reply.reason[-1] in ".…"
    assert Message.objects.get(pk=reply.message_id).status == "error"
    later = timezone.now() + timedelta(days=1)
    assert find_due(now=later) == []
    assert deliver_reply(reply.pk, now=later) is None
    assert count_writes(sandbox) == requests
    # A person may write something else, or to somebody else.
    assert reply.live_key == reply.pk


def test_duplicate(mention: Message, acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hi again")
    poll_account(acme, now=timezone.now())
    other = Message.objects.exclude(pk=mention.pk).get()
    assert send(other).state == ReplyState.SENT
    assert_ended(send(mention), sandbox, code="duplicate_content", requests=2)


def test_not_summoned(acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    first = sandbox.control.create_mention(account="acme", author="dora", text="@acme hi")
    sandbox.control.create_mention(
        account="acme", author="emil", kind="implicit", in_reply_to=first["id"], text="me too"
    )
    poll_account(acme, now=timezone.now())
    carried_along = Message.objects.get(kind="implicit")
    assert_ended(send(carried_along), sandbox, code="not_summoned")


def test_reply_settings(mention: Message, sandbox: RunningSandbox) -> None:
    detail = problems.REPLIES_RESTRICTED
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": detail})
    assert_ended(send(mention), sandbox, code="reply_settings")


def test_author_blocked_the_account(acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    sandbox.control.create_user("dora", blocks=[acme.twitter_id])
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hi")
    poll_account(acme, now=timezone.now())
    assert_ended(send(Message.objects.get()), sandbox, code="blocked_by_author")


def test_deleted_parent(mention: Message, sandbox: RunningSandbox) -> None:
    sandbox.control.delete_post(mention.post_id)
    assert_ended(send(mention), sandbox, code="reply_target_gone")
    mention.refresh_from_db()
    assert not mention.is_replyable
    refusal = check_reply(mention, kind="public", now=timezone.now()).first_refusal
    assert refusal is not None
    assert refusal.code == "reply_target_gone"
    # X's word once is not enough to remove it: it is looked up again.
    assert mention.x_state == "missing"
    account, later = mention.account, timezone.now() + CONFIRM_AFTER
    assert account is not None
    assert check_account(account, now=later).deleted == 1


def test_parent_that_was_out_of_sight_for_a_while(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    detail = problems.TARGET_GONE
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": detail})
    assert_ended(send(mention), sandbox, code="reply_target_gone")
    assert check_account(acme, now=timezone.now() + CONFIRM_AFTER).restored == 1
    mention.refresh_from_db()
    assert mention.is_replyable
    assert send(mention, text="There you are.").state == "sent"


def test_suspended_account(mention: Message, acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    detail = problems.SUSPENDED
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": detail})
    assert_ended(send(mention), sandbox, code="account_suspended")
    acme.refresh_from_db()
    assert acme.status == AccountStatus.ERROR


def test_reply_waits_while_x_keeps_the_account_locked(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    detail = "To protect our users, this account is temporarily locked. Log in to unlock it."
    fault = sandbox.control.add_fault(
        "create_post", "forbidden", times=None, params={"detail": detail}
    )
    reply = send(mention)
    assert (reply.state, reply.reason_code) == ("queued", "account_locked")
    acme.refresh_from_db()
    assert (acme.status, acme.status_reason) == (AccountStatus.ERROR, reply.reason)
    # A read works all the same, which does not hurry it.
    poll_account(acme, now=timezone.now())
    assert find_due(now=timezone.now()) == []
    assert find_due(now=timezone.now() + timedelta(minutes=11)) == [reply.pk]
    sandbox.control.clear_fault(fault)
    deliver_reply(reply.pk, now=timezone.now() + timedelta(minutes=11))
    reply.refresh_from_db()
    assert reply.state == "sent"


def test_closed_inbox(acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    sandbox.control.create_user("gus", receives_your_dm=False)
    sandbox.control.create_mention(account="acme", author="gus", text="@acme hm")
    poll_account(acme, now=timezone.now())
    assert_ended(send(Message.objects.get(), kind="dm"), sandbox, code="recipient_closed")


def test_scope_missing_as_we_know_it(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    scopes = sorted({*acme.scopes} - {"tweet.write"})
    row = enqueue_reply(mention, kind="public", text="Hello!", now=timezone.now())
    # Connected again with less, while the reply waited.
    TwitterAccount.objects.filter(pk=acme.pk).update(scopes=scopes)
    deliver_reply(row.pk, now=timezone.now())
    row.refresh_from_db()
    assert_ended(row, sandbox, code="missing_scope", requests=0)
    assert "tweet.write" in Reply.objects.get().reason


def test_scope_missing_as_x_says(ana: User, sandbox: RunningSandbox) -> None:
    beta = add_account(sandbox, "beta", by=ana)
    sandbox.control.create_mention(account="beta", author="dora", text="@beta hi")
    poll_account(beta, now=timezone.now())
    # Taken over from a system that did not keep what was granted.
    TwitterAccount.objects.filter(pk=beta.pk).update(scopes=[])
    detail = "Your token lacks the required OAuth 2.0 scopes: tweet.write."
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": detail})
    assert_ended(send(Message.objects.get()), sandbox, code="missing_scope")


def test_unknown_words_of_x_end_it_too(mention: Message, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": "Quux."})
    assert_ended(send(mention), sandbox, code="forbidden")


def test_rejected_token_is_refreshed_once_and_then_the_reply_waits(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "unauthorized", times=None)
    sandbox.control.clear_calls()
    waiting = send(mention)
    assert (waiting.state, waiting.reason_code) == (ReplyState.QUEUED, "unauthorized")
    assert waiting.departures == 0
    assert len(sandbox.control.list_calls(route="token")) == 1
    assert count_writes(sandbox) == 2
    acme.refresh_from_db()
    assert acme.status == AccountStatus.ERROR
