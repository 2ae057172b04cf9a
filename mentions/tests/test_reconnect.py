"""Losing the connection and getting it back: the same account, and nothing lost."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.utils import timezone

from accounts.errors import ReconnectNeededError
from accounts.linking import begin_link, complete_link
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.ingest.poll import poll_account
from mentions.models import Cursor, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due
from mentions.outbox.enqueue import enqueue_reply

pytestmark = pytest.mark.django_db(transaction=True)


def _connect_again(sandbox: RunningSandbox, person: User) -> TwitterAccount:
    sandbox.control.set_consent(username="acme", decision="approve")
    page = begin_link(user=person, browser_hash="")
    answer = requests.get(page, allow_redirects=False, timeout=10)
    given = parse_qs(urlsplit(answer.headers["Location"]).query)
    linked = complete_link(
        code=given["code"][0], state=given["state"][0], user=person, browser_hash=""
    )
    return linked.account


def test_queued_replies_go_out_and_polls_go_on_when_the_account_is_connected_again(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    poll_account(acme, now=timezone.now())
    sandbox.control.create_mention(account="acme", author="dora")
    poll_account(acme, now=timezone.now())
    message = Message.objects.get()
    reply = enqueue_reply(message, kind="public", text="Hi!", requested_by=ana, now=timezone.now())
    cursor = Cursor.objects.get()
    sandbox.control.revoke_tokens(acme.twitter_id)
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "queued"
    assert TwitterAccount.objects.get().status == "token_expired"
    missed = sandbox.control.create_mention(account="acme", author="emil")
    with pytest.raises(ReconnectNeededError):
        poll_account(acme, now=timezone.now())

    again = _connect_again(sandbox, ana)

    assert (again.pk, TwitterAccount.objects.count()) == (acme.pk, 1)
    assert Cursor.objects.get().newest_post_id == cursor.newest_post_id
    assert find_due(now=timezone.now() + timedelta(seconds=1)) == [reply.pk]
    deliver_reply(reply.pk, now=timezone.now() + timedelta(seconds=1))
    assert Reply.objects.get().state == "sent"
    assert poll_account(again, now=timezone.now()).new_message_ids == (missed["id"],)
    assert len(sandbox.control.list_posts(author="acme", in_reply_to=message.post_id)) == 1
