"""What MongoDB says it did, by its own profiler."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection


@contextmanager
def recorded_operations(**wanted: Any) -> Iterator[list[dict[str, Any]]]:
    """The entries of the profiler that have these values; they are there once the block ends."""
    operations: list[dict[str, Any]] = []
    database = connection.database
    database.command("profile", 2)
    try:
        yield operations
    finally:
        database.command("profile", 0)
        operations += database["system.profile"].find(wanted)
        database.drop_collection("system.profile")
