"""Accounts whose owners rename them on X: their own mentions are found, and nobody else's."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account
from mentions.ingest.sweep import search_account
from mentions.models import AuditEntry, Cursor, Gap, Message
from mentions.tests.ingest.reading import ids_of, poll, stored_ids

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def renamed(baselined: TwitterAccount) -> TwitterAccount:
    """It was called @acme_old when it was connected; nobody has asked X since."""
    TwitterAccount.objects.update(twitter_username="acme_old")
    return TwitterAccount.objects.get()


def search(account: TwitterAccount, **later: float) -> None:
    search_account(account, now=timezone.now() + timedelta(**later))


def test_a_gap_is_searched_by_the_present_name(
    renamed: TwitterAccount, sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=1000)
    poll(renamed)
    search(renamed, minutes=1)
    assert Gap.objects.get().state == "closed"
    assert set(ids_of(posts)) <= stored_ids()
    account = TwitterAccount.objects.get()
    assert (account.twitter_username, account.former_username) == ("acme", "acme_old")
    entry = AuditEntry.objects.get(action="account.renamed")
    assert (entry.before, entry.after) == ({"username": "acme_old"}, {"username": "acme"})


@pytest.mark.parametrize("is_quote", [False, True])
def test_who_has_the_former_name_now_keeps_his_mentions(
    renamed: TwitterAccount, sandbox: RunningSandbox, is_quote: bool
) -> None:
    sandbox.control.create_user("acme_old", name="Somebody else")
    values = {}
    if is_quote:
        sandbox.control.create_user("bigshop", name="Big Shop")
        quoted = sandbox.control.create_mention(account="bigshop", author="lena", text="@bigshop?")
        values["quote_of"] = quoted["id"]
    foreign = sandbox.control.create_mention(
        account="acme_old", author="zoe", text="@acme_old hello", **values
    )
    if is_quote:
        # X does not include it any more.
        sandbox.control.delete_post(values["quote_of"])
    ours = sandbox.control.create_mention(account="acme", author="zoe", text="@acme hello")
    search(renamed, hours=1)
    assert ours["id"] in stored_ids()
    assert foreign["id"] not in stored_ids()


def test_the_former_name_is_searched_for_in_the_time_when_it_was_the_accounts(
    renamed: TwitterAccount, sandbox: RunningSandbox
) -> None:
    both, one = "(@acme OR @acme_old) -is:retweet", "@acme -is:retweet"
    # What one search read, the next begins an hour before the end of.
    for days, query in ((0, both), (1, both), (2, one)):
        search(TwitterAccount.objects.get(), days=days)
        call = sandbox.control.list_calls(route="search")[-1]
        assert call["query"]["query"] == query
    # Asked once a day: it is billed.
    assert len(sandbox.control.list_calls(route="me")) == 1


def test_gaps_are_searched_when_x_does_not_tell_the_name(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=900)
    poll(baselined)
    sandbox.control.add_fault("me", "rate_limit_user_day", times=None)
    for minutes in (1, 6):
        search(TwitterAccount.objects.get(), minutes=minutes)
    assert Gap.objects.get().state == "closed"


def test_a_name_that_a_consent_shows_is_remembered_too(
    renamed: TwitterAccount, sandbox: RunningSandbox, ana: User
) -> None:
    connect_account(sandbox, "acme", by=ana)
    account = TwitterAccount.objects.get()
    assert (account.twitter_username, account.former_username) == ("acme", "acme_old")


def test_an_account_that_was_taken_over_without_a_name_gets_it_by_its_first_poll(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    TwitterAccount.objects.update(twitter_username="", display_name="")
    sandbox.control.create_mentions(account="acme", count=900)
    poll(TwitterAccount.objects.get())
    account = TwitterAccount.objects.get()
    assert (account.twitter_username, account.former_username) == ("acme", "")
    search(account, minutes=1)
    assert Gap.objects.get().state == "closed"


def test_it_is_polled_without_a_name_when_x_does_not_tell_it(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    TwitterAccount.objects.update(twitter_username="")
    sandbox.control.add_fault("me", "rate_limit_user_day", times=None)
    sandbox.control.create_mention(account="acme", author="dora", text="@acme hello")
    assert poll(TwitterAccount.objects.get()).new == 1
    # It is not asked for again before X's limit opens.
    assert poll(TwitterAccount.objects.get()).new == 0
    assert Message.objects.count() == 2
    assert Cursor.objects.get().complete_until is not None
