"""Rows that wait for a person, for both sides changed them: kept in ``import_follow_conflicts``
until a later run or change of the row settles them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.db import connection
from pymongo import UpdateOne

from mentions.legacy.contract import OAUTH_STATES, Table
from mentions.legacy.documents import record_key
from mentions.legacy.report import TableReport, spell_values
from mentions.models import ImportConflict, ImportReject

CONFLICTS = ImportConflict._meta.db_table
# Why a row waits for a person, and the differing values of both sides.
Problem = tuple[str, Mapping[str, Any]]


class KeyedReport(TableReport):
    """A report that also keeps every conflict with its whole key."""

    def __init__(self, table: Table) -> None:
        super().__init__(table.name, has_secret_keys=table is OAUTH_STATES)
        self.problems: dict[str, Problem] = {}

    def add_conflict(self, key: str, reason: str, **details: Any) -> None:
        super().add_conflict(key, reason, **details)
        self.problems[key] = (reason, spell_values(details.get("values") or {}))


class ConflictWriter:
    """Keeps the conflicts of one table. ``run_id`` is the run that met them."""

    def __init__(self, table: Table, *, run_id: str) -> None:
        self._table = table
        self._run_id = run_id
        self._collection = connection.get_collection(CONFLICTS)
        # Of a first import there are none to settle, and a million keys to say so of.
        self._is_empty = self._collection.find_one({"table": table.name}, {"_id": 1}) is None

    def settle(self, keys: Iterable[str], problems: Mapping[str, Problem]) -> None:
        """Keep what is open about the keys, and forget what was."""
        if not self._is_empty:
            settled = [record_key(self._table, key) for key in set(keys) - set(problems)]
            if settled:
                self._collection.delete_many({"_id": {"$in": settled}})
        if not problems:
            return
        self._is_empty = False
        self._collection.bulk_write(
            [self._make_update(key, *problem) for key, problem in problems.items()], ordered=False
        )

    def _make_update(self, key: str, reason: str, values: Mapping[str, Any]) -> UpdateOne:
        return UpdateOne(
            {"_id": record_key(self._table, key)},
            {
                "$set": {
                    "table": self._table.name,
                    "legacy_id": show_key(self._table, key),
                    "reason": reason,
                    "differing": values,
                    "run_id": self._run_id,
                }
            },
            upsert=True,
        )


def show_key(table: Table, key: str) -> str:
    """As a report may show it: a consent flow's key lets its bearer in."""
    return f"{key[:8]}…" if table is OAUTH_STATES else key


def render_conflicts(conflicts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Lines for a terminal about what ``list_conflicts`` gives."""
    lines = []
    for item in conflicts:
        lines.append(f"  {item['table']} {item['id']!r}: {item['reason']}")
        lines += [
            f"    {name}: {found['legacy']!r} there, {found['here']!r} here"
            for name, found in item["values"].items()
        ]
    return lines


def count_open(run_id: str) -> tuple[int, int]:
    """Conflicts and rejects that wait for a person, of the whole import."""
    return (
        connection.get_collection(CONFLICTS).count_documents({"run_id": run_id}),
        connection.get_collection(ImportReject._meta.db_table).count_documents({}),
    )


def list_conflicts(
    run_id: str, *, keys: Collection[str] | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Conflicts that wait for a person: table, id, reason, and the values of both sides.

    ``keys``: of these records alone (``record_key``).
    """
    wanted: dict[str, Any] = {"run_id": run_id}
    if keys is not None:
        wanted["_id"] = {"$in": list(keys)}
    found = connection.get_collection(CONFLICTS).find(wanted).sort("_id", 1).limit(limit)
    return [
        {
            "table": item["table"],
            "id": item["legacy_id"],
            "reason": item["reason"],
            "values": item.get("differing") or {},
        }
        for item in found
    ]
