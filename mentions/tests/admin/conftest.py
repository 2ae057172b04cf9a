"""A mention, an unknown outcome, and what is done with them in the admin."""

import pytest
from django.test import Client
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme <b>where</b> is it?")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


@pytest.fixture
def unknown(mention: Message, ana: User, sandbox: RunningSandbox) -> Reply:
    sandbox.control.add_fault("create_post", "reset_before")
    reply = enqueue_reply(
        mention, kind="public", text="Soon!", requested_by=ana, now=timezone.now()
    )
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "unknown"
    return reply


def act_on_replies(client: Client, action: str, reply: Reply) -> None:
    answer = client.post(
        "/admin/mentions/reply/", {"action": action, "_selected_action": [reply.pk]}
    )
    assert answer.status_code == 302, answer.content[:500]


def post_on_x(reply: Reply, text: str) -> str:
    """What a colleague answered on X itself; the post's id."""
    target = reply.message.post_id
    return call_x(reply.account, lambda x: x.create_reply(text, in_reply_to_post_id=target)).id
