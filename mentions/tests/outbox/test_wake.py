"""What waited for an account or for the app goes out when that works again."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.health import pause_account, resume_account
from accounts.models import AppPause, TwitterAccount, User
from accounts.pauses import resume_app
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account
from mentions.ingest.poll import poll_account
from mentions.models import Message, Reply, ReplyState
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due
from mentions.outbox.enqueue import enqueue_reply

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queued(acme: TwitterAccount, sandbox: RunningSandbox) -> Reply:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hi")
    poll_account(acme, now=timezone.now())
    return enqueue_reply(Message.objects.get(), kind="public", text="Hi!", now=timezone.now())


def deliver(reply: Reply) -> Reply:
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    return reply


def test_due_at_once_when_calls_to_x_are_resumed(queued: Reply, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("create_post", "credits_depleted")
    assert deliver(queued).reason_code == "credits_depleted"
    assert find_due(now=timezone.now()) == []
    resume_app()
    assert find_due(now=timezone.now()) == [queued.pk]
    assert deliver(queued).state == ReplyState.SENT


def test_due_at_once_when_the_pause_is_over_by_a_probe(
    queued: Reply, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("create_post", "usage_cap")
    assert deliver(queued).reason_code == "usage_cap"
    AppPause.objects.update(until=timezone.now())
    poll_account(acme, now=timezone.now())
    assert not AppPause.objects.exists()
    assert find_due(now=timezone.now()) == [queued.pk]


def test_due_at_once_when_the_account_is_resumed_and_no_other_is(
    queued: Reply, acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    other = connect_account(sandbox, "other", by=ana)
    pause_account(acme, reason="Holiday.", now=timezone.now())
    assert deliver(queued).reason_code == "account_paused"
    pause_account(other, reason="Too.", now=timezone.now())
    resume_account(other, now=timezone.now())
    assert find_due(now=timezone.now()) == []
    resume_account(acme, now=timezone.now())
    assert find_due(now=timezone.now()) == [queued.pk]


def test_due_at_once_when_the_account_is_connected_again(
    queued: Reply, ana: User, sandbox: RunningSandbox, acme: TwitterAccount
) -> None:
    sandbox.control.revoke_tokens(acme.twitter_id)
    waiting = deliver(queued)
    assert (waiting.state, waiting.reason_code) == (ReplyState.QUEUED, "reconnect_needed")
    acme.refresh_from_db()
    assert acme.status == "token_expired"
    connect_account(sandbox, "acme", by=ana)
    assert find_due(now=timezone.now()) == [queued.pk]
    assert deliver(queued).state == ReplyState.SENT


def test_what_a_person_put_off_stays_put_off(queued: Reply) -> None:
    later = timezone.now() + timedelta(hours=1)
    Reply.objects.filter(pk=queued.pk).update(not_before=later)
    AppPause.objects.create(code="operator", reason="Election day.")
    resume_app()
    assert find_due(now=timezone.now()) == []
