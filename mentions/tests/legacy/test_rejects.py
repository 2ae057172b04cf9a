"""Rows that cannot be taken over, and those that can in spite of what they hold."""

import json
import stat

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from mentions.legacy.contract import MESSAGES
from mentions.legacy.mapping import RejectedRow
from mentions.legacy.rejects import RejectWriter
from mentions.models import ImportReject, Message


def test_rows_are_rejected_with_reasons_when_unreadable(legacy, run_import, tmp_path):
    legacy.add_user()
    legacy.execute(
        "ALTER TABLE messages MODIFY `text` TEXT NULL, MODIFY status VARCHAR(50) NULL, "
        "MODIFY credits_used DECIMAL(6,2) NULL"
    )
    legacy.add_message("good", credits_used=None, redirected=None)
    legacy.execute("UPDATE messages SET credits_used = NULL")
    legacy.add_message("null", text=None, status=None, credits_used=None)
    legacy.add_message("zero", timestamp="0000-00-00 00:00:00", credits_used=None)
    legacy.add_message("part", created_at="2020-00-10 00:00:00", credits_used=None)
    legacy.add_message("half", credits_used="1.50")
    legacy.execute(
        "INSERT INTO messages (id, `timestamp`, `user`, `text`, status) VALUES "
        "('surrogate', '2025-01-01', '2', CONCAT('x', X'EDA080'), 'pending')"
    )
    path = tmp_path / "rejects.ndjson"

    report = run_import("--rejects-file", str(path), "--chunk-size", "2")

    assert report["exit_code"] == 2
    assert report["tables"]["messages"]["created"] == 1
    reasons = {reject.legacy_id: reject.reasons for reject in ImportReject.objects.all()}
    assert reasons == {
        "null": ["text is NULL", "status is NULL"],
        "zero": ["timestamp is a zero date: '0000-00-00 00:00:00'"],
        "part": ["created_at is a zero date: '2020-00-10 00:00:00'"],
        "half": ["credits_used is no whole number: '1.50'"],
        "surrogate": ["text is not UTF-8 text at byte 1"],
    }
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["id"] for line in lines} == set(reasons)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reject_is_forgotten_when_the_row_was_mended(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1", timestamp="0000-00-00 00:00:00")
    assert run_import()["exit_code"] == 2
    legacy.execute("UPDATE messages SET `timestamp` = '2025-01-01 00:00:00'")

    assert run_import()["exit_code"] == 0
    assert not ImportReject.objects.exists()


def test_page_goes_on_when_a_key_is_unreadable(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(3, first=100)
    legacy.execute(
        "INSERT INTO messages (id, `timestamp`, `user`, `text`) VALUES "
        "(CONCAT('1', X'EDA080'), '2025-01-01', '2', 'x'), ('zz', '2025-01-01', '2', 'last')"
    )

    report = run_import("--chunk-size", "1")

    assert report["tables"]["messages"]["created"] == 4
    assert report["tables"]["messages"]["rejected"] == 1
    assert Message.objects.filter(pk="zz").exists()


def test_odd_values_are_kept_and_noted_when_readable(legacy, run_import):
    legacy.add_user()
    legacy.add_message("1", redirected=2, credits_used=-5)
    legacy.add_message("2", status="archived", redirected=None, created_at=None, credits_used=None)

    report = run_import()

    first, second = Message.objects.get(pk="1"), Message.objects.get(pk="2")
    assert (first.redirected, first.credits_used) == (True, -5)
    assert (second.status, second.redirected, second.created_at) == ("archived", None, None)
    assert second.credits_used is None
    notes = report["tables"]["messages"]["notes"]
    assert notes["unknown status 'archived', kept"] == 1
    assert notes["negative credits_used, kept"] == 1
    assert notes["redirected is 2, taken as true"] == 1
    assert report["exit_code"] == 0


def test_a_row_larger_than_a_document_is_kept_shortened(transactional_db):
    row = RejectedRow(
        key="huge",
        reasons=("text has 17000000 bytes; at most 2000000 fit",),
        row={"id": "huge", "text": "ä" * 17_000_000, "dm_response": None},
    )
    RejectWriter(MESSAGES, run_id="r", now=timezone.now()).write([row])
    kept = ImportReject.objects.get().row
    assert kept["text"].startswith("äää")
    assert kept["text"].endswith("… (17,000,000 characters in MySQL)")
    assert (kept["id"], kept["dm_response"]) == ("huge", None)


def test_the_file_is_named_when_there_is_no_room_for_it(legacy, run_import):
    legacy.add_message("bad", timestamp="0000-00-00 00:00:00")
    with pytest.raises(CommandError, match="/dev/full cannot be written: No space left"):
        call_command(
            "migrate_from_mysql", "--source", legacy.url, "--unattributed",
            "--rejects-file", "/dev/full",
        )  # fmt: skip
    assert ImportReject.objects.count() == 1
