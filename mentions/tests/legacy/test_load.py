"""Rows that change here between being read and being written: the loader, driven by hand."""

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.crypto import cipher_for
from autores.mongo.restore import restore_indexes
from autores.tests.profile import recorded_operations
from mentions.legacy.contract import MESSAGES, USERS
from mentions.legacy.deferral import defer_indexes
from mentions.legacy.documents import TARGETS
from mentions.legacy.load import Loader
from mentions.legacy.mapping import map_message, map_user
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


@pytest.fixture
def without_indexes(transactional_db):
    """Both collections as they are while a large table is loaded."""
    for model in (Message, TwitterAccount):
        assert defer_indexes(model, row_count=1_000_000)
    yield
    for model in (Message, TwitterAccount):
        restore_indexes(model)


def test_no_row_costs_a_look_at_all_messages_while_their_indexes_are_left_out(without_indexes):
    account = TwitterAccount.objects.create(twitter_id="900", twitter_username="acme")
    # A poll stored it while the id of its post was another account's.
    store_message("7:900", post_id="7", account=account)
    for number in range(100, 120):
        store_message(str(number))
    loader, report = make_loader()
    rows = [
        map_message({**LATE_ROW, "id": key}, account_id=account.pk)
        for key in (b"6", b"7", b"not-a-post-id")
    ]
    with recorded_scans() as scans:
        loader.load_page(rows)
    assert scans == []
    assert report.counts == {"created": 2, "conflicts": 1}
    assert not Message.objects.filter(pk="7").exists()


def test_a_document_whose_id_only_looks_like_a_rename_is_no_holder(without_indexes):
    account = TwitterAccount.objects.create(twitter_id="900")
    store_message("7:900", account=account)
    loader, report = make_loader()
    loader.load_page([map_message({**LATE_ROW, "id": b"7"}, account_id=account.pk)])
    assert report.counts == {"created": 1}


def test_the_holder_is_found_by_its_values_when_their_index_is_there(transactional_db):
    account = TwitterAccount.objects.create(twitter_id="901")
    # Named after the X id that the account had then.
    store_message("7:900", post_id="7", account=account)
    loader, report = make_loader()
    loader.load_page([map_message({**LATE_ROW, "id": b"7"}, account_id=account.pk)])
    assert report.counts == {"conflicts": 1}
    assert "is here already as '7:900'" in report.conflicts[0][1]


def test_no_account_costs_a_look_at_all_accounts_while_indexes_are_left_out(without_indexes):
    for number in range(100, 120):
        TwitterAccount.objects.create(twitter_id=str(number))
    loader, report = make_loader(USERS)
    rows = [
        map_user({**ACCOUNT_ROW, "id": b"key-of-" + x_id, "twitter_id": x_id}, now=timezone.now())
        for x_id in (b"99", b"110")
    ]
    with recorded_scans() as scans:
        loader.load_page(rows)
    assert scans == []
    assert report.counts == {"created": 1, "skipped": 1}


def recorded_scans():
    """Queries that read a collection from its beginning, and not for its first document alone."""
    return recorded_operations(planSummary="COLLSCAN", docsExamined={"$gt": 1})


def store_message(key, *, post_id="", account=None):
    Message.objects.create(
        id=key,
        post_id=post_id or key,
        account=account,
        timestamp=timezone.now(),
        user="2002",
        text="hello",
    )


ACCOUNT_ROW = {
    "access_token": b"access",
    "refresh_token": b"refresh",
    "token_expires_at": b"2031-01-01 00:00:00",
    "created_at": None,
    "updated_at": None,
}
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


def make_loader(table=MESSAGES):
    report = TableReport(table.name)
    loader = Loader(
        next(target for target in TARGETS if target.table is table),
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
