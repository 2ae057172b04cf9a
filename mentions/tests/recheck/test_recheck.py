"""A mention deleted on X is found and removed everywhere; nothing else ever is."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from bson import json_util
from django.conf import LazySettings
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.mongo.plans import recorded_plans
from autores.sandbox.problems import TARGET_GONE
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account
from autores.x.errors import XError
from mentions import tasks
from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import (
    CONFIRM_AFTER,
    AuditEntry,
    Draft,
    ImportReject,
    Message,
    Reply,
    ReplyState,
)
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.preflight import check_reply
from mentions.recheck import redact
from mentions.recheck.check import check_account
from mentions.recheck.queue import find_due
from mentions.review import approve_draft, edit_draft, reject_draft, write_draft

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "@acme mein Paket 4711-0815 ist weg, ruft mich an: 0171 5550123"
SECRETS = ("4711-0815", "0171 5550123", "dora_k", "Dora Klein")
LATER = timedelta(hours=21)


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    poll_account(acme, now=timezone.now())
    post = sandbox.control.create_mention(
        account="acme", author="dora_k", author_name="Dora Klein", text=TEXT
    )
    poll_account(acme, now=timezone.now())
    return Message.objects.get(pk=post["id"])


def check(account: TwitterAccount, **after: float):
    return check_account(account, now=timezone.now() + LATER + timedelta(**after))


def check_twice(account: TwitterAccount) -> None:
    assert check(account).deleted == 0
    assert check(account, minutes=31).deleted == 1


def grep_everything() -> list[str]:
    """Collections in which any of the secrets still stands, in whatever field."""
    found = []
    database = connection.database
    for name in database.list_collection_names():
        for document in database[name].find({}):
            text = json_util.dumps(document, ensure_ascii=False).casefold()
            found += [f"{name}: {secret}" for secret in SECRETS if secret.casefold() in text]
    return found


def quote_everywhere(mention: Message, *, by: User) -> Reply:
    """Drafts, a reply that was sent, and logs that repeat the mention; the reply."""
    now = timezone.now()
    first = write_draft(mention, text=f"Hi @dora_k! “{TEXT}” - we look.", user=by, now=now)
    edit_draft(first, text="Dear Dora Klein, 4711-0815 was found.", user=by, now=now)
    reject_draft(first, user=by, now=now, note="Call 0171 5550123 instead")
    second = write_draft(mention, text="You said “mein Paket 4711-0815 ist weg”?", user=by, now=now)
    reply = approve_draft(second, user=by, now=now)
    deliver_reply(reply.pk, now=now)
    Reply.objects.filter(pk=reply.pk).update(proof={"candidates": [{"text": TEXT}]})
    third = write_draft(mention, text="Still open, Dora Klein", user=by, now=now)
    LogEntry.objects.log_actions(by.pk, [mention, third], CHANGE, change_message=TEXT)
    ImportReject.objects.create(
        pk=f"messages:{mention.pk}", run_id="r", table="messages", row={"text": TEXT}
    )
    assert len({line.partition(":")[0] for line in grep_everything()}) >= 6
    return reply


def test_nothing_of_a_mention_is_left_anywhere_when_a_person_deletes_it(
    mention: Message, ana: User
) -> None:
    """It could not be looked up any more, should its author delete it on X."""
    quote_everywhere(mention, by=ana)
    mention.refresh_from_db()

    delete_message(mention.pk, actor=ana.pk, now=timezone.now())

    assert grep_everything() == []
    entry = AuditEntry.objects.get(action="message.deleted")
    assert entry.before["replies"][0]["text"] == "You said “[deleted]”?"


def test_nothing_of_a_deleted_mention_is_left_anywhere(
    mention: Message, acme: TwitterAccount, ana: User, sandbox: RunningSandbox, client: Client
) -> None:
    now = timezone.now()
    reply = quote_everywhere(mention, by=ana)
    sandbox.control.delete_post(mention.pk)

    check_twice(acme)

    assert grep_everything() == []
    mention.refresh_from_db()
    assert (mention.x_state, mention.text, mention.status) == ("redacted", "", "replied")
    assert (mention.post_id, mention.user) == (mention.pk, mention.user)
    assert mention.redacted_at - mention.deleted_found_at < timedelta(hours=24)
    reply.refresh_from_db()
    assert (reply.state, reply.text) == ("sent", "You said “[deleted]”?")
    assert set(Draft.objects.values_list("state", flat=True)) == {
        "rejected",
        "approved",
        "superseded",
    }
    assert AuditEntry.objects.filter(action="message.deleted_on_x").count() == 1
    refusal = check_reply(mention, kind="public", text="Hello", now=now).first_refusal
    assert refusal.code == "deleted_on_x"
    assert poll_account(acme, now=now).new == 0
    client.force_login(ana)
    for page in ("/admin/mentions/message/", f"/admin/mentions/message/{mention.pk}/change/"):
        shown = client.get(page).content.decode()
        assert "eleted" in shown
        assert not [secret for secret in SECRETS if secret in shown]


def test_a_waiting_reply_ends_as_a_sentence_when_its_parent_was_deleted(
    mention: Message, acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    later = timezone.now() + timedelta(days=3)
    reply = enqueue_reply(
        mention, kind="public", text="Hi!", requested_by=ana, not_before=later, now=timezone.now()
    )
    sandbox.control.delete_post(mention.pk)
    check_twice(acme)
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "deleted_on_x")
    assert "deleted this post" in reply.reason
    mention.refresh_from_db()
    assert (mention.status, mention.x_state) == ("ignored", "redacted")


def test_a_reply_keeps_its_text_until_it_is_settled(
    mention: Message, acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    reply = enqueue_reply(mention, kind="public", text=TEXT, requested_by=ana, now=timezone.now())
    sandbox.control.add_fault("create_post", "timeout_before", params={"seconds": 0.1})
    Reply.objects.filter(pk=reply.pk).update(state=ReplyState.UNKNOWN)
    sandbox.control.delete_post(mention.pk)
    check(acme)
    check(acme, minutes=31)
    assert Reply.objects.get().text == TEXT
    assert Message.objects.get().x_state == "deleted"
    Reply.objects.filter(pk=reply.pk).update(state=ReplyState.FAILED)
    assert redact.resume_redactions(now=timezone.now() + LATER) == 1
    assert grep_everything() == []


@pytest.mark.parametrize(
    "step",
    ["_redact_draft", "_redact_audit", "_redact_admin_log", "redact_import", "_empty_message"],
)
def test_the_next_run_ends_it_when_one_was_killed_half_way(
    mention: Message,
    acme: TwitterAccount,
    ana: User,
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    write_draft(mention, text=f"Re: {TEXT}", user=ana, now=timezone.now())
    sandbox.control.delete_post(mention.pk)
    check(acme)
    with monkeypatch.context() as patch:
        patch.setattr(redact, step, _die)
        with pytest.raises(KilledError):
            check(acme, minutes=31)
    assert grep_everything() != []
    # The task of beat does it, even while all calls to X are paused.
    tasks.resume_redactions(now=timezone.now() + LATER)
    assert grep_everything() == []
    assert AuditEntry.objects.filter(action="message.deleted_on_x").count() == 1


class KilledError(BaseException):
    """Stands for the end of the process between two writes."""


def _die(*args: Any, **kwargs: Any) -> None:
    raise KilledError


def test_every_accounts_copy_goes_when_one_of_them_finds_the_post_deleted(
    mention: Message, acme: TwitterAccount, ana: User, sandbox: RunningSandbox
) -> None:
    globex = add_account(sandbox, "globex", by=ana)
    poll_account(globex, now=timezone.now())
    post = sandbox.control.create_mention(account="acme", author="dora_k", text=f"@globex {TEXT}")
    poll_account(acme, now=timezone.now())
    poll_account(globex, now=timezone.now())
    assert Message.objects.filter(post_id=post["id"]).count() == 2
    sandbox.control.delete_post(post["id"])
    check_twice(acme)
    states = Message.objects.filter(post_id=post["id"]).values_list("x_state", flat=True)
    assert list(states) == ["redacted", "redacted"]


# -- what must never remove anything ----------------------------------------------------------


@pytest.mark.parametrize(
    "fault", ["server_error", "reset_before", "malformed_json", "credits_depleted", "forbidden"]
)
def test_nothing_is_removed_when_x_fails(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox, fault: str
) -> None:
    before = Message.objects.values().get()
    sandbox.control.add_fault("lookup", fault)
    with pytest.raises(XError):
        check(acme)
    assert Message.objects.values().get() == before


def test_a_post_found_again_is_kept_when_x_missed_it_once(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    Message.objects.filter(pk=mention.pk).update(
        x_state="missing", is_replyable=False, recheck_at=timezone.now()
    )
    assert check(acme).restored == 1
    mention.refresh_from_db()
    assert (mention.x_state, mention.is_replyable, mention.text) == ("", True, TEXT)


def show_but_fail_to_tell_more(acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    """X shows what it did not find before; what is asked of it then fails."""
    Message.objects.update(x_state="missing", is_replyable=False, recheck_at=timezone.now())
    sandbox.control.add_fault("lookup", "server_error", after=1)
    with pytest.raises(XError):
        check(acme)


def test_not_found_has_to_be_said_twice_again_when_x_showed_the_post_meanwhile(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    show_but_fail_to_tell_more(acme, sandbox)
    sandbox.control.delete_post(mention.pk)
    assert check(acme, hours=2).deleted == 0
    assert Message.objects.get().text == TEXT
    assert check(acme, hours=2, minutes=31).deleted == 1


def test_it_is_answerable_again_when_the_second_question_failed_once(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    show_but_fail_to_tell_more(acme, sandbox)
    assert check(acme, hours=2).restored == 1
    mention.refresh_from_db()
    assert (mention.x_state, mention.is_replyable) == ("", True)


@pytest.mark.parametrize("is_there", [True, False])
def test_what_x_did_not_find_is_looked_up_even_where_nothing_else_is(
    mention: Message,
    acme: TwitterAccount,
    ana: User,
    sandbox: RunningSandbox,
    settings: LazySettings,
    is_there: bool,
) -> None:
    settings.X_RECHECK_INTERVAL = 0
    assert tasks.recheck_accounts() == 0
    sandbox.control.add_fault("create_post", "forbidden", params={"detail": TARGET_GONE})
    reply = enqueue_reply(mention, kind="public", text="Hi!", requested_by=ana, now=timezone.now())
    deliver_reply(reply.pk, now=timezone.now())
    assert Message.objects.get().x_state == "missing"
    assert tasks.recheck_accounts() == 0
    if not is_there:
        sandbox.control.delete_post(mention.pk)
    Message.objects.update(recheck_at=timezone.now())
    assert tasks.recheck_accounts() == 1
    tasks.recheck_account(acme.pk)
    mention.refresh_from_db()
    assert mention.x_state == ("" if is_there else "redacted")


def test_a_mention_is_only_unanswerable_when_x_missed_it_once(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.delete_post(mention.pk)
    check(acme)
    assert check(acme, minutes=CONFIRM_AFTER.total_seconds() / 60 - 1).checked == 0
    mention.refresh_from_db()
    assert (mention.x_state, mention.replyable_code) == ("missing", "missing_on_x")
    assert mention.text == TEXT


def test_a_protected_post_is_hidden_and_kept(
    mention: Message, acme: TwitterAccount, answer_lookups: Callable[[dict[str, Any]], None]
) -> None:
    problem = {
        "resource_id": mention.pk,
        "parameter": "ids",
        "resource_type": "post",
        "title": "Authorization Error",
        "detail": f"Sorry, you are not authorized to see the Post with ids: [{mention.pk}].",
        "type": "https://api.x.com/2/problems/not-authorized-for-resource",
    }
    answer_lookups({"errors": [problem]})
    assert check(acme).hidden == 1
    assert check(acme, hours=21).hidden == 0
    mention.refresh_from_db()
    assert (mention.x_state, mention.replyable_code, mention.text) == (
        "hidden",
        "hidden_on_x",
        TEXT,
    )


@pytest.mark.parametrize("body", [{"meta": {}}, {"data": []}])
def test_silence_about_a_post_proves_nothing(
    mention: Message,
    acme: TwitterAccount,
    answer_lookups: Callable[[dict[str, Any]], None],
    body: dict[str, Any],
) -> None:
    answer_lookups(body)
    check(acme)
    check(acme, hours=2)
    mention.refresh_from_db()
    assert (mention.x_state, mention.text) == ("", TEXT)


# -- what is looked up when -------------------------------------------------------------------


def test_open_and_new_mentions_come_first_within_the_budget(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_RECHECK_POSTS_PER_DAY = 150
    sandbox.control.create_mentions(account="acme", count=250)
    poll_account(acme, now=timezone.now())
    newest_first = list(Message.objects.order_by("-timestamp", "-pk").values_list("pk", flat=True))
    Message.objects.filter(pk__in=newest_first[:60]).update(status="ignored")
    now = timezone.now() + LATER
    assert check_account(acme, now=now).checked == 150
    checked = set(Message.objects.filter(x_checked_at=now).values_list("pk", flat=True))
    assert checked == set(newest_first[60:210])
    assert len(sandbox.control.list_calls(route="lookup")) == 2
    assert check_account(acme, now=now).checked == 0
    with recorded_plans() as plans:
        find_due(acme.pk, now=now, limit=100)
    assert len(plans) == 3
    assert all(plan.is_index_scan for plan in plans), plans


def test_each_is_looked_up_daily_and_the_answered_ones_for_a_week(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    assert check_account(acme, now=timezone.now() + timedelta(hours=19)).checked == 0
    assert check(acme).checked == 1
    assert check(acme).checked == 0
    assert check(acme, hours=20).checked == 1
    Message.objects.filter(pk=mention.pk).update(status="replied")
    assert check(acme, days=8).checked == 1
    assert Message.objects.get().recheck_at is None
