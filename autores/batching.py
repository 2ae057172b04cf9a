"""Group commit: what several threads ask for at the same time goes to the database as one command.

Who comes while nothing is under way goes at once, alone. Who comes while something is waits for it
to end, and goes then, together with all others who came meanwhile. So nobody waits when there is
little to do, and the more there is, the less a single one costs.
"""

from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Generic, TypeVar

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


class _Waiter(Generic[Item, Outcome]):
    """One who waits at a ``gate``: for what became of his item, or to be the next to go."""

    __slots__ = ("failure", "gate", "item", "outcome", "party")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.gate = Lock()
        self.gate.acquire()
        self.party: list[_Waiter[Item, Outcome]] | None = None
        self.outcome: Outcome
        self.failure: BaseException | None = None


def _one_lane(item: object) -> Hashable:
    return None


class Batcher(Generic[Item, Outcome]):
    """Calls ``run`` with the items of several threads; of each ``lane`` one call at a time.

    ``run`` gives an outcome for each item, in order; what it raises, each of them gets. It never
    begins before an item was handed in: who reads what he has just written finds it. It must not
    hand in anything itself.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Sequence[Outcome]],
        *,
        lane: Callable[[Item], Hashable] = _one_lane,
    ) -> None:
        self._run = run
        self._lane_of = lane
        # Those who wait, by the lanes where somebody is under way.
        self._lanes: dict[Hashable, list[_Waiter[Item, Outcome]]] = {}
        self._lock = Lock()

    def __call__(self, item: Item) -> Outcome:
        """What became of ``item``. Raises what ``run`` raises."""
        lane = self._lane_of(item)
        mine: _Waiter[Item, Outcome] = _Waiter(item)
        with self._lock:
            waiting = self._lanes.get(lane)
            if waiting is None:
                self._lanes[lane] = []
                mine.party = [mine]
            else:
                waiting.append(mine)
        if waiting is not None:
            mine.gate.acquire()
        if mine.party is not None:
            self._go(mine.party, lane)
            for other in mine.party[1:]:
                other.gate.release()
        if mine.failure is not None:
            raise mine.failure
        return mine.outcome

    def _go(self, party: Sequence[_Waiter[Item, Outcome]], lane: Hashable) -> None:
        try:
            outcomes = self._run([one.item for one in party])
            for one, outcome in zip(party, outcomes, strict=True):
                one.outcome = outcome
        except BaseException as failure:
            for one in party:
                one.failure = failure
        finally:
            with self._lock:
                waiting = self._lanes.pop(lane)
                if waiting:
                    self._lanes[lane] = []
                    waiting[0].party = waiting
            if waiting:
                waiting[0].gate.release()


def call_shared(call: Callable[[Item], Outcome]) -> Batcher[Item, Outcome]:
    """``call`` with the same argument by several threads at the same time is made once for them."""

    def run(items: Sequence[Item]) -> Sequence[Outcome]:
        return [call(items[0])] * len(items)

    return Batcher(run, lane=_itself)


def _itself(item: Hashable) -> Hashable:
    return item
