"""Catching up without a binary log: inserts, updates and deletions found in the tables alone."""

from mentions.models import Message
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

    report = run_import("--delta")

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
    run_import("--delta")
    legacy.add_message("1", text="again")
    run_import("--delta")
    assert Message.objects.get().text == "again"
