"""Counters in Redis under fixed windows, raised atomically: parallel requests each count.

Without Redis nobody is counted and nobody refused: the API goes on.
"""

import logging
import time

from django.core.cache import cache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


def raise_counter(name: str, *, seconds: int) -> tuple[int, float]:
    """The count with this one, and the seconds until it starts anew."""
    key, left = _window(name, seconds=seconds)
    try:
        cache.add(key, 0, timeout=seconds + 1)
        return cache.incr(key), left
    except (RedisError, ValueError) as error:
        # ValueError: the counter expired in between.
        logger.warning("Requests are not counted: %s", type(error).__name__)
        return 1, left


def read_counter(name: str, *, seconds: int) -> tuple[int, float]:
    """The count so far, and the seconds until it starts anew."""
    key, left = _window(name, seconds=seconds)
    try:
        return int(cache.get(key) or 0), left
    except RedisError as error:
        logger.warning("Requests are not counted: %s", type(error).__name__)
        return 0, left


def _window(name: str, *, seconds: int) -> tuple[str, float]:
    now = time.time()
    return f"{name}:{int(now // seconds)}", seconds - now % seconds
