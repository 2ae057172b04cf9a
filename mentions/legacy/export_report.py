"""What an export did, for a person and as JSON. Pure."""

from dataclasses import dataclass, field
from typing import Any

LISTED_ROWS = 100


@dataclass
class TableExport:
    """One table's counts; ``conflicts`` and ``refused`` are rows that MySQL does not have now."""

    table: str
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    conflicts: int = 0
    refused: int = 0
    cut_times: int = 0
    # Unchanged here, and deleted in MySQL since: they stay deleted there.
    deleted_there: int = 0
    listed: list[tuple[str, str, str]] = field(default_factory=list)

    def add_conflict(self, key: str, reason: str) -> None:
        self.conflicts += 1
        self._list(key, "conflict", reason)

    def refuse(self, key: str, reason: str) -> None:
        self.refused += 1
        self._list(key, "refused", reason)

    def _list(self, key: str, kind: str, reason: str) -> None:
        if len(self.listed) < LISTED_ROWS:
            self.listed.append((key, kind, reason))


@dataclass
class ExportReport:
    """What went back. ``deleted_here`` are rows of MySQL whose mention was deleted here."""

    target: str
    is_dry_run: bool
    tables: list[TableExport] = field(default_factory=list)
    deleted_here: list[str] = field(default_factory=list)
    deleted_count: int = 0
    fenced: int = 0
    # Why a rehearsal could not ask MySQL what it would refuse.
    untried: str = ""

    @property
    def is_complete(self) -> bool:
        return not any(table.conflicts or table.refused for table in self.tables)

    @property
    def changes(self) -> int:
        return sum(table.inserted + table.updated for table in self.tables)

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "is_dry_run": self.is_dry_run,
            "is_complete": self.is_complete,
            "changes": self.changes,
            "tables": {
                table.table: {
                    "inserted": table.inserted,
                    "updated": table.updated,
                    "unchanged": table.unchanged,
                    "conflicts": table.conflicts,
                    "refused": table.refused,
                    "cut_times": table.cut_times,
                    "deleted_there": table.deleted_there,
                    "listed": [
                        {"id": key, "kind": kind, "reason": reason}
                        for key, kind, reason in table.listed
                    ],
                }
                for table in self.tables
            },
            "deleted_here": {"count": self.deleted_count, "listed": self.deleted_here},
            "fenced_accounts": self.fenced,
            "untried": self.untried,
        }

    def render(self) -> str:
        would = "would be " if self.is_dry_run else ""
        lines = [f"{'Dry run: nothing was written. ' if self.is_dry_run else ''}To {self.target}:"]
        for table in self.tables:
            lines.append(
                f"  {table.table}: {table.inserted} {would}inserted, {table.updated} {would}"
                f"updated, {table.unchanged} as they are, {table.conflicts} conflicts, "
                f"{table.refused} refused"
            )
            if table.cut_times:
                lines.append(f"    {table.cut_times} with times cut to the column's precision")
            if table.deleted_there:
                lines.append(
                    f"    {table.deleted_there} deleted in MySQL since, and as they were here: "
                    "not brought back"
                )
            lines += [f"    {key!r}: {kind}: {reason}" for key, kind, reason in table.listed]
        if self.deleted_count:
            lines.append(
                f"  {self.deleted_count} messages were deleted here and are still in MySQL: "
                + ", ".join(map(repr, self.deleted_here[:10]))
                + ("…" if self.deleted_count > 10 else "")
            )
        if self.untried:
            lines.append(f"  What MySQL itself would refuse is not known: {self.untried}.")
        if self.fenced:
            lines.append(
                f"  {self.fenced} accounts are fenced: this system refreshes their tokens no more."
            )
        return "\n".join(lines)
