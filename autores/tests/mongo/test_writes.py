"""A write that is sent once, and what is known of it when its answer is lost."""

from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument
from django.db import DatabaseError, IntegrityError, OperationalError, connection
from pymongo.errors import WriteError

from autores.mongo.errors import OutcomeUnknownError
from autores.mongo.transactions import atomic
from autores.mongo.writes import Update, insert_each, update_each, update_once
from autores.tests.mongo.app.models import Shop
from autores.tests.mongo.proxy import connected_through
from autores.tests.other_server import connected_to

UPDATE = b"\x02update\0"
INSERT = b"\x02insert\0"


@pytest.fixture
def shop(mongo_app: None) -> Shop:
    return Shop.objects.create(id="a", name="a", number=1)


def rename(name: str, *, number: int = 1) -> bool:
    update = Update({"_id": "a", "number": number}, {"$set": {"name": name}})
    return update_once(Shop, update, hint="_id_")


def name_of(shop: Shop) -> str:
    return Shop.objects.get(pk=shop.pk).name


def test_document_is_updated_when_it_is_as_expected(shop: Shop) -> None:
    assert rename("b")
    assert not rename("c", number=2)
    assert name_of(shop) == "b"


def test_it_is_undone_with_its_transaction(shop: Shop) -> None:
    def fail() -> None:
        with atomic():
            assert rename("b")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert name_of(shop) == "a"


@pytest.mark.parametrize("update", [{"$inc": {"name": 1}}, {"$oops": {"name": 1}}])
def test_error_is_djangos_when_the_server_refuses(shop: Shop, update: dict[str, Any]) -> None:
    with pytest.raises(DatabaseError, match="collection") as caught:
        update_once(Shop, Update({"_id": "a"}, update), hint="_id_")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert rename("b"), "the thread's connection is usable"


@pytest.mark.parametrize(("is_cut_before", "name"), [(False, "b"), (True, "a")])
def test_outcome_is_unknown_and_it_is_not_sent_again_when_the_line_is_cut(
    shop: Shop, is_cut_before: bool, name: str
) -> None:
    with connected_through(UPDATE) as proxy:
        proxy.is_cut_before, proxy.cuts_left = is_cut_before, 1
        with pytest.raises(OutcomeUnknownError, match="AutoReconnect on collection"):
            rename("b")
        assert proxy.cuts_left == 0
        assert name_of(shop) == name


def test_outcome_is_unknown_when_no_majority_has_it(shop: Shop) -> None:
    host, port = connection.connection.address
    # One server is there, and the address wants two.
    with (
        connected_to(
            f"mongodb://{host}:{port}/?directConnection=true&w=2&wtimeoutMS=100", OPTIONS={}
        ),
        pytest.raises(OutcomeUnknownError, match="may not last"),
    ):
        rename("b")


def test_nothing_was_sent_when_no_server_answers(shop: Shop) -> None:
    nowhere = "mongodb://127.0.0.1:1/?directConnection=true&serverSelectionTimeoutMS=200"
    with (
        connected_to(nowhere, OPTIONS={}),
        pytest.raises(OperationalError, match="ServerSelectionTimeoutError on collection"),
    ):
        rename("b")


@pytest.mark.parametrize(
    ("asked", "outcomes", "renamed"),
    [
        (["a", "c"], [True, True], {"a", "c"}),
        (["x", "y"], [False, False], set()),
        # The server says "one", and not which.
        (["a", "y"], [None, None], {"a"}),
        # Of two for the same row, the second does not match any more.
        (["a", "a"], [None, None], {"a"}),
        # One that is refused (14 is TypeMismatch) keeps no other from being made.
        (["b!", "a"], [14, True], {"a"}),
        (["a", "b!", "c"], [True, 14, True], {"a", "c"}),
        (["y", "b!"], [False, 14], set()),
    ],
)
def test_each_of_several_is_told_as_far_as_the_server_tells(
    shop: Shop, asked: list[str], outcomes: list[bool | int | None], renamed: set[str]
) -> None:
    for number, id_ in enumerate("bc", start=2):
        Shop.objects.create(id=id_, name=id_, number=number)
    updates = [
        Update(
            {"_id": id_[0], "name": id_[0]},
            {"$inc": {"name": 1}} if id_.endswith("!") else {"$set": {"name": f"new {id_}"}},
        )
        for id_ in asked
    ]
    told = update_each(Shop, updates, hint="_id_")
    assert [one.code if isinstance(one, WriteError) else one for one in told] == outcomes
    assert {shop.pk for shop in Shop.objects.all() if shop.name != shop.pk} == renamed


def make_shop(key: str, **fields: Any) -> RawBSONDocument:
    return RawBSONDocument(bson.encode({"_id": key, "name": key, "number": key, **fields}))


def keys_of_shops() -> set[str]:
    return set(Shop.objects.values_list("pk", flat=True))


def test_what_the_server_refused_is_told_by_position_and_the_others_are_stored(shop: Shop) -> None:
    documents = [make_shop("b"), make_shop("a"), make_shop("c"), make_shop("c", name="d", number=7)]
    refused = insert_each(Shop, documents)
    assert {index: error.code for index, error in refused.items()} == {1: 11000, 3: 11000}
    assert keys_of_shops() == {"a", "b", "c"}
    assert insert_each(Shop, []) == {}


def test_more_than_a_command_holds_is_inserted_by_several(shop: Shop) -> None:
    documents = [make_shop(f"s{number}", padding="x" * 6_000_000) for number in range(5)]
    again = [*documents[:3], make_shop("t"), documents[4]]
    assert insert_each(Shop, documents) == {}
    assert set(insert_each(Shop, again)) == {0, 1, 2, 4}
    assert keys_of_shops() == {"a", "t", *(f"s{number}" for number in range(5))}


@pytest.mark.parametrize(("is_cut_before", "keys"), [(False, {"a", "b"}), (True, {"a"})])
def test_outcome_of_an_insert_is_unknown_when_the_line_is_cut(
    shop: Shop, is_cut_before: bool, keys: set[str]
) -> None:
    with connected_through(INSERT) as proxy:
        proxy.is_cut_before, proxy.cuts_left = is_cut_before, 1
        with pytest.raises(OutcomeUnknownError, match="AutoReconnect on collection"):
            insert_each(Shop, [make_shop("b")])
    assert keys_of_shops() == keys


def test_an_insert_is_undone_with_its_transaction(shop: Shop) -> None:
    def fail() -> None:
        with atomic():
            insert_each(Shop, [make_shop("b")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert keys_of_shops() == {"a"}


def test_the_first_refusal_of_an_insert_ends_its_transaction(shop: Shop) -> None:
    def insert() -> None:
        with atomic():
            insert_each(Shop, [make_shop("b"), make_shop("a")])

    with pytest.raises(IntegrityError, match="mongo_app_shop"):
        insert()
    assert keys_of_shops() == {"a"}
