"""Indexes of a large empty collection are built after the load: together, in one pass.

Keeping nine indexes up to date row by row costs more than half of the speed of the load. A run
that is killed leaves them out; every later run puts back what is missing.
"""

from django.db import connection, models
from pymongo import IndexModel

_LARGE = 20_000


def list_indexes(model: type[models.Model]) -> list[IndexModel]:
    """The indexes of the model's Meta, as migrations make them."""
    with connection.schema_editor() as editor:
        return [index.get_pymongo_index_model(model, editor) for index in model._meta.indexes]


def defer_indexes(model: type[models.Model], *, row_count: int) -> bool:
    """Drop the indexes when the collection is empty and much is to come; False when kept."""
    collection = connection.get_collection(model._meta.db_table)
    if row_count < _LARGE or collection.find_one({}, {"_id": 1}) is not None:
        return False
    known = {index.document["name"] for index in list_indexes(model)}
    for name in list(collection.index_information()):
        if name in known:
            collection.drop_index(name)
    return True


def restore_indexes(model: type[models.Model]) -> list[str]:
    """Build the indexes that are missing; returns their names."""
    collection = connection.get_collection(model._meta.db_table)
    present = set(collection.index_information())
    missing = [index for index in list_indexes(model) if index.document["name"] not in present]
    if missing:
        collection.create_indexes(missing)
    return [index.document["name"] for index in missing]
