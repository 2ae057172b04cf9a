"""Counters in Redis under fixed windows, raised atomically: parallel requests each count.

Without Redis nobody is counted and nobody refused: the API goes on.
"""

import logging
import threading
import time
from dataclasses import dataclass

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_UNCOUNTED_SECONDS = 1.0
_MOST_SHARES = 10_000


@dataclass(frozen=True, slots=True)
class Raised:
    """A counter with this one in it. ``key`` is its window's, to lower the same one again."""

    count: int
    seconds_left: float
    key: str


def raise_counter(name: str, *, seconds: int) -> Raised:
    """Count one; the window starts anew in ``seconds_left``."""
    key, left = _window_of(name, seconds)
    try:
        return Raised(_add(key, 1, seconds), left, key)
    except RedisError as error:
        logger.warning("Requests are not counted: %s", type(error).__name__)
        return Raised(1, left, key)


def _window_of(name: str, seconds: int) -> tuple[str, float]:
    now = time.time()
    return f"{name}:{int(now // seconds)}", seconds - now % seconds


def _add(key: str, number: int, seconds: int) -> int:
    """One round trip, where the cache's own add and incr take three."""
    stored = cache.make_key(key)
    with cache._cache.get_client(stored, write=True).pipeline(transaction=False) as pipeline:
        count, _ = pipeline.incrby(stored, number).expire(stored, seconds + 1).execute()
    return int(count)


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether one more is let through; if not, the next window begins in ``seconds_left``."""

    is_allowed: bool
    seconds_left: float


@dataclass(slots=True)
class _Share:
    window: str
    left: int = 0
    is_spent: bool = False
    uncounted_until: float = 0.0


class SharedLimit:
    """So many in a window by all processes together, most of them counted in the process alone.

    A process takes a share of what is left in one round trip, and spends it by itself. All shares
    together are never more than the limit, so no more are let through. What other processes took
    and have not spent is missing to this one: it may refuse when up to ``share_of(limit)`` for
    each of them are left. Without Redis nobody is counted and nobody refused.
    """

    def __init__(self, name: str, *, seconds: int) -> None:
        self._name, self._seconds = name, seconds
        self._shares: dict[str, _Share] = {}
        self._lock = threading.Lock()

    @staticmethod
    def share_of(limit: int) -> int:
        """A fiftieth, and no more than a thousand; one at least."""
        return min(max(limit // 50, 1), 1000)

    def take(self, caller: str, *, limit: int) -> Taken:
        """Count one of ``caller``'s."""
        key, left = _window_of(f"{self._name}:{caller}", self._seconds)
        with self._lock:
            share = self._find(caller, key)
            if share.left > 0:
                share.left -= 1
                return Taken(True, left)
            if share.is_spent:
                return Taken(False, left)
            if time.monotonic() < share.uncounted_until:
                return Taken(True, left)
        size = self.share_of(limit)
        try:
            count = _add(key, size, self._seconds)
        except RedisError as error:
            # Not asked again with each request: a Redis that hangs takes seconds to fail.
            share.uncounted_until = time.monotonic() + _UNCOUNTED_SECONDS
            logger.warning("Requests are not counted: %s", type(error).__name__)
            return Taken(True, left)
        granted = max(0, min(size, limit - (count - size)))
        with self._lock:
            share.is_spent = granted < size
            if granted == 0:
                return Taken(False, left)
            share.left += granted - 1
        return Taken(True, left)

    def forget(self) -> None:
        with self._lock:
            self._shares.clear()

    def _find(self, caller: str, window: str) -> _Share:
        share = self._shares.get(caller)
        if share is None or share.window != window:
            if len(self._shares) >= _MOST_SHARES:
                # Those of windows that are over; as many callers in one window lose their rest.
                current = window.rpartition(":")[2]
                self._shares = {
                    name: kept
                    for name, kept in self._shares.items()
                    if kept.window.endswith(f":{current}")
                }
                if len(self._shares) >= _MOST_SHARES:
                    self._shares.clear()
            share = self._shares[caller] = _Share(window)
        return share


def lower_counter(key: str) -> None:
    """Take one back that ``raise_counter`` counted."""
    try:
        cache.decr(key)
    except (RedisError, ValueError) as error:
        # ValueError: its window is over.
        logger.debug("Nothing to lower: %s", type(error).__name__)


def remember(name: str, *, seconds: int, value: str | int = 1) -> None:
    """Keep ``value`` under a name for so long from now."""
    try:
        cache.set(name, value, timeout=seconds)
    except RedisError as error:
        logger.warning("Not remembered: %s", type(error).__name__)


def recall(name: str) -> str | int | None:
    """What ``remember`` kept; None if nothing, and without Redis."""
    try:
        found: str | int | None = cache.get(name)
    except RedisError as error:
        logger.warning("Nothing is remembered: %s", type(error).__name__)
        return None
    return found


def is_remembered(name: str) -> bool:
    """Whether ``remember`` kept it; no without Redis."""
    return recall(name) is not None


def forget(name: str) -> None:
    """Undo ``remember`` and ``take_turn``."""
    try:
        cache.delete(name)
    except RedisError as error:
        logger.warning("Not forgotten: %s", type(error).__name__)


def take_turn(name: str, *, seconds: int) -> bool:
    """Whether nobody else has taken it within that time; without Redis, everybody may."""
    try:
        return bool(cache.add(name, 1, timeout=seconds))
    except RedisError as error:
        logger.warning("Nobody is kept waiting: %s", type(error).__name__)
        return True
