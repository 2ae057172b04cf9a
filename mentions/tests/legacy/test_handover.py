"""The hand-over report, and the fence around accounts that were taken over."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import TwitterAccount
from accounts.stored_tokens import token_cipher
from mentions.legacy.handover import render_handover, report_handover


def add_account(key, **values):
    encrypt = token_cipher().encrypt
    return TwitterAccount.objects.create(
        **{
            "id": key,
            "twitter_id": key,
            "access_token": encrypt("access"),
            "refresh_token": encrypt("refresh"),
            "token_expires_at": timezone.now() + timedelta(days=1),
            "scopes": ["tweet.read", "dm.read"],
            **values,
        }
    )


def test_each_account_gets_its_fate_when_reported(transactional_db):
    now = timezone.now()
    add_account("1")
    add_account("2", token_expires_at=now + timedelta(minutes=90), fenced_since=now)
    add_account("3", token_expires_at=now - timedelta(days=1), refresh_token="")
    add_account("4", scopes=["tweet.read"])
    add_account("5", scopes=[])
    add_account("6", access_token="broken")
    add_account("7", refresh_token="broken")

    report = report_handover(window=timedelta(hours=2), now=now)

    found = {
        item["account"]: (item["state"], item["direct_messages"]) for item in report["accounts"]
    }
    assert found == {
        "1": ("survives", "granted"),
        "2": ("expires_in_window", "granted"),
        "3": ("lost", "granted"),
        "4": ("survives", "missing"),
        "5": ("survives", "unknown"),
        "6": ("unreadable", "granted"),
        "7": ("unreadable", "granted"),
    }
    assert report["counts"]["fenced"] == 1
    assert "old poller is declared stopped" in render_handover(report)
    assert report_handover(window=timedelta(hours=1), now=now)["counts"]["survives"] == 4


def test_worst_accounts_are_listed_and_all_counted_when_there_are_many(transactional_db):
    for key in ("1", "2", "3", "4"):
        add_account(key)
    add_account("5", access_token="broken")

    report = report_handover(limit=2)

    assert [item["account"] for item in report["accounts"]] == ["5", "1"]
    assert (report["omitted"], report["counts"]["survives"]) == (3, 4)
    assert "4 of 5 accounts survive" in report["sentence"]
    assert "3 more are not listed; --handover --json lists them" in render_handover(report)


def test_accounts_are_fenced_until_the_poller_is_declared_stopped(legacy, run_import):
    legacy.add_user()

    report = run_import("--quiet")

    assert TwitterAccount.objects.get().is_fenced
    assert report["handover"]["counts"]["fenced"] == 1
    call_command("migrate_from_mysql", "--declare-old-poller-stopped")
    assert not TwitterAccount.objects.get().is_fenced
    legacy.execute("UPDATE users SET access_token = 'newer'")
    run_import("--quiet")
    assert not TwitterAccount.objects.get().is_fenced


def test_account_stays_fenced_when_its_newest_tokens_may_be_in_mysql_alone(legacy, run_import):
    for number in (1, 2):
        legacy.add_user(f"account-{number}", twitter_id=str(number))
    run_import("--quiet", "--unattributed")
    TwitterAccount.objects.filter(pk="account-1").update(
        access_token=token_cipher().encrypt("made here")
    )
    legacy.execute("UPDATE users SET access_token = 'made there'")
    run_import("--quiet", "--unattributed")

    with pytest.raises(CommandError, match="1 accounts stay fenced") as raised:
        call_command("migrate_from_mysql", "--declare-old-poller-stopped")

    assert raised.value.returncode == 2
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("migrate_from_mysql", "--declare-old-poller-stopped", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {
        "is_dry_run": False,
        "accounts": 0,
        "fenced_still": ["account-1"],
    }
    fenced = TwitterAccount.objects.filter(fenced_since__isnull=False)
    assert [account.pk for account in fenced] == ["account-1"]
