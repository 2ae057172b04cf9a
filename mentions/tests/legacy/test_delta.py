"""Catching up without a binary log: inserts, updates and deletions found in the tables alone."""

import pytest
from django.core.management import CommandError

from accounts.models import TwitterAccount
from mentions.models import ImportRun, Message
from mentions.tests.legacy.test_follow import compare


def test_deletions_and_silent_updates_arrive_when_compared(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(12)
    run_import()
    legacy.execute("DELETE FROM messages WHERE id LIKE '%3'")
    # As the former system did: updated_at stays.
    legacy.execute("UPDATE messages SET status = 'replied' WHERE id LIKE '%4'")
    legacy.add_message("new")

    report = run_import("--delta")

    assert report["deletion_conflict_list"] == []
    assert report["deleted"] == {"users": 0, "messages": 1, "oauth_states": 0}
    assert report["exit_code"] == 0
    assert compare(legacy) == []
    assert run_import("--delta")["deleted"]["messages"] == 0


def test_document_stays_when_deleted_there_and_changed_here(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1")
    run_import()
    Message.objects.update(status="ignored", version=2)
    Message.objects.create(
        id="9", post_id="9", timestamp=Message.objects.get().timestamp, user="u", text="polled"
    )
    legacy.execute("DELETE FROM messages")

    report = run_import("--delta", "--accept-deletions")

    assert report["exit_code"] == 2
    (conflict,) = report["deletion_conflict_list"]
    assert (conflict["id"], conflict["reason"]) == (
        "1",
        "deleted there, but changed here since the import",
    )
    assert Message.objects.count() == 2


def test_row_is_new_when_it_comes_back_after_a_delta(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1")
    run_import()
    legacy.execute("DELETE FROM messages")
    run_import("--delta", "--accept-deletions")
    legacy.add_message("1", text="again")
    run_import("--delta")
    assert Message.objects.get().text == "again"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("DELETE FROM messages", "3 of the 3 messages that were imported are not in MySQL"),
        ("DELETE FROM users", "1 of the 1 users that were imported are not in MySQL"),
    ],
)
def test_nothing_is_deleted_when_a_whole_table_is_gone(legacy, run_import, wrong, told):
    legacy.add_user()
    legacy.add_messages(3)
    run_import()
    legacy.execute(wrong)

    with pytest.raises(CommandError, match=told):
        run_import("--delta", "--account", "account-1")

    assert (Message.objects.count(), TwitterAccount.objects.count()) == (3, 1)
    report = run_import("--delta", "--accept-deletions", "--unattributed", "--reattribute")
    assert sum(report["deleted"].values()) >= 1


def test_nothing_is_deleted_when_a_tenth_and_more_is_gone(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(1_000)
    run_import()
    legacy.execute("DELETE FROM messages ORDER BY id LIMIT 101")
    with pytest.raises(CommandError, match="101 of the 1000 messages"):
        run_import("--delta")
    assert Message.objects.count() == 1_000
    legacy.add_messages(1_000, first=5_000)
    assert run_import("--delta")["deleted"]["messages"] == 101


def test_another_database_is_refused_before_anything_is_read(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(3)
    run_import()
    ImportRun.objects.update(source="db.elsewhere:3306/legacy")
    legacy.execute("DELETE FROM messages LIMIT 1")

    with pytest.raises(CommandError, match=r"The last import read db\.elsewhere:3306/legacy"):
        run_import("--delta")

    assert ImportRun.objects.count() == 1
    assert run_import("--delta", "--accept-deletions")["deleted"]["messages"] == 1
