"""The queue of drafts when OpenAI, people and other workers get in between."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.counting import forget, is_remembered, raise_counter
from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.llm.scripted_model import Script, answer_body, serve_model
from autores.tests.threads import running, wait_until
from mentions.drafting import pause
from mentions.drafting.generate import (
    MOST_ASKED_AN_HOUR,
    DraftingBusyError,
    DraftStandsError,
    MessageClosedError,
    MessageGoneError,
    NoReplyProposedError,
    generate_draft,
)
from mentions.drafting.queue import draft_wanted, find_wanted
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message
from mentions.review import submit_draft, write_draft
from mentions.triage import claim_message, ignore_message, reopen_message

pytestmark = pytest.mark.django_db(transaction=True)
HANDS_OFF = '{"language":"en","reasons":["A legal threat."],"kind":"handoff","text":""}'


def count_calls(sandbox: RunningSandbox) -> int:
    return len(sandbox.control.list_calls(route="responses"))


@pytest.fixture
def declining(settings: LazySettings) -> Iterator[Script]:
    """A model that leaves every mention to a person."""
    with serve_model() as script:
        for _ in range(3):
            script.server.answer(answer_body(HANDS_OFF))
        settings.OPENAI_BASE_URL = script.url
        yield script


# -- OpenAI -----------------------------------------------------------------------------------


def test_a_busy_minute_does_not_cost_the_draft(mention: Message, sandbox: RunningSandbox) -> None:
    busy = {"retry_after": 1}
    sandbox.control.add_fault("responses", "rate_limit_window", times=None, params=busy)
    began = now = timezone.now()
    while now < began + timedelta(minutes=5):
        draft_wanted(mention.pk, now=now)
        now += timedelta(seconds=10)
    assert Message.objects.get().draft_state == "wanted"
    sandbox.control.clear_faults()
    assert draft_wanted(mention.pk, now=now + timedelta(minutes=15)) is not None


def test_one_mention_tries_when_drafting_was_paused(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    for number in range(5):
        sandbox.control.create_mention(account="acme", author=f"d{number}", text="@acme hello?")
    poll_account(acme, now=timezone.now())
    ids = find_wanted(now=timezone.now())
    assert len(ids) == 6
    sandbox.control.add_fault("responses", "unauthorized", times=None)
    draft_wanted(ids[0], now=timezone.now())
    for message_id in ids:
        draft_wanted(message_id, now=timezone.now())
    assert count_calls(sandbox) == 1
    end_of_pause()
    for message_id in ids:
        draft_wanted(message_id, now=timezone.now() + timedelta(minutes=6))
    assert count_calls(sandbox) == 2

    sandbox.control.clear_faults()
    end_of_pause()
    later = timezone.now() + timedelta(minutes=20)
    for message_id in [*ids, *ids]:
        draft_wanted(message_id, now=later)
    assert Draft.objects.count() == 6


def end_of_pause() -> None:

    forget(pause._KEY)
    forget(pause._PROBE)


# -- others -----------------------------------------------------------------------------------


def test_nobody_gets_a_draft_for_what_was_closed_while_it_was_made(
    mention: Message, ana: User
) -> None:
    as_it_was = Message.objects.get()
    ignore_message(mention, user=ana, now=timezone.now())
    with pytest.raises(MessageClosedError):
        generate_draft(as_it_was, now=timezone.now())
    assert not Draft.objects.exists()
    # Who asks for it gets it.
    assert generate_draft(as_it_was, requested_by=ana, now=timezone.now()).text


def test_a_claim_while_the_model_writes_costs_no_draft(mention: Message, ana: User) -> None:
    as_it_was = Message.objects.get()
    claim_message(mention, user=ana, now=timezone.now())
    assert generate_draft(as_it_was, now=timezone.now()).text


def test_the_first_try_after_a_pause_is_not_spent_on_one_that_wants_no_draft(
    mention: Message, acme: TwitterAccount, sandbox: RunningSandbox, ana: User
) -> None:
    sandbox.control.create_mention(account="acme", author="emil", text="@acme hello?")
    poll_account(acme, now=timezone.now())
    first, second = find_wanted(now=timezone.now())
    sandbox.control.add_fault("responses", "unauthorized")
    draft_wanted(first, now=timezone.now())
    end_of_pause()
    ignore_message(Message.objects.get(pk=first), user=ana, now=timezone.now())
    later = timezone.now() + timedelta(minutes=6)
    assert draft_wanted(first, now=later) is None
    assert draft_wanted(second, now=later) is not None


def test_a_worker_that_was_too_slow_frees_nothing_of_its_successors(
    mention: Message, settings: LazySettings
) -> None:
    first_end: list[str] = []

    def draft_first() -> None:
        # OpenAI fails it in the end: the row would be wanted again by its word.
        assert draft_wanted(mention.pk, now=timezone.now()) is None
        first_end.append(Message.objects.get().draft_state)

    with serve_model() as script:
        settings.OPENAI_BASE_URL = script.url
        script.server.answer({"error": {}}, status=500, pieces=2, pause=1.5)
        script.server.answer(answer_body(), pieces=2, pause=3.0)
        with running(draft_first):
            wait_until(lambda: len(script.requests) == 1)
            # Its lease has run out.
            Message.objects.update(draft_not_before=timezone.now())
            assert draft_wanted(mention.pk, now=timezone.now()) is not None
    assert first_end == ["drafting"]
    assert Message.objects.get().draft_state == "done"


def test_a_claim_ends_when_the_mention_is_ignored_or_opened_again(
    mention: Message, ana: User
) -> None:
    claim_message(mention, user=ana, now=timezone.now())
    ignore_message(mention, user=ana, now=timezone.now())
    assert (mention.claimed_by, mention.claimed_at) == ("", None)
    Message.objects.update(status="error", claimed_by=ana.pk, claimed_at=timezone.now())
    mention.refresh_from_db()
    reopen_message(mention, user=ana, now=timezone.now())
    assert (mention.claimed_by, mention.claimed_at) == ("", None)


# -- who asks ---------------------------------------------------------------------------------


def test_a_draft_is_not_replaced_that_the_person_has_not_seen(
    mention: Message, ana: User, bruno: User, sandbox: RunningSandbox
) -> None:
    draft = write_draft(mention, text="Bruno's answer", user=bruno, now=timezone.now())
    submit_draft(draft, user=bruno, now=timezone.now())
    for seen in (("", 0), (draft.pk, draft.version - 1)):
        with pytest.raises(DraftStandsError, match="wrote or changed a draft"):
            generate_draft(mention, requested_by=ana, seen=seen, now=timezone.now())
    # Nothing is paid for that would be refused.
    assert count_calls(sandbox) == 0
    draft.refresh_from_db()
    assert draft.state == "submitted"
    seen = (draft.pk, draft.version)
    assert generate_draft(mention, requested_by=ana, seen=seen, now=timezone.now()).text
    entry = AuditEntry.objects.get(action="draft.superseded")
    assert (entry.object_id, entry.actor, entry.before["text"]) == (
        draft.pk,
        ana.pk,
        "Bruno's answer",
    )


def test_a_persons_draft_is_kept_when_the_model_proposes_none(
    mention: Message, ana: User, declining: Script
) -> None:
    draft = write_draft(mention, text="Mine", user=ana, now=timezone.now())
    with pytest.raises(NoReplyProposedError, match="your draft stands"):
        generate_draft(mention, requested_by=ana, now=timezone.now())
    assert list(Draft.objects.values_list("pk", "state", "text")) == [(draft.pk, "edited", "Mine")]
    # It was paid for.
    assert Message.objects.get().credits_used == 1


def test_what_was_typed_is_kept_when_the_model_proposes_none(
    mention: Message, ana: User, declining: Script, client: Any
) -> None:
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.post(desk, {"act": "generate", "text": "Half a sentence"}, follow=True)
    assert "The model proposes no reply." in page.content.decode()
    assert page.context["desk_text"] == "Half a sentence"


def test_one_draft_of_a_mention_is_made_at_a_time(
    mention: Message, ana: User, bruno: User, sandbox: RunningSandbox
) -> None:
    sandbox.control.add_fault("responses", "slow", params={"seconds": 2})
    with running(lambda: generate_draft(mention, requested_by=ana, now=timezone.now())):
        wait_until(lambda: is_remembered(f"draft-asked:{mention.pk}"))
        with pytest.raises(DraftingBusyError) as caught:
            generate_draft(mention, requested_by=bruno, now=timezone.now())
    assert caught.value.code == "draft_under_way"
    assert generate_draft(mention, requested_by=bruno, now=timezone.now()).text
    assert count_calls(sandbox) == 2


def test_a_person_asks_for_so_many_drafts_an_hour(
    mention: Message, ana: User, bruno: User, sandbox: RunningSandbox
) -> None:
    for _ in range(MOST_ASKED_AN_HOUR - 1):
        raise_counter(f"drafts-asked:{ana.pk}", seconds=3600)
    generate_draft(mention, requested_by=ana, now=timezone.now())
    with pytest.raises(DraftingBusyError) as caught:
        generate_draft(mention, requested_by=ana, now=timezone.now())
    assert caught.value.code == "too_many_drafts"
    assert caught.value.retry_after
    assert generate_draft(mention, requested_by=bruno, now=timezone.now()).text
    assert count_calls(sandbox) == 2


def test_the_model_is_not_asked_about_what_is_gone(
    mention: Message, ana: User, sandbox: RunningSandbox
) -> None:
    Message.objects.update(x_state="redacted", text="")
    with pytest.raises(MessageGoneError):
        generate_draft(Message.objects.get(), requested_by=ana, now=timezone.now())
    assert count_calls(sandbox) == 0
