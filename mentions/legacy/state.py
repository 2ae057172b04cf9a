"""What import and export remember about a document: inside the document, in one extra field each.

The import's is written together with the values, and cannot disagree with them after a crash.
Neither is a field of the models: Django's saves leave them alone, and other documents have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

STATE_FIELD = "imported"
EXPORT_FIELD = "exported"


@dataclass(frozen=True)
class RowState:
    """``digest`` is ``mapping.digest_values`` of what was written; ``run_id`` wrote it last.

    ``created_by`` is the run that inserted the document. ``updates`` counts how often imports
    changed it since: a message's version is higher by that much without anybody's work.
    """

    run_id: str
    digest: str
    created_by: str
    updates: int = 0


def build_state(
    run_id: str, digest: str, *, created_by: str | None = None, updates: int = 0
) -> dict[str, Any]:
    """The field's value; ``created_by`` is stored only where another run inserted the document."""
    state: dict[str, Any] = {"run": run_id, "digest": digest}
    if updates:
        state["updates"] = updates
    if created_by is not None and created_by != run_id:
        state["created_by"] = created_by
    return state


def read_state(document: Mapping[str, Any]) -> RowState | None:
    """The state of a stored document; None for one that no import wrote."""
    state = document.get(STATE_FIELD)
    if not isinstance(state, Mapping):
        return None
    run_id = str(state.get("run", ""))
    return RowState(
        run_id=run_id,
        digest=str(state.get("digest", "")),
        created_by=str(state.get("created_by", run_id)),
        updates=int(state.get("updates", 0)),
    )


@dataclass(frozen=True)
class Baseline:
    """Digests of MySQL's row (``there``) and of the document (``here``) when they last agreed.

    They are one and the same after an import. After an export they differ where MySQL could not
    keep all of a value, a time's milliseconds for instance; ``exported_at`` tells when it was.
    """

    there: str
    here: str
    exported_at: datetime | None = None


def build_export(baseline: Baseline, *, source: str) -> dict[str, Any]:
    """The value of the export's field. An import that writes the document removes the field.

    ``source`` labels the database that it was written to: of another one it says nothing.
    """
    return {
        "there": baseline.there,
        "here": baseline.here,
        "at": baseline.exported_at,
        "source": source,
    }


def read_baseline(document: Mapping[str, Any], *, source: str) -> Baseline | None:
    """By the export that wrote the document back to ``source``, or else the import; None if
    neither knows it.
    """
    mark = document.get(EXPORT_FIELD)
    if isinstance(mark, Mapping) and mark.get("source") == source and mark.get("here"):
        exported_at = mark["at"].replace(tzinfo=UTC)
        return Baseline(str(mark["there"]), str(mark["here"]), exported_at)
    state = read_state(document)
    return None if state is None else Baseline(state.digest, state.digest)


def is_worked_on(document: Mapping[str, Any]) -> bool:
    """Whether a message has more versions than imports made."""
    state = read_state(document)
    return (document.get("version") or 1) > 1 + (state.updates if state else 0)
