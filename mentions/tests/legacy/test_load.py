"""Rows that change here between being read and being written: the loader, driven by hand."""

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from autores.crypto import cipher_for
from mentions.legacy.contract import MESSAGES
from mentions.legacy.documents import TARGETS
from mentions.legacy.load import Loader
from mentions.legacy.mapping import map_message
from mentions.legacy.report import TableReport
from mentions.legacy.versions import Versions
from mentions.models import Message


def test_row_is_a_conflict_when_it_appears_here_between_read_and_write(legacy, run_import):
    run_import()
    loader, report = make_loader()
    row = map_message(LATE_ROW, account_id=None)
    Message.objects.create(
        id=row.key, post_id=row.key, timestamp=timezone.now(), user="2002", text="polled"
    )

    assert loader._create([row]) == [row]
    loader.load_page([row])

    assert report.counts["conflicts"] == 1
    assert Message.objects.get().text == "polled"


def test_row_is_a_conflict_when_it_changes_here_between_read_and_write(legacy, run_import):
    legacy.add_user()
    legacy.add_messages(3, first=7)
    run_import()
    loader, report = make_loader()
    collection = connection.get_collection("messages")
    read = list(collection.find().sort("_id", 1))
    Message.objects.filter(pk="7").update(status="ignored")
    Message.objects.filter(pk="8").delete()

    loader._update(
        [
            (map_message({**LATE_ROW, "id": found["_id"].encode()}, account_id="account-1"), found)
            for found in read
        ]
    )

    assert report.counts == {"conflicts": 2, "updated": 1}
    assert report.differing["7"]["status"] == ("replied", "ignored")
    assert dict(Message.objects.values_list("pk", "status")) == {"7": "ignored", "9": "replied"}


LATE_ROW = {
    "id": b"8",
    "timestamp": b"2025-03-04 05:06:07",
    "user": b"2002",
    "text": b"from the former system",
    "status": b"replied",
    **dict.fromkeys(
        ("public_response", "dm_response", "credits_used", "redirected", "created_at", "updated_at")
    ),
}


def make_loader():
    report = TableReport("messages")
    loader = Loader(
        next(target for target in TARGETS if target.table is MESSAGES),
        cipher=cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS)),
        source="db:3306/legacy",
        run_id="run",
        now=timezone.now(),
        is_dry_run=False,
        report=report,
        refuse=lambda row: pytest.fail(str(row)),
        versions=Versions(),
    )
    return loader, report
