"""What becomes of a mention, and of the draft made for it, when its author edits it on X."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.review import approve_draft, edit_draft, write_draft
from mentions.triage import ReviewConflictError

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "@acme Do you love coffee?", "@acme Do you want them banned?"


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text=OLD)
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


@pytest.fixture
def draft(mention: Message, ana: User) -> Draft:
    return write_draft(mention, text="We surely do!", user=ana, now=timezone.now())


def edit(mention: Message, sandbox: RunningSandbox, text: str = NEW) -> None:
    sandbox.control.edit_post(mention.reply_target_id, text)
    poll_account(mention.account, now=timezone.now())
    mention.refresh_from_db()


def test_who_read_the_old_words_has_to_look_again(
    mention: Message, draft: Draft, ana: User, sandbox: RunningSandbox
) -> None:
    seen = draft.version
    edit(mention, sandbox)
    with pytest.raises(ReviewConflictError, match="the mention it answers, was changed") as caught:
        approve_draft(draft, user=ana, now=timezone.now(), version=seen)
    assert caught.value.code == "draft_changed"
    assert not Reply.objects.exists()
    draft.refresh_from_db()
    assert draft.state == "edited"
    assert approve_draft(draft, user=ana, now=timezone.now(), version=draft.version).pk


def test_the_old_words_are_kept_until_the_mention_goes(
    mention: Message, draft: Draft, ana: User, sandbox: RunningSandbox
) -> None:
    edit(mention, sandbox)
    poll_account(mention.account, now=timezone.now())
    entry = AuditEntry.objects.get(action="message.edited_on_x")
    assert (entry.before, entry.after) == ({"text": OLD}, {"text": NEW})
    edit(mention, sandbox, "@acme never mind")
    assert AuditEntry.objects.filter(action="message.edited_on_x").count() == 2

    Draft.objects.filter(pk=draft.pk).update(decision_note=f"He wrote {OLD}")
    delete_message(mention.pk, actor=ana.pk, now=timezone.now())
    left = str(list(AuditEntry.objects.values()))
    assert not [words for words in (OLD, NEW, "never mind") if words in left]


def test_an_older_version_that_x_shows_again_is_no_edit(
    mention: Message, sandbox: RunningSandbox
) -> None:
    edit(mention, sandbox)
    edit(mention, sandbox, "@acme last words")
    Message.objects.update(text="@acme last words, stored", latest_post_id=str(10**19 - 1))
    poll_account(mention.account, now=timezone.now())
    mention.refresh_from_db()
    assert mention.text == "@acme last words, stored"


def test_desk_shows_both_and_refuses_what_was_written_before(
    mention: Message, ana: User, client: Client, sandbox: RunningSandbox
) -> None:
    client.force_login(ana)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.get(address).content.decode()
    assert 'name="seen_post" value=""' in page
    edit(mention, sandbox)
    for act, text in (("send", "text"), ("save", "text"), ("send_dm", "dm_text")):
        form = {"act": act, text: "We surely do!", "seen_post": ""}
        page = client.post(address, form, follow=True).content.decode()
        assert "The author edited this mention meanwhile: read it again" in page
        # What was typed is not lost.
        assert "We surely do!" in page
        assert "Its author edited this post" in page
        assert OLD in page
        assert NEW in page
    assert not Reply.objects.exists()
    assert not Draft.objects.exists()
    form = {"act": "save", "text": "We surely do!", "seen_post": mention.latest_post_id}
    assert "The draft is saved." in client.post(address, form, follow=True).content.decode()
    assert "made before the author edited" not in client.get(address).content.decode()


def test_desk_tells_of_a_draft_that_is_older_than_the_edit(
    mention: Message, draft: Draft, ana: User, client: Client, sandbox: RunningSandbox
) -> None:
    edit(mention, sandbox)
    client.force_login(ana)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.get(address).content.decode()
    assert "This draft was made before the author edited the mention" in page
    draft.refresh_from_db()
    edit_draft(draft, text="We do!", user=ana, now=timezone.now(), version=draft.version)
    page = client.get(address).content.decode()
    assert "This draft was made before the author edited the mention" not in page


def test_several_approved_at_once_leave_out_what_is_older_than_the_edit(
    mention: Message, draft: Draft, ana: User, client: Client, sandbox: RunningSandbox
) -> None:
    edit(mention, sandbox)
    client.force_login(ana)
    form = {"action": "approve_selected", "_selected_action": [mention.pk]}
    page = client.post("/admin/mentions/message/", form, follow=True).content.decode()
    assert "It was made before the author edited the mention." in page


def test_reply_to_the_old_words_is_refused_when_the_edit_comes_between(
    mention: Message, sandbox: RunningSandbox
) -> None:
    as_it_was = Message.objects.get()
    edit(mention, sandbox)
    with pytest.raises(OutboxRefusedError) as caught:
        enqueue_reply(as_it_was, kind="public", text="We surely do!", now=timezone.now())
    assert caught.value.code == "mention_edited"
    assert not Reply.objects.exists()


def test_an_approval_or_the_edit_wins_when_both_come_at_once(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    outcomes = set()
    for number in range(6):
        post = sandbox.control.create_mention(account="acme", author="dora", text=f"{OLD} {number}")
        poll_account(acme, now=timezone.now())
        mention = Message.objects.get(pk=post["id"])
        draft = write_draft(mention, text="We surely do!", user=ana, now=timezone.now())
        sandbox.control.edit_post(post["id"], f"{NEW} {number}")
        barrier = threading.Barrier(2)

        def approve(draft: Any = draft, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            try:
                approve_draft(draft, user=ana, now=timezone.now(), version=draft.version)
            except (ReviewConflictError, OutboxRefusedError) as error:
                outcomes.add(error.code)
            finally:
                connection.close()

        thread = threading.Thread(target=approve)
        thread.start()
        barrier.wait()
        poll_account(acme, now=timezone.now())
        thread.join()
        mention.refresh_from_db()
        assert mention.text == f"{NEW} {number}"
        if reply := Reply.objects.filter(message=mention).first():
            # It was approved before the words were others.
            changed = AuditEntry.objects.get(message_id=mention.pk, action="message.edited_on_x")
            assert reply.created_at <= changed.at
    assert outcomes <= {"draft_changed", "mention_edited"}


@pytest.fixture
def kept(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    """A post that the former system kept by its second version's id."""
    poll_account(acme, now=timezone.now())
    first = sandbox.control.create_mention(account="acme", author="dora", text=OLD)
    second = sandbox.control.edit_post(first["id"], NEW)
    return Message.objects.create(
        id=second["id"],
        post_id=second["id"],
        account=acme,
        timestamp=timezone.now(),
        user="1",
        text=NEW,
        kind="legacy",
    )


def test_a_post_that_the_former_system_kept_by_a_later_version_is_known(
    kept: Message, acme: TwitterAccount
) -> None:
    poll_account(acme, now=timezone.now())
    assert [message.pk for message in Message.objects.all()] == [kept.pk]


def test_its_next_edit_is_seen_too(
    kept: Message, acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    reply = enqueue_reply(kept, kind="public", text="Great!", requested_by=ana, now=timezone.now())
    third = sandbox.control.edit_post(kept.pk, "@acme you are thieves")
    poll_account(acme, now=timezone.now())
    kept.refresh_from_db()
    assert (kept.text, kept.reply_target_id) == ("@acme you are thieves", third["id"])
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "mention_edited")


def test_it_does_not_come_back_when_it_was_deleted_here(
    kept: Message, acme: TwitterAccount, ana: User
) -> None:
    delete_message(kept.pk, actor=ana.pk, now=timezone.now())
    poll_account(acme, now=timezone.now())
    assert not Message.objects.exists()


def test_it_is_known_when_it_belongs_to_no_account(kept: Message, acme: TwitterAccount) -> None:
    Message.objects.update(account=None)
    poll_account(acme, now=timezone.now())
    assert [message.pk for message in Message.objects.all()] == [kept.pk]


@pytest.mark.parametrize("is_wanted", [True, False])
def test_an_edit_that_opens_a_mention_to_answers_wants_a_draft(
    mention: Message, sandbox: RunningSandbox, settings: Any, is_wanted: bool
) -> None:
    settings.DRAFT_AUTOMATICALLY = is_wanted
    Message.objects.update(is_replyable=False, draft_state="none")
    edit(mention, sandbox)
    assert mention.is_replyable
    assert mention.draft_state == ("wanted" if is_wanted else "none")


@pytest.mark.parametrize("state", ["missing", "hidden"])
def test_an_edit_ends_the_doubt_whether_the_post_is_there(
    mention: Message, sandbox: RunningSandbox, state: str
) -> None:
    Message.objects.update(x_state=state, is_replyable=False)
    edit(mention, sandbox)
    assert (mention.x_state, mention.is_replyable) == ("", True)


def test_an_edit_does_not_turn_back_the_time_of_the_last_change(
    mention: Message, sandbox: RunningSandbox
) -> None:
    later = timezone.now() + timedelta(minutes=1)
    later = later.replace(microsecond=0)
    Message.objects.update(updated_at=later)
    edit(mention, sandbox)
    assert mention.updated_at == later


def test_an_approval_that_names_no_version_is_refused_when_the_words_were_others(
    mention: Message, draft: Draft, ana: User, sandbox: RunningSandbox
) -> None:
    edit(mention, sandbox)
    draft.refresh_from_db()
    edit_draft(draft, text="We still do!", user=ana, now=timezone.now())
    with pytest.raises(ReviewConflictError) as caught:
        approve_draft(draft, user=ana, now=timezone.now())
    assert caught.value.code == "mention_edited"
    assert not Reply.objects.exists()
    # Who names the version has seen both.
    edit_draft(draft, text="We do!", user=ana, now=timezone.now(), version=draft.version)
    assert approve_draft(draft, user=ana, now=timezone.now()).text == "We do!"


def test_a_draft_is_refused_when_it_was_written_for_the_old_words(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    as_it_was = Message.objects.get()
    edit(mention, sandbox)
    with pytest.raises(ReviewConflictError) as caught:
        write_draft(as_it_was, text="We surely do!", user=ana, now=timezone.now())
    assert caught.value.code == "mention_edited"
    assert not Draft.objects.exists()
