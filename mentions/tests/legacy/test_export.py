"""Going back: what was made here, written into a real MariaDB."""

from datetime import datetime

import pytest
from django.utils import timezone

from accounts.models import TwitterAccount
from accounts.stored_tokens import token_cipher
from mentions.legacy.address import parse_source_url
from mentions.legacy.errors import SourceError
from mentions.legacy.export import export_to_mysql
from mentions.models import Message, Tombstone
from mentions.models.tombstone import tombstone_key
from mentions.tests.legacy.exporting import NEW, add_new, export, row_of


def test_what_was_made_here_is_there_when_exported(imported):
    add_new()

    report, tables = export(imported)

    assert (tables["messages"].inserted, tables["messages"].unchanged) == (1, 3)
    assert report.is_complete
    assert row_of(imported, NEW) == (
        datetime(2026, 11, 1, 10, 0),
        "77",
        "Grüße 👩‍🚀 aus Köln",
        "replied",
        "Danke 🙏",
        None,
        3,
        1,
        datetime(2026, 11, 1, 10, 0, 1),
        None,
    )
    assert tables["messages"].cut_times == 1


def test_changes_go_back_when_the_row_is_as_it_was_imported(imported):
    Message.objects.filter(pk="2").update(status="replied", dm_response="by DM", version=2)
    TwitterAccount.objects.update(
        access_token=token_cipher().encrypt("fresh"), refresh_token=token_cipher().encrypt("newer")
    )

    report, tables = export(imported)

    assert (tables["messages"].updated, tables["users"].updated) == (1, 1)
    assert row_of(imported, "2")[3:6] == ("replied", None, "by DM")
    # Not touched: it was true there already, only in another spelling.
    assert row_of(imported, "2")[7] == 2
    assert imported.execute("SELECT access_token, refresh_token FROM users") == [("fresh", "newer")]
    assert report.is_complete


def test_microseconds_stay_where_nobody_changed_the_time(legacy, run_import):
    legacy.execute(
        "ALTER TABLE messages MODIFY `timestamp` DATETIME(6) NOT NULL, "
        "MODIFY updated_at DATETIME(3)"
    )
    legacy.add_user()
    legacy.add_message(
        "1", timestamp="2025-03-01 10:00:33.123456", updated_at="2025-03-01 10:00:34"
    )
    run_import("--quiet")
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    add_new()

    report, tables = export(legacy)
    assert (report.is_complete, tables["messages"].updated) == (True, 1)
    assert legacy.execute("SELECT `timestamp`, status FROM messages WHERE id = '1'") == [
        (datetime(2025, 3, 1, 10, 0, 33, 123456), "ignored")
    ]
    again, _ = export(legacy)
    assert (again.is_complete, again.changes) == (True, 0)


def test_row_is_refused_by_name_when_a_rule_of_the_database_forbids_it(imported):
    imported.execute("CREATE TABLE authors (x VARCHAR(255) PRIMARY KEY)")
    imported.execute("INSERT INTO authors SELECT DISTINCT `user` FROM messages")
    imported.execute("INSERT IGNORE INTO authors VALUES ('77')")
    imported.execute(
        "ALTER TABLE messages ADD CONSTRAINT known FOREIGN KEY (`user`) REFERENCES authors (x)"
    )
    add_new("1790000000000000001")
    add_new("1790000000000000002", user="nobody knows")
    add_new("1790000000000000003")

    _, rehearsed = export(imported, is_dry_run=True)
    _, tables = export(imported)

    assert rehearsed["messages"].listed == tables["messages"].listed
    ((key, kind, reason),) = tables["messages"].listed
    assert (key, kind) == ("1790000000000000002", "refused")
    assert "foreign key" in reason
    assert tables["messages"].inserted == 2


def test_rows_deleted_there_are_counted_apart(imported):
    imported.execute("DELETE FROM messages WHERE id IN ('1', '2')")

    report, tables = export(imported)

    assert (tables["messages"].unchanged, tables["messages"].deleted_there) == (1, 2)
    assert "2 deleted in MySQL since" in report.render()


def test_row_is_a_conflict_when_it_was_changed_on_both_sides(imported):
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    imported.execute("UPDATE messages SET text = 'edited there' WHERE id = '1'")
    imported.execute("DELETE FROM messages WHERE id = '3'")
    Message.objects.filter(pk="3").update(status="ignored", version=2)

    report, tables = export(imported)

    assert (tables["messages"].conflicts, tables["messages"].updated) == (2, 0)
    assert row_of(imported, "1")[2:4] == ("edited there", "pending")
    assert imported.execute("SELECT COUNT(*) FROM messages WHERE id = '3'") == [(0,)]
    assert not report.is_complete


def test_row_is_refused_when_the_legacy_schema_cannot_hold_it(imported):
    imported.execute("ALTER TABLE messages MODIFY `text` TEXT CHARACTER SET latin1 NOT NULL")
    add_new()
    add_new(f"{NEW}:1234567890123456789", post_id="x", text="short")
    add_new("5", text="a" * 70_000)
    add_new("6", text="fits")

    report, tables = export(imported)

    assert (tables["messages"].inserted, tables["messages"].refused) == (1, 3)
    assert {key for key, kind, _ in tables["messages"].listed if kind == "refused"} == {
        NEW,
        f"{NEW}:1234567890123456789",
        "5",
    }
    assert imported.execute("SELECT COUNT(*) FROM messages") == [(4,)]
    assert not report.is_complete


def test_nothing_is_written_when_only_rehearsed(imported):
    add_new()

    report, tables = export(imported, is_dry_run=True)

    assert tables["messages"].inserted == 1
    assert imported.execute("SELECT COUNT(*) FROM messages") == [(3,)]
    assert report.fenced == 0


def test_rehearsal_tells_what_mysql_will_refuse(imported):
    imported.execute("ALTER TABLE messages MODIFY `text` TEXT CHARACTER SET latin1 NOT NULL")
    add_new()
    add_new("5", text="a" * 70_000)
    add_new("6", text="fits")
    Message.objects.filter(pk="1").update(text="b" * 70_000, version=2)
    before = imported.execute("SELECT * FROM messages ORDER BY id")

    rehearsed, tables = export(imported, is_dry_run=True)

    assert imported.execute("SELECT * FROM messages ORDER BY id") == before
    assert (tables["messages"].inserted, tables["messages"].refused) == (1, 3)
    listed = tables["messages"].listed
    _, tables = export(imported)
    assert (tables["messages"].inserted, tables["messages"].listed) == (1, listed)
    assert rehearsed.untried == ""


@pytest.mark.parametrize(
    ("obstacle", "told"),
    [
        ("ALTER TABLE messages ENGINE = MyISAM", "messages is a table of MyISAM"),
        (
            "CREATE TRIGGER noted AFTER INSERT ON messages FOR EACH ROW SET @noted = NEW.id",
            "the trigger noted might do",
        ),
    ],
)
def test_rehearsal_writes_nothing_when_mysql_could_not_take_it_back(imported, obstacle, told):
    imported.execute(obstacle)
    add_new("5", text="a" * 70_000)

    report, tables = export(imported, is_dry_run=True)

    assert imported.execute("SELECT COUNT(*) FROM messages") == [(3,)]
    assert tables["messages"].inserted == 1
    assert told in report.render()


def test_rehearsal_goes_on_when_mysql_is_frozen(imported, set_global):
    add_new()
    imported.execute("CREATE OR REPLACE USER writer@'%%' IDENTIFIED BY 'pw'")
    imported.execute(f"GRANT SELECT, INSERT, UPDATE ON {imported.name}.* TO writer@'%%'")
    set_global("read_only", 1)
    url = imported.url.replace("root@", "writer:pw@")

    report = export_to_mysql(parse_source_url(url), is_dry_run=True)

    assert "SET GLOBAL read_only = 0" in report.untried
    assert report.changes == 1


def test_accounts_are_fenced_when_they_go_back(imported):
    TwitterAccount.objects.update(fenced_since=None)

    report, _ = export(imported)

    assert report.fenced == 1
    assert TwitterAccount.objects.get().is_fenced


def test_no_account_is_fenced_when_nothing_can_be_written(imported, set_global):
    TwitterAccount.objects.update(fenced_since=None)
    imported.execute("CREATE OR REPLACE USER reader@'%%' IDENTIFIED BY 'pw'")
    imported.execute(f"GRANT SELECT, INSERT ON {imported.name}.* TO reader@'%%'")
    for user in ("reader:pw@", "reader:wrong@"):
        with pytest.raises(SourceError):
            export_to_mysql(parse_source_url(imported.url.replace("root@", user)))
    imported.execute(f"GRANT UPDATE ON {imported.name}.* TO reader@'%%'")
    set_global("read_only", 1)
    with pytest.raises(SourceError):
        export_to_mysql(parse_source_url(imported.url.replace("root@", "reader:pw@")))
    assert not TwitterAccount.objects.get().is_fenced


def test_error_tells_of_the_fence_when_the_export_ends_amid_the_rows(imported):
    imported.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON messages FOR EACH ROW "
        "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'the archive is full'"
    )
    add_new()

    with pytest.raises(SourceError, match=r"archive is full.*refreshes no tokens"):
        export(imported)

    assert TwitterAccount.objects.get().is_fenced
    imported.execute("DROP TRIGGER broken")
    assert export(imported)[1]["messages"].inserted == 1


def test_other_accounts_item_of_a_post_is_refused_whatever_its_length(imported):
    add_new("1900000000000000005:1002", post_id="1900000000000000005")

    _, tables = export(imported)

    assert tables["messages"].listed[0][1:] == (
        "refused",
        "the post is another account's too; the legacy table has one row a post",
    )
    assert imported.execute("SELECT COUNT(*) FROM messages") == [(3,)]


def test_deleted_mentions_are_listed_when_mysql_still_has_them(imported):
    Message.objects.filter(pk="1").delete()
    Tombstone.objects.create(
        id=tombstone_key(account_id="account-1", post_id="1"),
        message_id="1",
        deleted_by="ana",
        deleted_at=timezone.now(),
    )

    report, _ = export(imported)

    assert report.deleted_here == ["1"]


def test_error_names_the_grants_when_mysql_may_not_be_written(imported):
    add_new()
    imported.execute("DROP USER IF EXISTS reader@'%%'")
    imported.execute("CREATE USER reader@'%%' IDENTIFIED BY 'pw'")
    imported.execute(f"GRANT SELECT ON {imported.name}.* TO reader@'%%'")
    url = imported.url.replace("root@", "reader:pw@")

    with pytest.raises(SourceError, match="INSERT and UPDATE"):
        export_to_mysql(parse_source_url(url))


def test_error_says_how_to_make_it_writable_when_mysql_is_still_frozen(imported, set_global):
    add_new()
    imported.execute("CREATE OR REPLACE USER writer@'%%' IDENTIFIED BY 'pw'")
    imported.execute(f"GRANT SELECT, INSERT, UPDATE ON {imported.name}.* TO writer@'%%'")
    set_global("read_only", 1)

    with pytest.raises(SourceError, match="SET GLOBAL read_only = 0"):
        export_to_mysql(parse_source_url(imported.url.replace("root@", "writer:pw@")))


def test_what_mysql_made_of_a_row_itself_is_a_conflict_and_not_remembered(imported, run_import):
    imported.execute(
        "CREATE TRIGGER louder BEFORE UPDATE ON messages FOR EACH ROW "
        "SET NEW.text = UPPER(NEW.text)"
    )
    Message.objects.filter(pk="1").update(text="quietly", version=2)

    for _ in range(2):
        report, tables = export(imported)
        assert (tables["messages"].updated, tables["messages"].conflicts) == (0, 1)
        assert not report.is_complete
    assert row_of(imported, "1")[2] == "QUIETLY"
    # Nor does the next import take it for what somebody wrote there.
    assert run_import("--account", "account-1")["exit_code"] == 2
    assert Message.objects.get(pk="1").text == "quietly"


def test_times_are_those_from_here_though_mysql_would_set_them_itself(imported):
    imported.execute(
        "ALTER TABLE messages MODIFY updated_at DATETIME NULL ON UPDATE CURRENT_TIMESTAMP"
    )
    before = row_of(imported, "1")[9]
    Message.objects.filter(pk="1").update(text="edited", version=2)

    report, tables = export(imported)

    assert report.is_complete
    assert tables["messages"].updated == 1
    assert (row_of(imported, "1")[2], row_of(imported, "1")[9]) == ("edited", before)
    assert export(imported)[1]["messages"].updated == 0


def test_new_rows_alone_are_refused_when_a_column_there_has_to_be_filled(imported):
    imported.execute("ALTER TABLE messages ADD COLUMN must VARCHAR(5) NOT NULL")
    add_new()
    Message.objects.filter(pk="1").update(text="edited", version=2)

    for is_dry_run in (True, False):
        report, tables = export(imported, is_dry_run=is_dry_run)
        assert (tables["messages"].inserted, tables["messages"].updated) == (0, 1)
        assert tables["messages"].refused == 1
        assert "Field 'must' doesn't have a default value" in report.render()
        assert not report.is_complete
    assert row_of(imported, "1")[2] == "edited"
