"""Budgets: never exceeded, whoever races, whatever Redis forgets."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis

from accounts import budgets
from accounts.budgets import DMS, POSTS, observe_rate, read_budgets, register_history, reserve
from accounts.errors import BudgetSpentError, BudgetUnavailableError
from accounts.tests.budget_worker import read_rows
from autores.x.types import RateLimits, RateWindow

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ENDPOINT = POSTS.endpoint.name


@pytest.fixture
def rows() -> Iterator[dict[str, datetime]]:
    """The durable rows behind the log: key to time, of posts."""
    found: dict[str, datetime] = {}
    before = list(budgets._history)
    register_history(lambda name, since: list(found.items()) if name == "posts" else [])
    yield found
    budgets._history[:] = before


@pytest.fixture
def redis(valkey_url: str, rows: dict[str, datetime], settings: Any) -> Redis:
    settings.X_APP_POSTS_PER_DAY = 3
    settings.X_APP_DMS_PER_DAY = 2
    return Redis.from_url(valkey_url)


def take(key: str, *, now: datetime = NOW, account_id: str = "a") -> budgets.Reservation:
    return reserve(POSTS, account_id=account_id, key=key, now=now)


def headers(**families: tuple[int, int, datetime]) -> RateLimits:
    return RateLimits(**{name: RateWindow(*values) for name, values in families.items()})


def left(now: datetime = NOW, account_id: str = "a") -> dict[str, int]:
    return {s.scope: s.remaining for s in read_budgets(POSTS, account_id=account_id, now=now)}


def test_refused_until_the_oldest_is_a_day_old_when_all_are_spent(redis: Redis) -> None:
    for number in range(3):
        take(f"k{number}", now=NOW + number * MINUTE, account_id=f"account-{number}")
    with pytest.raises(BudgetSpentError) as caught:
        take("k3", now=NOW + 3 * MINUTE)
    assert caught.value.code == "budget_app_day"
    assert caught.value.retryable
    opens_at = NOW + budgets.DAY
    assert NOW + 3 * MINUTE + timedelta(seconds=caught.value.retry_after) == opens_at
    with pytest.raises(BudgetSpentError):
        take("k3", now=opens_at - timedelta(seconds=1))
    take("k3", now=opens_at)
    with pytest.raises(BudgetSpentError):
        take("k4", now=opens_at)


def test_kinds_are_counted_apart(redis: Redis) -> None:
    for number in range(3):
        take(f"k{number}")
    reserve(DMS, account_id="a", key="dm", now=NOW)
    assert left() == {"app_day": 0}
    (state,) = read_budgets(DMS, account_id="a", now=NOW)
    assert (state.limit, state.remaining, state.resets_at) == (2, 1, NOW + budgets.DAY)


def test_one_place_is_taken_when_the_same_write_asks_again(redis: Redis) -> None:
    for _ in range(5):
        take("same")
    assert left() == {"app_day": 2}


def test_place_is_free_again_when_it_is_given_back(redis: Redis) -> None:
    taken = [take(f"k{number}") for number in range(3)]
    taken[1].give_back()
    taken[1].give_back()
    assert left() == {"app_day": 1}
    take("k3")
    with pytest.raises(BudgetSpentError):
        take("k4")


def test_write_counts_from_when_it_was_confirmed(redis: Redis) -> None:
    take("k0").confirm(now=NOW + MINUTE)
    assert left(NOW + budgets.DAY) == {"app_day": 2}
    assert left(NOW + budgets.DAY + MINUTE) == {"app_day": 3}


def test_nothing_is_let_through_when_the_limit_is_zero(redis: Redis, settings: Any) -> None:
    settings.X_APP_POSTS_PER_DAY = 0
    with pytest.raises(BudgetSpentError) as caught:
        take("k0")
    assert caught.value.retry_after == budgets.DAY.total_seconds()


@pytest.mark.parametrize("scope", ["window", "user_day", "app_day"])
def test_refused_until_the_reset_when_xs_headers_say_it_is_spent(redis: Redis, scope: str) -> None:
    reset_at = NOW + 10 * MINUTE
    rate = headers(**{scope: (50, 1, reset_at)})
    observe_rate(ENDPOINT, account_id="a", rate=rate, now=NOW)
    assert left()[scope] == 1
    take("k0")
    with pytest.raises(BudgetSpentError) as caught:
        take("k1")
    assert (caught.value.code, caught.value.retry_after) == (f"budget_{scope}", 600.0)
    # Of one account, or of all.
    if scope == "app_day":
        with pytest.raises(BudgetSpentError):
            take("k2", account_id="b")
    else:
        take("k2", account_id="b")
    take("k1", now=reset_at)


def test_lower_number_holds_when_answers_overtake_each_other(redis: Redis) -> None:
    reset_at = NOW + 10 * MINUTE
    for remaining in (7, 9, 8):
        rate = headers(window=(10, remaining, reset_at))
        observe_rate(ENDPOINT, account_id="a", rate=rate, now=NOW)
    assert left()["window"] == 7
    later = headers(window=(10, 9, reset_at + 15 * MINUTE))
    observe_rate(ENDPOINT, account_id="a", rate=later, now=NOW + 11 * MINUTE)
    observe_rate(ENDPOINT, account_id="a", rate=headers(window=(10, 0, reset_at)), now=NOW)
    assert left(NOW + 11 * MINUTE)["window"] == 9


def test_reported_limits_are_raised_again_when_a_write_did_not_leave(redis: Redis) -> None:
    rate = headers(window=(10, 5, NOW + 10 * MINUTE), user_day=(100, 50, NOW + 60 * MINUTE))
    observe_rate(ENDPOINT, account_id="a", rate=rate, now=NOW)
    reservation = take("k0")
    assert left() == {"window": 4, "user_day": 49, "app_day": 2}
    reservation.give_back()
    assert left() == {"window": 5, "user_day": 50, "app_day": 3}


def test_absurd_reset_cannot_stop_an_account_for_longer_than_its_window(redis: Redis) -> None:
    rate = headers(window=(10, 0, NOW + timedelta(days=900)))
    observe_rate(ENDPOINT, account_id="a", rate=rate, now=NOW)
    take("k0", now=NOW + 17 * MINUTE)


def test_log_is_filled_from_the_rows_when_redis_forgot(
    redis: Redis, rows: dict[str, datetime]
) -> None:
    take("k0")
    rows.update({"k0": NOW, "k1": NOW, "old": NOW - timedelta(days=2)})
    redis.flushall()
    assert left() == {"app_day": 1}
    take("k2")
    with pytest.raises(BudgetSpentError):
        take("k3")


def test_log_is_filled_once_and_not_again_while_it_stands(
    redis: Redis, rows: dict[str, datetime]
) -> None:
    take("k0")
    rows["k1"] = NOW
    assert left() == {"app_day": 2}, "the rows are read when the log is lost, not each time"


def test_log_is_filled_anew_when_redis_came_back_with_an_old_state(
    redis: Redis, rows: dict[str, datetime]
) -> None:
    take("k0")
    rows.update({"k0": NOW, "k1": NOW, "k2": NOW})
    # As after a restart from an older snapshot: data is there, of a run that is over.
    redis.set(budgets._EPOCH, "0" * 40)
    with pytest.raises(BudgetSpentError):
        take("k3")


def test_row_written_before_its_reservation_counts_once_when_the_log_is_filled_in_between(
    redis: Redis, rows: dict[str, datetime]
) -> None:
    take("k0")
    rows.update({f"k{number}": NOW for number in range(5)})
    redis.flushall()
    # All five stand in the log now; of the four that still ask, two find a place.
    outcomes = []
    for number in range(1, 5):
        try:
            take(f"k{number}")
        except BudgetSpentError:
            rows.pop(f"k{number}")
            outcomes.append(False)
        else:
            outcomes.append(True)
    assert outcomes == [False, False, True, True]
    assert left() == {"app_day": 0}


def test_stale_rows_are_not_installed_when_redis_forgets_during_the_rebuild(
    redis: Redis, rows: dict[str, datetime]
) -> None:
    reads = []

    def read_and_lose(name: str, since: datetime) -> list[tuple[str, datetime]]:
        found = list(rows.items()) if name == "posts" else []
        if name == "posts" and not reads:
            reads.append(name)
            # Between our reading and our installing another process was let through three
            # times, and Redis forgot that, too.
            rows.update({"x0": NOW, "x1": NOW, "x2": NOW})
            redis.flushall()
        return found

    register_history(read_and_lose)
    with pytest.raises(BudgetSpentError):
        take("k0")


def test_nothing_is_let_through_when_redis_does_not_answer(redis: Redis, settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(BudgetUnavailableError) as caught:
        take("k0")
    assert caught.value.retryable
    # What only keeps the books does not hurt its caller.
    observe_rate(ENDPOINT, account_id="a", rate=headers(window=(1, 1, NOW)), now=NOW)
    budgets.Reservation(POSTS, "a", "k0", (0, 0, 0)).give_back()
    budgets.Reservation(POSTS, "a", "k0", (0, 0, 0)).confirm(now=NOW)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["take", "give_back", "flush", "wait"]), st.integers(1, 700)),
        max_size=40,
    )
)
def test_no_24_hours_hold_more_than_the_limit(
    redis: Redis, rows: dict[str, datetime], steps: list[tuple[str, int]]
) -> None:
    redis.flushall()
    rows.clear()
    now, taken, writes = NOW, [], {}
    for number, (step, amount) in enumerate(steps):
        if step == "wait":
            now += timedelta(minutes=amount)
        elif step == "flush":
            redis.flushall()
        elif step == "give_back" and taken:
            reservation = taken.pop(amount % len(taken))
            rows.pop(reservation.key)
            writes.pop(reservation.key)
            reservation.give_back()
        elif step == "take":
            key = f"k{number}"
            rows[key] = now
            try:
                taken.append(take(key, now=now))
            except BudgetSpentError:
                rows.pop(key)
            else:
                writes[key] = now
    for end in writes.values():
        start = end - timedelta(hours=24)
        assert sum(start < at <= end for at in writes.values()) <= 3


def test_never_exceeded_when_two_processes_race_and_redis_forgets_in_the_middle(
    valkey_url: str, tmp_path: Path
) -> None:
    limit, tries = 150, 120
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "autores.settings",
        "X_APP_POSTS_PER_DAY": str(limit),
        "LOG_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "accounts.tests.budget_worker", str(tmp_path)]
    workers = [
        subprocess.Popen(
            [*command, name, str(tries)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environ,
        )
        for name in ("one", "two")
    ]
    redis = Redis.from_url(valkey_url)
    try:
        assert [worker.stdout.readline().strip() for worker in workers] == ["ready"] * 2
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        flushes = 0
        while any(worker.poll() is None for worker in workers):
            redis.flushall()
            flushes += 1
            time.sleep(0.01)
        let_through = [worker.stdout.readline().split() for worker in workers]
    finally:
        for worker in workers:
            worker.stdin.close()
            worker.wait(timeout=20)
            worker.stdout.close()

    keys = [key for keys in let_through for key in keys]
    assert flushes > 5
    assert len(set(keys)) == len(keys) <= limit
    # A refusal whose row was read meanwhile may cost a place, never give one away.
    assert len(keys) >= limit - flushes
    assert set(read_rows(tmp_path)) == set(keys)
