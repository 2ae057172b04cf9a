"""How many drafts an author's mentions get by themselves in a day."""

from datetime import UTC, datetime
from functools import partial

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account
from autores.tests.threads import run_together
from mentions.drafting.generate import generate_draft
from mentions.drafting.queue import draft_wanted, find_wanted
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Draft, Message

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def baselined(acme: TwitterAccount, sandbox: RunningSandbox) -> TwitterAccount:
    """@acme after its first poll: what comes from here on wants a draft."""
    poll_account(acme, now=timezone.now())
    return acme


def post_mentions(
    account: TwitterAccount, sandbox: RunningSandbox, *, author: str, count: int
) -> list[str]:
    """Ids of new mentions by the author, posted at noon of one day."""
    known = set(Message.objects.values_list("pk", flat=True))
    for number in range(count):
        sandbox.control.create_mention(
            account=account.twitter_username, author=author, text=f"Question {number}?"
        )
    poll_account(account, now=timezone.now())
    new = Message.objects.exclude(pk__in=known)
    new.update(timestamp=datetime(2026, 5, 4, 12, tzinfo=UTC))
    return sorted(new.values_list("pk", flat=True))


def test_no_draft_is_made_when_the_author_had_his_for_the_day(
    acme: TwitterAccount, sandbox: RunningSandbox, admin_client: Client, settings
) -> None:
    settings.DRAFTS_PER_AUTHOR_PER_DAY = 2
    *drafted, left_out = post_mentions(acme, sandbox, author="emil", count=3)
    for message_id in drafted:
        assert draft_wanted(message_id, now=timezone.now()) is not None

    assert draft_wanted(left_out, now=timezone.now()) is None

    message = Message.objects.get(pk=left_out)
    assert (message.draft_state, message.draft_not_before) == ("none", None)
    assert message.status == "pending"
    (entry,) = AuditEntry.objects.filter(message_id=left_out)
    assert (entry.action, entry.actor) == ("draft.skipped", "system:drafting")
    assert left_out not in find_wanted(now=timezone.now())
    page = admin_client.get(f"/admin/mentions/message/{left_out}/change/").content.decode()
    assert "had 2 today" in page
    # A person may ask all the same, and then there is nothing to explain.
    assert generate_draft(message, now=timezone.now()).text
    page = admin_client.get(f"/admin/mentions/message/{left_out}/change/").content.decode()
    assert "had 2 today" not in page


def test_drafts_that_failed_count_for_they_were_paid_for(
    acme: TwitterAccount, sandbox: RunningSandbox, settings
) -> None:
    settings.DRAFTS_PER_AUTHOR_PER_DAY = 2
    sandbox.control.add_fault("responses", "refuse_output", times=None)
    for message_id in post_mentions(acme, sandbox, author="emil", count=4):
        draft_wanted(message_id, now=timezone.now())
    assert len(sandbox.control.list_calls(route="responses")) == 2


def test_other_authors_accounts_and_days_count_for_themselves(
    acme: TwitterAccount, ana: User, sandbox: RunningSandbox, settings
) -> None:
    settings.DRAFTS_PER_AUTHOR_PER_DAY = 1
    (first,) = post_mentions(acme, sandbox, author="emil", count=1)
    assert draft_wanted(first, now=timezone.now()) is not None
    brand = connect_account(sandbox, "brand", by=ana)
    poll_account(brand, now=timezone.now())
    (elsewhere,) = post_mentions(brand, sandbox, author="emil", count=1)
    (by_another,) = post_mentions(acme, sandbox, author="fay", count=1)
    (next_day,) = post_mentions(acme, sandbox, author="emil", count=1)
    Message.objects.filter(pk=next_day).update(timestamp=datetime(2026, 5, 5, tzinfo=UTC))

    for message_id in (elsewhere, by_another, next_day):
        assert draft_wanted(message_id, now=timezone.now()) is not None


def test_author_has_no_limit_when_it_is_nought(
    acme: TwitterAccount, sandbox: RunningSandbox, settings
) -> None:
    settings.DRAFTS_PER_AUTHOR_PER_DAY = 0
    ids = post_mentions(acme, sandbox, author="emil", count=12)

    assert all(draft_wanted(message_id, now=timezone.now()) for message_id in ids)


def test_as_many_as_the_cap_are_made_when_all_are_drafted_at_once(
    acme: TwitterAccount, sandbox: RunningSandbox, settings
) -> None:
    settings.DRAFTS_PER_AUTHOR_PER_DAY = 3
    ids = post_mentions(acme, sandbox, author="emil", count=5)
    run_together(*(partial(draft_wanted, message_id, now=timezone.now()) for message_id in ids))
    # Of two that are claimed in one millisecond, in the other order, both may be let through.
    made = Draft.objects.count()
    assert made in (3, 4)
    assert sorted(Message.objects.values_list("draft_state", flat=True)) == [
        *["done"] * made,
        *["none"] * (5 - made),
    ]
