"""Compares the time in each post's id with the time the row gives. Pure.

X writes the moment of creation into the id itself, to the millisecond. So a table whose DATETIMEs
were not UTC after all gives itself away: every row is off by the same hours.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

# Milliseconds from 1970 to X's epoch, and the bits below the time in an id.
_X_EPOCH_MS = 1288834974657
_SHIFT = 22
_UNIX_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive UTC, as both databases give it
# Ids carry their time since 4 November 2010; the older ones were counted up from 1.
_FIRST_TIMED_ID = 29_700_859_247
_MAX_ID = 2**63 - 1
# X gives created_at in whole seconds; the id is made an instant earlier or later.
TOLERANCE_SECONDS = 2.0
_QUARTER_HOUR = 900
_WIDEST_ZONE = 14 * 3600
_LISTED = 50
_SYSTEMATIC_SHARE = 0.9
_SYSTEMATIC_ROWS = 3


def offset_of(key: str, timestamp: datetime) -> float | None:
    """Seconds by which ``timestamp`` (naive UTC) is later than the id's time; None without one."""
    if not (key.isascii() and key.isdigit()) or key.startswith("0") or len(key) > 19:
        return None
    number = int(key)
    if not _FIRST_TIMED_ID <= number <= _MAX_ID:
        return None
    made_ms = (number >> _SHIFT) + _X_EPOCH_MS
    since = timestamp - _UNIX_EPOCH
    stated_ms = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    return (stated_ms - made_ms) / 1000


@dataclass
class ClockAudit:
    """Counts of one table: ``checked`` rows have a time in their id, ``off`` of them disagree.

    ``offsets`` counts disagreeing rows by quarter hour (seconds), for zones alone.
    """

    checked: int = 0
    off: int = 0
    without_time: int = 0
    offsets: Counter[int] = field(default_factory=Counter)
    listed: list[tuple[str, str, float]] = field(default_factory=list)

    def add(self, key: str, timestamp: datetime) -> float | None:
        """Count one row; its offset in seconds if it disagrees with its id."""
        offset = offset_of(key, timestamp)
        if offset is None:
            self.without_time += 1
            return None
        self.checked += 1
        if abs(offset) <= TOLERANCE_SECONDS:
            return None
        self.off += 1
        zone = round(offset / _QUARTER_HOUR) * _QUARTER_HOUR
        if zone and abs(zone) <= _WIDEST_ZONE and abs(offset - zone) <= TOLERANCE_SECONDS:
            self.offsets[zone] += 1
        if len(self.listed) < _LISTED:
            self.listed.append((key, timestamp.isoformat(sep=" "), offset))
        return offset

    def add_all(self, keys: Sequence[str], timestamps: Sequence[datetime | None]) -> None:
        """Count many rows, but for those without a time."""
        for key, timestamp in zip(keys, timestamps, strict=True):
            if timestamp is None:
                continue
            offset = offset_of(key, timestamp)
            if offset is not None and abs(offset) <= TOLERANCE_SECONDS:
                self.checked += 1
            else:
                self.add(key, timestamp)

    def merge(self, other: "ClockAudit") -> None:
        self.checked += other.checked
        self.off += other.off
        self.without_time += other.without_time
        self.offsets.update(other.offsets)
        self.listed = sorted([*self.listed, *other.listed])[:_LISTED]

    @property
    def is_zone_wrong(self) -> bool:
        """Whether nearly all rows are off by whole quarter hours: the times are not UTC."""
        shifted = sum(self.offsets.values())
        return shifted >= max(_SYSTEMATIC_ROWS, _SYSTEMATIC_SHARE * self.checked)

    @property
    def sentence(self) -> str:
        if not self.checked:
            return "No message has an id that tells its time."
        if self.is_zone_wrong:
            zones = ", ".join(
                f"{show_offset(zone)} ({count} rows)"
                for zone, count in sorted(self.offsets.items(), key=lambda item: -item[1])[:4]
            )
            return (
                f"The times of the whole table are in another zone than UTC: {self.off} of "
                f"{self.checked} messages are off from the time in their post id by {zones}. "
                "Convert the DATETIMEs in MySQL to UTC, then run the import again."
            )
        if self.off:
            return (
                f"{self.off} of {self.checked} messages have a timestamp that disagrees with the "
                "time in their post id."
            )
        return f"All {self.checked} timestamps agree with the time in their post id."

    def to_json(self) -> dict[str, Any]:
        return {
            "checked": self.checked,
            "off": self.off,
            "without_time": self.without_time,
            "is_zone_wrong": self.is_zone_wrong,
            "sentence": self.sentence,
            "offsets": [
                {"offset": show_offset(zone), "rows": count}
                for zone, count in sorted(self.offsets.items(), key=lambda item: -item[1])
            ],
            "listed": [
                {"id": key, "timestamp": timestamp, "offset_seconds": round(offset, 3)}
                for key, timestamp, offset in self.listed
            ],
        }


def show_offset(seconds: float) -> str:
    """Seconds as ``+02:00`` or, beyond a day, in days."""
    sign = "-" if seconds < 0 else "+"
    rest = abs(seconds)
    if rest >= 172_800:
        return f"{sign}{rest / 86_400:.1f} days"
    hours, minutes = divmod(round(rest / 60), 60)
    return f"{sign}{hours:02d}:{minutes:02d}"
