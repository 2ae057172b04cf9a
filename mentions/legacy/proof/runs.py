"""Keeps reports with their runs, sealed, and checks the seals."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.utils import timezone

from mentions.legacy.proof.seal import (
    SEAL,
    SealError,
    is_intact,
    is_sealed,
    read_report,
    seal_report,
)
from mentions.models import ImportRun

_KEPT_SEALS = 100
INTACT, BROKEN, UNSEALED = "intact", "broken", "not sealed"


@dataclass(frozen=True)
class SealCheck:
    """``state`` is intact, broken or not sealed; ``is_chained`` tells whether the seal of the
    report before is still the one this report names (None: it names none that is here)."""

    name: str
    state: str
    digest: str = ""
    is_chained: bool | None = None

    @property
    def is_good(self) -> bool:
        return self.state == INTACT and self.is_chained is not False

    def __str__(self) -> str:
        text = f"{self.name}: {self.state}"
        if self.digest:
            text += f", sha256:{self.digest}"
        if self.is_chained is False:
            text += "; the report before it is not the one it was sealed after"
        return text


def add_to_run(run_id: str, sections: dict[str, Any], *, state: str | None = None) -> ImportRun:
    """Add sections to the run's report and seal it anew. Raises ImportRun.DoesNotExist."""
    run = ImportRun.objects.get(pk=run_id)
    body = {name: value for name, value in run.report.items() if name != SEAL}
    seal_into_run(run, {**body, **sections})
    if state is not None:
        run.state = state
    run.finished_at = timezone.now()
    run.save()
    return run


def seal_into_run(run: ImportRun, body: dict[str, Any]) -> None:
    """Give the run this report, sealed; saving it is the caller's.

    A run that is gone on with, such as a following, is sealed again: a later report may name any
    of the seals it had.
    """
    earlier = _list_seals(run.report)
    run.report = seal_report(body, previous=_find_previous(run), earlier=earlier[-_KEPT_SEALS:])


def keep_report(
    sections: dict[str, Any], *, source: str, state: str, started_at: datetime
) -> ImportRun:
    """A run of its own for a report that no load belongs to."""
    run = ImportRun(
        started_at=started_at, finished_at=timezone.now(), state=state, source=source, report={}
    )
    run.report = seal_report({"source": source, **sections}, previous=_find_previous(run))
    run.save(force_insert=True)
    return run


def check_run(run: ImportRun, *, has_chain: bool = True) -> SealCheck:
    """Whether the run's report is what was sealed, and, unless told otherwise, its chain."""
    check = _check(f"run {run.pk}", run.report or {})
    previous = (run.report.get(SEAL) or {}).get("previous") if run.report else ""
    if check.state != INTACT or not previous or not has_chain:
        return check
    earlier = ImportRun.objects.filter(started_at__lt=run.started_at).order_by("-started_at")
    digests = [digest for found in earlier[:200] for digest in _list_seals(found.report)]
    if not digests:
        return check
    return SealCheck(check.name, check.state, check.digest, is_chained=previous in digests)


def check_seal(name: str) -> SealCheck:
    """Check a run by its id, or a report by the path of its JSON or HTML file.

    Raises SealError when there is neither.
    """
    run = ImportRun.objects.filter(pk=name).first()
    if run is not None:
        return check_run(run)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        raise SealError(
            f"{name!r} is neither the id of an import run nor a report file that can be read."
        ) from None
    return _check(name, read_report(text))


def _check(name: str, report: dict[str, Any]) -> SealCheck:
    if not is_sealed(report):
        return SealCheck(name, UNSEALED)
    return SealCheck(name, INTACT if is_intact(report) else BROKEN, report[SEAL]["digest"])


def _list_seals(report: dict[str, Any] | None) -> list[str]:
    """Digests the report has and had, the newest last."""
    seal = (report or {}).get(SEAL) or {}
    return [*seal.get("earlier", []), seal["digest"]] if seal.get("digest") else []


def _find_previous(run: ImportRun) -> str:
    earlier = ImportRun.objects.filter(started_at__lt=run.started_at).order_by("-started_at")
    for found in earlier[:50]:
        digest = ((found.report or {}).get(SEAL) or {}).get("digest")
        if digest:
            return str(digest)
    return ""
