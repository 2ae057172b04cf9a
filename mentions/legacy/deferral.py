"""Indexes of a large empty collection are built after the load, many in one pass.

Keeping nine indexes up to date row by row costs more than half of the speed of the load. A run
that is killed leaves them out; every later run puts back what is missing, and so does the command
``restore_indexes``.
"""

from collections.abc import Callable

from django.db import connection, models

from autores.mongo.errors import DuplicateDocumentsError
from autores.mongo.restore import list_indexes, restore_indexes
from mentions.legacy.errors import LegacyImportError

_LARGE = 20_000
# The import asks these itself: of edited messages, none of which is a row of its own
# (mentions.legacy.versions), and of accounts (mentions.legacy.holders), of which there are few.
_KEPT = frozenset({"message_latest_idx", "account_twitter_id_unq"})


def defer_indexes(model: type[models.Model], *, row_count: int) -> bool:
    """Drop the indexes when the collection is empty and much is to come; False when kept."""
    collection = connection.get_collection(model._meta.db_table)
    if row_count < _LARGE or collection.find_one({}, {"_id": 1}) is not None:
        return False
    known = {index.document["name"] for index in list_indexes(model)} - _KEPT
    for name in list(collection.index_information()):
        if name in known:
            collection.drop_index(name)
    return True


def build_indexes(
    model: type[models.Model], *, is_deferred: bool, say: Callable[[str], None]
) -> None:
    """Build what is missing. Raises LegacyImportError when two documents have the same values."""
    if is_deferred:
        say(f"Building the indexes of {model._meta.db_table}.")
    try:
        restore_indexes(model)
    except DuplicateDocumentsError as error:
        raise LegacyImportError(str(error)) from None
