"""The sandbox's own time, and the ids X makes from it.

A snowflake id is (milliseconds since X's epoch) << 22 | a sequence, so ids sort by time.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autores.sandbox.store import Store

X_EPOCH_MS = 1288834974657
SEQUENCE_BITS = 22


def snowflake_floor(at_ms: int) -> int:
    """The smallest id a post of that millisecond (Unix time) can have."""
    return max(at_ms - X_EPOCH_MS, 0) << SEQUENCE_BITS


def format_time(at_ms: int) -> str:
    """RFC 3339 with milliseconds and Z, as X prints it."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at_ms % 1000:03d}Z"


def parse_time(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 text; ValueError when it is not one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the time needs an offset, such as Z")
    return round(moment.timestamp() * 1000)


class Clock:
    """Wall time plus an offset the control API can move; can be frozen for exact tests."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._last_id = 0

    def now_ms(self) -> int:
        frozen = self._store.settings.get("clock_frozen_ms")
        if frozen is not None:
            return int(frozen)
        return int(time.time() * 1000) + int(self._store.settings.get("clock_offset_ms", 0))

    def advance(self, seconds: float) -> None:
        shift = round(seconds * 1000)
        frozen = self._store.settings.get("clock_frozen_ms")
        if frozen is not None:
            self._store.put_setting("clock_frozen_ms", int(frozen) + shift)
        offset = int(self._store.settings.get("clock_offset_ms", 0))
        self._store.put_setting("clock_offset_ms", offset + shift)

    def set_now(self, now_ms: int) -> None:
        if self._store.settings.get("clock_frozen_ms") is not None:
            self._store.put_setting("clock_frozen_ms", now_ms)
        self._store.put_setting("clock_offset_ms", now_ms - int(time.time() * 1000))

    def freeze(self, is_frozen: bool) -> None:
        now = self.now_ms()
        self._store.put_setting("clock_frozen_ms", now if is_frozen else None)
        if not is_frozen:
            self._store.put_setting("clock_offset_ms", now - int(time.time() * 1000))

    def next_ids(self, count: int = 1, *, at_ms: int | None = None) -> list[int]:
        """`count` fresh ids, rising. Without `at_ms` they are above every id given so far."""
        with self._lock:
            if self._last_id == 0:
                self._last_id = self._store.highest_id()
            if at_ms is None:
                first = max(snowflake_floor(self.now_ms()), self._last_id + 1)
            else:
                floor = snowflake_floor(at_ms)
                first = self._store.highest_id(floor=floor) + 1
            ids = list(range(first, first + count))
            self._last_id = max(self._last_id, ids[-1])
            return ids

    def forget_ids(self) -> None:
        with self._lock:
            self._last_id = 0
