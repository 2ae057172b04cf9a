"""Unique indexes follow what migrations do to a model."""

import pytest
from django.db import DatabaseError, IntegrityError, connection, migrations, models

from autores.mongo.backend.schema import renamed_index
from autores.mongo.indexes import UniqueIndex
from autores.mongo.plans import assert_index_scan
from autores.tests.mongo.lab import TABLE, Lab, indexes_of, unique_name, unique_on


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


def test_an_index_that_is_gone_already_hinders_no_migration(lab: Lab) -> None:
    lab.create()
    index = models.Index(fields=["name"], name="name_idx")
    lab.apply(migrations.AddIndex("Thing", index))
    removal = migrations.RemoveIndex("Thing", "name_idx")
    connection.database[TABLE].drop_index("name_idx")
    lab.apply(removal)
    assert set(indexes_of(TABLE)) == {"_id_"}
