"""There and back again: which side changed since the export, and what the next import does."""

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from accounts.stored_tokens import token_cipher
from mentions.models import Message
from mentions.tests.legacy.exporting import NEW, add_new, export, row_of


def test_what_the_former_system_did_since_is_taken_when_it_comes_back(imported, run_import):
    add_new()
    add_new("1790000000000000778", is_replyable=False, replyable_code="not_invited")
    add_new("1790000000000000779")
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    export(imported)
    imported.execute(
        "UPDATE users SET access_token = 'newest', refresh_token = 'newest-too', updated_at = NOW()"
    )
    imported.execute("UPDATE messages SET status = 'replied' WHERE id = '1'")
    imported.execute("UPDATE messages SET status = 'error' WHERE id = '1790000000000000778'")
    Message.objects.filter(pk="1790000000000000779").update(status="ignored", version=2)

    report = run_import("--quiet")

    account = TwitterAccount.objects.get()
    assert token_cipher().decrypt(account.refresh_token) == "newest-too"
    counts = report["tables"]["messages"]
    assert (counts["updated"], counts["kept"], counts["conflicts"]) == (2, 1, 0)
    assert Message.objects.get(pk="1").status == "replied"
    changed = Message.objects.get(pk="1790000000000000778")
    assert (changed.status, changed.account_id) == ("error", "account-1")
    assert (changed.is_replyable, changed.replyable_code) == (False, "not_invited")
    # The fraction of a second that MySQL did not keep.
    assert Message.objects.get(pk=NEW).created_at.microsecond == 234000
    assert report["verification"]["is_proven"]
    again = run_import("--quiet")
    assert again["tables"]["messages"]["updated"] == 0


def test_messages_keep_their_account_when_the_import_is_given_none(imported, run_import):
    add_new()
    export(imported)
    imported.add_message("9", text="came while the former system ran again")

    report = run_import("--quiet", "--unattributed")

    assert report["tables"]["messages"]["conflicts"] == 0
    assert Message.objects.get(pk=NEW).account_id == "account-1"
    assert Message.objects.get(pk="9").account_id is None


def test_both_sides_values_are_told_when_both_changed_since_the_export(imported, run_import):
    add_new()
    export(imported)
    imported.execute("UPDATE messages SET status = 'error' WHERE id = %s", NEW)
    Message.objects.filter(pk=NEW).update(status="ignored", version=2)

    report = run_import("--quiet")

    assert report["exit_code"] == 2
    told = report["tables"]["messages"]["conflict_list"][0]
    assert told["reason"] == "changed both there and here since the last export"
    assert Message.objects.get(pk=NEW).status == "ignored"


def test_later_changes_go_back_when_the_export_was_killed_before_it_could_note_them(imported):
    from django.db import connection

    add_new()
    export(imported)
    connection.get_collection("messages").update_many({}, {"$unset": {"exported": ""}})

    export(imported)
    Message.objects.filter(pk=NEW).update(status="error")
    report, tables = export(imported)

    assert (tables["messages"].updated, report.is_complete) == (1, True)


def test_round_trip_loses_nothing_when_imported_elsewhere(imported, run_import):
    add_new()
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    export(imported)
    before = {
        found["id"]: found
        for found in Message.objects.values(
            "id", "timestamp", "user", "text", "status", "public_response", "credits_used"
        )
    }
    Message.objects.all().delete()
    TwitterAccount.objects.all().delete()
    from django.db import connection

    connection.database["import_chunks"].delete_many({})

    report = run_import("--quiet")

    after = {
        found["id"]: found
        for found in Message.objects.values(
            "id", "timestamp", "user", "text", "status", "public_response", "credits_used"
        )
    }
    assert after == before
    assert report["verification"]["is_proven"]


def test_nothing_is_written_when_exported_twice_and_later_changes_follow(imported):
    add_new()
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    export(imported)

    again, _ = export(imported)
    assert again.changes == 0
    assert again.is_complete

    Message.objects.filter(pk=NEW).update(status="error")
    Message.objects.filter(pk="1").update(status="error")
    third, tables = export(imported)
    assert tables["messages"].updated == 2
    assert third.is_complete


def work_here():
    """A mention answered, and the account's tokens refreshed."""
    Message.objects.filter(pk="1").update(
        status="replied", public_response="Yes.", version=2, updated_at=timezone.now()
    )
    TwitterAccount.objects.update(
        access_token=token_cipher().encrypt("fresh"), refresh_token=token_cipher().encrypt("newer")
    )


def assert_work_is_here():
    message = Message.objects.get(pk="1")
    assert (message.status, message.public_response) == ("replied", "Yes.")
    assert token_cipher().decrypt(TwitterAccount.objects.get().refresh_token) == "newer"


@pytest.mark.parametrize("options", [(), ("--delta",)])
def test_work_stays_when_the_table_is_older_than_the_export(imported, run_import, options):
    """A dump of before the export was loaded again."""
    rows = {name: imported.execute(f"SELECT * FROM {name}") for name in ("users", "messages")}
    add_new()
    work_here()
    export(imported)
    for name, before in rows.items():
        imported.execute(f"DELETE FROM {name}")
        for row in before:
            imported.execute(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(row))})", *row)

    report = run_import("--quiet", *options)

    assert_work_is_here()
    assert Message.objects.filter(pk=NEW).exists()
    assert report["tables"]["messages"]["kept"] == report["tables"]["users"]["kept"] == 1
    assert not report["verification"]["is_proven"]


@pytest.mark.parametrize("options", [(), ("--delta",)])
def test_work_stays_when_the_export_was_rehearsed_on_a_copy(imported, run_import, options):
    add_new()
    work_here()
    export(imported)
    # As of another database: to that one the export wrote, and not to this.
    for name in ("messages", "users"):
        connection.get_collection(name).update_many(
            {"exported": {"$exists": True}}, {"$set": {"exported.source": "db.copy:3306/legacy"}}
        )
    imported.execute("DELETE FROM messages WHERE id = %s", NEW)
    imported.execute(
        "UPDATE messages SET status = 'pending', public_response = NULL, updated_at = NULL"
    )
    imported.execute("UPDATE users SET refresh_token = 'the former one'")

    run_import("--quiet", *options)

    assert_work_is_here()
    assert Message.objects.filter(pk=NEW).exists()


def test_what_went_back_goes_back_again_when_mysql_is_older_than_that(imported):
    add_new()
    Message.objects.filter(pk="1").update(status="replied", public_response="Sorry!", version=2)
    before = imported.execute("SELECT * FROM messages ORDER BY id")
    assert export(imported)[1]["messages"].updated == 1
    written = imported.execute("SELECT * FROM messages ORDER BY id")
    # As a dump from before leaves it.
    imported.execute("UPDATE messages SET status = 'pending', public_response = NULL WHERE id='1'")
    imported.execute("DELETE FROM messages WHERE id = %s", NEW)
    assert imported.execute("SELECT * FROM messages ORDER BY id") == before

    _, rehearsed = export(imported, is_dry_run=True)
    report, tables = export(imported)
    assert (tables["messages"].updated, tables["messages"].conflicts) == (1, 1)
    assert rehearsed["messages"].listed == tables["messages"].listed
    assert "--insert-again" in tables["messages"].listed[0][2]
    assert not report.is_complete

    report, tables = export(imported, inserts_again=True)
    assert (tables["messages"].inserted, report.is_complete) == (1, True)
    assert imported.execute("SELECT * FROM messages ORDER BY id") == written
    assert export(imported)[0].changes == 0


def test_what_the_former_system_did_since_is_not_undone_by_an_export(imported):
    Message.objects.filter(pk="1").update(status="replied", public_response="Sorry!", version=2)
    export(imported)
    imported.execute("UPDATE messages SET public_response = 'Sent there.' WHERE id = '1'")
    report, _ = export(imported)
    assert (report.changes, report.is_complete) == (0, True)
    assert row_of(imported, "1")[4] == "Sent there."
