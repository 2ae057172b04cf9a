"""Encoded documents inserted by one command, and what is known of them when its answer is lost."""

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from django.db import connection
from pymongo.errors import BulkWriteError

from autores.tests.mongo.proxy import connected_through
from mentions.legacy.bulk import insert_encoded
from mentions.legacy.documents import WRITE_CONCERN
from mentions.models import Message

pytestmark = pytest.mark.django_db(transaction=True)


def encode(key, **fields):
    document = {"_id": key, "account_id": "a", "post_id": key, **fields}
    return RawBSONDocument(bson.encode(document))


def insert(*documents):
    collection = connection.get_collection(Message._meta.db_table)
    return insert_encoded(collection.with_options(write_concern=WRITE_CONCERN), documents)


def list_stored():
    found = connection.get_collection(Message._meta.db_table).find({}, {"_id": 1})
    return sorted(document["_id"] for document in found)


def test_duplicates_are_told_by_position_and_the_others_are_stored():
    assert insert(encode("2"), encode("4")) == set()
    # The last one has another id, and the same account and post.
    assert insert(encode("1"), encode("2"), encode("3"), encode("x", post_id="4")) == {1, 3}
    assert list_stored() == ["1", "2", "3", "4"]


def test_error_is_raised_when_a_document_is_refused_for_another_reason():
    with pytest.raises(BulkWriteError):
        insert(encode("1"), encode(["an array"]))
    assert list_stored() == ["1"]


def test_documents_of_more_than_a_command_holds_are_stored():
    assert insert(*(encode(str(number), text="x" * 1_000_000) for number in range(1, 21))) == set()
    assert len(list_stored()) == 20


@pytest.mark.parametrize(("is_cut_before", "known"), [(True, set()), (False, {0, 1})])
def test_documents_are_stored_once_when_the_line_is_cut(is_cut_before, known):
    with connected_through(b"\x02insert\0") as proxy:
        proxy.is_cut_before, proxy.cuts_left = is_cut_before, 1
        assert insert(encode("1"), encode("2")) == known
        assert proxy.cuts_left == 0
    assert list_stored() == ["1", "2"]
