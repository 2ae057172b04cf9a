"""Reads the rate-limit headers, and from them how long to wait."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from autores.x.errors import LimitKind
from autores.x.types import RateLimits, RateWindow

_FAMILIES = {
    "window": "x-rate-limit",
    "user_day": "x-user-limit-24hour",
    "app_day": "x-app-limit-24hour",
}
WINDOW_SECONDS = 15 * 60
DAY_SECONDS = 24 * 60 * 60


def parse_rate_limits(headers: Mapping[str, str]) -> RateLimits:
    """All three header families; one that is absent or unreadable is None. Never raises."""
    return RateLimits(**{name: _parse_family(headers, at) for name, at in _FAMILIES.items()})


def read_server_time(headers: Mapping[str, str]) -> datetime | None:
    """X's own clock from the Date header, so that a wrong clock here does not shift the waits."""
    try:
        moment = parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds from Retry-After (X documents none, proxies before it send one), at most a day."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), DAY_SECONDS))
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _clamp((moment - now).total_seconds(), upto=DAY_SECONDS)


def find_spent_limit(rate: RateLimits, *, now: datetime) -> tuple[LimitKind, float]:
    """Which budget a 429 is about, and the seconds until it opens again.

    The day is looked at before the window: on a spent day the window's header still shows
    calls left. The app's day comes first since it stops every account. A 429 with no
    spent budget in its headers counts as a full window.
    """
    if rate.app_day is not None and rate.app_day.is_spent:
        return "app_day", _seconds_until(rate.app_day, now=now, longest=DAY_SECONDS)
    if rate.user_day is not None and rate.user_day.is_spent:
        return "user_day", _seconds_until(rate.user_day, now=now, longest=DAY_SECONDS)
    if rate.window is not None:
        return "window", _seconds_until(rate.window, now=now, longest=WINDOW_SECONDS)
    return "window", float(WINDOW_SECONDS)


def _seconds_until(window: RateWindow, *, now: datetime, longest: int) -> float:
    # Some slack: a clock a minute off must not turn the longest honest wait into a short one.
    return _clamp((window.reset_at - now).total_seconds(), upto=longest + 60)


def _clamp(seconds: float, *, upto: int) -> float:
    return float(min(max(seconds, 1.0), upto))


def seconds_until_utc_midnight(now: datetime) -> float:
    tomorrow = (now.astimezone(UTC) + timedelta(days=1)).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    return (tomorrow - now).total_seconds()


def _parse_family(headers: Mapping[str, str], prefix: str) -> RateWindow | None:
    remaining = _parse_count(headers.get(f"{prefix}-remaining"))
    reset = _parse_count(headers.get(f"{prefix}-reset"))
    if remaining is None or reset is None:
        return None
    try:
        reset_at = datetime.fromtimestamp(reset, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return RateWindow(
        limit=_parse_count(headers.get(f"{prefix}-limit")), remaining=remaining, reset_at=reset_at
    )


def _parse_count(value: str | None) -> int | None:
    text = (value or "").strip()
    # Fifteen digits hold any count or epoch second there is, and keep int() cheap.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
