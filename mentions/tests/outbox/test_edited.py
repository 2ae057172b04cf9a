"""A reply to a mention that its author edits: which version it answers, and what is left of the old
words when the mention goes.
"""

from datetime import timedelta
from typing import Any

import pytest
from bson import json_util
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.threads import running, wait_until
from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import ImportConflict, ImportReject, ImportRun, Message, Reply
from mentions.outbox.deliver import claim_reply, deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.reconcile import reconcile_reply
from mentions.outbox.settle import mark_departed, mark_sent
from mentions.recheck import redact
from mentions.recheck.redact import mark_deleted, redact_message, resume_redactions

pytestmark = pytest.mark.django_db(transaction=True)
OLD = "@acme my parcel 4711-0815 vanished, call me 0171 5550123 now"
NEW = "@acme never mind, all is well again"
QUOTE = "You wrote: my parcel 4711-0815 vanished, call me 0171 5550123"


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text=OLD)
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


def edit(mention: Message, sandbox: RunningSandbox, text: str = NEW) -> None:
    sandbox.control.edit_post(mention.reply_target_id, text)
    poll_account(mention.account, now=timezone.now())
    mention.refresh_from_db()


def queue(mention: Message, text: str, user: User, **values: Any) -> Reply:
    return enqueue_reply(
        mention, kind="public", text=text, requested_by=user, now=timezone.now(), **values
    )


def list_left(*words: str) -> list[str]:
    """Collections in which the words still stand."""
    database = connection.database
    return [
        name
        for name in database.list_collection_names()
        for document in database[name].find({})
        if any(word in json_util.dumps(document, ensure_ascii=False) for word in words)
    ]


def test_a_reply_to_a_version_in_between_is_found_again(
    mention: Message, ana: User, sandbox: RunningSandbox, settings: Any
) -> None:
    settings.X_READ_TIMEOUT_SECONDS = 1
    edit(mention, sandbox)
    reply = queue(mention, "We are on it!", ana)
    sandbox.control.add_fault("create_post", "timeout_after")
    deliver_reply(reply.pk, now=timezone.now())
    edit(mention, sandbox, "@acme third words")
    reply.refresh_from_db()
    assert reply.state == "unknown"
    Reply.objects.filter(pk=reply.pk).update(not_before=timezone.now())
    reconcile_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "sent"
    assert len(sandbox.control.list_posts(author="acme")) == 1


def test_a_waiting_reply_does_not_go_out_under_other_words(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    later = timezone.now() + timedelta(seconds=600)
    reply = queue(mention, "Sorry about the parcel!", ana, not_before=later)
    edit(mention, sandbox)
    deliver_reply(reply.pk, now=later + timedelta(seconds=1))
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "mention_edited")
    assert sandbox.control.list_posts(author="acme") == []
    # Who has read the new words answers them.
    mention.refresh_from_db()
    again = queue(mention, "Glad to hear it!", ana)
    deliver_reply(again.pk, now=timezone.now())
    assert len(sandbox.control.list_posts(author="acme")) == 1


def test_it_is_seen_at_once_that_a_reply_put_off_will_not_go_out(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    now = timezone.now()
    reply = queue(mention, "Sorry about the parcel!", ana, not_before=now + timedelta(days=2))
    edit(mention, sandbox)
    # The same words for the new ones are no second click on a row that will not go out.
    with pytest.raises(OutboxRefusedError, match="under way"):
        queue(mention, "Sorry about the parcel!", ana)
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "mention_edited")
    assert queue(mention, "Sorry about the parcel!", ana).pk != reply.pk


def test_an_edit_is_noticed_that_comes_while_a_token_is_fetched(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    reply = queue(mention, "Sorry about the parcel!", ana)
    TwitterAccount.objects.update(token_expires_at=timezone.now())
    sandbox.control.add_fault("token", "slow", params={"seconds": 2})

    with running(lambda: deliver_reply(reply.pk, now=timezone.now())):
        # From then on the row is claimed, and looked at, and its token is not there yet.
        wait_until(lambda: TwitterAccount.objects.exclude(refresh_lease="").exists())
        newer = {"text": NEW, "latest_post_id": str(int(mention.pk) + 1)}
        Message.objects.filter(pk=mention.pk, text=OLD).update(**newer)
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "mention_edited")
    assert sandbox.control.list_posts(author="acme") == []


def test_old_words_wait_with_the_reply_that_quotes_them_and_go_with_it(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    queued = queue(mention, QUOTE, ana)
    now = timezone.now()
    row = claim_reply(queued.pk, now=now)
    assert row is not None
    assert mark_departed(row, now=now, lease_until=now + timedelta(seconds=30))
    edit(mention, sandbox)
    assert mark_deleted(mention, now=now)
    assert not redact_message(mention.pk, now=now)
    row.refresh_from_db()
    mark_sent(row, x_post_id="123", now=now, lease=row.lease)
    assert redact_message(mention.pk, now=now)
    assert list_left("4711-0815", "5550123", "never mind") == []


def test_a_redaction_that_died_half_way_is_finished_to_the_same_end(
    mention: Message, ana: User, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    Message.objects.update(public_response=QUOTE, status="replied")
    edit(mention, sandbox)
    assert mark_deleted(mention, now=timezone.now())

    def die(*args: Any, **kwargs: Any) -> bool:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(redact, "_empty_message", die)
        with pytest.raises(RuntimeError):
            redact_message(mention.pk, now=timezone.now())
    assert resume_redactions(now=timezone.now()) == 1
    assert list_left("4711-0815", "5550123", "never mind") == []


@pytest.mark.parametrize("is_edited", [True, False])
def test_what_the_import_tells_of_a_mention_goes_with_it(
    mention: Message, ana: User, sandbox: RunningSandbox, is_edited: bool
) -> None:
    Message.objects.update(kind="legacy")
    told = {"conflict_list": [{"id": mention.pk, "values": {"text": [OLD, "x"]}}]}
    ImportRun.objects.create(source="x", state="done", report=told)
    key = f"messages:{mention.pk}"
    ImportReject.objects.create(pk=key, run_id="r", table="messages", row={"text": OLD})
    ImportConflict.objects.create(
        pk=key,
        run_id="r",
        table="messages",
        legacy_id=mention.pk,
        reason="both",
        differing={"text": {"legacy": OLD, "here": "x"}},
    )
    if is_edited:
        edit(mention, sandbox)
        # The import's proof and its undoing go by it.
        assert mention.kind == "legacy"
    delete_message(mention.pk, actor=ana.pk, now=timezone.now())
    assert list_left("4711-0815", "parcel") == []
