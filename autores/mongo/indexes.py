"""Indexes that Django does not know; list them in ``Meta.indexes`` and migrations create them."""

from typing import Any

from django.core import checks
from django.db.models import DateField, Field, Index, Model
from pymongo import ASCENDING, DESCENDING, IndexModel


def _key_specification(
    index: Index, model: type[Model], *, field: Field | None, column_prefix: str
) -> list[tuple[str, int]]:
    if field is not None:
        return [(column_prefix + field.column, ASCENDING)]
    return [
        (
            column_prefix + model._meta.get_field(name).column,
            DESCENDING if order else ASCENDING,
        )
        for name, order in index.fields_orders
    ]


class UniqueIndex(Index):
    """A unique index over all documents (or all that meet ``condition``), usable by the query
    planner.

    A null or missing value counts as a value: two of them collide. Prefer ``unique=True`` or a
    ``UniqueConstraint``, which forms report to the person; the backend builds this index for them.
    """

    suffix = "unq"

    def get_pymongo_index_model(
        self,
        model: type[Model],
        schema_editor: Any,
        field: Field | None = None,
        unique: bool = True,
        column_prefix: str = "",
    ) -> IndexModel:
        options: dict[str, Any] = {"unique": True}
        if self.condition:
            options["partialFilterExpression"] = self._get_condition_mql(model, schema_editor)
        keys = _key_specification(self, model, field=field, column_prefix=column_prefix)
        return IndexModel(keys, name=self.name, **options)


class TTLIndex(Index):
    """Documents vanish ``seconds`` after the time in the one field of the index.

    0 makes the field the time of expiry itself. The server sweeps once a minute, so readers still
    have to compare the time; a null or missing time never expires.

    Raises:
        ValueError: ``seconds`` is not an int of 0 to 2147483647, or there is not exactly one field.
    """

    suffix = "ttl"
    _MAX_SECONDS = 2**31 - 1

    def __init__(self, *expressions: Any, seconds: int, **kwargs: Any) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, int):
            # One error for every bad value.
            raise ValueError(f"TTLIndex needs seconds as an int, got {type(seconds).__name__}.")  # noqa: TRY004
        if not 0 <= seconds <= self._MAX_SECONDS:
            raise ValueError(
                f"TTLIndex needs seconds from 0 to {self._MAX_SECONDS}, got {seconds}."
            )
        self.seconds = seconds
        if expressions or len(kwargs.get("fields", ())) != 1:
            raise ValueError("TTLIndex needs exactly one field: MongoDB expires by a single date.")
        super().__init__(**kwargs)

    def deconstruct(self) -> Any:
        path, args, kwargs = super().deconstruct()
        return path, args, {**kwargs, "seconds": self.seconds}

    def check(self, model: type[Model], connection: Any) -> list[checks.CheckMessage]:
        name = self.fields_orders[0][0]
        if isinstance(model._meta.get_field(name), DateField):
            return []
        return [
            checks.Error(
                f"TTLIndex on '{name}' would never expire anything: the field holds no date.",
                hint="Point the index at a DateTimeField.",
                obj=model,
                id="autores.mongo.E001",
            )
        ]

    def get_pymongo_index_model(
        self,
        model: type[Model],
        schema_editor: Any,
        field: Field | None = None,
        unique: bool = False,
        column_prefix: str = "",
    ) -> IndexModel:
        options: dict[str, Any] = {"expireAfterSeconds": self.seconds}
        if self.condition:
            options["partialFilterExpression"] = self._get_condition_mql(model, schema_editor)
        keys = _key_specification(self, model, field=field, column_prefix=column_prefix)
        return IndexModel(keys, name=self.name, **options)
