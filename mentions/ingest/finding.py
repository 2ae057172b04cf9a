"""How a page was come by: what its new mentions are stored with."""

from collections.abc import Callable
from dataclasses import dataclass

from mentions.models import FoundBy


@dataclass(frozen=True, slots=True)
class Finding:
    """``is_late`` tells of an id whether the polls had passed it already."""

    found_by: FoundBy
    is_late: Callable[[int], bool] = lambda post_id: False
    wants_drafts: bool = True
