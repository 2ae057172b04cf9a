"""What a following did, how long the source was down for it, and both in words."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from mentions.legacy.conflicts import render_conflicts
from mentions.legacy.position import FollowState


@dataclass
class FollowReport:
    """What the following did, over all its restarts. Times are the import's own clock.

    ``warnings`` are those of the load, if this call made one.
    """

    source: str
    run_id: str
    position: str
    row_count: int
    counts: dict[str, dict[str, int]]
    account_id: str | None
    conflicts: int = 0
    rejects: int = 0
    conflict_list: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    is_drained: bool = False
    stopped_by: str = ""
    frozen_at: datetime | None = None
    drained_at: datetime | None = None
    last_change_at: datetime | None = None
    downtime_seconds: float | None = None
    downtime_at_most_seconds: float | None = None

    @property
    def is_complete(self) -> bool:
        return not (self.conflicts or self.rejects)

    @property
    def is_provable(self) -> bool:
        return self.is_drained

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in shown.items()
        } | {"is_complete": self.is_complete}

    def render(self) -> str:
        lines = [f"Followed {self.source} to {self.position}: {self.row_count} row changes."]
        for table, counts in self.counts.items():
            shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
            lines.append(f"  {table}: {shown or 'nothing changed'}")
        lines += [f"Warning: {warning}" for warning in self.warnings]
        if self.conflicts:
            lines.append(f"Conflicts, the documents here stay as they are: {self.conflicts}")
            lines += render_conflicts(self.conflict_list)
        if self.rejects:
            lines.append(f"Rejects in the collection import_rejects: {self.rejects}")
        if not self.is_drained:
            lines.append("Not drained: the same command goes on from here.")
        elif self.frozen_at and self.drained_at and self.downtime_seconds is not None:
            lines.append(f"Drained at {self.drained_at:%H:%M:%S.%f} UTC: nothing is left to copy.")
            last = f"the last change in its log is of {_show_time(self.last_change_at)}."
            if self.downtime_at_most_seconds is None:
                lines += [
                    f"The source was {self.stopped_by} already when it was looked at first, at "
                    f"{self.frozen_at:%H:%M:%S.%f} UTC; {last}",
                    f"Downtime so far: at least {self.downtime_seconds:.1f} s; since when it was "
                    "so before is not known. It lasts until this system serves.",
                ]
            else:
                lines += [
                    f"The source stopped ({self.stopped_by}) at {self.frozen_at:%H:%M:%S.%f} UTC; "
                    f"{last}",
                    f"Downtime so far: {self.downtime_seconds:.1f} s, at most "
                    f"{self.downtime_at_most_seconds:.1f} s. It lasts until this system serves.",
                ]
        return "\n".join(lines)

    def tell_drained(self, state: FollowState, *, drained_at: datetime, marker: str | None) -> None:
        """Add when the source stopped, by its marker or as it was read-only, and the downtime."""
        self.is_drained, self.drained_at = True, drained_at
        if state.marked_at and marker:
            self.stopped_by = f"marker {marker}"
            # The log knows whole seconds.
            self.frozen_at = state.marked_at + timedelta(seconds=1)
            earliest: datetime | None = state.marked_at
        else:
            self.stopped_by = "read-only"
            self.frozen_at = state.frozen_at or drained_at
            earliest = state.writable_at
        self.downtime_seconds = max((drained_at - self.frozen_at).total_seconds(), 0.0)
        if earliest is not None:
            self.downtime_at_most_seconds = max((drained_at - earliest).total_seconds(), 0.0)


def _show_time(at: datetime | None) -> str:
    return "an earlier time" if at is None else f"{at:%H:%M:%S} UTC"
