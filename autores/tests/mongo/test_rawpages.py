from typing import Any

import bson
import pytest
from django.db import DatabaseError, connection

from autores.mongo.rawpages import find_raw_page, read_reply
from autores.mongo.reads import find_page

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "raw_pages"


def insert(count: int, **values: Any) -> None:
    connection.get_collection(NAME).insert_many(
        [{"_id": number, "text": f"täxt {number}", **values} for number in range(count)]
    )


@pytest.mark.parametrize("limit", [1, 9, 10, 11, 99, 100, 101, 1000, 1001, 2000])
def test_documents_are_those_of_find_page_when_cut_apart(limit: int) -> None:
    insert(1100, nested={"list": [1, {"a": None}]}, none=None)
    query: dict[str, Any] = {"sort": {"_id": -1}, "skip": 3, "limit": limit}

    raw = find_raw_page(NAME, **query)

    assert [bson.decode(document) for document in raw.split()] == find_page(NAME, **query)


def test_page_is_whole_when_one_answer_cannot_hold_it() -> None:
    insert(5, text="x" * 5_000_000)

    raw = find_raw_page(NAME, sort={"_id": 1}, limit=5)

    assert [bson.decode(document)["_id"] for document in raw.split()] == [0, 1, 2, 3, 4]


def test_nothing_comes_when_nothing_matches(db: None) -> None:
    assert find_raw_page(NAME, filter={"_id": "none"}, limit=5).split() == []


def test_snapshot_is_read_when_asked_for() -> None:
    insert(2)

    with connection.database.client.start_session(snapshot=True) as session:
        assert len(find_raw_page(NAME, limit=5, session=session).split()) == 2
        first = find_raw_page(NAME, limit=5, session=session)
        connection.get_collection(NAME).insert_one({"_id": 9})
        assert find_raw_page(NAME, limit=5, session=session) == first
        assert len(find_raw_page(NAME, limit=5, session=session).split()) == 2
    assert len(find_raw_page(NAME, limit=5).split()) == 3


def test_error_names_the_collection_when_the_server_refuses(db: None) -> None:
    with pytest.raises(DatabaseError, match=NAME):
        find_raw_page(NAME, filter={"$nonsense": 1}, limit=1)


@pytest.mark.parametrize(
    "cursor", [{"id": bson.Int64(0)}, {"firstBatch": [], "odd": bson.Regex("a")}]
)
def test_reply_is_refused_when_it_is_none(cursor: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not understood"):
        read_reply(bson.encode(cursor))
