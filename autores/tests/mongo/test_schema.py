"""Unique indexes of models, and that queries use them."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from bson import Int64, ObjectId
from django.contrib.sessions.models import Session
from django.db import IntegrityError, connection, models
from django_mongodb_backend.fields import ObjectIdField
from django_mongodb_backend.schema import DatabaseSchemaEditor as StockSchemaEditor
from pymongo.errors import DuplicateKeyError

from autores.mongo.backend.base import DatabaseWrapper
from autores.mongo.plans import assert_index_scan, plan_of
from autores.tests.mongo.app.models import Line, Order, Shop
from autores.tests.mongo.lab import TABLE, Lab, build_state, unique_name, unique_on


def test_index_is_full_when_no_field_can_be_null(mongo_app: None) -> None:
    for table, columns in [
        (Shop._meta.db_table, ("name",)),
        (Shop._meta.db_table, ("number",)),
        (Order._meta.db_table, ("shop_id", "reference")),
        (Line._meta.db_table, ("order_id", "position")),
        ("django_session", ("session_key",)),
        ("auth_group", ("name",)),
        ("auth_permission", ("content_type_id", "codename")),
    ]:
        assert "partialFilterExpression" not in unique_on(table, *columns), (table, columns)


def test_index_is_partial_when_a_field_can_be_null(mongo_app: None) -> None:
    nickname = unique_on(Shop._meta.db_table, "nickname")
    pair = unique_on(Order._meta.db_table, "partner_id", "note")

    assert nickname["partialFilterExpression"] == {"nickname": {"$gte": ""}}
    assert set(pair["partialFilterExpression"]) == {"partner_id", "note"}


def test_index_has_the_condition_alone_when_a_constraint_has_one(mongo_app: None) -> None:
    index = unique_on(Order._meta.db_table, "amount")

    assert index["name"] == "order_paid_amount"
    assert index["partialFilterExpression"] == {"status": {"$eq": "paid"}}


def test_get_uses_the_index_when_the_field_is_unique(mongo_app: None) -> None:
    Shop.objects.create(id="a", name="A", number=1)
    Session.objects.create(
        session_key="k", session_data="", expire_date="2030-01-01T00:00:00+00:00"
    )

    assert_index_scan(Shop.objects.filter(name="A"), docs_at_most=1)
    assert_index_scan(Shop.objects.filter(number=1), docs_at_most=1)
    assert_index_scan(Session.objects.filter(session_key="k"), docs_at_most=1)


def test_get_reads_the_collection_when_the_index_is_the_stock_one(
    mongo_app: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DatabaseWrapper, "SchemaEditorClass", StockSchemaEditor)
    connection.database.drop_collection(TABLE)
    model = build_state(unique_name()).apps.get_model("schema_lab", "Thing")
    with connection.schema_editor() as editor:
        editor.create_model(model)
    model.objects.create(id="a", name="A")

    assert not plan_of(model.objects.filter(name="A")).is_index_scan


def test_duplicate_is_refused_when_the_value_is_taken(mongo_app: None) -> None:
    Shop.objects.create(id="a", name="A", number=1)

    with pytest.raises(IntegrityError):
        Shop.objects.create(id="b", name="A", number=2)
    with pytest.raises(IntegrityError):
        Shop.objects.create(id="b", name="B", number=1)


@pytest.mark.parametrize("number", [7, Int64(7)])
def test_duplicate_is_refused_when_written_raw_in_either_width(
    mongo_app: None, number: int
) -> None:
    Shop.objects.create(id="a", name="A", number=7)

    with pytest.raises(DuplicateKeyError):
        connection.database[Shop._meta.db_table].insert_one(
            {"_id": "b", "name": "B", "number": number}
        )


def test_several_nulls_are_allowed_when_the_field_can_be_null(mongo_app: None) -> None:
    for n in range(3):
        Shop.objects.create(id=f"s{n}", name=f"{n}", number=n, nickname=None)
    Shop.objects.create(id="x", name="x", number=9, nickname="nick")

    with pytest.raises(IntegrityError):
        Shop.objects.create(id="y", name="y", number=10, nickname="nick")
    assert_index_scan(Shop.objects.filter(nickname="nick"), docs_at_most=1)


NULLABLE_FIELDS = {
    "integer": (models.IntegerField, 5),
    "small": (models.SmallIntegerField, 5),
    "negative": (models.BigIntegerField, -(2**60)),
    "float": (models.FloatField, 1.5),
    "decimal": (lambda **o: models.DecimalField(max_digits=5, decimal_places=2, **o), "1.25"),
    "date": (models.DateField, date(1, 1, 1)),
    "time": (models.DateTimeField, datetime(2024, 1, 1, tzinfo=UTC)),
    "empty text": (models.CharField, ""),
    "uuid": (models.UUIDField, UUID(int=1)),
    "bool": (models.BooleanField, False),
    "key": (ObjectIdField, ObjectId()),
    "duration": (models.DurationField, timedelta(seconds=-1)),
}


@pytest.mark.parametrize("kind", NULLABLE_FIELDS)
def test_nullable_index_is_used_and_refuses_duplicates_when_the_field_is_of_any_kind(
    lab: Lab, kind: str
) -> None:
    build, value = NULLABLE_FIELDS[kind]
    lab.create(build(unique=True, null=True), rows=0)
    for key in "abc":
        lab.model.objects.create(id=key, name=None)
    lab.model.objects.create(id="d", name=value)

    with pytest.raises(IntegrityError):
        lab.model.objects.create(id="e", name=value)
    assert_index_scan(lab.model.objects.filter(name=value), docs_at_most=1)


def test_nullable_integer_is_refused_when_its_duplicate_is_of_another_width(lab: Lab) -> None:
    lab.create(models.IntegerField(unique=True, null=True), rows=0)
    lab.model.objects.create(id="a", name=7)

    with pytest.raises(DuplicateKeyError):
        connection.database[TABLE].insert_one({"_id": "b", "name": 7})
