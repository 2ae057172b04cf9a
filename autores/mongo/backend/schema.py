"""Migrations: unique indexes that the planner can use, and indexes that follow their columns.

django-mongodb-backend 5.2.4 makes every unique index partial (``{$type: ...}``), so that several
nulls may stand in it. The planner cannot use such an index for ``field = x``, and integers of
another BSON width escape it. Where no field can be null, a full unique index says the same and has
neither fault; where one can, a comparison as the condition leaves nulls out and has neither.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bson import ObjectId
from django.db.models import Field, Model, UniqueConstraint
from django_mongodb_backend.schema import DatabaseSchemaEditor as StockSchemaEditor
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from autores.mongo.indexes import UniqueIndex

from .errors import described_errors

_LEAST_VALUES = {
    "string": "",
    "int": float("-inf"),
    "long": float("-inf"),
    "double": float("-inf"),
    "decimal": float("-inf"),
    "date": datetime.min,  # noqa: DTZ901 - as naive as what the driver stores
    "bool": False,
    "objectId": ObjectId(bytes(12)),
}
_INDEX_NOT_FOUND = 27
_SERVER_SET_OPTIONS = frozenset({"v", "ns", "key", "textIndexVersion", "2dsphereIndexVersion"})


def is_embedded(model: type[Model]) -> bool:
    """Whether documents of ``model`` live inside of others, without a collection."""
    # Here, because the first model to be defined is what loads this module.
    from django_mongodb_backend.models import EmbeddedModel

    return issubclass(model, EmbeddedModel)


def build_presence_condition(field: Field, connection: Any) -> dict[str, Any]:
    """A partial index's condition for "not null" that the planner sees ``field = x`` to imply.

    A comparison matches values of its own kind only, so at least the least string means any string.
    """
    db_type = field.db_type(connection)
    return {"$gte": _LEAST_VALUES[db_type]} if db_type in _LEAST_VALUES else {"$type": db_type}


class NullableUniqueIndex(UniqueIndex):
    """A unique index that leaves out documents with a null in any of its fields."""

    def get_pymongo_index_model(
        self,
        model: type[Model],
        schema_editor: Any,
        field: Field | None = None,
        unique: bool = True,
        column_prefix: str = "",
    ) -> IndexModel:
        index = super().get_pymongo_index_model(model, schema_editor, field, unique, column_prefix)
        fields = [field] if field else map(model._meta.get_field, self.fields)
        condition = index.document.setdefault("partialFilterExpression", {})
        for each in fields:
            presence = build_presence_condition(each, schema_editor.connection)
            condition[each.column] = {**presence, **condition.get(each.column, {})}
        return index


def is_full_unique_possible(fields: Iterable[Field]) -> bool:
    """Whether a unique index over ``fields`` needs no exception for nulls."""
    return all(not field.null for field in fields)


def renamed_index(definition: Mapping[str, Any], *, old: str, new: str) -> dict[str, Any]:
    """``definition`` (as of ``index_information()``) with the column ``old`` called ``new``."""

    def rename(path: str) -> str:
        head, dot, rest = path.partition(".")
        return f"{new if head == old else head}{dot}{rest}"

    def rename_keys(mql: Any) -> Any:
        if isinstance(mql, Mapping):
            return {
                key if key.startswith("$") else rename(key): rename_keys(value)
                for key, value in mql.items()
            }
        return [rename_keys(item) for item in mql] if isinstance(mql, list) else mql

    result = {**definition, "key": [(rename(path), order) for path, order in definition["key"]]}
    if condition := definition.get("partialFilterExpression"):
        result["partialFilterExpression"] = rename_keys(condition)
    return result


class DatabaseSchemaEditor(StockSchemaEditor):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # (table, column) whose own index is gone already when the stock code comes to drop it.
        self._dropped_early: set[tuple[str, str]] = set()

    # Creation

    def create_model(self, model: type[Model]) -> None:
        with described_errors(model._meta.db_table):
            if is_embedded(model) or not self._is_left_empty(model._meta.db_table):
                super().create_model(model)
                return
            # A migration that was cut short left it, and no record of it: go on from there.
            self._create_model_indexes(model)
            for field in model._meta.local_many_to_many:
                if field.remote_field.through._meta.auto_created:
                    self.create_model(field.remote_field.through)

    def _is_left_empty(self, table: str) -> bool:
        if self.collect_sql:
            return False
        database = self.connection.database
        is_there = bool(database.list_collection_names(filter={"name": table}))
        return is_there and database[table].find_one({}, {"_id": 1}) is None

    def add_index(self, model: type[Model], index: Any, **kwargs: Any) -> None:
        with described_errors((kwargs.get("parent_model") or model)._meta.db_table):
            super().add_index(model, index, **kwargs)

    def remove_index(self, model: type[Model], index: Any) -> None:
        """One that is not there was removed by a migration that was cut short, or left out by an
        import that was.
        """
        with described_errors(model._meta.db_table):
            try:
                super().remove_index(model, index)
            except OperationFailure as error:
                if error.code != _INDEX_NOT_FOUND:
                    raise

    def add_constraint(
        self,
        model: type[Model],
        constraint: Any,
        field: Field | None = None,
        column_prefix: str = "",
        parent_model: type[Model] | None = None,
    ) -> None:
        # An embedded document may be null as a whole: its fields keep the partial form.
        if (
            not column_prefix
            and parent_model is None
            and not is_embedded(model)
            and self._is_plain_unique(constraint)
        ):
            fields = [field] if field else map(model._meta.get_field, constraint.fields)
            kind = UniqueIndex if is_full_unique_possible(fields) else NullableUniqueIndex
            index = kind(
                fields=constraint.fields, name=constraint.name, condition=constraint.condition
            )
            self.add_index(model, index, field=field, unique=True)
            return
        super().add_constraint(
            model, constraint, field=field, column_prefix=column_prefix, parent_model=parent_model
        )

    def _is_plain_unique(self, constraint: Any) -> bool:
        return isinstance(constraint, UniqueConstraint) and bool(
            self._unique_supported(
                condition=constraint.condition,
                deferrable=constraint.deferrable,
                include=constraint.include,
                expressions=constraint.expressions,
                nulls_distinct=constraint.nulls_distinct,
            )
        )

    # Change. A full unique index counts a missing field as null. The stock code renames and removes
    # a column in all documents while its indexes still stand, which such an index refuses from the
    # second document on; it also leaves indexes of several columns behind on the old name.

    def _alter_field(
        self, model: type[Model], old_field: Field, new_field: Field, *args: Any, **kwargs: Any
    ) -> None:
        is_renamed = old_field.column != new_field.column
        if is_embedded(model) or not (
            is_renamed
            or old_field.null != new_field.null
            or old_field.db_type(self.connection) != new_field.db_type(self.connection)
        ):
            super()._alter_field(model, old_field, new_field, *args, **kwargs)
            return
        shared = self._drop_shared_indexes(
            model, old_field, is_every_kind=is_renamed, new_field=new_field
        )
        own_unique = self._field_should_have_unique(old_field)
        if own_unique:
            self._drop_own_unique(model, old_field)
        super()._alter_field(model, old_field, new_field, *args, **kwargs)
        self._dropped_early.discard((model._meta.db_table, old_field.column))
        # The stock code rebuilds the field's own unique index for a new column only.
        if own_unique and self._field_should_have_unique(new_field) and not is_renamed:
            self._add_field_unique(model, new_field)
        for definition in shared:
            self._create_index(model, definition)

    def remove_field(self, model: type[Model], field: Field) -> None:
        is_own_unique = (
            not is_embedded(model)
            and field.column is not None
            and self._field_should_have_unique(field)
            and not self._field_should_be_indexed(model, field)
        )
        if is_own_unique:
            self._drop_own_unique(model, field)
        super().remove_field(model, field)
        self._dropped_early.discard((model._meta.db_table, field.column))

    def _drop_own_unique(self, model: type[Model], field: Field) -> None:
        self._remove_field_unique(model, field)
        self._dropped_early.add((model._meta.db_table, field.column))

    def _remove_field_unique(
        self, model: type[Model], field: Field, column_prefix: str = ""
    ) -> None:
        if (model._meta.db_table, column_prefix + field.column) in self._dropped_early:
            return
        super()._remove_field_unique(model, field, column_prefix=column_prefix)

    def _constraint_names(
        self, model: type[Model], *args: Any, exclude: Iterable[str] | None = None, **kwargs: Any
    ) -> list[str]:
        # The stock callers look for indexes without a name in Meta, and forget to leave those out.
        named = {index.name for index in (*model._meta.indexes, *model._meta.constraints)}
        found: list[str] = super()._constraint_names(
            model, *args, exclude=named | set(exclude or ()), **kwargs
        )
        return found

    def _drop_shared_indexes(
        self, model: type[Model], old_field: Field, *, is_every_kind: bool, new_field: Field
    ) -> list[dict[str, Any]]:
        """Drop the indexes the field shares with others or Meta names; return what to rebuild."""
        table = model._meta.db_table
        named = {index.name for index in (*model._meta.indexes, *model._meta.constraints)}
        constraints = {
            constraint.name: constraint
            for constraint in model._meta.constraints
            if self._is_plain_unique(constraint)
        }
        rebuilt = []
        for name, stored in self.connection.get_collection(table).index_information().items():
            columns = [path.partition(".")[0] for path, _ in stored["key"]]
            is_used = old_field.column in columns or old_field.column in stored.get(
                "partialFilterExpression", {}
            )
            is_own = len(columns) == 1 and name not in named
            is_unique_by_model = stored.get("unique", False) and (
                name in constraints or name not in named
            )
            if name == "_id_" or not is_used or is_own:
                continue
            if not is_every_kind and not is_unique_by_model:
                continue
            self.get_collection(table).drop_index(name)
            definition = renamed_index(
                {"name": name, **stored}, old=old_field.column, new=new_field.column
            )
            if is_unique_by_model:
                self._set_null_exceptions(model, definition, old_field, new_field)
            if name not in named:
                paths = [path for path, _ in definition["key"]]
                definition["name"] = str(self._unique_constraint_name(table, paths))
            rebuilt.append(definition)
        return rebuilt

    def _set_null_exceptions(
        self, model: type[Model], definition: dict[str, Any], old_field: Field, new_field: Field
    ) -> None:
        """Make ``definition`` full or partial, as the fields of the unique index now require."""
        by_column = {field.column: field for field in model._meta.local_concrete_fields}
        by_column.pop(old_field.column, None)
        by_column[new_field.column] = new_field
        fields = [by_column[path] for path, _ in definition["key"] if path in by_column]
        if len(fields) != len(definition["key"]):
            return
        condition = {
            key: dict(value) if isinstance(value, Mapping) else value
            for key, value in definition.pop("partialFilterExpression", {}).items()
        }
        for field in fields:
            of_field = condition.setdefault(field.column, {})
            for of_old in {old_field, field}:
                for operator, value in build_presence_condition(of_old, self.connection).items():
                    if operator in of_field and of_field[operator] == value:
                        del of_field[operator]
            if not is_full_unique_possible(fields):
                presence = build_presence_condition(field, self.connection)
                condition[field.column] = {**presence, **of_field}
        if kept := {key: value for key, value in condition.items() if value != {}}:
            definition["partialFilterExpression"] = kept

    def _create_index(self, model: type[Model], definition: Mapping[str, Any]) -> None:
        options = {k: v for k, v in definition.items() if k not in _SERVER_SET_OPTIONS}
        index = IndexModel(definition["key"], **options)
        with described_errors(model._meta.db_table):
            self.get_collection(model._meta.db_table).create_indexes([index])
