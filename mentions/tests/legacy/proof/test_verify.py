"""The comparison, on a real MariaDB and a real MongoDB."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.x.ids import created_at_of
from mentions.legacy.address import parse_source_url
from mentions.legacy.proof.runs import add_to_run, check_run
from mentions.legacy.proof.verify import Verifier, VerifyOptions
from mentions.models import ImportRun, Message, Tombstone
from mentions.models.tombstone import tombstone_key
from mentions.tests.legacy.database import ACCESS_TOKEN

# In the order of no collation: case, trailing blanks, leading zeros, punctuation, accents.
HARD_IDS = [
    "B", "a", "Z", "z1", "007", "07", "7", "70", "a b", "a\tb", "a-b", "_", "~", "-1",
    "é1", "E2", "e3", "ÿ", "ß", "ss", "Ａ", "😀", "10", "9", "1790000000000000001", "a1B2-c3D4",
]  # fmt: skip


def verify(legacy, *, processes=1, sample=None):
    proof = Verifier(
        parse_source_url(legacy.url), options=VerifyOptions(processes=processes, sample=sample)
    ).run()
    return proof, {table.table: table.to_json() for table in proof.tables}


def collection(model=Message):
    return connection.get_collection(model._meta.db_table)


@pytest.mark.parametrize(
    "collation", ["utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "utf8mb4_nopad_bin"]
)
def test_every_row_is_met_when_the_collation_orders_otherwise(legacy, run_import, collation):
    legacy.execute(f"ALTER TABLE messages CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    legacy.add_user()
    ids = [key for key in HARD_IDS if not (collation == "utf8mb4_unicode_ci" and key == "ss")]
    for key in ids:
        if collation.endswith("_ci") and key == "Ａ":
            continue
        legacy.add_message(key, text=f"text of {key}")
    legacy.add_message("trailing  ", text="blanks")
    count = legacy.execute("SELECT COUNT(*) FROM messages")[0][0]
    run_import("--quiet")

    proof, tables = verify(legacy)

    assert tables["messages"]["equal"] == tables["messages"]["in_mysql"] == count
    assert proof.is_proven
    assert tables["messages"]["order"] == ("index" if collation.endswith("nopad_bin") else "bytes")


def test_every_row_is_met_when_ranges_are_compared_in_processes(legacy, run_import, monkeypatch):
    monkeypatch.setattr("mentions.legacy.proof.verify._ROWS_WORTH_A_PROCESS", 10)
    legacy.add_user()
    legacy.add_messages(400)
    run_import("--quiet")
    collection().update_one({"_id": "1500000000000000250"}, {"$set": {"text": "other"}})
    collection().delete_one({"_id": "1500000000000000111"})

    proof, tables = verify(legacy, processes=2)

    assert (tables["messages"]["in_mysql"], tables["messages"]["equal"]) == (400, 398)
    assert (tables["messages"]["differing"], tables["messages"]["missing"]) == (1, 1)
    assert not proof.is_proven


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("text", "helo", "'helo'"),
        ("status", None, "NULL"),
        ("credits_used", 0.0, "0.0"),
        ("redirected", 0, "0"),
        ("user", 2002, "2002"),
        ("timestamp", "2025-03-04 05:06:07", "'2025-03-04 05:06:07'"),
        ("post_id", "other", "'other'"),
        ("public_response", "", "''"),
    ],
)
def test_field_and_both_values_are_named_when_value_or_type_differs(
    legacy, run_import, field, value, shown
):
    legacy.add_user()
    legacy.add_message("1790000000000000001")
    run_import("--quiet")
    collection().update_one({}, {"$set": {field: value}})

    proof, tables = verify(legacy)

    [found] = tables["messages"]["listed"]["differing"]
    assert found["id"] == "1790000000000000001"
    assert [item["field"] for item in found["fields"]] == [field]
    assert found["fields"][0]["in_mongodb"] == shown
    assert not proof.is_proven


def test_secrets_are_digests_when_they_differ(legacy, run_import):
    legacy.add_user()
    run_import("--quiet")
    legacy.execute("UPDATE users SET access_token = 'another-secret'")

    _, tables = verify(legacy)

    told = json.dumps(tables)
    assert tables["users"]["differing"] == 1
    assert "another-secret" not in told
    assert ACCESS_TOKEN not in told
    assert told.count("sha256:") == 2


def test_change_is_explained_when_the_application_recorded_it(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1")
    legacy.add_message("2")
    legacy.add_message("3")
    run_import("--quiet")
    Message.objects.filter(pk="1").update(status="ignored", version=2)
    Message.objects.filter(pk="2").update(status="ignored")
    Message.objects.filter(pk="3").delete()
    Tombstone.objects.create(
        id=tombstone_key(account_id="account-1", post_id="3"), message_id="3", deleted_by="ana"
    )
    TwitterAccount.objects.update(access_token="", updated_at=timezone.now())

    _, tables = verify(legacy)

    assert tables["users"]["changed_here"] == 1
    assert tables["messages"]["changed_here"] == 1
    assert tables["messages"]["deleted_here"] == 1
    assert [item["id"] for item in tables["messages"]["listed"]["differing"]] == ["2"]


def test_change_here_explains_nothing_when_the_row_changed_there_too(legacy, run_import):
    """What never arrived would be called proven otherwise."""
    legacy.add_user()
    legacy.add_message("1")
    run_import("--quiet")
    Message.objects.update(status="ignored", version=2)
    legacy.execute("UPDATE messages SET public_response = 'answered over there'")
    TwitterAccount.objects.update(access_token="", updated_at=timezone.now())
    legacy.execute("UPDATE users SET refresh_token = 'newer'")

    proof, tables = verify(legacy)

    assert not proof.is_proven
    for name in ("messages", "users"):
        assert (tables[name]["conflicts"], tables[name]["changed_here"]) == (1, 0)
        assert "changed there too" in tables[name]["listed"]["conflicts"][0]["why"]


def test_document_is_extra_when_its_row_is_gone(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1")
    legacy.add_message("2")
    run_import("--quiet")
    legacy.execute("DELETE FROM messages WHERE id = '2'")
    Message.objects.create(
        id="99", account_id="account-1", post_id="99", timestamp=timezone.now(), user="1", text="x"
    )

    proof, tables = verify(legacy)

    assert (tables["messages"]["extra"], tables["messages"]["created_here"]) == (1, 1)
    assert not proof.is_proven


def test_zone_is_found_out_when_the_table_is_not_utc(legacy, run_import):
    legacy.add_user()
    for number in range(5):
        key = str(1_790_000_000_000_000_001 + number * 10**13)
        local = created_at_of(key) + timedelta(hours=2)
        legacy.add_message(key, timestamp=local.strftime("%Y-%m-%d %H:%M:%S"))

    report = run_import("--quiet")

    assert report["verification"]["clock"]["is_zone_wrong"]
    assert "+02:00" in report["verification"]["clock"]["sentence"]
    assert report["exit_code"] == 2


def test_rejects_and_expired_states_are_explained_when_compared(legacy, run_import):
    legacy.add_user()
    legacy.add_message("bad", timestamp="0000-00-00 00:00:00")
    legacy.add_state("old", created_at="2020-01-01 00:00:00")
    run_import("--quiet")

    proof, tables = verify(legacy)

    assert tables["messages"]["rejected"] == 1
    assert tables["oauth_states"]["skipped"] == 1
    assert proof.is_proven


def test_a_reject_excuses_nothing_when_the_row_was_mended(legacy, run_import):
    legacy.execute("ALTER TABLE users DROP INDEX uq_users_twitter_id")
    legacy.add_user("one", twitter_id="1001")
    legacy.add_user("two", twitter_id="1001")
    legacy.add_message("1", timestamp="0000-00-00 00:00:00")
    legacy.add_message("2", timestamp="0000-00-00 00:00:00")
    run_import("--quiet", "--account", "one")
    assert verify(legacy)[0].is_proven

    legacy.execute("UPDATE messages SET `timestamp` = '2025-01-01 00:00:00' WHERE id = '1'")
    legacy.execute("UPDATE messages SET `text` = 'other, and refused still' WHERE id = '2'")
    legacy.execute("UPDATE users SET access_token = 'longer than before' WHERE id = 'two'")
    proof, tables = verify(legacy)
    assert (tables["messages"]["missing"], tables["messages"]["rejected"]) == (1, 1)
    (item,) = tables["messages"]["listed"]["missing"]
    assert "has been mended since: import it" in item["why"]
    # Another row has the X user id still.
    assert (tables["users"]["missing"], tables["users"]["rejected"]) == (0, 1)
    assert not proof.is_proven

    legacy.execute("UPDATE users SET twitter_id = '1002' WHERE id = 'two'")
    assert verify(legacy)[1]["users"]["missing"] == 1
    run_import("--quiet", "--account", "one")
    assert verify(legacy)[1]["messages"]["rejected"] == 1


def test_an_older_copy_of_a_row_that_is_refused_now_is_a_difference(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1", text="old")
    legacy.add_message("2")
    run_import("--quiet")
    legacy.execute("SET SESSION sql_mode = ''")
    legacy.execute("UPDATE messages SET text = 'new', created_at = '0000-00-00' WHERE id = '1'")
    report = run_import("--quiet")

    proof, tables = verify(legacy)

    assert (tables["messages"]["rejected"], tables["messages"]["differing"]) == (0, 1)
    assert not proof.is_proven
    assert report["exit_code"] == 2
    assert report["tables"]["messages"]["in_mongodb"] == 2


def test_only_a_sample_is_compared_when_asked_for(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(50)
    run_import("--quiet")

    proof, tables = verify(legacy, sample=10)

    assert (tables["messages"]["compared"], tables["messages"]["in_mysql"]) == (10, 50)
    assert "A sample proves nothing" in proof.verdict
    # Nothing was said about the times of the others.
    assert proof.to_json()["clock"] is None


def test_report_is_kept_and_sealed_when_only_verified(legacy, run_import, tmp_path):
    legacy.add_user()
    run_import("--quiet")
    page = tmp_path / "report.html"

    report = run_import("--verify-only", "--html", str(page))

    run = ImportRun.objects.get(pk=report["run"])
    assert run.state == "verified"
    assert check_run(run).is_good
    call_command("migrate_from_mysql", "--check-seal", str(page))
    out = io.StringIO()
    call_command("migrate_from_mysql", "--check-seal", run.pk, "--json", stdout=out)
    assert (told := json.loads(out.getvalue()))["is_good"]
    assert (told["state"], told["digest"]) == ("intact", run.report["seal"]["digest"])
    run.report["verification"]["rows"] = 77
    run.save()
    with pytest.raises(CommandError, match="not what was sealed"):
        call_command("migrate_from_mysql", "--check-seal", run.pk)


def test_later_seals_still_fit_when_an_earlier_run_was_gone_on_with(legacy, run_import):
    legacy.add_user()
    loaded = run_import()["run"]
    compared = run_import("--verify-only")["run"]
    assert ImportRun.objects.get(pk=compared).report["seal"]["previous"]
    add_to_run(loaded, {"remark": "gone on with"})
    assert check_run(ImportRun.objects.get(pk=loaded)).is_good
    assert check_run(ImportRun.objects.get(pk=compared)).is_good
    run = ImportRun.objects.get(pk=loaded)
    run.report["seal"]["earlier"] = []
    run.save()
    assert not check_run(ImportRun.objects.get(pk=compared)).is_good


def test_report_is_written_and_sealed_when_only_rehearsed(legacy, run_import, tmp_path):
    legacy.add_user()
    legacy.add_message("7", timestamp="0000-00-00 00:00:00")
    path, page = tmp_path / "rehearsal.json", tmp_path / "rehearsal.html"
    report = run_import("--dry-run", "--report", str(path), "--html", str(page))
    assert report["exit_code"] == 2
    assert json.loads(path.read_text())["tables"] == report["tables"]
    assert "timestamp is a zero date" in page.read_text()
    call_command("migrate_from_mysql", "--check-seal", str(page))
    assert not ImportRun.objects.exists()
