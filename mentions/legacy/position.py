"""How far the binary log was applied, kept in MongoDB beside the documents it covers.

One document per legacy database in ``import_positions``. The position is written after the rows
it covers, never before: what a killed follower had applied beyond it is applied again, which
changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.utils import timezone

from mentions.legacy.binlog_server import LogPosition
from mentions.models import ImportPosition

POSITIONS = ImportPosition._meta.db_table
LOADING, FOLLOWING = "loading", "following"


@dataclass
class FollowState:
    """``phase`` is loading until every table was read once; the position is from before that.

    ``account_id`` is whose the messages are, unless rules with ``rules_digest`` decide.
    ``counts`` adds up over restarts, by table.
    ``frozen_at`` and ``writable_at`` are when the source was first seen read-only, and last seen
    writable before that; ``marked_at`` is the time in the log of the marker, once it was met.
    """

    source: str
    position: LogPosition
    run_id: str
    phase: str = LOADING
    account_id: str | None = None
    changed_at: datetime | None = None
    frozen_at: datetime | None = None
    writable_at: datetime | None = None
    marked_at: datetime | None = None
    rules_digest: str = ""
    row_count: int = 0
    counts: dict[str, dict[str, int]] | None = None

    def save(self) -> None:
        position = self.position
        fields: dict[str, Any] = {
            "file": position.file,
            "offset": position.offset,
            "made_at": position.made_at,
            "run_id": self.run_id,
            "phase": self.phase,
            "account_id": self.account_id,
            "rules_digest": self.rules_digest,
            "changed_at": self.changed_at,
            "frozen_at": self.frozen_at,
            "writable_at": self.writable_at,
            "marked_at": self.marked_at,
            "row_count": self.row_count,
            "counts": self.counts or {},
            "saved_at": timezone.now(),
        }
        connection.get_collection(POSITIONS).update_one(
            {"_id": self.source}, {"$set": fields}, upsert=True
        )


def load_state(source: str) -> FollowState | None:
    found = connection.get_collection(POSITIONS).find_one({"_id": source})
    if found is None:
        return None
    return FollowState(
        source=source,
        position=LogPosition(found["file"], found["offset"], found["made_at"]),
        run_id=found["run_id"],
        phase=found["phase"],
        account_id=found["account_id"],
        changed_at=_make_aware(found["changed_at"]),
        frozen_at=_make_aware(found["frozen_at"]),
        writable_at=_make_aware(found["writable_at"]),
        marked_at=_make_aware(found["marked_at"]),
        rules_digest=found.get("rules_digest", ""),
        row_count=found["row_count"],
        counts=found["counts"],
    )


def forget_state(source: str) -> None:
    connection.get_collection(POSITIONS).delete_one({"_id": source})


def forget_states() -> None:
    """So that the next following reads every table again, whatever it followed before."""
    connection.get_collection(POSITIONS).delete_many({})


def _make_aware(value: datetime | None) -> datetime | None:
    return value and timezone.make_aware(value, timezone.get_fixed_timezone(0))
