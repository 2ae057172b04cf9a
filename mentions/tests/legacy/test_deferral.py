"""Indexes that are left out while a large load runs, and after one was killed."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from autores.mongo.checks import check_indexes
from autores.mongo.restore import list_indexes
from mentions.legacy.deferral import defer_indexes
from mentions.models import Message


@pytest.fixture
def without_indexes(transactional_db):
    """The messages as a killed load leaves them."""
    names = {index.document["name"] for index in list_indexes(Message)}
    assert not defer_indexes(Message, row_count=10)
    assert defer_indexes(Message, row_count=1_000_000)
    add_message("1")
    yield names
    Message.objects.all().delete()
    call_command("restore_indexes", stdout=io.StringIO())
    add_message("1")
    call_command("restore_indexes", stdout=io.StringIO())


def add_message(key, *, post_id=""):
    Message.objects.create(
        id=key, post_id=post_id or key, timestamp=timezone.now(), user="2002", text="hello"
    )


def list_names():
    return set(connection.get_collection("messages").index_information()) - {"_id_"}


def test_warning_names_the_remedy_when_indexes_are_missing(without_indexes):
    (found,) = check_indexes(databases=["default"])
    assert found.id == "autores.mongo.W004"
    assert "message_account_post_unq" in found.msg
    assert "manage.py restore_indexes" in found.hint
    # Without being asked to use a database, a check must not.
    assert check_indexes(databases=None) == []


def test_indexes_are_back_when_restored_without_an_import(without_indexes):
    out = io.StringIO()
    call_command("restore_indexes", stdout=out)
    assert list_names() == without_indexes
    assert "message_time_idx" in out.getvalue()
    assert check_indexes(databases=["default"]) == []
    call_command("restore_indexes", stdout=out)
    assert "Nothing is missing" in out.getvalue()


def test_values_are_named_when_a_unique_index_meets_a_duplicate(without_indexes):
    add_message("2", post_id="1")
    with pytest.raises(CommandError, match=r"'post_id': '1'.*keep one of them"):
        call_command("restore_indexes", stdout=io.StringIO())
