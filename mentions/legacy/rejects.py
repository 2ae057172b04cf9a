"""Rows that were refused, kept in the collection ``import_rejects`` until they are mended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from pymongo import UpdateOne

from mentions.legacy.contract import OAUTH_STATES, Table
from mentions.legacy.documents import find_gone, record_key
from mentions.legacy.mapping import RejectedRow
from mentions.models import ImportReject

# A document may have 16 MB, and a row may be refused because it has more.
_LONGEST_KEPT = 100_000


def _shorten(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value[:_LONGEST_KEPT]}… ({len(value):,} characters in MySQL)"
        if isinstance(value, str) and len(value) > _LONGEST_KEPT
        else value
        for name, value in row.items()
    }


class RejectWriter:
    """Keeps the refused rows of one table in ``import_rejects``."""

    def __init__(self, table: Table, *, run_id: str, now: datetime) -> None:
        self._table = table
        self._run_id = run_id
        self._now = now
        self._collection = connection.get_collection(ImportReject._meta.db_table)

    def write(self, rejects: Sequence[RejectedRow]) -> None:
        if not rejects:
            return
        operations = []
        gone = find_gone(self._table, [reject.key for reject in rejects])
        for reject in rejects:
            shown = reject.key
            if self._table is OAUTH_STATES:
                shown = reject.row.get("state") or ""
            fields = {
                "run_id": self._run_id,
                "table": self._table.name,
                "legacy_id": shown,
                "reasons": list(reject.reasons),
                "rules": list(reject.rules),
                "hints": list(reject.hints),
                # Of what its author deleted on X nothing is kept, refused or not.
                "row": {"id": reject.key} if reject.key in gone else _shorten(reject.row),
                "rejected_at": self._now,
            }
            key = record_key(self._table, reject.key)
            operations.append(UpdateOne({"_id": key}, {"$set": fields}, upsert=True))
        self._collection.bulk_write(operations, ordered=False)

    def forget_earlier(self) -> None:
        """Remove rejects of earlier runs: this one read the table to its end without them."""
        self._collection.delete_many({"table": self._table.name, "run_id": {"$ne": self._run_id}})
