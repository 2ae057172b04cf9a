"""Which documents others here refer to: these may neither go nor change hands."""

from collections.abc import Collection

from django.db import connection

from mentions.legacy.documents import Target


def find_references(target: Target, keys: Collection[str]) -> dict[str, str]:
    """Which of the documents others here refer to, with the plural name of what does."""
    referred: dict[str, str] = {}
    if not keys:
        return referred
    for relation in target.model._meta.related_objects:
        column = relation.field.column
        model = relation.related_model
        for found in connection.get_collection(model._meta.db_table).aggregate(
            [
                {"$match": {column: {"$in": list(keys)}}},
                {"$group": {"_id": f"${column}"}},
            ]
        ):
            referred[found["_id"]] = str(model._meta.verbose_name_plural)
    return referred
