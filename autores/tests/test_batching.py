"""What several threads ask for at the same time is done together, and each gets his own."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from autores.batching import Batcher, call_shared

SECONDS = 20.0


class Slow:
    """A ``run`` that squares, and that ends no earlier than it is let go; ``calls`` in order."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.gates: list[threading.Event] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        gate = threading.Event()
        self.calls.append(list(items))
        self.gates.append(gate)
        assert gate.wait(SECONDS)
        if 13 in items:
            raise LookupError(f"13 among {len(items)}")
        return [item * item for item in items]

    def let_go(self, number: int) -> None:
        wait_for(lambda: len(self.gates) > number)
        self.gates[number].set()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        # For what another thread does, who tells nobody.
        time.sleep(0.001)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(16)


def hand_in(
    pool: ThreadPoolExecutor, batcher: Batcher[int, int], items: Sequence[int], *, lane: object
) -> list[Future[int]]:
    """One after another, each until he waits."""
    handed = []
    for number, item in enumerate(items, start=1):
        handed.append(pool.submit(batcher, item))
        wait_for(lambda number=number: len(batcher._lanes.get(lane, ())) == number)
    return handed


def test_who_comes_alone_goes_at_once(slow: Slow, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(slow)
    for number, item in enumerate([3, 4]):
        asked = pool.submit(batcher, item)
        slow.let_go(number)
        assert asked.result(SECONDS) == item * item
    assert slow.calls == [[3], [4]]


def test_those_who_come_meanwhile_go_together(slow: Slow, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(slow)
    first = pool.submit(batcher, 1)
    wait_for(lambda: slow.calls == [[1]])
    others = hand_in(pool, batcher, [2, 3, 2, 4], lane=None)
    slow.let_go(0)
    assert first.result(SECONDS) == 1
    wait_for(lambda: len(slow.calls) == 2)
    late = hand_in(pool, batcher, [5], lane=None)
    slow.let_go(1)
    slow.let_go(2)
    assert [asked.result(SECONDS) for asked in [*others, *late]] == [4, 9, 4, 16, 25]
    assert slow.calls == [[1], [2, 3, 2, 4], [5]]


def test_failure_is_told_to_those_who_went_and_to_no_other(
    slow: Slow, pool: ThreadPoolExecutor
) -> None:
    batcher = Batcher(slow)
    first = pool.submit(batcher, 1)
    wait_for(lambda: slow.calls == [[1]])
    failing = hand_in(pool, batcher, [2, 13], lane=None)
    slow.let_go(0)
    wait_for(lambda: len(slow.calls) == 2)
    late = hand_in(pool, batcher, [3], lane=None)
    slow.let_go(1)
    slow.let_go(2)
    for asked in failing:
        with pytest.raises(LookupError, match="13 among 2"):
            asked.result(SECONDS)
    assert (first.result(SECONDS), late[0].result(SECONDS)) == (1, 9)
    assert batcher._lanes == {}


def test_nobody_waits_for_another_lane(slow: Slow, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(slow, lane=lambda item: item % 2)
    odd = [pool.submit(batcher, 1)]
    wait_for(lambda: slow.calls == [[1]])
    odd += hand_in(pool, batcher, [3, 5], lane=1)
    even = pool.submit(batcher, 2)
    slow.let_go(1)
    assert even.result(SECONDS) == 4
    slow.let_go(0)
    slow.let_go(2)
    assert [asked.result(SECONDS) for asked in odd] == [1, 9, 25]
    assert slow.calls == [[1], [2], [3, 5]]


def test_a_call_is_shared_by_those_who_ask_the_same_before_it_begins(
    pool: ThreadPoolExecutor,
) -> None:
    gates = [threading.Event() for _ in range(3)]
    asked: list[str] = []

    def read(question: str) -> str:
        asked.append(question)
        answer = f"{question} {len(asked)}"
        assert gates[len(asked) - 1].wait(SECONDS)
        return answer

    shared = call_shared(read)
    first = pool.submit(shared, "how many?")
    wait_for(lambda: len(asked) == 1)
    # What the first is told may be older than their question.
    later = [pool.submit(shared, "how many?") for _ in range(3)]
    wait_for(lambda: len(shared._lanes["how many?"]) == 3)
    other = pool.submit(shared, "which?")
    wait_for(lambda: len(asked) == 2)
    for gate in gates:
        gate.set()
    assert (first.result(SECONDS), other.result(SECONDS)) == ("how many? 1", "which? 2")
    assert [each.result(SECONDS) for each in later] == ["how many? 3"] * 3


@pytest.mark.parametrize("lanes", [1, 3])
def test_each_gets_his_own_once_when_many_race(lanes: int) -> None:
    running: Counter[int] = Counter()
    most: Counter[int] = Counter()
    done: Counter[int] = Counter()
    lock = threading.Lock()

    def run(items: Sequence[int]) -> list[int]:
        (lane,) = {item % lanes for item in items}
        with lock:
            running[lane] += 1
            most[lane] = max(most[lane], running[lane])
            done.update(items)
        if random.random() < 0.3:
            # So that others come meanwhile.
            time.sleep(0.0005)
        with lock:
            running[lane] -= 1
        return [item * item for item in items]

    batcher = Batcher(run, lane=lambda item: item % lanes)
    items = range(3000)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(batcher, items)) == [item * item for item in items]
    assert set(most.values()) == {1}
    assert done == Counter(items)
    assert batcher._lanes == {}
