"""Key rotation: complete, repeatable, never over a concurrent refresh, honest about failures."""

from io import StringIO
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from accounts import rotation
from accounts.models import OAuthState, TwitterAccount
from autores.crypto import cipher_for

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW, LOST = (Fernet.generate_key().decode() for _ in range(3))


def make_account(number: int, *, key: str) -> TwitterAccount:
    cipher = cipher_for((key,))
    return TwitterAccount.objects.create(
        twitter_id=str(number),
        access_token=cipher.encrypt(f"access-{number}"),
        refresh_token=cipher.encrypt(f"refresh-{number}"),
    )


@pytest.fixture(autouse=True)
def _keys(settings: Any) -> None:
    settings.TOKEN_ENCRYPTION_KEYS = [NEW, OLD]


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("rotate_token_key", *arguments, stdout=out, stderr=out)
    return out.getvalue()


def test_old_key_is_not_needed_any_more_when_all_is_rotated(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    # Several batches and a partial one, without thousands of accounts.
    monkeypatch.setattr(rotation, "BATCH_SIZE", 3)
    accounts = [make_account(number, key=OLD) for number in range(7)]
    OAuthState.objects.create(state="s", code_verifier=cipher_for((OLD,)).encrypt("verifier"))

    assert run().startswith("15 re-encrypted, 0 had")

    only_new = cipher_for((NEW,))
    for number, account in enumerate(accounts):
        row = TwitterAccount.objects.get(pk=account.pk)
        assert only_new.decrypt(row.access_token) == f"access-{number}"
        assert only_new.decrypt(row.refresh_token) == f"refresh-{number}"
    assert only_new.decrypt(OAuthState.objects.get().code_verifier) == "verifier"
    assert run().startswith("0 re-encrypted, 15 had")


def test_nothing_changes_when_it_is_a_dry_run() -> None:
    account = make_account(1, key=OLD)

    assert run("--dry-run").startswith("2 would be re-encrypted")

    assert TwitterAccount.objects.get(pk=account.pk).access_token == account.access_token


def test_fresher_token_is_kept_when_a_refresh_comes_in_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = make_account(1, key=OLD)
    renewed = cipher_for((NEW,)).encrypt("renewed")
    real_cipher = rotation.token_cipher

    # The moment between the read and the write is too short to be met by chance.
    def refresh_first() -> Any:
        TwitterAccount.objects.filter(pk=account.pk).update(
            access_token=renewed, refresh_token=renewed
        )
        return real_cipher()

    monkeypatch.setattr(rotation, "token_cipher", refresh_first)

    assert "2 were renewed meanwhile" in run()

    row = TwitterAccount.objects.get(pk=account.pk)
    assert (row.access_token, row.refresh_token) == (renewed, renewed)


def test_command_fails_naming_the_record_when_its_key_is_gone() -> None:
    lost, kept = make_account(1, key=LOST), make_account(2, key=OLD)
    out = StringIO()

    with pytest.raises(CommandError, match="TOKEN_ENCRYPTION_KEYS"):
        call_command("rotate_token_key", stdout=out, stderr=out)

    assert f"{lost.pk}: refresh_token" in out.getvalue()
    assert "access-1" not in out.getvalue()
    # The others are done all the same.
    assert (
        cipher_for((NEW,)).decrypt(TwitterAccount.objects.get(pk=kept.pk).access_token)
        == "access-2"
    )
