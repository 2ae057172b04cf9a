"""Compares the ranges of a table in several processes, or in this one. Knows no Django."""

import contextlib
import multiprocessing.connection
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autores.crypto import CipherError, TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.errors import SourceError
from mentions.legacy.proof.merge import Counts, Finding, KeyOrderError, RangeComparer, RangeTask
from mentions.legacy.proof.streams import DocumentStore, LostConnectionError
from mentions.legacy.workers import choose_context, interrupts_held

_FINDINGS, _ROWS, _DONE, _FAILED = "findings", "rows", "done", "failed"


class WorkerLostError(SourceError):
    """A process of the comparison ended by itself, for instance killed for want of memory."""


@dataclass(frozen=True)
class Sides:
    """Both databases, and the keys that open the stored secrets."""

    source: SourceUrl
    store: DocumentStore
    keys: tuple[str, ...] = field(repr=False, default=())


def compare_ranges(
    sides: Sides,
    tasks: Sequence[RangeTask],
    *,
    processes: int,
    on_findings: Callable[[list[Finding]], None],
    on_rows: Callable[[int], None],
) -> Counts:
    """The counts of all ranges together.

    Raises KeyOrderError when the index has not the order of bytes: what was reported by then is
    void. Raises SourceError and LostConnectionError as the ranges do.
    """
    if processes <= 1 or len(tasks) <= 1:
        return _compare_here(sides, tasks, on_findings=on_findings, on_rows=on_rows)
    context = choose_context()
    waiting = list(reversed(tasks))
    total = Counts()
    workers: dict[Any, Any] = {}
    try:
        for _ in range(min(processes, len(tasks))):
            here, there = context.Pipe()
            worker = context.Process(target=_work, args=(there, sides), daemon=True)
            with interrupts_held():
                worker.start()
            there.close()
            workers[here] = worker
            here.send(waiting.pop())
        while workers:
            ready: list[Any] = multiprocessing.connection.wait(list(workers))
            for pipe in ready:
                kind, value = _receive(pipe)
                if kind == _FINDINGS:
                    on_findings(value)
                elif kind == _ROWS:
                    on_rows(value)
                elif kind == _FAILED:
                    raise value
                else:
                    total.add(value)
                    if waiting:
                        pipe.send(waiting.pop())
                    else:
                        pipe.send(None)
                        pipe.close()
                        workers.pop(pipe).join()
    finally:
        for pipe, worker in workers.items():
            pipe.close()
            worker.terminate()
            worker.join()
    return total


def _compare_here(
    sides: Sides,
    tasks: Sequence[RangeTask],
    *,
    on_findings: Callable[[list[Finding]], None],
    on_rows: Callable[[int], None],
) -> Counts:
    total = Counts()
    comparer = _make_comparer(sides, on_findings=on_findings, on_rows=on_rows)
    with contextlib.closing(comparer):
        for task in tasks:
            total.add(comparer.compare(task))
    return total


def _make_comparer(sides: Sides, **callbacks: Any) -> RangeComparer:
    cipher = TokenCipher(sides.keys)

    def decrypt(ciphertext: str) -> str:
        try:
            return cipher.decrypt(ciphertext)
        except CipherError as error:
            raise ValueError(str(error)) from None

    return RangeComparer(sides.source, sides.store, decrypt=decrypt, **callbacks)


def _receive(pipe: Any) -> tuple[str, Any]:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        raise WorkerLostError(
            "A process of the comparison was ended from outside. Run the same command again."
        ) from None


def _work(pipe: Any, sides: Sides) -> None:
    """A worker's whole life. It ends with its parent, whose end of the pipe closes then."""
    comparer = _make_comparer(
        sides,
        on_findings=lambda findings: pipe.send((_FINDINGS, findings)),
        on_rows=lambda count: pipe.send((_ROWS, count)),
    )
    with contextlib.suppress(EOFError, OSError), contextlib.closing(comparer):
        while (task := pipe.recv()) is not None:
            try:
                counts = comparer.compare(task)
            except (KeyOrderError, SourceError, LostConnectionError) as error:
                pipe.send((_FAILED, error))
                return
            pipe.send((_DONE, counts))
