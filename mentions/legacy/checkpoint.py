"""Chunks of a legacy table that are done, kept in MongoDB so that a killed run can go on."""

import hashlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from pymongo import UpdateMany

from mentions.legacy.contract import OAUTH_STATES, Table
from mentions.models import ImportChunk


@dataclass(frozen=True)
class DoneChunk:
    """What is known of a chunk that an earlier run finished."""

    run_id: str
    checksum: str
    row_count: int
    is_clean: bool
    notes: Mapping[str, int]


class Checkpoints:
    """The finished chunks of one table."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._collection = connection.get_collection(ImportChunk._meta.db_table)

    def has_any(self) -> bool:
        return self._collection.find_one({"table": self._table.name}, {"_id": 1}) is not None

    def find(self, after: bytes | None) -> DoneChunk | None:
        """The chunk that begins after this key; its list of keys is not loaded."""
        found = self._collection.find_one({"_id": self._key(after)}, {"keys": 0})
        if found is None:
            return None
        return DoneChunk(
            run_id=found["run_id"],
            checksum=found["checksum"],
            row_count=found["row_count"],
            is_clean=found["is_clean"],
            notes=found["notes"],
        )

    def find_taken_over(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys that had a document when their chunk was finished."""
        if not keys:
            return set()
        shown = {self._show(key): key for key in keys}
        lists = self._find_lists(shown)
        if not lists:
            return set()
        matching = {
            "$match": {"table": self._table.name, "lowest": {"$in": [low for low, _ in lists]}}
        }
        wanted = sorted({key for held in lists.values() for key in held})
        shared = {"$project": {"keys": {"$setIntersection": ["$keys", wanted]}}}
        taken: set[str] = set()
        for found in self._collection.aggregate([matching, shared]):
            taken.update(shown[key] for key in found["keys"])
        return taken

    def forget_keys(self, keys: Iterable[str]) -> None:
        """Take single keys off their chunks' lists; the next run reads these chunks again."""
        operations = [
            UpdateMany(
                {"table": self._table.name, "lowest": low, "highest": high, "keys": {"$in": held}},
                {"$pull": {"keys": {"$in": held}}, "$set": {"checksum": "", "is_clean": False}},
            )
            for (low, high), held in self._find_lists([self._show(key) for key in keys]).items()
        ]
        if operations:
            self._collection.bulk_write(operations, ordered=False)

    def save(
        self,
        after: bytes | None,
        *,
        run_id: str,
        checksum: str,
        row_count: int,
        is_clean: bool,
        notes: Mapping[str, int],
        keys: Iterable[str],
        now: datetime,
    ) -> None:
        """Call it after the documents are written, never before."""
        shown = sorted(self._show(key) for key in keys)
        fields: dict[str, Any] = {
            "table": self._table.name,
            "run_id": run_id,
            "row_count": row_count,
            "checksum": checksum,
            "is_clean": is_clean,
            "notes": dict(notes),
            "lowest": shown[0] if shown else "",
            "highest": shown[-1] if shown else "",
            "keys": shown,
            "finished_at": now,
        }
        self._collection.replace_one({"_id": self._key(after)}, fields, upsert=True)

    def _find_lists(self, shown: Iterable[str]) -> dict[tuple[str, str], list[str]]:
        """The keys by the bounds of the chunks that may list them, mostly one chunk for a key.

        Chunks follow MySQL's order and bounds that of bytes, so bounds may overlap.
        """
        wanted = sorted(set(shown))
        if not wanted:
            return {}
        bounds = [
            (found["lowest"], found["highest"])
            for found in self._collection.find(
                {
                    "table": self._table.name,
                    "lowest": {"$lte": wanted[-1]},
                    "highest": {"$gte": wanted[0]},
                },
                {"_id": 0, "lowest": 1, "highest": 1},
            ).sort([("lowest", 1), ("highest", 1)])
        ]
        lows = [low for low, _ in bounds]
        # The highest key of this chunk and of all that begin before it.
        reach: list[str] = []
        for _, high in bounds:
            reach.append(max(high, reach[-1]) if reach else high)
        lists: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for key in wanted:
            at = bisect_right(lows, key) - 1
            while at >= 0 and reach[at] >= key:
                if bounds[at][1] >= key:
                    lists[bounds[at]].append(key)
                at -= 1
        return dict(lists)

    def _key(self, after: bytes | None) -> str:
        begins = "first" if after is None else hashlib.sha256(after).hexdigest()
        return f"{self._table.name}:{begins}"

    def _show(self, key: str) -> str:
        # A consent flow's state lets its bearer in while it lives.
        if self._table is OAUTH_STATES:
            return hashlib.sha256(key.encode()).hexdigest()
        return key


def forget_chunks(tables: Iterable[Table]) -> int:
    """Forget what was finished, after documents of an import were removed; returns how many.

    Otherwise the next import would take the removed rows for deleted by a person.
    """
    names = [table.name for table in tables]
    collection = connection.get_collection(ImportChunk._meta.db_table)
    return int(collection.delete_many({"table": {"$in": names}}).deleted_count)


def forget_keys(table: Table, keys: Iterable[str]) -> None:
    """Forget single rows whose documents were removed because MySQL deleted them.

    If such a row comes back there, it is a new one here.
    """
    Checkpoints(table).forget_keys(keys)
