"""The account's health as a state machine: every event in every state, and the history of it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.clients import call_x
from accounts.errors import ReconnectNeededError, TokenUnreadableError
from accounts.health import pause_account, record_failure, record_success, resume_account
from accounts.models import AccountEvent, AccountStatus, TwitterAccount, User
from accounts.states import TRANSITIONS
from accounts.tests.conftest import Browser, client_of
from accounts.tokens import (
    _mark_unreadable,
    _Request,
    _store_refreshed,
    require_reconnect,
    store_grant,
    token_cipher,
)
from autores.x.errors import RateLimitedError, SuspendedError, UnauthorizedError
from autores.x.types import TokenGrant

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
GRANT = TokenGrant("access", "refresh", NOW + timedelta(hours=2), frozenset({"tweet.read"}))


def store_new_pair(account: TwitterAccount) -> None:
    request = _Request(account, now=NOW, rejected=None, ahead=timedelta(0))
    _store_refreshed(request, GRANT, used=account.refresh_token, plain="old")


EVENTS: dict[str, Callable[[TwitterAccount], object]] = {
    "limited": lambda a: record_failure(a, RateLimitedError(retry_after=60), now=NOW),
    "suspended": lambda a: record_failure(a, SuspendedError(), now=NOW),
    "refused": lambda a: record_failure(a, UnauthorizedError(), now=NOW),
    "recovered": lambda a: record_success(a, now=NOW),
    "token_rejected": lambda a: require_reconnect(
        a.pk, pair=a.refresh_token, sentence="Connect again.", code="rejected", now=NOW
    ),
    "token_unreadable": lambda a: _mark_unreadable(a, TokenUnreadableError(), now=NOW),
    "token_stored": store_new_pair,
    "reconnected": lambda a: store_grant(a.pk, GRANT, now=NOW),
    "paused": lambda a: pause_account(a, reason="Holidays.", now=NOW),
    "resumed": lambda a: resume_account(a, now=NOW),
}
# Where each event leads; "." is nothing.
#                    active          paused    rate_limited    token_expired   error
TABLE = {
    "limited": ("rate_limited", ".", "rate_limited", ".", "rate_limited"),
    "suspended": ("error", ".", "error", ".", "error"),
    "refused": ("error", ".", "error", ".", "error"),
    "recovered": (".", ".", "active", ".", "active"),
    "token_rejected": ("token_expired", ".", "token_expired", "token_expired", "token_expired"),
    "token_unreadable": ("error", ".", "error", ".", "error"),
    "token_stored": (".", ".", ".", "active", "."),
    "reconnected": ("active", ".", "active", "active", "active"),
    "paused": ("paused", ".", "paused", "paused", "paused"),
    "resumed": (".", "active", ".", ".", "active"),
}


def test_the_table_knows_every_event() -> None:
    assert set(TABLE) == set(TRANSITIONS) == set(EVENTS)


@pytest.mark.parametrize("event", TABLE)
def test_an_event_does_what_the_table_says_in_every_state(
    event: str, transactional_db: None
) -> None:
    for status, target in zip(AccountStatus, TABLE[event], strict=True):
        account = TwitterAccount.objects.create(
            twitter_id=f"9{len(status)}{status}",
            status=status,
            refresh_token=token_cipher().encrypt("old"),
        )
        EVENTS[event](account)
        account.refresh_from_db()
        expected = status if target == "." else target
        assert account.status == expected, status
        history = list(AccountEvent.objects.filter(account=account))
        if expected == status:
            assert history == [], status
        else:
            (entry,) = history
            assert (entry.event, entry.before, entry.after) == (event, status, expected)
            assert entry.reason == account.status_reason


def test_a_limit_met_a_moment_ago_stands_when_an_older_call_ends_well(
    transactional_db: None,
) -> None:
    account = TwitterAccount.objects.create(twitter_id="9001", status="rate_limited")
    TwitterAccount.objects.update(blocked_until=NOW + timedelta(minutes=5))
    record_success(account, now=NOW)
    assert TwitterAccount.objects.get().status == "rate_limited"
    assert not AccountEvent.objects.exists()


def test_the_history_is_told_with_xs_last_error_in_words(
    sandbox: Any, acme: TwitterAccount, ana: User, carla: User, client: Client
) -> None:
    sandbox.control.revoke_tokens(acme.twitter_id)
    with pytest.raises(ReconnectNeededError):
        call_x(acme, lambda x: x.get_me())
    assert Browser(sandbox, ana).connect("acme").status_code == 200

    address = f"/api/v1/accounts/{acme.pk}/history"
    told = client_of(ana).get(address).json()
    assert [(item["event"], item["before"], item["after"]) for item in told] == [
        ("reconnected", "token_expired", "active"),
        ("token_rejected", "active", "token_expired"),
    ]
    assert client_of(carla).get(address).status_code == 404
    account = client_of(ana).get(f"/api/v1/accounts/{acme.pk}").json()
    assert (account["id"], account["status"]) == (acme.pk, "active")
    assert "no longer accepts" in account["last_error"]
    User.objects.filter(pk=ana.pk).update(is_staff=True)
    client.force_login(User.objects.get(pk=ana.pk))
    page = client.get(f"/admin/accounts/twitteraccount/{acme.pk}/change/").content.decode()
    assert "Reconnect needed → Active" in page
    assert "no longer accepts" in page
