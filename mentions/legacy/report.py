"""What an import did, for a person and as JSON. Pure."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mentions.legacy.attribution import Ambiguous

# What may become of a row; each row is counted once.
OUTCOMES = (
    "created",
    "updated",
    "unchanged",
    "kept",
    "deleted_here",
    "conflicts",
    "rejected",
    "skipped",
)
_MEANINGS = {
    "kept": "changed here since the import, and not there: left as they are",
    "deleted_here": "deleted here since the import: not brought back",
    "conflicts": "not written, the document here stays as it is",
    "rejected": "cannot be taken over",
    "skipped": "left behind on purpose",
}
# Characters of a value.
_SHOWN = 200
# A report with a million lines helps nobody; the rejects themselves are all kept.
_LISTED = 50
# Of these there may be many, and none is at fault.
_SHOWN_AMBIGUOUS = 10
# Of a field: (legacy value, value here). None stands for NULL.
Values = tuple[str | None, str | None]


@dataclass
class TableReport:
    """One table's counts. ``in_mongodb`` is None until it was counted, and in a dry run."""

    table: str
    in_mysql: int = 0
    # A key that lets its bearer in is never printed as a whole.
    has_secret_keys: bool = False
    in_mongodb: int | None = None
    # Reading, converting and writing, without the indexes.
    load_seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    # By field, of conflicts and of documents that were kept.
    differing: dict[str, dict[str, Values]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    rejects: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    unexplained_count: int = 0
    # Keys of rows that have no document, and are known not to.
    absent: set[str] = field(default_factory=set)
    # Messages that no rule gives to an account.
    ambiguous: list[Ambiguous] = field(default_factory=list)
    ambiguous_count: int = 0

    def count(self, outcome: str, key: str) -> None:
        if outcome not in OUTCOMES:
            raise ValueError(f"Unknown outcome {outcome!r}.")
        self.counts[outcome] += 1
        if outcome in {"deleted_here", "rejected", "skipped"}:
            self.absent.add(key)

    def add_conflict(
        self,
        key: str,
        reason: str,
        *,
        is_absent: bool = False,
        values: Mapping[str, Values] | None = None,
    ) -> None:
        self.count("conflicts", key)
        if is_absent:
            self.absent.add(key)
        if len(self.conflicts) < _LISTED:
            self.conflicts.append((self._show(key), reason))
            self.differing[self._show(key)] = dict(values or {})

    def add_kept(self, key: str, values: Mapping[str, Values]) -> None:
        """Changed here since the import, and not there."""
        self.count("kept", key)
        if len(self.kept) < _LISTED:
            self.kept.append(self._show(key))
            self.differing[self._show(key)] = dict(values)

    def merge(self, other: "TableReport") -> None:
        """Add what was counted elsewhere, for another part of the table."""
        self.counts.update(other.counts)
        self.notes.update(other.notes)
        self.absent |= other.absent
        self.ambiguous_count += other.ambiguous_count
        self.ambiguous.extend(other.ambiguous[: max(0, _LISTED - len(self.ambiguous))])
        for mine, theirs in (
            (self.conflicts, other.conflicts),
            (self.kept, other.kept),
            (self.rejects, other.rejects),
        ):
            mine.extend(theirs[: max(0, _LISTED - len(mine))])  # type: ignore[arg-type]
        listed = {*self.kept, *(key for key, _ in self.conflicts)}
        self.differing.update(
            {key: values for key, values in other.differing.items() if key in listed}
        )

    def add_reject(self, key: str, reasons: tuple[str, ...]) -> None:
        self.count("rejected", key)
        if len(self.rejects) < _LISTED:
            self.rejects.append((self._show(key), reasons))

    def add_ambiguous(self, found: Ambiguous) -> None:
        """Kept whole here, so that a chunk's report can be written to a file; cut by ``merge``."""
        self.ambiguous_count += 1
        self.ambiguous.append(found)

    def add_missing(self, key: str) -> None:
        """A row of MySQL that is not in MongoDB: counted unless it is known why."""
        if key not in self.absent:
            self.unexplained_count += 1
            if len(self.unexplained) < _LISTED:
                self.unexplained.append(self._show(key))

    def _show(self, key: str) -> str:
        return f"{key[:8]}…" if self.has_secret_keys else key

    def _show_values(self, key: str) -> dict[str, dict[str, str | None]]:
        return spell_values(self.differing.get(key, {}))

    @property
    def changes(self) -> int:
        return self.counts["created"] + self.counts["updated"]

    @property
    def is_complete(self) -> bool:
        return not (
            self.counts["rejected"]
            or self.counts["conflicts"]
            or self.unexplained_count
            or sum(self.counts.values()) != self.in_mysql
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "in_mysql": self.in_mysql,
            "in_mongodb": self.in_mongodb,
            "load_seconds": round(self.load_seconds, 1),
            **{name: self.counts[name] for name in OUTCOMES},
            "notes": dict(self.notes),
            "conflict_list": [
                {"id": key, "reason": reason, "values": self._show_values(key)}
                for key, reason in self.conflicts
            ],
            "kept_list": [{"id": key, "values": self._show_values(key)} for key in self.kept],
            "reject_list": [{"id": key, "reasons": list(why)} for key, why in self.rejects],
            "ambiguous": self.ambiguous_count,
            "ambiguous_list": [found.to_json() for found in self.ambiguous[:_LISTED]],
            "missing": self.unexplained_count,
            "missing_list": self.unexplained,
        }


@dataclass
class ImportReport:
    """The whole run. ``attribution`` says whose the messages became."""

    source: str
    is_dry_run: bool
    tables: list[TableReport] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    attribution: str = ""
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    write_concern: str = ""
    # The ImportRun's; empty in a dry run.
    run_id: str = ""
    # Why it ended before its end.
    stopped: str = ""

    @property
    def load_seconds(self) -> float:
        """Without the start of the workers, and without indexes."""
        return sum(table.load_seconds for table in self.tables)

    @property
    def changes(self) -> int:
        return sum(table.changes for table in self.tables)

    @property
    def is_complete(self) -> bool:
        """True when every legacy row is accounted for without a person's help."""
        return all(table.is_complete for table in self.tables)

    @property
    def is_provable(self) -> bool:
        """Whether there is something in MongoDB to compare with the source."""
        return not self.is_dry_run

    def to_json(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "is_dry_run": self.is_dry_run,
            "is_complete": self.is_complete,
            "changes": self.changes,
            "attribution": self.attribution,
            "differences": self.differences,
            "warnings": self.warnings,
            "seconds": round(self.seconds, 1),
            "load_seconds": round(self.load_seconds, 1),
            "write_concern": self.write_concern,
            "run": self.run_id,
            "stopped": self.stopped,
            "tables": {table.table: table.to_json() for table in self.tables},
        }

    def render(self) -> str:
        """The report for a terminal."""
        verb = "would be " if self.is_dry_run else ""
        lines = [f"{'Dry run: nothing was written. ' if self.is_dry_run else ''}From {self.source}"]
        if self.attribution:
            lines.append(f"Messages belong to {self.attribution}.")
        if self.differences:
            lines += ["", "The legacy schema differs from the known one:"]
            lines += [f"  {difference}" for difference in self.differences]
        lines += ["", *self._render_counts()]
        for table in self.tables:
            for outcome, meaning in _MEANINGS.items():
                if table.counts[outcome]:
                    lines.append(f"  {table.table}: {table.counts[outcome]} {outcome} = {meaning}")
        for table in self.tables:
            lines += self._render_details(table)
        lines += [f"Warning: {warning}" for warning in self.warnings]
        lines += [
            "",
            f"{self.changes} changes {verb}written in {self.seconds:.1f} s. {self._verdict()}",
        ]
        return "\n".join(lines)

    def _render_counts(self) -> list[str]:
        header = ["table", "MySQL", "MongoDB", *(name.replace("_", " ") for name in OUTCOMES)]
        body = [
            [
                table.table,
                str(table.in_mysql),
                "-" if table.in_mongodb is None else str(table.in_mongodb),
                *(str(table.counts[name]) for name in OUTCOMES),
            ]
            for table in self.tables
        ]
        return _align([header, *body])

    def _render_details(self, table: TableReport) -> list[str]:
        lines = []
        if table.rejects:
            lines += ["", f"Rejected in {table.table}:"]
            lines += [f"  {key!r}: {'; '.join(reasons)}" for key, reasons in table.rejects]
            lines += _more(table.counts["rejected"], len(table.rejects))
        if table.conflicts:
            lines += ["", f"Conflicts in {table.table}:"]
            for key, reason in table.conflicts:
                lines.append(f"  {key!r}: {reason}")
                lines += _render_values(table.differing.get(key, {}))
            lines += _more(table.counts["conflicts"], len(table.conflicts))
        if table.kept:
            lines += ["", f"Changed here since the import, in {table.table}:"]
            for key in table.kept:
                lines.append(f"  {key!r}")
                lines += _render_values(table.differing.get(key, {}))
            lines += _more(table.counts["kept"], len(table.kept))
        if table.unexplained:
            lines += ["", f"In MySQL's {table.table}, but neither in MongoDB nor refused:"]
            lines += [f"  {key!r}" for key in table.unexplained]
            lines += _more(table.unexplained_count, len(table.unexplained))
        if table.ambiguous_count:
            lines += ["", f"Without an account, because no rule decides ({table.table}):"]
            for found in table.ambiguous[:_SHOWN_AMBIGUOUS]:
                among = f": {', '.join(found.candidates)}" if found.candidates else ""
                lines.append(f"  {found.key!r}: {found.reason}{among}")
            lines += _more(table.ambiguous_count, min(_SHOWN_AMBIGUOUS, len(table.ambiguous)))
        if table.notes:
            lines += ["", f"Noted in {table.table}:"]
            lines += [f"  {count} x {note}" for note, count in sorted(table.notes.items())]
        return lines

    def _verdict(self) -> str:
        if self.is_complete:
            return "Every row is accounted for."
        return "Not complete: see the rejects, conflicts or missing rows above."


def spell_values(values: Mapping[str, Values]) -> dict[str, dict[str, str | None]]:
    """(legacy value, value here) by field, for JSON."""
    return {name: {"legacy": there, "here": here} for name, (there, here) in values.items()}


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _render_values(values: Mapping[str, Values]) -> list[str]:
    return [
        f"    {name}: {_spell(there)} there, {_spell(here)} here"
        for name, (there, here) in values.items()
    ]


def _spell(value: str | None) -> str:
    return "NULL" if value is None else repr(value)


def _more(total: int, listed: int) -> list[str]:
    return [f"  … and {total - listed} more"] if total > listed else []


def show_cut(value: Any) -> str | None:
    """As a report shows it: long texts are cut."""
    if value is None:
        return None
    shown = value.isoformat() if isinstance(value, datetime) else str(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def hide_secret(secret: Any) -> str:
    """Tells two secrets apart, and neither of them."""
    if secret is None:
        return "cannot be decrypted"
    return "sha256 " + hashlib.sha256(str(secret).encode()).hexdigest()[:16]
