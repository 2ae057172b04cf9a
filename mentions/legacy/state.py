"""What the import remembers about a document it wrote: inside the document, in one extra field.

Written together with the values, it cannot disagree with them after a crash. It is no field of the
models: Django's saves leave it alone, and documents of other origin have none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

STATE_FIELD = "imported"


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


def is_worked_on(document: Mapping[str, Any]) -> bool:
    """Whether a message has more versions than imports made."""
    state = read_state(document)
    return (document.get("version") or 1) > 1 + (state.updates if state else 0)
