"""Which of the own posts look most like a text of ours. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from autores.x.text import normalise_for_match

MOST_CANDIDATES = 3
_LEAST_LIKENESS = 0.5
# Comparing takes the product of the lengths: of long messages the beginnings must do.
_COMPARED_LENGTH = 600


@dataclass(frozen=True, slots=True)
class Candidate:
    """A post or message of the account. ``normal`` is its text as ``normalise_for_match`` has it;
    ``is_to_parent`` whether it answers the very post that ours is meant for.
    """

    id: str
    text: str
    normal: str
    created_at: datetime
    parent_id: str | None
    is_to_parent: bool
    likeness: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "text": self.text,
            "created_at": self.created_at.isoformat(),
            "in_reply_to_post_id": self.parent_id or "",
            "is_to_parent": self.is_to_parent,
            "likeness": round(self.likeness, 2),
        }


def find_nearest(text: str, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those with the same parent or a text like ours, the likeliest first; three at most."""
    wanted = normalise_for_match(text)[:_COMPARED_LENGTH]
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(wanted)
    found = []
    for item in candidates:
        matcher.set_seq1(item.normal[:_COMPARED_LENGTH])
        is_near = item.is_to_parent or matcher.quick_ratio() >= _LEAST_LIKENESS
        likeness = matcher.ratio() if is_near else 0.0
        if item.is_to_parent or likeness >= _LEAST_LIKENESS:
            found.append(
                Candidate(
                    item.id,
                    item.text,
                    item.normal,
                    item.created_at,
                    item.parent_id,
                    item.is_to_parent,
                    likeness,
                )
            )
    found.sort(key=lambda item: (item.is_to_parent, item.likeness), reverse=True)
    return found[:MOST_CANDIDATES]
