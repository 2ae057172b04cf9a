"""Indexes that a model declares and its collection lacks, and building them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from .errors import DuplicateDocumentsError

_DUPLICATE = 11000
# MongoDB builds the indexes of one command on one processor, and up to three commands at a time.
_AT_A_TIME = 2


def list_indexes(model: type[Model], *, using: str = DEFAULT_DB_ALIAS) -> list[IndexModel]:
    """The indexes of the model's Meta, as migrations make them."""
    with connections[using].schema_editor() as editor:
        return [index.get_pymongo_index_model(model, editor) for index in model._meta.indexes]


def list_missing_indexes(model: type[Model], *, using: str = DEFAULT_DB_ALIAS) -> list[IndexModel]:
    present = set(
        connections[using].get_collection(model._meta.db_table).index_information()
        if model._meta.indexes
        else ()
    )
    return [
        index for index in list_indexes(model, using=using) if index.document["name"] not in present
    ]


def list_incomplete_models(
    *, using: str = DEFAULT_DB_ALIAS
) -> Iterator[tuple[type[Model], list[str]]]:
    """Models whose collection holds documents and lacks indexes, with the indexes' names."""
    for model in apps.get_models():
        if not model._meta.managed or model._meta.proxy or not model._meta.indexes:
            continue
        names = [index.document["name"] for index in list_missing_indexes(model, using=using)]
        collection = connections[using].get_collection(model._meta.db_table)
        if names and collection.find_one({}, {"_id": 1}) is not None:
            yield model, names


def restore_indexes(model: type[Model], *, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Build the indexes that are missing, in two builds side by side; returns their names.

    Raises:
        DuplicateDocumentsError: two documents have what a unique index allows once.
    """
    missing = list_missing_indexes(model, using=using)
    if missing:
        collection = connections[using].get_collection(model._meta.db_table)
        shares = [share for n in range(_AT_A_TIME) if (share := missing[n::_AT_A_TIME])]
        try:
            with ThreadPoolExecutor(len(shares)) as threads:
                list(threads.map(collection.create_indexes, shares))
        except OperationFailure as error:
            if error.code != _DUPLICATE:
                raise
            key = (error.details or {}).get("keyValue") or "see MongoDB's log"
            raise DuplicateDocumentsError(
                f"A unique index of {model._meta.db_table} cannot be built, because two documents "
                f"have the same values ({key}): keep one of them, then run this again."
            ) from None
    return [index.document["name"] for index in missing]
