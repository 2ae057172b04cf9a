"""A limit shared by processes: never more than it, and how much too early it may refuse."""

import threading
from typing import Any

import pytest
from django.test import override_settings

from accounts import counting
from accounts.counting import SharedLimit

MINUTE = 60


@pytest.fixture(autouse=True)
def _one_window(valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A window that ends in the middle of a test would let more through.
    monkeypatch.setattr(counting.time, "time", lambda: 1_800_000_000.0)


def start_processes(number: int) -> list[SharedLimit]:
    return [SharedLimit("test", seconds=MINUTE) for _ in range(number)]


def take_all(process: SharedLimit, *, limit: int, at_most: int) -> int:
    return sum(process.take("ana", limit=limit).is_allowed for _ in range(at_most))


@pytest.mark.parametrize("limit", [1, 3, 60, 999, 100_000])
def test_one_process_lets_through_exactly_the_limit(limit: int) -> None:
    (process,) = start_processes(1)

    assert take_all(process, limit=limit, at_most=limit + 5) == limit


def test_no_more_than_the_limit_pass_when_processes_race() -> None:
    limit, processes = 1000, start_processes(4)
    passed: list[int] = []

    def run(process: SharedLimit) -> None:
        passed.append(take_all(process, limit=limit, at_most=400))

    threads = [threading.Thread(target=run, args=(process,)) for process in processes * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(passed) == limit


def test_refusal_comes_early_by_no_more_than_the_shares_of_idle_processes() -> None:
    limit = 1000
    busy, *idle = start_processes(4)
    for process in idle:
        process.take("ana", limit=limit)

    passed = take_all(busy, limit=limit, at_most=limit)

    assert limit - len(idle) * SharedLimit.share_of(limit) <= passed <= limit - len(idle)


def test_most_are_counted_without_redis_being_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    add = counting._add

    def add_and_note(key: str, number: int, seconds: int) -> int:
        asked.append(number)
        return add(key, number, seconds)

    # The real one, and a note of each trip to Redis.
    monkeypatch.setattr(counting, "_add", add_and_note)
    (process,) = start_processes(1)

    assert take_all(process, limit=5000, at_most=5010) == 5000
    # One more tells that nothing is left; the nine after it do not ask.
    assert len(asked) == 5000 // SharedLimit.share_of(5000) + 1


def test_others_and_the_next_window_are_counted_by_themselves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (process,) = start_processes(1)
    assert take_all(process, limit=2, at_most=3) == 2
    assert process.take("carla", limit=2).is_allowed
    refused = process.take("ana", limit=2)
    assert 0 < refused.seconds_left <= MINUTE

    monkeypatch.setattr(counting.time, "time", lambda: 1_800_000_000.0 + MINUTE)

    assert process.take("ana", limit=2).is_allowed


def test_redis_that_is_away_is_not_asked_with_each_request(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    (process,) = start_processes(1)
    with override_settings(CACHES={"default": broken}):
        assert take_all(process, limit=2, at_most=20) == 20

    assert caplog.text.count("not counted") == 1
