"""The whole import, from a real MariaDB into a real MongoDB."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError
from django.db import connection
from django.utils import timezone

from accounts.models import OAuthState, TwitterAccount
from autores.crypto import cipher_for
from mentions.legacy.state import STATE_FIELD
from mentions.models import ImportConflict, ImportRun, Message, Tombstone
from mentions.models.tombstone import tombstone_key
from mentions.tests.legacy.database import ACCESS_TOKEN, REFRESH_TOKEN

MENTION = "1790000000000000001"
KEPT = ("users", "messages", "oauth_states", "import_rejects")


def read_all_documents():
    """Every document that anything wrote, except what migrations, Django and counters keep."""
    database = connection.database
    return {
        name: documents
        for name in database.list_collection_names()
        if not name.startswith(("django_", "auth_", "message_tallies"))
        # The first import of a database leaves an emptied collection of leases.
        if (documents := sorted(json.dumps(found, default=str) for found in database[name].find()))
    }


def decrypt(ciphertext):
    return cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS)).decrypt(ciphertext)


def test_rows_arrive_with_every_value_when_imported(legacy, run_import):
    legacy.add_user()
    legacy.add_message(
        MENTION,
        text="Grüße 👩‍🚀🏳️‍🌈",
        status="replied",
        public_response="Danke 🙏",
        credits_used=3,
        redirected=1,
    )

    report = run_import()

    assert report["exit_code"] == 0
    assert report["tables"]["messages"]["created"] == 1
    message = Message.objects.get(pk=MENTION)
    assert message.text == "Grüße 👩‍🚀🏳️‍🌈"
    assert message.public_response == "Danke 🙏"
    assert message.account_id == "account-1"
    assert message.timestamp == datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert (message.credits_used, message.redirected) == (3, True)
    assert (message.kind, message.version, message.post_id) == ("legacy", 1, MENTION)
    assert (message.draft_state, message.is_replyable) == ("none", True)
    account = TwitterAccount.objects.get(pk="account-1")
    assert decrypt(account.access_token) == ACCESS_TOKEN
    assert decrypt(account.refresh_token) == REFRESH_TOKEN
    assert (account.status, account.scopes, account.twitter_username) == ("active", [], "")
    assert ImportRun.objects.get().state == "done"


def test_no_token_is_readable_when_stored_or_printed(legacy, run_import, tmp_path):
    legacy.add_user()
    legacy.execute("ALTER TABLE users MODIFY token_expires_at DATETIME NULL")
    legacy.add_user("account-2", twitter_id="1002", token_expires_at=None)
    legacy.add_state("state-of-a-live-flow", created_at=timezone.now().replace(tzinfo=None))
    path = tmp_path / "rejects.ndjson"

    report = run_import("--rejects-file", str(path))

    everything = json.dumps(read_all_documents()) + json.dumps(report) + path.read_text()
    assert report["tables"]["users"]["rejected"] == 1
    assert ACCESS_TOKEN not in everything
    assert REFRESH_TOKEN not in everything
    assert "verifier" not in everything.replace("code_verifier", "")


def test_documents_have_every_field_when_written(legacy, run_import):
    legacy.add_user()
    legacy.add_message(MENTION)
    legacy.add_state("live", created_at=timezone.now().replace(tzinfo=None))

    run_import()

    for model in (TwitterAccount, Message, OAuthState):
        document = connection.get_collection(model._meta.db_table).find_one()
        assert set(document) == {
            *(field.column for field in model._meta.concrete_fields),
            STATE_FIELD,
        }
    # What full_clean refuses could not be saved in the admin later.
    Message.objects.get().full_clean(exclude=["replyable_reason"])
    TwitterAccount.objects.get().full_clean()


def test_nothing_changes_when_run_twice(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(25)
    run_import("--chunk-size", "10")
    before = {name: rows for name, rows in read_all_documents().items() if name in KEPT}

    report = run_import("--chunk-size", "7")

    assert report["changes"] == 0
    assert report["tables"]["messages"]["unchanged"] == 25
    after = {name: rows for name, rows in read_all_documents().items() if name in KEPT}
    assert after == before


def test_nothing_is_written_when_dry_run(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(12)
    legacy.add_message("bad", timestamp="0000-00-00 00:00:00")
    before = read_all_documents()

    dry = run_import("--dry-run", "--chunk-size", "5")
    assert read_all_documents() == before
    assert dry["exit_code"] == 2

    real = run_import("--chunk-size", "5")
    counted = ("in_mysql", "created", "updated", "unchanged", "rejected", "skipped", "notes")
    for table in ("users", "messages", "oauth_states"):
        assert {name: dry["tables"][table][name] for name in counted} == {
            name: real["tables"][table][name] for name in counted
        }


def test_row_is_updated_when_changed_there_only(legacy, run_import):
    legacy.add_user()
    legacy.add_message(MENTION)
    run_import()
    legacy.execute("UPDATE messages SET status = 'replied', public_response = 'done'")

    report = run_import()

    assert report["tables"]["messages"]["updated"] == 1
    message = Message.objects.get()
    assert (message.status, message.public_response, message.version) == ("replied", "done", 2)
    assert run_import()["changes"] == 0


def test_document_is_kept_when_changed_here_only(legacy, run_import):
    legacy.add_user()
    legacy.add_message(MENTION)
    run_import()
    # As the application does it: a change without a trace is for the comparison to report.
    Message.objects.update(status="ignored", version=2)

    report = run_import()

    assert (report["tables"]["messages"]["kept"], report["exit_code"]) == (1, 0)
    assert Message.objects.get().status == "ignored"


def test_conflict_is_reported_when_changed_on_both_sides(legacy, run_import):
    legacy.add_user()
    legacy.add_message(MENTION)
    run_import()
    Message.objects.update(status="ignored")
    legacy.execute("UPDATE messages SET status = 'replied'")

    report = run_import()

    assert report["exit_code"] == 2
    assert report["tables"]["messages"]["conflict_list"][0]["id"] == MENTION
    # For the admin, until a later run finds both alike.
    conflict = ImportConflict.objects.get()
    assert (conflict.pk, conflict.run_id) == (f"messages:{MENTION}", ImportRun.objects.first().pk)
    assert conflict.differing == {"status": {"legacy": "replied", "here": "ignored"}}
    assert Message.objects.get().status == "ignored"
    Message.objects.update(status="replied")
    run_import()
    assert not ImportConflict.objects.exists()


def test_conflict_is_reported_when_polled_here_before_the_import(legacy, run_import):
    legacy.add_user()
    run_import()
    Message.objects.create(
        id=MENTION,
        account_id="account-1",
        post_id=MENTION,
        timestamp=timezone.now(),
        user="2002",
        text="polled",
    )
    legacy.add_message(MENTION, status="replied")

    report = run_import()

    assert report["tables"]["messages"]["conflicts"] == 1
    assert Message.objects.get().text == "polled"


def test_refreshed_tokens_are_kept_when_imported_again(legacy, run_import):
    legacy.add_user()
    run_import()
    cipher = cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS))
    TwitterAccount.objects.update(refresh_token=cipher.encrypt("newer"), status="paused")

    report = run_import()

    assert report["tables"]["users"]["kept"] == 1
    account = TwitterAccount.objects.get()
    assert (decrypt(account.refresh_token), account.status) == ("newer", "paused")


def test_message_stays_deleted_when_deleted_here(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1")
    legacy.add_message("2")
    run_import()
    Message.objects.filter(pk="1").delete()
    legacy.add_message("3")
    Tombstone.objects.create(
        id=tombstone_key(account_id="account-1", post_id="3"), message_id="3", deleted_by="ana"
    )

    report = run_import()

    assert report["tables"]["messages"]["deleted_here"] == 2
    # The one without a tombstone may as well have been lost: the comparison says so.
    missing = report["verification"]["tables"]["messages"]["listed"]["missing"]
    assert [item["id"] for item in missing] == ["1"]
    assert report["exit_code"] == 2
    assert list(Message.objects.values_list("pk", flat=True)) == ["2"]


def test_ids_keep_their_spelling_when_unusual(legacy, run_import):
    legacy.add_user()
    ids = ["000123", "123", "a1b2c3d4-0000-4000-8000-00000000abcd", "trailing ", "Ünï-😀", "ß"]
    for key in ids:
        legacy.add_message(key)

    report = run_import("--chunk-size", "1")

    assert set(Message.objects.values_list("pk", flat=True)) == set(ids)
    assert set(Message.objects.values_list("post_id", flat=True)) == set(ids)
    assert report["exit_code"] == 0
    assert not Message.objects.get(pk="a1b2c3d4-0000-4000-8000-00000000abcd").is_replyable


@pytest.mark.parametrize(
    "collation",
    [
        "utf8mb4_general_ci",
        "utf8mb4_unicode_ci",
        "utf8mb4_bin",
        "utf8mb4_nopad_bin",
        "latin1_swedish_ci",
    ],
)
def test_no_row_is_skipped_when_collation_orders_otherwise(legacy, run_import, collation):
    charset = collation.split("_")[0]
    legacy.execute(f"ALTER TABLE messages CONVERT TO CHARACTER SET {charset} COLLATE {collation}")
    legacy.add_user()
    ids = ["B", "a", "_", "Z", "z1", "é1", "E2", "e3", "ÿ", "10", "9", "-1", "A~", "a b", "ß", "sz"]
    for key in ids:
        legacy.add_message(key, text=f"naïve {key}")

    for size in ("1", "2", "3"):
        report = run_import("--chunk-size", size)
        assert report["tables"]["messages"]["in_mongodb"] == len(ids)

    assert {m.pk: m.text for m in Message.objects.all()} == {key: f"naïve {key}" for key in ids}


def test_no_row_is_skipped_when_key_was_retyped_to_integer(legacy, run_import):
    legacy.add_user()
    legacy.execute("ALTER TABLE messages MODIFY id BIGINT NOT NULL")
    # Neighbours that a floating-point comparison takes for equal.
    legacy.add_messages(20, first=1_790_000_000_000_000_001)

    report = run_import("--chunk-size", "3")

    assert report["tables"]["messages"]["created"] == 20
    assert (
        "messages.id: is bigint instead of varchar(36): taken over as the text MySQL prints for it"
        in report["differences"]
    )


def test_pages_use_the_primary_key_when_read(legacy, run_import):
    legacy.add_messages(500)
    legacy.execute("ANALYZE TABLE messages")
    plan = legacy.execute(
        "EXPLAIN SELECT id, text FROM messages WHERE id > _utf8mb4 X'31353030' ORDER BY id LIMIT 10"
    )
    assert plan[0][3:6] == ("range", "PRIMARY", "PRIMARY")
    assert "filesort" not in plan[0][-1]


def test_nothing_is_written_when_attribution_is_unclear(legacy, run_import):
    legacy.add_user("one", twitter_id="1")
    legacy.add_user("two", twitter_id="2")
    legacy.add_message(MENTION)
    before = read_all_documents()

    with pytest.raises(CommandError, match=r"one \(X user 1\), two \(X user 2\)"):
        run_import()
    with pytest.raises(CommandError, match="neither in the legacy users nor connected"):
        run_import("--account", "three")
    assert read_all_documents() == before

    run_import("--unattributed")
    assert Message.objects.get().account_id is None
    assert run_import("--account", "2")["tables"]["messages"]["updated"] == 1
    message = Message.objects.get()
    assert (message.account_id, message.is_replyable) == ("two", True)


def test_flow_is_taken_over_only_when_younger_than_ten_minutes(legacy, run_import):
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    legacy.add_state("fresh", created_at=now - timedelta(minutes=2), code_verifier="secret")
    legacy.add_state("stale", created_at=now - timedelta(minutes=11))

    report = run_import()

    assert report["tables"]["oauth_states"]["skipped"] == 1
    state = OAuthState.objects.get()
    hashed = hashlib.sha256(b"fresh").hexdigest()
    assert (state.pk, decrypt(state.code_verifier)) == (hashed, "secret")
    assert state.expires_at == state.created_at + timedelta(minutes=10)
    assert state.redirect_uri == settings.TWITTER_CALLBACK_URL

    # The callback uses a state up by deleting it: it must not come back.
    state.delete()
    assert run_import()["tables"]["oauth_states"]["deleted_here"] == 1
    assert not OAuthState.objects.exists()


def test_report_is_clean_when_tables_are_empty(legacy, run_import):
    report = run_import()
    assert (report["changes"], report["exit_code"]) == (0, 0)


def test_times_are_utc_when_a_column_was_retyped_to_timestamp(legacy, run_import):
    legacy.execute("SET time_zone = '+05:00'")
    legacy.execute("ALTER TABLE messages MODIFY `timestamp` TIMESTAMP NOT NULL")
    legacy.add_user()
    legacy.add_message(MENTION, timestamp="2025-03-04 05:00:00")

    run_import()

    assert Message.objects.get().timestamp == datetime(2025, 3, 4, 0, 0, tzinfo=UTC)
