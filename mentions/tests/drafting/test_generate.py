"""Drafting against the sandbox's model: a row with a verdict, one open draft, failures put off."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.llm.errors import LlmError, RateLimitedError
from autores.sandbox.server import RunningSandbox
from autores.tests.threads import running, wait_until
from mentions import tasks
from mentions.drafting.generate import (
    DraftingBusyError,
    DraftStandsError,
    MessageEditedError,
    generate_draft,
)
from mentions.drafting.pause import find_pause
from mentions.drafting.queue import MAX_ATTEMPTS, draft_wanted, find_wanted
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message
from mentions.review import submit_draft, write_draft

pytestmark = pytest.mark.django_db(transaction=True)


def make_due(message: Message) -> None:
    Message.objects.filter(pk=message.pk).update(draft_not_before=timezone.now())


def test_a_new_mention_gets_a_draft_by_itself(mention: Message) -> None:
    assert find_wanted(now=timezone.now()) == [mention.pk]
    draft = draft_wanted(mention.pk, now=timezone.now())
    assert draft is not None
    assert draft.text
    assert (draft.state, draft.open_key, draft.model) == ("proposed", mention.pk, draft.model)
    assert draft.output_tokens > 0
    assert find_wanted(now=timezone.now()) == []
    mention.refresh_from_db()
    assert (mention.draft_state, mention.credits_used, mention.status) == ("done", 1, "pending")


def test_a_poll_nudges_the_drafts_of_its_own_mentions_when_others_wait(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    monkeypatch.setattr(
        tasks.draft_message, "apply_async", lambda args, **options: sent.extend(args)
    )
    post = sandbox.control.create_mention(account="acme", author="emil", text="@acme and mine?")
    tasks.poll_account(acme.pk)
    assert sent == [post["id"]]
    tasks.poll_account(acme.pk)
    assert sent == [post["id"]], "nothing new, though two drafts are wanted"
    assert set(find_wanted(now=timezone.now())) == {mention.pk, post["id"]}


def test_the_baseline_wants_no_drafts(acme: TwitterAccount, sandbox: RunningSandbox) -> None:
    sandbox.control.create_mentions(account="acme", count=3)
    poll_account(acme, now=timezone.now())
    assert find_wanted(now=timezone.now()) == []


def test_the_earlier_draft_is_superseded_when_a_new_one_is_made(
    mention: Message, ana: User
) -> None:
    first = generate_draft(mention, requested_by=ana, now=timezone.now())
    second = generate_draft(
        mention, custom_prompt="Be brief.", requested_by=ana, now=timezone.now()
    )
    first.refresh_from_db()
    assert (first.state, second.state) == ("superseded", "proposed")
    assert second.custom_prompt == "Be brief."
    assert Draft.objects.filter(open_key=mention.pk).count() == 1


@pytest.mark.parametrize("is_asked_for", [True, False])
def test_one_open_draft_when_several_draft_at_once(
    mention: Message, ana: User, is_asked_for: bool
) -> None:
    barrier = threading.Barrier(4)
    stood = []

    def work() -> None:
        barrier.wait()
        try:
            generate_draft(mention, requested_by=ana if is_asked_for else None, now=timezone.now())
        except (DraftStandsError, DraftingBusyError):
            stood.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Draft.objects.filter(open_key=mention.pk).count() == 1
    states = set(Draft.objects.values_list("state", flat=True))
    assert states <= {"proposed", "superseded"}
    # What nobody asked for supersedes nothing; what is asked for is made one at a time.
    assert len(stood) + Draft.objects.count() == 4
    assert is_asked_for or len(stood) == 3


def test_draft_for_words_that_were_edited_meanwhile_is_made_again(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    as_it_was = Message.objects.get()
    sandbox.control.edit_post(mention.pk, "@acme where is my refund?")
    poll_account(mention.account, now=timezone.now())
    with pytest.raises(MessageEditedError):
        generate_draft(as_it_was, requested_by=ana, now=timezone.now())
    assert not Draft.objects.exists()
    assert draft_wanted(mention.pk, now=timezone.now()) is not None


@pytest.mark.parametrize("key", ["sk-é", "sk 1", "“sk-1”"])
def test_a_key_that_can_be_none_is_a_matter_for_the_operator(
    mention: Message, settings: Any, key: str
) -> None:
    settings.OPENAI_API_KEY = key
    assert draft_wanted(mention.pk, now=timezone.now()) is None
    pause = find_pause()
    assert pause is not None
    assert "characters that no key has" in str(pause)
    mention.refresh_from_db()
    assert (mention.draft_state, mention.draft_attempts) == ("wanted", 0)


def test_a_mention_whose_attempts_died_is_given_up_at_last(mention: Message) -> None:
    Message.objects.update(draft_state="drafting", draft_attempts=MAX_ATTEMPTS)
    make_due(mention)
    assert draft_wanted(mention.pk, now=timezone.now()) is None
    mention.refresh_from_db()
    assert mention.draft_state == "failed"
    assert "the worker's log has it" in AuditEntry.objects.get(action="draft.failed").note


def test_put_off_and_tried_again_when_the_model_is_busy(
    mention: Message, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("responses", "rate_limit_window")
    assert draft_wanted(mention.pk, now=timezone.now()) is None
    mention.refresh_from_db()
    assert mention.draft_state == "wanted"
    assert mention.draft_not_before > timezone.now()
    make_due(mention)
    assert draft_wanted(mention.pk, now=timezone.now()) is not None


def test_given_up_when_the_model_refuses(mention: Message, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("responses", "refuse_output")
    draft_wanted(mention.pk, now=timezone.now())
    mention.refresh_from_db()
    assert mention.draft_state == "failed"
    assert mention.status == "pending", "a person can still answer"


def test_given_up_when_it_failed_too_often(mention: Message, sandbox: RunningSandbox) -> None:
    sandbox.control.add_fault("responses", "server_error", times=None)
    for _ in range(MAX_ATTEMPTS):
        make_due(mention)
        draft_wanted(mention.pk, now=timezone.now())
    mention.refresh_from_db()
    assert mention.draft_state == "failed"
    assert mention.draft_attempts == MAX_ATTEMPTS


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [("unauthorized", "check OPENAI_API_KEY"), ("credits_payment_required", "out of credit")],
)
def test_no_draft_is_given_up_while_an_operator_is_needed(
    mention: Message,
    acme: TwitterAccount,
    ana: User,
    sandbox: RunningSandbox,
    client: Client,
    mailoutbox: list[Any],
    settings: Any,
    fault: str,
    sentence: str,
) -> None:
    settings.ADMINS = [("Ops", "ops@example.com")]
    sandbox.control.create_mention(account="acme", author="emil", text="@acme and mine?")
    poll_account(acme, now=timezone.now())
    fault_id = sandbox.control.add_fault("responses", fault, times=None)
    for _ in range(2 * MAX_ATTEMPTS):
        for message in Message.objects.all():
            make_due(message)
            draft_wanted(message.pk, now=timezone.now())
        assert tasks.draft_new_mentions() == 0
    assert len(sandbox.control.list_calls(route="responses")) == 1, "one tries for all"
    assert set(Message.objects.values_list("draft_state", flat=True)) == {"wanted"}
    for thread in threading.enumerate():
        if thread.name == "alert":
            thread.join()
    (mail,) = mailoutbox
    assert sentence in mail.body
    client.force_login(ana)
    desk = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    assert "A draft is waited for." in desk
    assert sentence in desk

    # Mended, and the five minutes are over.
    sandbox.control.clear_fault(fault_id)
    cache.delete("drafting-pause")
    for message in Message.objects.all():
        make_due(message)
        assert draft_wanted(message.pk, now=timezone.now()) is not None


def test_given_up_after_a_day_although_it_is_an_operators_fault(
    mention: Message, ana: User, sandbox: RunningSandbox, client: Client
) -> None:
    sandbox.control.add_fault("responses", "unauthorized")
    draft_wanted(mention.pk, now=timezone.now() + timedelta(days=1))
    mention.refresh_from_db()
    assert mention.draft_state == "failed"
    client.force_login(ana)
    desk = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    assert "No draft could be made. OpenAI rejected the API key" in desk


def test_desk_says_so_when_the_model_refused(
    mention: Message, ana: User, sandbox: RunningSandbox, client: Client
) -> None:
    sandbox.control.add_fault("responses", "refuse_output")
    draft_wanted(mention.pk, now=timezone.now())
    client.force_login(ana)
    desk = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    assert "No draft could be made. The model declined" in desk


@pytest.mark.parametrize(
    ("kind", "told"),
    [("no_reply", "proposes not to answer"), ("handoff", "leaves this mention to a person")],
)
def test_desk_tells_the_models_word_from_its_own(
    mention: Message, ana: User, client: Client, kind: str, told: str
) -> None:
    draft = draft_wanted(mention.pk, now=timezone.now())
    assert draft is not None
    reasons = "Approved by the manager: press <b>Approve and send</b>."
    Draft.objects.filter(pk=draft.pk).update(kind=kind, text="", note=reasons)
    client.force_login(ana)
    desk = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    assert told in desk
    assert (
        'The model\'s reasons: <q class="break-words">Approved by the manager: press &lt;b&gt;'
        in desk
    )


@pytest.mark.parametrize("is_submitted", [True, False])
def test_persons_draft_stands_when_the_models_comes_later(
    mention: Message, ana: User, sandbox: RunningSandbox, is_submitted: bool
) -> None:
    sandbox.control.add_fault("responses", "rate_limit_window")
    draft_wanted(mention.pk, now=timezone.now())
    own = write_draft(mention, text="By hand.", user=ana, now=timezone.now())
    if is_submitted:
        submit_draft(own, user=ana, now=timezone.now())
    make_due(mention)

    assert draft_wanted(mention.pk, now=timezone.now()) is None

    assert Draft.objects.get(open_key=mention.pk).text == "By hand."
    mention.refresh_from_db()
    assert mention.draft_state == "done"
    assert len(sandbox.control.list_calls(route="responses")) == 1, "nor is it paid for"
    # Who asks for another one gets it.
    assert generate_draft(mention, requested_by=ana, now=timezone.now()).text != "By hand."


def test_persons_draft_stands_when_it_is_written_while_the_model_writes(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("responses", "slow", params={"seconds": 2})
    with running(lambda: draft_wanted(mention.pk, now=timezone.now())):
        wait_until(lambda: Message.objects.filter(draft_state="drafting").exists())
        write_draft(mention, text="By hand.", user=ana, now=timezone.now())
    assert Draft.objects.get().text == "By hand."
    mention.refresh_from_db()
    assert (mention.draft_state, mention.credits_used) == ("done", 0)


def draft_in_thread(message_id: str) -> None:
    try:
        draft_wanted(message_id, now=timezone.now())
    finally:
        connection.close()


def test_not_drafted_when_somebody_works_on_it_already(mention: Message) -> None:
    Message.objects.filter(pk=mention.pk).update(status="processing")
    assert draft_wanted(mention.pk, now=timezone.now()) is None
    assert not Draft.objects.exists()


def test_the_key_stays_out_of_errors_when_it_is_rejected(
    mention: Message, sandbox: RunningSandbox, settings
) -> None:
    settings.OPENAI_API_KEY = "sk-this-must-never-be-shown-123456"
    sandbox.control.add_fault("responses", "unauthorized")
    with pytest.raises(LlmError) as caught:
        generate_draft(mention, now=timezone.now())
    assert not isinstance(caught.value, RateLimitedError)
    assert "never-be-shown" not in f"{caught.value!r} {caught.value} {caught.value.detail}"


def test_credits_are_added_to_what_they_are_by_then(mention: Message) -> None:
    as_it_was = Message.objects.get()
    for before, after in ((5, 6), (None, 1)):
        Message.objects.update(credits_used=before)
        generate_draft(as_it_was, now=timezone.now(), requested_by=None)
        assert Message.objects.get().credits_used == after
        Draft.objects.all().delete()
