"""Rate limits: 15-minute windows per user or app, 24-hour ones per user and per app.

Numbers from X's published pages. A call with a user's token spends that user's window; app-only
calls spend the app's. The daily app limits are shared by every connected account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autores.sandbox.clock import Clock
from autores.sandbox.problems import ApiProblem, too_many_requests
from autores.sandbox.store import Store

WINDOW_SECONDS = 15 * 60
DAY_SECONDS = 24 * 3600
SCOPES = ("user_window", "app_window", "user_day", "app_day")
_HEADERS = {
    "user_window": "x-rate-limit",
    "app_window": "x-rate-limit",
    "user_day": "x-user-limit-24hour",
    "app_day": "x-app-limit-24hour",
}

_PAY_PER_USE: dict[str, dict[str, int]] = {
    "mentions": {"user_window": 300, "app_window": 450},
    "create_post": {"user_window": 100, "app_day": 10_000},
    "delete_post": {"user_window": 50},
    "lookup": {"user_window": 5000, "app_window": 3500},
    "lookup_one": {"user_window": 900, "app_window": 450},
    "timeline": {"user_window": 900, "app_window": 10_000},
    "search": {"user_window": 300, "app_window": 450},
    "me": {"user_window": 75},
    "users": {"user_window": 900, "app_window": 300},
    "dm": {"user_window": 15, "user_day": 1440, "app_day": 1440},
    "dm_events": {"user_window": 15},
}
_BASIC = _PAY_PER_USE | {
    "mentions": {"user_window": 10, "app_window": 15},
    "create_post": {"user_day": 100, "app_day": 1667},
    "delete_post": {"user_window": 5},
    "lookup": {"user_window": 15, "app_window": 15},
    "lookup_one": {"user_window": 15, "app_window": 15},
    "search": {"user_window": 60, "app_window": 60},
    "me": {"user_day": 250},
    "dm": {"user_day": 1, "app_day": 1},
    "dm_events": {"user_day": 1},
}
_FREE = _PAY_PER_USE | {
    "mentions": {"user_window": 1, "app_window": 1},
    "create_post": {"user_day": 17, "app_day": 17},
    "delete_post": {"user_day": 17},
    "lookup": {"user_window": 1, "app_window": 1},
    "lookup_one": {"user_window": 1, "app_window": 1},
    "search": {"user_window": 1, "app_window": 1},
    "me": {"user_day": 25},
    "dm": {"user_day": 0, "app_day": 0},
    "dm_events": {"user_day": 0},
}
PRESETS: dict[str, dict[str, dict[str, int]]] = {
    "pay_per_use": _PAY_PER_USE,
    "basic": _BASIC,
    "free": _FREE,
    "unlimited": {},
}


@dataclass
class RateAnswer:
    """Headers for the response and, when a limit is spent, which one."""

    headers: dict[str, str] = field(default_factory=dict)
    exceeded: str | None = None


class Limits:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def of(self, bucket: str) -> dict[str, int]:
        preset = PRESETS[str(self._store.settings["limits"])]
        overrides: dict[str, Any] = self._store.settings["limit_overrides"]
        limits = {**preset.get(bucket, {}), **overrides.get(bucket, {})}
        return {scope: limit for scope, limit in limits.items() if limit is not None}

    def count(self, bucket: str, *, user_id: int | None, app_id: str) -> RateAnswer:
        """Spend one call; the answer carries the headers X would send with it."""
        answer = RateAnswer()
        with self._store.transaction() as db:
            now = self._clock.now_ms()
            for scope, limit in self.of(bucket).items():
                is_user_scope = scope.startswith("user")
                if is_user_scope and user_id is None:
                    continue
                if scope == "app_window" and user_id is not None:
                    continue
                subject = str(user_id) if is_user_scope else app_id
                length = WINDOW_SECONDS if scope.endswith("window") else DAY_SECONDS
                row = db.execute(
                    "SELECT started_ms, used FROM rate_counts"
                    " WHERE scope = ? AND subject = ? AND bucket = ?",
                    (scope, subject, bucket),
                ).fetchone()
                started, used = (now, 0) if row is None else (row["started_ms"], row["used"])
                if now >= started + length * 1000:
                    started, used = now, 0
                reset = (started + length * 1000) // 1000
                if used >= limit:
                    answer.exceeded = answer.exceeded or scope
                left = max(limit - used - 1, 0)
                answer.headers |= rate_headers(scope, limit=limit, remaining=left, reset=reset)
                if used < limit:
                    db.execute(
                        "INSERT OR REPLACE INTO rate_counts VALUES (?, ?, ?, ?, ?)",
                        (scope, subject, bucket, started, used + 1),
                    )
        return answer

    def refuse(
        self,
        scope: str,
        bucket: str,
        *,
        reset_in_seconds: float | None,
        shape: str,
        headers: dict[str, str],
    ) -> ApiProblem:
        """A 429 for `scope`; the other header families stay as healthy as they are."""
        length = WINDOW_SECONDS if scope.endswith("window") else DAY_SECONDS
        wait = length if reset_in_seconds is None else reset_in_seconds
        reset = int(self._clock.now_ms() / 1000 + wait)
        limit = self.of(bucket).get(scope, 100)
        problem = too_many_requests(shape=shape)
        problem.headers = headers | rate_headers(scope, limit=limit, remaining=0, reset=reset)
        return problem

    def reset(self) -> None:
        self._store.run("DELETE FROM rate_counts")


def rate_headers(scope: str, *, limit: int, remaining: int, reset: int) -> dict[str, str]:
    family = _HEADERS[scope]
    return {
        f"{family}-limit": str(limit),
        f"{family}-remaining": str(remaining),
        f"{family}-reset": str(reset),
    }
