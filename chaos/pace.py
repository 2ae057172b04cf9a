"""Spreads the work over the events, so that every one of them meets work under way."""

import threading
import time


class Pace:
    """``advance`` when an event begins; ``allow`` tells whether that share of the work is due."""

    def __init__(self, events: int, *, event_seconds: float) -> None:
        self._events = events
        self._event_seconds = event_seconds
        self._lock = threading.Lock()
        self._begun = 0
        self._since = time.monotonic()

    def advance(self) -> None:
        with self._lock:
            self._begun += 1
            self._since = time.monotonic()

    def allow(self, share: float) -> bool:
        with self._lock:
            if self._begun > self._events:
                return True
            within = min(1.0, (time.monotonic() - self._since) / self._event_seconds)
            return share <= (max(0, self._begun - 1) + within) / self._events
