"""The proactive refresh: what is due, one failure apart from the others."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AccountStatus, AppPause, TwitterAccount, User
from accounts.tests.conftest import Browser, count_calls, refresh_expiring_tokens

pytestmark = pytest.mark.django_db(transaction=True)


def let_expire_in(account: TwitterAccount, minutes: float, **values: Any) -> None:
    TwitterAccount.objects.filter(pk=account.pk).update(
        token_expires_at=timezone.now() + timedelta(minutes=minutes), **values
    )


def expires_later(account: TwitterAccount) -> bool:
    row = TwitterAccount.objects.get(pk=account.pk)
    return bool(row.token_expires_at > timezone.now() + timedelta(minutes=60))


def test_token_is_refreshed_when_it_expires_before_the_next_run(
    sandbox: Any, acme: TwitterAccount
) -> None:
    let_expire_in(acme, 10)

    refresh_expiring_tokens()

    assert expires_later(acme)


def test_others_are_refreshed_when_one_is_refused(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    sandbox.control.create_user("zeta")
    Browser(sandbox, ana).connect("zeta")
    zeta = TwitterAccount.objects.get(twitter_username="zeta")
    let_expire_in(acme, 10)
    let_expire_in(zeta, 10)
    sandbox.control.revoke_tokens(acme.twitter_id)

    refresh_expiring_tokens()

    assert TwitterAccount.objects.get(pk=acme.pk).status == AccountStatus.TOKEN_EXPIRED
    assert expires_later(zeta)


@pytest.mark.parametrize("status", [AccountStatus.PAUSED, AccountStatus.TOKEN_EXPIRED])
def test_account_is_passed_over_when_nobody_works_it(
    sandbox: Any, acme: TwitterAccount, status: str
) -> None:
    let_expire_in(acme, 10, status=status)
    sandbox.control.clear_calls()

    refresh_expiring_tokens()

    assert count_calls(sandbox, "token") == 0


def test_nothing_is_asked_of_x_when_all_calls_are_paused(
    sandbox: Any, acme: TwitterAccount
) -> None:
    let_expire_in(acme, 10)
    AppPause.objects.create(code="operator", reason="Maintenance.")
    sandbox.control.clear_calls()

    refresh_expiring_tokens()

    assert count_calls(sandbox, "token") == 0
