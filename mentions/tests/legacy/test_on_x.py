"""Imported mentions that their authors edit or delete on X, while the former system still runs."""

import pytest
from bson import json_util
from django.db import connection
from django.utils import timezone

from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import ImportConflict, ImportReject, ImportRun, Message
from mentions.recheck.redact import mark_deleted, redact_message

MENTION = "1790000000000000001"
SECRET = "4711-0815"
TEXT = f"@acme my parcel {SECRET} vanished"


def find_secret():
    """Collections in which the words still stand."""
    database = connection.database
    return {
        name
        for name in database.list_collection_names()
        for document in database[name].find({})
        if SECRET in json_util.dumps(document)
    }


def read_proof():
    """As it was sealed with the last run."""
    return ImportRun.objects.latest("started_at").report["verification"]


@pytest.fixture
def gone(legacy, run_import):
    """An imported mention that was deleted on X since."""
    legacy.add_user()
    legacy.add_message(MENTION, text=TEXT)
    run_import()
    message = Message.objects.get()
    assert mark_deleted(message, now=timezone.now())
    assert redact_message(message.pk, now=timezone.now())
    assert find_secret() == set()
    return message


@pytest.mark.parametrize(
    "change",
    ["", "status = 'replied'", "created_at = '0000-00-00'", f"text = 'new words on {SECRET}'"],
)
def test_what_was_deleted_on_x_does_not_come_back(gone, legacy, run_import, change):
    if change:
        legacy.execute(f"UPDATE messages SET {change}")
    report = run_import()
    assert find_secret() == set()
    gone.refresh_from_db()
    assert (gone.x_state, gone.text) == ("redacted", "")
    table = report["tables"]["messages"]
    if "0000" in change:
        assert (table["rejected"], ImportReject.objects.get().row) == (1, {"id": MENTION})
        return
    assert (table["kept"], table["conflicts"], report["exit_code"]) == (1, 0, 0)
    assert table["kept_list"] == [{"id": MENTION, "values": {}}]
    proof = read_proof()
    assert proof["is_proven"]
    (item,) = proof["tables"]["messages"]["listed"]["changed_here"]
    assert item["fields"] == []
    assert "deleted it on X" in item["why"]


@pytest.fixture
def poller(legacy, acme):
    poll_account(acme, now=timezone.now())
    legacy.add_user("account-1", twitter_id=acme.twitter_id)

    def poll():
        poll_account(acme, now=timezone.now())

    return poll


def test_an_answer_given_there_arrives_when_the_author_edited_the_mention_meanwhile(
    legacy, run_import, poller, sandbox
):
    post = sandbox.control.create_mention(account="acme", author="dora", text="@acme hello?")
    legacy.add_message(post["id"], text="@acme hello?", status="pending", public_response=None)
    run_import()
    sandbox.control.edit_post(post["id"], "@acme hello, is anybody there?")
    poller()
    # It is not the edit that makes it differ.
    assert run_import()["exit_code"] == 0

    legacy.execute(
        "UPDATE messages SET status = 'replied', public_response = 'Hi!', "
        "updated_at = '2026-11-01 10:00:00'"
    )
    for updated in (1, 0):
        report = run_import()
        assert (report["tables"]["messages"]["updated"], report["exit_code"]) == (updated, 0)
        message = Message.objects.get()
        assert (message.status, message.public_response) == ("replied", "Hi!")
        assert message.text == "@acme hello, is anybody there?"
    assert not ImportConflict.objects.exists()


@pytest.mark.parametrize("edits", [1, 2])
def test_a_row_is_a_conflict_when_its_post_is_here_as_an_earlier_version(
    legacy, run_import, poller, sandbox, edits
):
    first = sandbox.control.create_mention(account="acme", author="dora", text="@acme hello?")
    poller()
    newest = first
    versions = []
    for number in range(edits):
        newest = sandbox.control.edit_post(newest["id"], f"@acme hello, {number}?")
        versions.append(newest["id"])
    poller()
    # The former system saw the first edit.
    legacy.add_message(versions[0], text="@acme hello, 0?", status="replied", public_response="Hi!")
    report = run_import()
    assert [message.pk for message in Message.objects.all()] == [first["id"]]
    table = report["tables"]["messages"]
    assert (table["conflicts"], table["created"], report["exit_code"]) == (1, 0, 2)
    assert table["conflict_list"][0]["reason"] == f"is here already as {first['id']!r}"
    proved = read_proof()["tables"]["messages"]
    assert (proved["conflicts"], proved["missing"]) == (1, 0)


@pytest.mark.parametrize("is_by_person", [True, False])
def test_an_edited_mention_that_was_deleted_does_not_come_back_by_another_version(
    legacy,
    run_import,
    poller,
    sandbox,
    ana,
    is_by_person,
):
    first = sandbox.control.create_mention(account="acme", author="dora", text=TEXT)
    poller()
    between = sandbox.control.edit_post(first["id"], f"{TEXT} yesterday")
    sandbox.control.edit_post(between["id"], f"{TEXT} today")
    poller()
    message = Message.objects.get()
    if is_by_person:
        delete_message(message.pk, actor=ana.pk, now=timezone.now())
    else:
        assert mark_deleted(message, now=timezone.now())
        assert redact_message(message.pk, now=timezone.now())
    legacy.add_message(between["id"], text=f"{TEXT} yesterday", status="pending")
    for _ in range(2):
        assert run_import()["tables"]["messages"]["created"] == 0
    poller()
    assert find_secret() == set()
    assert Message.objects.count() == (0 if is_by_person else 1)
