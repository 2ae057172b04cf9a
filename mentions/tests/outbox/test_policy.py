"""What follows from a failed send."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentions.outbox.policy import (
    GIVE_UP_AFTER,
    Decision,
    Failure,
    decide_after_failure,
    is_certainly_unsent,
)

MINUTE = timedelta(minutes=1)


def decide(
    failure: Failure, *, attempts: int = 1, departures: int = 1, age: timedelta = MINUTE
) -> Decision:
    return decide_after_failure(failure, attempts=attempts, departures=departures, age=age)


def test_unknown_when_the_request_left_and_no_answer_came() -> None:
    lost = Failure("no_answer", "…", is_retryable=True, is_outcome_unknown=True)
    assert decide(lost).state == "unknown"


@pytest.mark.parametrize(
    "code", ["not_summoned", "reply_settings", "reply_target_gone", "recipient_closed", "forbidden"]
)
def test_failed_when_x_refuses_this_text_or_post(code: str) -> None:
    decision = decide(Failure(code, "Why.", is_retryable=False))
    assert (decision.state, decision.code, decision.sentence) == ("failed", code, "Why.")


def test_failed_when_the_very_first_attempt_is_called_a_duplicate() -> None:
    assert decide(Failure("duplicate_content", "…", is_retryable=False)).state == "failed"


def test_unknown_when_a_later_attempt_is_called_a_duplicate() -> None:
    duplicate = Failure("duplicate_content", "…", is_retryable=False)
    assert decide(duplicate, attempts=2, departures=2).state == "unknown"


def test_failed_when_no_earlier_attempt_can_have_made_the_duplicate() -> None:
    duplicate = Failure("duplicate_content", "…", is_retryable=False)
    assert decide(duplicate, attempts=5, departures=1).state == "failed"


@pytest.mark.parametrize("code", ["account_suspended", "missing_scope"])
def test_failed_when_x_takes_nothing_of_the_account(code: str) -> None:
    decision = decide(Failure(code, "Why.", is_retryable=False, scope="account"))
    assert (decision.state, decision.sentence) == ("failed", "Why.")


@pytest.mark.parametrize(
    ("status", "is_unknown", "is_unsent"),
    [
        (None, False, True),  # never left
        (None, True, False),  # left, no answer
        (401, False, True),
        (402, False, True),
        (429, False, True),
        (400, False, False),
        (403, False, False),  # X looked at it, and counts it
        (503, True, False),
        (201, True, False),  # accepted, unreadable
    ],
)
def test_counts_as_unsent_only_when_x_cannot_have_counted_it(
    status: int | None, is_unknown: bool, is_unsent: bool
) -> None:
    assert is_certainly_unsent(status=status, is_outcome_unknown=is_unknown) is is_unsent


def test_waits_for_x_when_it_says_how_long() -> None:
    limited = Failure("rate_limited_window", "…", is_retryable=True, retry_after=421.0)
    decision = decide(limited)
    assert (decision.state, decision.delay) == ("queued", timedelta(seconds=421))


@pytest.mark.parametrize("scope", ["account", "app"])
def test_waits_when_the_account_or_the_app_is_the_cause(scope: str) -> None:
    refused = Failure("credits_depleted", "…", is_retryable=False, scope=scope)
    assert decide(refused).state == "queued"


def test_gives_up_after_a_day() -> None:
    down = Failure("connect_failed", "X was down.", is_retryable=True)
    decision = decide(down, attempts=60, age=GIVE_UP_AFTER)
    assert decision.state == "failed"
    assert "24 hours" in decision.sentence


@given(attempts=st.integers(1, 10_000))
def test_the_wait_grows_and_stays_bounded(attempts: int) -> None:
    down = Failure("connect_failed", "…", is_retryable=True)
    delay = decide(down, attempts=attempts).delay
    assert timedelta(seconds=15) <= delay <= timedelta(minutes=30)
    assert delay <= decide(down, attempts=attempts + 1).delay


@given(
    is_retryable=st.booleans(),
    scope=st.sampled_from(["call", "account", "app"]),
    attempts=st.integers(1, 50),
    hours=st.integers(0, 100),
    retry_after=st.none() | st.floats(0, 1e6),
)
def test_never_sent_again_while_the_outcome_is_unknown(
    is_retryable: bool, scope: str, attempts: int, hours: int, retry_after: float | None
) -> None:
    failure = Failure(
        "x",
        "…",
        is_retryable=is_retryable,
        retry_after=retry_after,
        is_outcome_unknown=True,
        scope=scope,
    )
    assert decide(failure, attempts=attempts, age=timedelta(hours=hours)).state == "unknown"
