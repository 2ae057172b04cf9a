"""Catching up without a binary log: the tables are read again, and what they no longer have goes.

The import itself brings inserts and updates, whatever ``updated_at`` says. Deletions leave no
trace in a table: they show only by asking MySQL for each key that was imported. So a wrong
database looks like one in which everything was deleted: what looks like it is refused.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autores.crypto import TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.apply import RowApplier
from mentions.legacy.conflicts import list_conflicts, render_conflicts
from mentions.legacy.current import CurrentSource
from mentions.legacy.documents import TARGETS, Target
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.proof.runs import seal_into_run
from mentions.legacy.report import ImportReport
from mentions.legacy.runs import RUN_DONE, RUN_INCOMPLETE
from mentions.models import ImportRun

_USERS, _MESSAGES, _ = TARGETS
# Rows that may be missing for every hundred there are, and how many always.
_PERCENT_MISSING = 10
_FEW = 100
_ACCEPT = "add --accept-deletions."


class DeletionsError(LegacyImportError):
    """So much is missing in MySQL that it may be the wrong database."""


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


def require_same_source(url: SourceUrl) -> None:
    """Refuse another database than the one that was imported last. Raises DeletionsError."""
    last = (
        ImportRun.objects.filter(state__in=[RUN_DONE, RUN_INCOMPLETE])
        .order_by("-started_at")
        .first()
    )
    if last is not None and last.source != url.label:
        raise DeletionsError(
            f"The last import read {last.source}, and this is {url.label}: --delta deletes here "
            f"what it does not find there. If it is the same database by another name, {_ACCEPT}"
        )


def delete_missing_rows(
    url: SourceUrl, *, imported: ImportReport, cipher: TokenCipher, is_accepted: bool = False
) -> DeltaReport:
    """Delete here what the import wrote and MySQL no longer has.

    What was changed here since, or is referred to, stays and is listed. Raises SourceError, and
    DeletionsError if a great part would go, unless that ``is_accepted``; nothing is deleted then.
    """
    run_id = imported.run_id
    counts: dict[str, Counter[str]]
    with CurrentSource(url) as current:
        applier = RowApplier(current, cipher=cipher, run_id=run_id, account_id=None)
        if not is_accepted:
            for target in (_MESSAGES, _USERS):
                _require_few_missing(applier, target)
        for target in reversed(TARGETS):
            applier.delete_missing(target)
        counts = applier.counts
    report = DeltaReport(
        imported,
        deleted={name: found["deleted"] for name, found in counts.items()},
        conflicts=len(applier.unsettled),
        conflict_list=list_conflicts(run_id, keys=applier.unsettled),
    )
    run = ImportRun.objects.get(pk=run_id)
    run.state = "done" if report.is_complete else "incomplete"
    seal_into_run(run, report.to_json())
    run.save()
    return report


def _require_few_missing(applier: RowApplier, target: Target) -> None:
    imported = missing = 0
    for count, absent in applier.find_missing(target):
        imported += count
        missing += len(absent)
    is_much = missing > _FEW and missing * 100 > imported * _PERCENT_MISSING
    if is_much or (missing and missing == imported):
        raise DeletionsError(
            f"{missing} of the {imported} {target.table.name} that were imported are not in MySQL "
            "any more. Nothing was deleted here. See that it is the right database; if it is, "
            f"{_ACCEPT}"
        )
