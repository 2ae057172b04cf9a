"""Counters in Redis under fixed windows, raised atomically: parallel requests each count.

Without Redis nobody is counted and nobody refused: the API goes on.
"""

import logging
import time
from dataclasses import dataclass

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Raised:
    """A counter with this one in it. ``key`` is its window's, to lower the same one again."""

    count: int
    seconds_left: float
    key: str


def raise_counter(name: str, *, seconds: int) -> Raised:
    """Count one; the window starts anew in ``seconds_left``."""
    now = time.time()
    key, left = f"{name}:{int(now // seconds)}", seconds - now % seconds
    try:
        cache.add(key, 0, timeout=seconds + 1)
        return Raised(cache.incr(key), left, key)
    except (RedisError, ValueError) as error:
        # ValueError: the counter expired in between.
        logger.warning("Requests are not counted: %s", type(error).__name__)
        return Raised(1, left, key)


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
