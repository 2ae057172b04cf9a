"""Catching up without a binary log: the tables are read again, and what they no longer have goes.

The import itself brings inserts and updates, whatever ``updated_at`` says. Deletions leave no
trace in a table: they show only by asking MySQL for each key that was imported.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autores.crypto import TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.apply import RowApplier, count_open, list_conflicts, render_conflicts
from mentions.legacy.current import CurrentSource
from mentions.legacy.documents import TARGETS
from mentions.legacy.proof.runs import seal_into_run
from mentions.legacy.report import ImportReport
from mentions.models import ImportRun


@dataclass
class DeltaReport:
    """The import's own report, and what became of rows deleted there, by table."""

    imported: ImportReport
    deleted: dict[str, int] = field(default_factory=dict)
    conflicts: int = 0
    conflict_list: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.imported.is_complete and not self.conflicts

    @property
    def run_id(self) -> str:
        return self.imported.run_id

    @property
    def is_provable(self) -> bool:
        return self.imported.is_provable

    def to_json(self) -> dict[str, Any]:
        return {
            **self.imported.to_json(),
            "is_complete": self.is_complete,
            "deleted": self.deleted,
            "deletion_conflicts": self.conflicts,
            "deletion_conflict_list": self.conflict_list,
        }

    def render(self) -> str:
        shown = ", ".join(f"{count} {table}" for table, count in self.deleted.items() if count)
        lines = [self.imported.render(), f"Deleted there since, and here now: {shown or 'none'}."]
        if self.conflicts:
            lines.append(f"Deleted there, but not here ({self.conflicts}):")
            lines += render_conflicts(self.conflict_list)
        return "\n".join(lines)


def delete_missing_rows(
    url: SourceUrl, *, imported: ImportReport, cipher: TokenCipher
) -> DeltaReport:
    """Delete here what the import wrote and MySQL no longer has; raises SourceError.

    What was changed here since, or is referred to, stays and is listed.
    """
    run_id = imported.run_id
    counts: dict[str, Counter[str]]
    with CurrentSource(url) as current:
        applier = RowApplier(current, cipher=cipher, run_id=run_id, account_id=None)
        for target in reversed(TARGETS):
            applier.delete_missing(target)
        counts = applier.counts
    conflicts, _ = count_open(run_id)
    report = DeltaReport(
        imported,
        deleted={name: found["deleted"] for name, found in counts.items()},
        conflicts=conflicts,
        conflict_list=list_conflicts(run_id),
    )
    run = ImportRun.objects.get(pk=run_id)
    run.state = "done" if report.is_complete else "incomplete"
    seal_into_run(run, report.to_json())
    run.save()
    return report
