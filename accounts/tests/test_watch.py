"""Operators are told of accounts that do not work: each once, and never by the thousand."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import AppPause, TwitterAccount
from accounts.signals import announce
from accounts.tasks import tell_unread
from accounts.watch import patience

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(settings: Any) -> Callable[[], list[tuple[str, str]]]:
    """Subject and text of each alert, when their threads are over."""
    settings.ADMINS = [("", "ops@example.com")]

    def read() -> list[tuple[str, str]]:
        for thread in threading.enumerate():
            if thread.name == "alert":
                thread.join(10)
        return [(message.subject, message.body) for message in mail.outbox]

    return read


def add_account(number: int, **values: Any) -> TwitterAccount:
    return TwitterAccount.objects.create(
        twitter_id=str(number), twitter_username=f"team{number}", **values
    )


def test_accounts_that_no_poll_came_through_for_are_told_of_once(
    told: Any, admin_user: Any
) -> None:
    now = timezone.now()
    long_ago = now - patience()
    add_account(1, last_polled_at=now)
    error = {"last_error": "X does not take this request.", "last_error_at": now}
    add_account(2, last_polled_at=long_ago, **error)
    # Of a send, and before the last poll.
    earlier = {**error, "last_error_at": long_ago - timedelta(hours=1)}
    add_account(6, last_polled_at=long_ago, **earlier)
    TwitterAccount.objects.filter(pk=add_account(3).pk).update(created_at=long_ago)
    # A person knows of these.
    add_account(4, last_polled_at=long_ago, status="paused")
    add_account(5, last_polled_at=long_ago, status="token_expired")

    # The first round may come before the first poll of a system that was stopped.
    assert (tell_unread(), told()) == (3, [])
    assert [tell_unread(), tell_unread()] == [3, 3]

    ((subject, text),) = told()
    assert "3 accounts are not read" in subject
    assert "@team2: X does not take this request" in text
    assert "@team3: no poll came through" in text
    assert "@team6: no poll came through" in text
    client = Client()
    client.force_login(admin_user)
    page = client.get("/admin/accounts/twitteraccount/").content.decode()
    assert page.count("Not read:") == 3


def test_one_that_is_known_of_does_not_keep_others_quiet(told: Any) -> None:
    long_ago = timezone.now() - patience()
    add_account(1, last_polled_at=long_ago)
    for _ in range(3):
        tell_unread()
    for number in range(2, 12):
        add_account(number, last_polled_at=long_ago)
    for _ in range(3):
        tell_unread()
    # Of ten, one more is no news; it is in the admin.
    add_account(12, last_polled_at=long_ago)
    assert tell_unread() == 12
    assert [subject for subject, _ in told()] == [
        "Autores: 1 accounts are not read",
        "Autores: 11 accounts are not read",
    ]


def test_others_in_the_place_of_those_that_recovered_are_told_of(told: Any) -> None:
    long_ago = timezone.now() - patience()
    for number in (1, 2):
        add_account(number, last_polled_at=long_ago)
    assert [tell_unread(), tell_unread()] == [2, 2]
    TwitterAccount.objects.update(last_polled_at=timezone.now())
    assert tell_unread() == 0
    add_account(3, last_polled_at=long_ago)
    assert [tell_unread(), tell_unread()] == [1, 1]
    assert len(told()) == 2


def test_a_poll_of_the_future_is_none(told: Any) -> None:
    add_account(1, last_polled_at=timezone.now() + timedelta(days=2))
    assert [tell_unread(), tell_unread()] == [1, 1]
    assert len(told()) == 1


def test_nothing_is_told_while_all_calls_are_paused(told: Any) -> None:
    add_account(1, last_polled_at=timezone.now() - patience())
    AppPause.objects.create(code="usage_cap", reason="The cap is reached.")
    assert tell_unread() == 0
    assert told() == []


def test_trouble_is_told_of_by_name_and_not_by_the_thousand(told: Any) -> None:
    for number in range(1, 11):
        account = add_account(number)
        announce("account.token_expired", account_id=account.pk, note="Connect it again.")
        announce("account.rate_limited", account_id=account.pk, note="X's limit.")
    subjects = [subject for subject, _ in told()]
    assert len(subjects) == 6
    assert "@team1 does not work" in subjects[0]
    assert "more accounts do not work" in subjects[-1]


def test_account_is_told_of_once_that_is_locked_again_and_again(told: Any) -> None:
    account = add_account(1)
    for _ in range(3):
        announce("account.error", account_id=account.pk, note="X locked the account for now.")
    announce("account.error", account_id=account.pk, note="X suspended the account.")
    assert [text for _, text in told()] == [
        "X locked the account for now.",
        "X suspended the account.",
    ]


def test_interval_of_hours_is_waited_for_three_times(settings: Any) -> None:
    settings.TWITTER_POLLING_INTERVAL = 120
    assert patience() == timedelta(hours=6)
