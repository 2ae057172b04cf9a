"""Model instances by one ``find``: what runs for every poll of every account reads by these.

A third of the work of the same read by the ORM, which compiles an aggregation and runs every value
through converters. Only for fields that MongoDB gives back as the model wants them.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Field, Model

from autores.mongo.reads import Sort, find_page

_Model = TypeVar("_Model", bound=Model)
_AS_STORED = frozenset({"BooleanField", "CharField", "DateTimeField", "JSONField", "TextField"})
# Stored as 64 bits, which PyMongo reads as a class of its own.
_INTEGERS = frozenset({"BigIntegerField", "IntegerField", "PositiveIntegerField"})


def find_instance(
    model: type[_Model], filter: Mapping[str, Any], *, using: str = DEFAULT_DB_ALIAS
) -> _Model | None:
    """The first document that the filter (in MongoDB's terms) finds, or None.

    Raises what ``find_instances`` raises.
    """
    found = find_instances(model, filter=filter, limit=1, using=using)
    return found[0] if found else None


def find_instances(
    model: type[_Model],
    *,
    filter: Mapping[str, Any],
    sort: Sort = (),
    limit: int,
    using: str = DEFAULT_DB_ALIAS,
) -> list[_Model]:
    """Instances as the ORM gives them, whole, within the running transaction if any.

    Raises TypeError for a model with a field of another kind than texts, numbers, booleans,
    times, JSON and references by such; and what ``autores.mongo.reads.find_page`` raises.
    """
    columns = _list_columns(model._meta)
    names = [field.attname for field in model._meta.concrete_fields]
    rows = find_page(model, filter=filter, sort=sort, limit=limit, using=using)
    return [
        model.from_db(
            using,
            names,
            [
                int(row[column]) if is_integer and row.get(column) is not None else row.get(column)
                for column, is_integer in columns
            ],
        )
        for row in rows
    ]


@lru_cache(maxsize=64)
def _list_columns(options: Any) -> tuple[tuple[str, bool], ...]:
    """Each field's column, and whether it holds integers."""
    columns = []
    for field in options.concrete_fields:
        kind = _kind_of(field)
        if kind not in _AS_STORED | _INTEGERS:
            raise TypeError(f"{field} is a {kind}, which cannot be read without the ORM.")
        columns.append((str(field.column), kind in _INTEGERS))
    return tuple(columns)


def _kind_of(field: Field) -> str:
    while field.remote_field is not None:
        field = field.target_field
    return str(field.get_internal_type())
