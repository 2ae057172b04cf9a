"""Accounts taken over from the former system, while that one may still refresh their tokens."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.clients import call_x
from accounts.errors import RefreshFencedError
from accounts.models import TwitterAccount, User
from accounts.stored_tokens import lift_fences, token_cipher
from accounts.tests.conftest import (
    Browser,
    client_of,
    count_calls,
    expire_access,
    refresh_expiring_tokens,
)
from accounts.tokens import access_token_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def taken_over(acme: TwitterAccount, sandbox: Any) -> TwitterAccount:
    TwitterAccount.objects.filter(pk=acme.pk).update(fenced_since=timezone.now())
    sandbox.control.clear_calls()
    return TwitterAccount.objects.get(pk=acme.pk)


def test_refresh_token_is_not_used_when_the_account_is_fenced(
    sandbox: Any, taken_over: TwitterAccount
) -> None:
    expire_access(taken_over, sandbox)
    before = TwitterAccount.objects.get(pk=taken_over.pk)

    with pytest.raises(RefreshFencedError) as caught:
        access_token_for(taken_over)

    after = TwitterAccount.objects.get(pk=taken_over.pk)
    assert count_calls(sandbox, "token") == 0
    assert (after.refresh_token, after.status) == (before.refresh_token, "active")
    assert after.refresh_lease == ""
    assert caught.value.retryable
    assert "--declare-old-poller-stopped" in caught.value.sentence


def test_living_token_is_used_to_its_end_when_the_account_is_fenced(
    sandbox: Any, taken_over: TwitterAccount
) -> None:
    now = taken_over.token_expires_at - timedelta(minutes=2)

    token = access_token_for(taken_over, now=now)

    assert token == token_cipher().decrypt(taken_over.access_token)
    assert count_calls(sandbox, "token") == 0


def test_account_is_not_condemned_when_the_former_poller_replaced_its_token(
    sandbox: Any, taken_over: TwitterAccount
) -> None:
    sandbox.control.expire_tokens(taken_over.twitter_id)

    with pytest.raises(RefreshFencedError):
        call_x(taken_over, lambda x: x.get_me())

    assert count_calls(sandbox, "token") == 0
    assert TwitterAccount.objects.get(pk=taken_over.pk).status == "active"


def test_schedule_passes_over_accounts_when_they_are_fenced(
    sandbox: Any, taken_over: TwitterAccount
) -> None:
    expire_access(taken_over, sandbox)

    refresh_expiring_tokens()

    assert count_calls(sandbox, "token") == 0


def test_refresh_goes_on_when_the_former_poller_is_declared_stopped(
    sandbox: Any, taken_over: TwitterAccount
) -> None:
    expire_access(taken_over, sandbox)

    assert lift_fences() == 1

    assert call_x(taken_over, lambda x: x.get_me()).username == "acme"
    assert count_calls(sandbox, "token") == 1
    assert lift_fences() == 0


def test_fence_ends_when_consent_is_given_here(
    sandbox: Any, taken_over: TwitterAccount, ana: User
) -> None:
    assert Browser(sandbox, ana).connect("acme").status_code == 200

    assert not TwitterAccount.objects.get(pk=taken_over.pk).is_fenced


def test_sentence_is_shown_when_the_account_is_fenced(
    taken_over: TwitterAccount, ana: User
) -> None:
    url = f"/api/v1/accounts/{taken_over.pk}"

    assert "--declare-old-poller-stopped" in client_of(ana).get(url).json()["token_fence"]
    lift_fences()
    assert client_of(ana).get(url).json()["token_fence"] == ""
