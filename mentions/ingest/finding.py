"""How a page was come by: what its new mentions are stored with."""

from collections.abc import Callable
from dataclasses import dataclass

from mentions.models import FoundBy


@dataclass(frozen=True, slots=True)
class Finding:
    """``is_late`` tells of an id whether the polls had passed it already.

    ``newest_known``: the newest id that was stored when the page was asked for. What is newer than
    that is hardly ever stored. None where nobody knows.
    """

    found_by: FoundBy
    is_late: Callable[[int], bool] = lambda post_id: False
    wants_drafts: bool = True
    newest_known: int | None = None
