"""Whether an import gives a message to another account than the one it has here.

Which account is chosen is an argument of the command, and a wrong one would show an account's
mentions to other people: so a message stays where it is unless the operator says otherwise, and
where people made something for its account, even then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mentions.legacy.contract import MESSAGES
from mentions.legacy.documents import Target
from mentions.legacy.mapping import MappedRow
from mentions.legacy.references import find_references
from mentions.legacy.state import Baseline, read_baseline

# Remarks of the report.
STAYED = "message stays with the account that it has here"
MOVED = "message given to another account"
EXPORTED = "message keeps the account that it was written back with"


class Reattribution:
    """For rows of one table from one source; ``notes`` counts what was decided."""

    def __init__(
        self, target: Target, *, source: str, is_allowed: bool, notes: Counter[str]
    ) -> None:
        self._target = target
        self._source = source
        self._is_allowed = is_allowed
        self._notes = notes

    def find_held(
        self, rows: Sequence[MappedRow], documents: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, str]:
        """Messages that may not go to the account of their row, and why, by key."""
        if not self._is_allowed or self._target.table is not MESSAGES:
            return {}
        moving = [
            row.key
            for row in rows
            if row.key in documents
            and _is_of_another(row, documents[row.key], self._recall(documents[row.key]))
        ]
        return {
            key: f"stays with its account, as {what} here refer to it"
            for key, what in find_references(self._target, moving).items()
        }

    def choose(self, row: MappedRow, document: Mapping[str, Any]) -> MappedRow:
        """The row, with the account that the message is to have."""
        if self._target.table is not MESSAGES:
            return row
        known = self._recall(document)
        # It left with this account, which MySQL could not keep.
        is_kept = known is not None and known.exported_at is not None
        if is_kept and self._is_allowed and document.get("account_id") != row.values["account_id"]:
            self._notes[EXPORTED] += 1
        if _is_of_another(row, document, known) and not self._is_allowed:
            is_kept = True
            self._notes[STAYED] += 1
        if not is_kept:
            return row
        return replace(row, values={**row.values, "account_id": document.get("account_id")})

    def count_moved(self, row: MappedRow, document: Mapping[str, Any]) -> None:
        """The row was written over the document."""
        if self._target.table is MESSAGES and _is_of_another(row, document, self._recall(document)):
            self._notes[MOVED] += 1

    def _recall(self, document: Mapping[str, Any]) -> Baseline | None:
        return read_baseline(document, source=self._source)


def _is_of_another(row: MappedRow, document: Mapping[str, Any], known: Baseline | None) -> bool:
    """Whether an import gave the message to another account than that of the row."""
    holder = document.get("account_id")
    is_imported = known is not None and known.exported_at is None
    return is_imported and holder is not None and holder != row.values["account_id"]
