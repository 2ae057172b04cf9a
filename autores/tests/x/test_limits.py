from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autores.x.limits import parse_rate_limits, read_retry_after, read_server_time
from autores.x.types import RateLimits, RateWindow

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RESET = 1_795_348_800
RESET_AT = datetime.fromtimestamp(RESET, tz=UTC)


def test_all_three_families_are_read_when_an_answer_carries_them() -> None:
    headers = {
        f"{family}-{part}": str(value)
        for number, family in enumerate(
            ("x-rate-limit", "x-user-limit-24hour", "x-app-limit-24hour"), start=1
        )
        for part, value in (("limit", number * 10), ("remaining", number), ("reset", RESET))
    }
    assert parse_rate_limits(headers) == RateLimits(
        window=RateWindow(10, 1, RESET_AT),
        user_day=RateWindow(20, 2, RESET_AT),
        app_day=RateWindow(30, 3, RESET_AT),
    )


def test_a_family_is_kept_when_only_its_limit_is_missing() -> None:
    headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(RESET)}
    assert parse_rate_limits(headers).window == RateWindow(None, 0, RESET_AT)


@pytest.mark.parametrize("wrong", ["", "soon", "-1", "1.5", "9" * 30, "999999999999999", "１"])
def test_a_family_is_none_when_its_reset_cannot_be_read(wrong: str) -> None:
    headers = {"x-rate-limit-remaining": "1", "x-rate-limit-reset": wrong}
    assert parse_rate_limits(headers) == RateLimits()


@given(st.text(), st.text())
@settings(deadline=None)
def test_reading_headers_never_fails_when_they_are_anything(one: str, other: str) -> None:
    parse_rate_limits({"x-rate-limit-remaining": one, "x-rate-limit-reset": other})
    read_server_time({"Date": one})
    wait = read_retry_after({"Retry-After": other}, now=NOW)
    assert wait is None or 0 <= wait <= 86400


def test_both_forms_of_retry_after_are_read_when_given() -> None:
    assert read_retry_after({"Retry-After": "120"}, now=NOW) == 120
    date = "Sun, 22 Nov 2026 12:05:00 GMT"
    assert read_retry_after({"Retry-After": date}, now=NOW) == 300
