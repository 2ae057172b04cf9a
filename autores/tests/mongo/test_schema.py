"""Unique indexes of models and of migrations, and that queries use them."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from bson import Int64, ObjectId
from django.contrib.sessions.models import Session
from django.db import DatabaseError, IntegrityError, connection, migrations, models
from django.db.migrations.state import ProjectState
from django_mongodb_backend.fields import ObjectIdField
from django_mongodb_backend.schema import DatabaseSchemaEditor as StockSchemaEditor
from pymongo.errors import DuplicateKeyError

from autores.mongo.backend.base import DatabaseWrapper
from autores.mongo.backend.schema import renamed_index
from autores.mongo.indexes import UniqueIndex
from autores.mongo.plans import assert_index_scan, plan_of
from autores.tests.mongo.app.models import Line, Order, Shop

TABLE = "schema_lab_thing"


def indexes_of(table: str) -> dict[str, Any]:
    return connection.database[table].index_information()


def unique_on(table: str, *columns: str) -> dict[str, Any]:
    """The one unique index on ``columns``."""
    found = [
        index | {"name": name}
        for name, index in indexes_of(table).items()
        if [column for column, _ in index["key"]] == list(columns) and index.get("unique")
    ]
    assert len(found) == 1, found
    return found[0]


# Indexes of models


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
    lab: "Lab", kind: str
) -> None:
    build, value = NULLABLE_FIELDS[kind]
    lab.create(build(unique=True, null=True), rows=0)
    for key in "abc":
        lab.model.objects.create(id=key, name=None)
    lab.model.objects.create(id="d", name=value)

    with pytest.raises(IntegrityError):
        lab.model.objects.create(id="e", name=value)
    assert_index_scan(lab.model.objects.filter(name=value), docs_at_most=1)


def test_nullable_integer_is_refused_when_its_duplicate_is_of_another_width(lab: "Lab") -> None:
    lab.create(models.IntegerField(unique=True, null=True), rows=0)
    lab.model.objects.create(id="a", name=7)

    with pytest.raises(DuplicateKeyError):
        connection.database[TABLE].insert_one({"_id": "b", "name": 7})


# Migrations


def unique_name(**options: Any) -> models.Field:
    return models.CharField(max_length=20, unique=True, **options)


def build_state(name: models.Field | None = None, **options: Any) -> ProjectState:
    state = ProjectState()
    fields = [
        ("id", models.CharField(primary_key=True, max_length=36, db_column="_id")),
        ("name", name or models.CharField(max_length=20)),
        ("kind", models.CharField(max_length=20, default="k")),
    ]
    migrations.CreateModel("Thing", fields, options=options).state_forwards("schema_lab", state)
    return state


class Lab:
    """A collection that migration operations are applied to."""

    def __init__(self) -> None:
        self.state = ProjectState()
        connection.database.drop_collection(TABLE)

    def create(self, name: models.Field | None = None, *, rows: int = 3, **options: Any) -> None:
        self.state = build_state(name, **options)
        with connection.schema_editor() as editor:
            editor.create_model(self.model)
        for n in range(rows):
            self.model.objects.create(id=f"t{n}", name=f"name {n}")

    @property
    def model(self) -> type[models.Model]:
        return self.state.apps.get_model("schema_lab", "Thing")

    def apply(self, operation: Any) -> None:
        after = self.state.clone()
        operation.state_forwards("schema_lab", after)
        with connection.schema_editor() as editor:
            operation.database_forwards("schema_lab", editor, self.state, after)
        self.before, self.state = self.state, after

    def revert(self, operation: Any) -> None:
        with connection.schema_editor() as editor:
            operation.database_backwards("schema_lab", editor, self.state, self.before)
        self.state = self.before


@pytest.fixture
def lab(db: None) -> Iterator[Lab]:
    yield Lab()
    connection.database.drop_collection(TABLE)


@pytest.mark.parametrize("indexes_made", [0, 1])
def test_creation_goes_on_when_it_was_cut_short(lab: Lab, indexes_made: int) -> None:
    collection = connection.database.create_collection(TABLE)
    for _ in range(indexes_made):
        collection.create_index("name", name="name_unq", unique=True)

    lab.create(
        models.CharField(max_length=9),
        rows=2,
        constraints=[models.UniqueConstraint(fields=["name"], name="name_unq")],
    )

    assert unique_on(TABLE, "name")["name"] == "name_unq"


def test_creation_is_refused_when_the_collection_holds_anything(lab: Lab) -> None:
    connection.database[TABLE].insert_one({"_id": "stranger"})
    with pytest.raises(DatabaseError, match=TABLE):
        lab.create(rows=0)


def test_index_becomes_partial_and_full_again_when_null_is_allowed_and_forbidden(lab: Lab) -> None:
    lab.create(unique_name())
    operation = migrations.AlterField("Thing", "name", unique_name(null=True))

    lab.apply(operation)
    assert unique_on(TABLE, "name")["partialFilterExpression"] == {"name": {"$gte": ""}}
    lab.model.objects.create(id="x", name=None)
    lab.model.objects.create(id="y", name=None)
    lab.model.objects.filter(name=None).delete()

    lab.revert(operation)
    assert "partialFilterExpression" not in unique_on(TABLE, "name")


def test_index_comes_and_goes_when_unique_is_set_and_unset(lab: Lab) -> None:
    lab.create()
    operation = migrations.AlterField("Thing", "name", unique_name())

    lab.apply(operation)
    assert_index_scan(lab.model.objects.filter(name="name 1"))

    lab.revert(operation)
    assert set(indexes_of(TABLE)) == {"_id_"}


def test_index_follows_the_field_when_it_is_renamed(lab: Lab) -> None:
    lab.create(unique_name())
    operation = migrations.RenameField("Thing", "name", "title")

    lab.apply(operation)
    assert "partialFilterExpression" not in unique_on(TABLE, "title")
    assert len(indexes_of(TABLE)) == 2
    assert_index_scan(lab.model.objects.filter(title="name 1"))

    lab.revert(operation)
    assert_index_scan(lab.model.objects.filter(name="name 1"))


def test_index_goes_when_the_field_is_removed(lab: Lab) -> None:
    lab.create(unique_name())

    lab.apply(migrations.RemoveField("Thing", "name"))

    assert set(indexes_of(TABLE)) == {"_id_"}
    assert all("name" not in row for row in connection.database[TABLE].find())


def test_unique_field_is_added_when_the_collection_has_one_row(lab: Lab) -> None:
    lab.create(rows=1)

    lab.apply(migrations.AddField("Thing", "code", unique_name(default="c")))

    assert "partialFilterExpression" not in unique_on(TABLE, "code")


PAIR = models.UniqueConstraint(fields=["kind", "name"], name="thing_pair")


def test_constraint_index_comes_and_goes_when_added_and_removed(lab: Lab) -> None:
    lab.create()
    add = migrations.AddConstraint("Thing", PAIR)

    lab.apply(add)
    assert unique_on(TABLE, "kind", "name")["name"] == "thing_pair"
    assert_index_scan(lab.model.objects.filter(kind="k", name="name 1"), index="thing_pair")
    lab.revert(add)
    assert set(indexes_of(TABLE)) == {"_id_"}

    lab.apply(add)
    lab.apply(migrations.RemoveConstraint("Thing", "thing_pair"))
    assert set(indexes_of(TABLE)) == {"_id_"}


def test_constraint_index_turns_partial_when_one_of_its_fields_may_be_null(lab: Lab) -> None:
    lab.create(constraints=[PAIR])
    operation = migrations.AlterField("Thing", "name", models.CharField(max_length=20, null=True))

    lab.apply(operation)
    index = unique_on(TABLE, "kind", "name")
    assert index["partialFilterExpression"] == {
        "kind": {"$gte": ""},
        "name": {"$gte": ""},
    }
    lab.revert(operation)
    assert "partialFilterExpression" not in unique_on(TABLE, "kind", "name")


def test_all_indexes_follow_the_column_when_it_is_renamed(lab: Lab) -> None:
    plain = models.Index(fields=["name", "-kind"], name="thing_plain")
    lab.create(constraints=[PAIR], indexes=[plain], unique_together={("name", "kind")})

    lab.apply(
        migrations.AlterField("Thing", "name", models.CharField(max_length=20, db_column="label"))
    )

    assert unique_on(TABLE, "kind", "label")["name"] == "thing_pair"
    assert unique_on(TABLE, "label", "kind")
    assert indexes_of(TABLE)["thing_plain"]["key"] == [("label", 1), ("kind", -1)]
    assert len(indexes_of(TABLE)) == 4
    assert lab.model.objects.get(name="name 1").pk == "t1"
    lab.apply(migrations.AlterUniqueTogether("Thing", set()))
    lab.apply(migrations.RemoveConstraint("Thing", "thing_pair"))
    lab.apply(migrations.RemoveIndex("Thing", "thing_plain"))
    assert set(indexes_of(TABLE)) == {"_id_"}


def test_unique_together_follows_the_field_when_it_is_renamed(lab: Lab) -> None:
    lab.create(unique_together={("kind", "name")})

    lab.apply(migrations.RenameField("Thing", "name", "title"))
    assert unique_on(TABLE, "kind", "title")

    lab.apply(migrations.AlterUniqueTogether("Thing", set()))
    assert set(indexes_of(TABLE)) == {"_id_"}


def test_field_index_is_found_when_a_named_one_is_on_the_same_column(lab: Lab) -> None:
    named = UniqueIndex(fields=["name"], name="thing_named", condition=models.Q(kind="k"))
    lab.create(unique_name(), indexes=[named])

    lab.apply(migrations.AlterField("Thing", "name", models.CharField(max_length=20)))

    assert set(indexes_of(TABLE)) == {"_id_", "thing_named"}


def test_migration_fails_without_quoting_values_when_rows_are_duplicates(lab: Lab) -> None:
    lab.create(rows=0)
    for key in "ab":
        lab.model.objects.create(id=key, name="secret")

    with pytest.raises(IntegrityError, match=f"Duplicate key in collection {TABLE}") as failure:
        lab.apply(migrations.AlterField("Thing", "name", unique_name()))

    assert "secret" not in str(failure.value)


def test_uniques_survive_when_the_collection_is_renamed(lab: Lab) -> None:
    lab.create(unique_name())
    try:
        lab.apply(migrations.AlterModelTable("Thing", "schema_lab_renamed"))
        lab.apply(migrations.AlterField("Thing", "name", models.CharField(max_length=20)))

        assert set(indexes_of("schema_lab_renamed")) == {"_id_"}
    finally:
        connection.database.drop_collection("schema_lab_renamed")


def test_statements_are_listed_and_not_run_when_collected(lab: Lab) -> None:
    lab.create(unique_name())
    field = unique_name(null=True)
    field.set_attributes_from_name("name")
    field.model = lab.model

    with connection.schema_editor(collect_sql=True) as editor:
        editor.alter_field(lab.model, lab.model._meta.get_field("name"), field)

    assert any("create_indexes" in statement for statement in editor.collected_sql)
    assert "partialFilterExpression" not in unique_on(TABLE, "name")


def test_definition_has_the_new_name_everywhere_when_a_column_is_renamed() -> None:
    definition = {
        "name": "n",
        "key": [("a", 1), ("a.b", -1), ("ab", 1)],
        "partialFilterExpression": {"$and": [{"a": {"$gt": 1}}, {"a.c": {"$eq": "a"}}]},
        "unique": True,
    }

    assert renamed_index(definition, old="a", new="z") == {
        "name": "n",
        "key": [("z", 1), ("z.b", -1), ("ab", 1)],
        "partialFilterExpression": {"$and": [{"z": {"$gt": 1}}, {"z.c": {"$eq": "a"}}]},
        "unique": True,
    }
