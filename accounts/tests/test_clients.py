"""Calls to X for an account: refused, repeated after a 401, and remembered as its health."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.clients import call_x
from accounts.errors import AccountBlockedError, AppPausedError, ReconnectNeededError
from accounts.health import pause_account, resume_account
from accounts.models import AppPause, TwitterAccount
from accounts.pauses import pause_app, resume_app
from accounts.tests.conftest import count_calls
from autores.x.client import XClient
from autores.x.errors import (
    CreditsDepletedError,
    RateLimitedError,
    ServerError,
    UnauthorizedError,
    UsageCapError,
)
from autores.x.types import User as XUser

pytestmark = pytest.mark.django_db(transaction=True)


def ask_name(client: XClient) -> XUser:
    return client.get_me()


def reload(account: TwitterAccount) -> TwitterAccount:
    return TwitterAccount.objects.get(pk=account.pk)


def test_answer_is_given_when_all_is_well(acme: TwitterAccount) -> None:
    assert call_x(acme, ask_name).username == "acme"


def test_call_is_repeated_when_x_refuses_the_token_early(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.expire_tokens(acme.twitter_id)
    sandbox.control.clear_calls()

    assert call_x(acme, ask_name).username == "acme"
    assert count_calls(sandbox, "me") == 2
    assert count_calls(sandbox, "token") == 1


def test_account_is_in_error_and_tried_again_when_x_refuses_even_the_new_token(
    sandbox: Any, acme: TwitterAccount
) -> None:
    """Its consent stands: X has just renewed the token. A minute of 401 costs nobody a consent."""
    sandbox.control.add_fault("me", "unauthorized", times=3)
    sandbox.control.clear_calls()

    with pytest.raises(UnauthorizedError, match="although it renewed it"):
        call_x(acme, ask_name)
    refused = reload(acme)
    assert (refused.status, refused.last_error_code) == ("error", "unauthorized")
    assert (count_calls(sandbox, "me"), count_calls(sandbox, "token")) == (2, 1)

    # Not renewed for every call while that lasts.
    with pytest.raises(UnauthorizedError):
        call_x(acme, ask_name)
    assert (count_calls(sandbox, "me"), count_calls(sandbox, "token")) == (3, 1)

    assert call_x(acme, ask_name).username == "acme"
    assert reload(acme).status == "active"


def test_account_must_reconnect_when_the_owner_revoked_it(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.revoke_tokens(acme.twitter_id)

    with pytest.raises(ReconnectNeededError):
        call_x(acme, ask_name)

    assert reload(acme).status == "token_expired"


def test_account_waits_and_recovers_when_its_limit_is_reached(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.add_fault("me", "rate_limit_window")
    with pytest.raises(RateLimitedError):
        call_x(acme, ask_name)
    blocked = reload(acme)
    assert blocked.status == "rate_limited"
    assert blocked.blocked_until > timezone.now()
    sandbox.control.clear_calls()

    with pytest.raises(AccountBlockedError) as caught:
        call_x(acme, ask_name)

    assert caught.value.retryable
    assert caught.value.retry_after > 0
    assert count_calls(sandbox, "me") == 0
    call_x(acme, ask_name, now=blocked.blocked_until + timedelta(seconds=1))
    recovered = reload(acme)
    assert (recovered.status, recovered.blocked_until) == ("active", None)
    assert recovered.last_error_code == ""


def test_other_calls_go_on_when_one_kind_of_call_is_spent(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.add_fault("mentions", "rate_limit_window")
    with pytest.raises(RateLimitedError):
        call_x(acme, lambda x: x.get_mentions(acme.twitter_id))
    sandbox.control.clear_calls()

    assert call_x(acme, ask_name).username == "acme"

    # Still closed, and said so, until X opens it: the other call's success does not hide it.
    stored = reload(acme)
    assert stored.status == "rate_limited"
    assert set(stored.list_closed(now=timezone.now())) == {"get_mentions"}
    with pytest.raises(AccountBlockedError) as caught:
        call_x(acme, lambda x: x.get_mentions(acme.twitter_id))
    assert caught.value.code == "account_rate_limited"
    assert count_calls(sandbox, "mentions") == 0


def test_each_limit_keeps_its_own_time_when_two_are_spent(
    sandbox: Any, acme: TwitterAccount
) -> None:
    for route in ("mentions", "me"):
        sandbox.control.add_fault(route, "rate_limit_window")
    with pytest.raises(RateLimitedError):
        call_x(acme, lambda x: x.get_mentions(acme.twitter_id))
    with pytest.raises(RateLimitedError):
        call_x(acme, ask_name)

    stored = reload(acme)
    closed = stored.list_closed(now=timezone.now())
    assert set(closed) == {"get_mentions", "get_me"}
    assert stored.blocked_until == max(closed.values())


def test_account_stays_open_when_only_a_days_budget_of_writes_is_spent(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.add_fault("create_post", "rate_limit_user_day")
    parent = sandbox.control.create_mention(account="acme", author="dora", text="@acme hi")

    with pytest.raises(RateLimitedError):
        call_x(acme, lambda x: x.create_reply("Hello", in_reply_to_post_id=parent["id"]))

    assert reload(acme).status == "active"
    assert reload(acme).last_error_code == "rate_limited_user_day"


@pytest.mark.parametrize("limit", ["rate_limit_user_day", "rate_limit_app_day"])
def test_a_kind_of_read_is_left_alone_when_a_days_budget_of_it_is_spent(
    sandbox: Any, acme: TwitterAccount, limit: str
) -> None:
    sandbox.control.add_fault("mentions", limit, times=None)
    sandbox.control.clear_calls()
    for _ in range(5):
        with pytest.raises((RateLimitedError, AccountBlockedError)):
            call_x(acme, lambda x: x.get_mentions(acme.twitter_id))
    assert count_calls(sandbox, "mentions") == 1
    assert call_x(acme, ask_name).username == "acme"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("credits_depleted", CreditsDepletedError),
        ("credits_payment_required", CreditsDepletedError),
        ("usage_cap", UsageCapError),
    ],
)
def test_every_account_stops_when_the_app_cannot_pay(
    sandbox: Any, acme: TwitterAccount, fault: str, error: type[Exception]
) -> None:
    sandbox.control.add_fault("me", fault)
    with pytest.raises(error):
        call_x(acme, ask_name)
    sandbox.control.clear_calls()

    with pytest.raises(AppPausedError) as caught:
        call_x(acme, ask_name)

    assert "paused" in caught.value.sentence
    assert count_calls(sandbox, "me") == 0
    assert resume_app()
    assert call_x(acme, ask_name).username == "acme"


def test_operators_pause_is_kept_when_x_reports_a_cap(acme: TwitterAccount) -> None:
    now = timezone.now()
    AppPause.objects.create(code="operator", reason="Election day.")

    pause_app("usage_cap", "The cap.", seconds=60, now=now)

    assert AppPause.objects.get().reason == "Election day."


def test_calls_go_out_again_when_the_pause_has_ended(acme: TwitterAccount) -> None:
    now = timezone.now()
    pause_app("usage_cap", "The cap.", seconds=60, now=now)
    with pytest.raises(AppPausedError) as caught:
        call_x(acme, ask_name, now=now)
    assert caught.value.retry_after == pytest.approx(60, abs=1)

    assert call_x(acme, ask_name, now=now + timedelta(seconds=61)).username == "acme"


def test_account_is_not_called_when_a_person_paused_it(sandbox: Any, acme: TwitterAccount) -> None:
    now = timezone.now()
    assert pause_account(acme, reason="Paused by ana.", now=now)
    assert not pause_account(acme, reason="Again.", now=now)

    with pytest.raises(AccountBlockedError) as caught:
        call_x(TwitterAccount.objects.get(pk=acme.pk), ask_name)

    assert not caught.value.retryable
    assert "Paused by ana" in caught.value.sentence
    assert resume_account(acme, now=now)
    assert call_x(acme, ask_name).username == "acme"


def test_account_stays_active_when_x_fails(sandbox: Any, acme: TwitterAccount) -> None:
    sandbox.control.add_fault("me", "server_error")

    with pytest.raises(ServerError):
        call_x(acme, ask_name)

    row = reload(acme)
    assert (row.status, row.last_error_code) == ("active", "server_error")
    call_x(row, ask_name)
    assert reload(acme).last_error_code == ""


def test_pause_is_kept_when_a_late_answer_brings_an_error(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.add_fault("me", "rate_limit_window")

    def pause_meanwhile(client: XClient) -> XUser:
        TwitterAccount.objects.filter(pk=acme.pk).update(status="paused")
        return client.get_me()

    with pytest.raises(RateLimitedError):
        call_x(acme, pause_meanwhile)

    assert reload(acme).status == "paused"
