from typing import Any

import pytest
from django.db import connection, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.state import ModelState, ProjectState
from pymongo.errors import DuplicateKeyError

from autores.mongo.indexes import TTLIndex, UniqueIndex
from autores.tests.mongo.app.models import Order


def stored(name: str) -> dict[str, Any]:
    return connection.database[Order._meta.db_table].index_information()[name]


def test_server_expires_documents_when_the_model_has_a_ttl_index(mongo_app: None) -> None:
    assert stored("order_expires") == {
        "v": 2,
        "key": [("expires_at", 1)],
        "expireAfterSeconds": 0,
    }


def test_index_is_full_and_unique_when_declared_in_meta(mongo_app: None) -> None:
    index = stored("order_reference_status")
    orders = connection.database[Order._meta.db_table]

    assert index == {"v": 2, "key": [("reference", 1), ("status", 1)], "unique": True}
    orders.insert_one({"_id": "a", "reference": "r", "status": "new", "amount": 1})
    with pytest.raises(DuplicateKeyError):
        orders.insert_one({"_id": "b", "reference": "r", "status": "new", "amount": 2})


@pytest.mark.parametrize(
    "index",
    [
        TTLIndex(fields=["made_at"], seconds=600, name="t"),
        TTLIndex(fields=["made_at"], seconds=600, name="t", condition=models.Q(a=1)),
        UniqueIndex(fields=["a", "-b"], name="u"),
        UniqueIndex(fields=["a"], name="u", condition=models.Q(b__gt=1)),
    ],
    ids=["ttl", "conditional ttl", "unique", "conditional unique"],
)
def test_index_is_the_same_when_built_again_from_a_migration(index: models.Index) -> None:
    path, args, kwargs = index.deconstruct()

    again = type(index)(*args, **kwargs)

    assert path == f"autores.mongo.indexes.{type(index).__name__}"
    assert again == index
    assert again.deconstruct() == index.deconstruct()


def test_migration_replaces_the_index_when_seconds_change() -> None:
    def state(seconds: int) -> ProjectState:
        index = TTLIndex(fields=["made_at"], seconds=seconds, name="t")
        fields = [
            ("id", models.CharField(primary_key=True, max_length=9)),
            ("made_at", models.DateTimeField()),
        ]
        result = ProjectState()
        result.add_model(ModelState("lab", "Thing", fields, options={"indexes": [index]}))
        return result

    changes = MigrationAutodetector(state(60), state(90))._detect_changes()

    names = [type(operation).__name__ for operation in changes["lab"][0].operations]
    assert names == ["RemoveIndex", "AddIndex"]


@pytest.mark.parametrize("seconds", [-1, 2**31, "60", 1.5, True, None])
def test_ttl_index_is_refused_when_seconds_are_no_fit_number(seconds: Any) -> None:
    with pytest.raises(ValueError, match="seconds"):
        TTLIndex(fields=["made_at"], seconds=seconds, name="t")


@pytest.mark.parametrize("fields", [[], ["a", "b"]])
def test_ttl_index_is_refused_when_it_has_not_one_field(fields: list[str]) -> None:
    with pytest.raises(ValueError, match="exactly one field"):
        TTLIndex(fields=fields, seconds=60, name="t")


def test_check_reports_the_ttl_index_when_the_field_holds_no_date(mongo_app: None) -> None:
    wrong = TTLIndex(fields=["status"], seconds=60, name="t")
    right = TTLIndex(fields=["created_at"], seconds=60, name="t")

    assert [error.id for error in wrong.check(Order, connection)] == ["autores.mongo.E001"]
    assert right.check(Order, connection) == []
