"""Unordered writes in a few connections at once: one keeps one core of the server busy at most."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.errors import AutoReconnect, BulkWriteError

DUPLICATE = 11000
_CONNECTIONS = 4
_FEWEST = 100
# A command may have 16 MB, of which some are its own.
_COMMAND_BYTES = 15_000_000


@dataclass
class BulkOutcome:
    """What the operations did; ``duplicates`` are the positions that a unique index refused."""

    matched: int = 0
    deleted: int = 0
    duplicates: list[int] = field(default_factory=list)


def write_all(collection: Any, operations: Sequence[Any]) -> BulkOutcome:
    """Run operations of which no two touch the same document. Raises what PyMongo raises."""
    size = max(_FEWEST, -(-len(operations) // _CONNECTIONS))
    starts = range(0, len(operations), size)
    total = BulkOutcome()
    if len(starts) < 2:
        if operations:
            _write(collection, operations, 0, total)
        return total
    with ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="bulk-write") as pool:

        def write(start: int) -> BulkOutcome:
            outcome = BulkOutcome()
            _write(collection, operations[start : start + size], start, outcome)
            return outcome

        for outcome in pool.map(write, starts):
            total.matched += outcome.matched
            total.deleted += outcome.deleted
            total.duplicates += outcome.duplicates
    return total


def insert_new(collection: Any, documents: Sequence[Any]) -> set[int]:
    """Insert in one unordered batch; the positions of those that met a duplicate are returned."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        return set(list_duplicates(error))
    return set()


def insert_encoded(collection: Any, documents: Sequence[RawBSONDocument]) -> set[int]:
    """As ``insert_new``, by a command, which takes a third of the driver's time.

    Sent once. Where the answer is lost, they are inserted again: what had been stored is a
    duplicate then, which the caller looks at.
    """
    if sum(len(document.raw) for document in documents) > _COMMAND_BYTES:
        return insert_new(collection, documents)
    command = {
        "insert": collection.name,
        "documents": documents,
        "ordered": False,
        "writeConcern": collection.write_concern.document,
    }
    try:
        answer = collection.database.command(command)
    except AutoReconnect:
        return insert_new(collection, documents)
    failures = answer.get("writeErrors", [])
    concern = answer.get("writeConcernError")
    details = {"writeErrors": failures, "writeConcernErrors": [concern] if concern else []}
    return set(list_duplicates(BulkWriteError(details)))


def list_duplicates(error: BulkWriteError) -> list[int]:
    """The positions that met a duplicate; raises the error when anything else went wrong."""
    failures = error.details["writeErrors"]
    if error.details.get("writeConcernErrors") or any(
        failure["code"] != DUPLICATE for failure in failures
    ):
        raise error
    return [failure["index"] for failure in failures]


def _write(collection: Any, operations: Sequence[Any], start: int, outcome: BulkOutcome) -> None:
    try:
        found = collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        outcome.duplicates += [start + index for index in list_duplicates(error)]
        outcome.matched += error.details["nMatched"]
        outcome.deleted += error.details["nRemoved"]
    else:
        outcome.matched += found.matched_count
        outcome.deleted += found.deleted_count
