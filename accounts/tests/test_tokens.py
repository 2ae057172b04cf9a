"""Refreshing single-use tokens: one at a time, and stored before use."""

from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.utils import timezone

from accounts import tokens
from accounts.clients import call_x
from accounts.errors import ReconnectNeededError, RefreshBusyError, TokenUnreadableError
from accounts.models import TwitterAccount, User
from accounts.rotation import rotate_secrets
from accounts.signals import account_changed
from accounts.stored_tokens import token_cipher
from accounts.tests.conftest import count_calls, expire_access
from accounts.tokens import access_token_for, release_lease, take_lease
from accounts.wire import oauth_client
from autores.tests.threads import running, wait_until
from autores.x.errors import ConnectError, NoAnswerError, ServerError

pytestmark = pytest.mark.django_db(transaction=True)


def stored_refresh_token(account: TwitterAccount) -> str:
    return token_cipher().decrypt(TwitterAccount.objects.get(pk=account.pk).refresh_token)


def test_stored_token_is_given_when_it_lives_long_enough(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.clear_calls()

    token = access_token_for(acme)

    assert token == token_cipher().decrypt(acme.access_token)
    assert count_calls(sandbox, "token") == 0


def test_new_pair_is_stored_when_the_token_is_about_to_expire(
    sandbox: Any, acme: TwitterAccount
) -> None:
    before = stored_refresh_token(acme)
    now = acme.token_expires_at - timedelta(minutes=4)

    token = access_token_for(acme, now=now)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert token_cipher().decrypt(row.access_token) == token
    assert stored_refresh_token(acme) != before
    assert row.token_expires_at > timezone.now() + timedelta(minutes=100)
    assert row.refresh_lease == ""
    assert acme.access_token == row.access_token


def test_x_is_not_asked_again_when_another_finished_just_before_the_lease(
    sandbox: Any, acme: TwitterAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire_access(acme, sandbox)
    sandbox.control.clear_calls()
    others: list[str] = []

    # Two processes meet here once in thousands of refreshes: the other one is let in between the
    # read and the lease, which are real.
    def take_late(account_id: str) -> str | None:
        monkeypatch.setattr(tokens, "take_lease", take_lease)
        others.append(access_token_for(TwitterAccount.objects.get(pk=account_id)))
        return take_lease(account_id)

    monkeypatch.setattr(tokens, "take_lease", take_late)

    assert [access_token_for(acme)] == others
    assert count_calls(sandbox, "token") == 1


def test_account_must_reconnect_when_its_refresh_token_is_stale(
    sandbox: Any, acme: TwitterAccount
) -> None:
    oauth_client().refresh(stored_refresh_token(acme))
    expire_access(acme, sandbox)

    with pytest.raises(ReconnectNeededError) as caught:
        access_token_for(acme)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert row.status == "token_expired"
    assert "Connect the account again" in row.status_reason
    assert row.last_error_code == "refresh_token_rejected"
    assert not caught.value.retryable
    sandbox.control.clear_calls()
    # It is not asked again and again.
    with pytest.raises(ReconnectNeededError):
        access_token_for(acme)
    assert count_calls(sandbox, "token") == 0


def test_fresher_pair_is_used_when_the_refresh_was_refused(
    sandbox: Any, acme: TwitterAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that slept past its lease asks X with a pair that another one has spent."""
    expire_access(acme, sandbox)
    real_client, spent = oauth_client(), stored_refresh_token(acme)

    # Only the moment is staged, as in the classes below: each question to X is asked for real.
    class Sleeper:
        def refresh(self, token: str) -> Any:
            assert token == spent
            grant = real_client.refresh(token)
            tokens.store_grant(acme.pk, grant, now=timezone.now())
            return real_client.refresh(token)

    monkeypatch.setattr(tokens, "oauth_client", Sleeper)

    token = access_token_for(acme)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert token == token_cipher().decrypt(row.access_token)
    assert row.status == "active"


def test_pair_is_stored_when_the_lease_ran_out_meanwhile(
    sandbox: Any, acme: TwitterAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker took over, met the spent token, and condemned the account too early."""
    expire_access(acme, sandbox)
    real_client = oauth_client()

    class Sleeper:
        def refresh(self, token: str) -> Any:
            grant = real_client.refresh(token)
            TwitterAccount.objects.filter(pk=acme.pk).update(refresh_lease_until=timezone.now())
            monkeypatch.setattr(tokens, "oauth_client", lambda: real_client)
            with pytest.raises(ReconnectNeededError):
                access_token_for(TwitterAccount.objects.get(pk=acme.pk))
            assert TwitterAccount.objects.get(pk=acme.pk).status == "token_expired"
            return grant

    monkeypatch.setattr(tokens, "oauth_client", Sleeper)

    access_token_for(acme)

    assert TwitterAccount.objects.get(pk=acme.pk).status == "active"
    # What was stored is good at X, asked by the ordinary client.
    monkeypatch.undo()
    assert call_x(acme, lambda x: x.get_me()).username == "acme"


def test_pair_is_stored_when_keys_were_rotated_meanwhile(
    sandbox: Any, acme: TwitterAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    expire_access(acme, sandbox)
    real_client = oauth_client()

    class Slow:
        def refresh(self, token: str) -> Any:
            grant = real_client.refresh(token)
            again = token_cipher().rotate(TwitterAccount.objects.get(pk=acme.pk).refresh_token)
            TwitterAccount.objects.filter(pk=acme.pk).update(refresh_token=again)
            return grant

    monkeypatch.setattr(tokens, "oauth_client", Slow)

    token = access_token_for(acme)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert token_cipher().decrypt(row.access_token) == token


def test_pair_is_stored_when_it_was_put_under_a_key_that_this_worker_does_not_have(
    sandbox: Any, acme: TwitterAccount, settings: Any
) -> None:
    """It was to be restarted with the new key first; its X token is spent all the same."""
    expire_access(acme, sandbox)
    old = list(settings.TOKEN_ENCRYPTION_KEYS)
    new = [Fernet.generate_key().decode(), *old]
    sandbox.control.add_fault("token", "slow", params={"seconds": 2})
    with running(lambda: access_token_for(acme)):
        wait_until(lambda: TwitterAccount.objects.exclude(refresh_lease="").exists())
        settings.TOKEN_ENCRYPTION_KEYS = new
        rotate_secrets()
        # The worker goes on with what it was started with.
        settings.TOKEN_ENCRYPTION_KEYS = old
    settings.TOKEN_ENCRYPTION_KEYS = new
    row = TwitterAccount.objects.get(pk=acme.pk)
    assert row.status == "active"
    assert call_x(row, lambda x: x.get_me()).username == "acme"


def test_reconnection_wins_when_it_comes_during_a_refresh(
    sandbox: Any, acme: TwitterAccount, ana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    from accounts.tests.conftest import Browser

    expire_access(acme, sandbox)
    real_client = oauth_client()

    class Slow:
        def refresh(self, token: str) -> Any:
            grant = real_client.refresh(token)
            assert Browser(sandbox, ana).connect("acme").status_code == 200
            return grant

    monkeypatch.setattr(tokens, "oauth_client", Slow)

    token = access_token_for(acme)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert token_cipher().decrypt(row.access_token) == token
    monkeypatch.undo()
    assert access_token_for(row, must_refresh=True) != token


def test_lease_is_taken_over_when_its_holder_died(sandbox: Any, acme: TwitterAccount) -> None:
    expire_access(acme, sandbox)
    assert take_lease(acme.pk)
    TwitterAccount.objects.filter(pk=acme.pk).update(
        refresh_lease_until=timezone.now() - timedelta(seconds=1)
    )

    assert access_token_for(acme)


def test_lease_is_refused_when_another_holds_it(acme: TwitterAccount) -> None:
    owner = take_lease(acme.pk)
    assert owner is not None
    assert take_lease(acme.pk) is None
    release_lease(acme.pk, "somebody else")
    assert take_lease(acme.pk) is None
    release_lease(acme.pk, owner)
    assert take_lease(acme.pk) is not None


def test_lease_outlives_the_longest_refresh(settings: Any) -> None:
    wire = settings.X_CONNECT_TIMEOUT_SECONDS + settings.X_READ_TIMEOUT_SECONDS

    assert tokens.lease_duration().total_seconds() > wire + 30


def test_caller_is_told_to_wait_when_another_refreshes_too_long(
    sandbox: Any, acme: TwitterAccount, settings: Any
) -> None:
    settings.X_CONNECT_TIMEOUT_SECONDS = settings.X_READ_TIMEOUT_SECONDS = 0.1
    expire_access(acme, sandbox)
    take_lease(acme.pk)

    with pytest.raises(RefreshBusyError) as caught:
        access_token_for(acme)

    assert caught.value.retryable
    assert caught.value.retry_after


def test_old_token_serves_when_another_refreshes_and_it_still_lives(
    acme: TwitterAccount,
) -> None:
    take_lease(acme.pk)
    now = acme.token_expires_at - timedelta(minutes=4)

    assert access_token_for(acme, now=now) == token_cipher().decrypt(acme.access_token)


def test_old_token_serves_when_x_is_down_and_it_still_lives(
    sandbox: Any, acme: TwitterAccount
) -> None:
    sandbox.control.add_fault("token", "server_error")
    now = acme.token_expires_at - timedelta(minutes=4)

    assert access_token_for(acme, now=now) == token_cipher().decrypt(acme.access_token)


def test_x_is_named_when_it_is_down_and_the_token_is_dead(
    sandbox: Any, acme: TwitterAccount
) -> None:
    expire_access(acme, sandbox)
    sandbox.control.add_fault("token", "server_error")

    with pytest.raises(ServerError):
        access_token_for(acme)

    row = TwitterAccount.objects.get(pk=acme.pk)
    assert (row.status, row.refresh_lease) == ("active", "")
    assert access_token_for(acme)


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
def test_account_is_judged_by_x_when_an_answer_was_lost(
    sandbox: Any, acme: TwitterAccount, fault: str
) -> None:
    expire_access(acme, sandbox)
    sandbox.control.add_fault("token", fault)
    with pytest.raises((NoAnswerError, ConnectError)):
        access_token_for(acme)
    assert TwitterAccount.objects.get(pk=acme.pk).status == "active"

    if fault == "reset_before":
        assert access_token_for(acme)
    else:
        # X burnt the pair and its successor never arrived: only the owner can help.
        with pytest.raises(ReconnectNeededError):
            access_token_for(acme)


def test_account_must_reconnect_when_it_has_no_refresh_token(
    sandbox: Any, acme: TwitterAccount
) -> None:
    expire_access(acme, sandbox)
    TwitterAccount.objects.filter(pk=acme.pk).update(refresh_token="")

    with pytest.raises(ReconnectNeededError) as caught:
        access_token_for(acme)

    assert "offline.access" in caught.value.sentence
    assert TwitterAccount.objects.get(pk=acme.pk).status == "token_expired"


def test_account_says_so_until_its_key_is_back_when_that_is_gone(
    sandbox: Any, acme: TwitterAccount, settings: Any
) -> None:
    from cryptography.fernet import Fernet

    told: list[str] = []

    def listen(action: str, **values: Any) -> None:
        told.append(action)

    account_changed.connect(listen)
    keys = settings.TOKEN_ENCRYPTION_KEYS
    settings.TOKEN_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    for _ in range(2):
        with pytest.raises(TokenUnreadableError) as caught:
            call_x(acme, lambda client: client.get_me())

    assert "TOKEN_ENCRYPTION_KEYS" in caught.value.sentence
    row = TwitterAccount.objects.get(pk=acme.pk)
    assert (row.status, row.last_error_code) == ("error", "token_unreadable")
    assert "connect the account again" in row.status_reason
    # Once, however often it is tried.
    assert told == ["account.error"]

    settings.TOKEN_ENCRYPTION_KEYS = keys
    call_x(acme, lambda client: client.get_me())
    row.refresh_from_db()
    assert (row.status, row.status_reason, row.last_error_code) == ("active", "", "")


@pytest.mark.parametrize("status", ["paused", "token_expired"])
def test_unreadable_token_changes_no_state_when_a_person_has_to_act_anyway(
    acme: TwitterAccount, settings: Any, status: str
) -> None:
    from cryptography.fernet import Fernet

    settings.TOKEN_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    TwitterAccount.objects.filter(pk=acme.pk).update(status=status)

    with pytest.raises((TokenUnreadableError, ReconnectNeededError)):
        access_token_for(acme)

    assert TwitterAccount.objects.get(pk=acme.pk).status == status


def test_no_second_refresh_is_made_when_another_did_it_after_the_401(
    sandbox: Any, acme: TwitterAccount
) -> None:
    stale = TwitterAccount.objects.get(pk=acme.pk)
    fresh = access_token_for(acme, must_refresh=True)
    sandbox.control.clear_calls()

    assert access_token_for(stale, must_refresh=True) == fresh
    assert count_calls(sandbox, "token") == 0
