"""The legacy accounts: which arrive, in which state, and whose the messages become."""

import pytest

from accounts.models import AccountStatus, TwitterAccount
from mentions.models import Message

MENTION = "1790000000000000001"


def test_both_accounts_arrive_when_twitter_ids_differ_by_case(legacy, run_import):
    legacy.execute("ALTER TABLE users MODIFY twitter_id VARCHAR(255) COLLATE utf8mb4_bin NOT NULL")
    legacy.add_user("one", twitter_id="abc")
    legacy.add_user("two", twitter_id="ABC")

    report = run_import()

    assert report["tables"]["users"]["created"] == 2
    assert report["tables"]["users"]["notes"]["users.twitter_id that is no X user id"] == 2


def test_second_account_is_rejected_when_twitter_id_repeats(legacy, run_import):
    legacy.execute("ALTER TABLE users DROP KEY uq_users_twitter_id")
    legacy.add_user("one")
    legacy.add_user("two")

    for arguments in (("--dry-run",), (), ()):
        report = run_import("--chunk-size", "1", *arguments)
        assert report["tables"]["users"]["rejected"] == 1
        reason = report["tables"]["users"]["reject_list"][0]["reasons"]
        assert reason == ["twitter_id '1001' already belongs to 'one'"]


def test_messages_join_the_connected_account_when_it_was_connected_here_first(legacy, run_import):
    TwitterAccount.objects.create(id="new", twitter_id="1001")
    legacy.add_user("old")
    legacy.add_message(MENTION)

    report = run_import()

    assert (report["tables"]["users"]["skipped"], report["exit_code"]) == (1, 0)
    assert Message.objects.get().account_id == "new"


def test_rehearsal_names_the_account_that_the_run_chooses_when_an_x_id_repeats(legacy, run_import):
    legacy.execute("ALTER TABLE users DROP INDEX uq_users_twitter_id")
    legacy.add_user("one", twitter_id="1001")
    legacy.add_user("two", twitter_id="1001")
    legacy.add_message(MENTION)
    said = [run_import("--account", "two", *more)["attribution"] for more in (["--dry-run"], [])]
    assert said == ["account one, connected here as X user 1001"] * 2
    assert Message.objects.get().account_id == "one"


def test_messages_wait_without_account_when_their_account_is_rejected(legacy, run_import):
    legacy.add_user(token_expires_at="0000-00-00 00:00:00")
    legacy.add_message(MENTION)
    report = run_import()
    assert report["warnings"]
    assert Message.objects.get().account_id is None

    legacy.execute("UPDATE users SET token_expires_at = '2030-01-01 00:00:00'")
    assert run_import()["exit_code"] == 0
    assert Message.objects.get().account_id == "account-1"


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"token_expires_at": "2020-01-01 00:00:00"}, AccountStatus.ACTIVE),
        ({"refresh_token": ""}, AccountStatus.ACTIVE),
        (
            {"token_expires_at": "2020-01-01 00:00:00", "refresh_token": ""},
            AccountStatus.TOKEN_EXPIRED,
        ),
    ],
)
def test_account_state_follows_its_tokens_when_imported(legacy, run_import, values, status):
    legacy.add_user(**values)
    run_import()
    assert TwitterAccount.objects.get().status == status
