"""Processes that convert and write chunks while the import reads the next ones.

One connection reads, because only one connection sees one snapshot; it takes 3 microseconds a row.
Converting, encoding and waiting for MongoDB take the rest of the time, and are shared out here.
Workers are forked from a process that holds ``preload`` and nothing that runs, so that they share
its memory. No Django at import: where there is no forking, a worker loads all that itself.
"""

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from mentions.legacy.errors import LegacyImportError

if TYPE_CHECKING:
    from mentions.legacy.chunks import ChunkLoader, LoadPlan, Result, Task

# While one chunk waits for MongoDB, the next is converted.
_THREADS = 2
_AHEAD = _THREADS + 1
_STOP_SECONDS = 30
_PRELOADED = "mentions.legacy.preload"


class WorkerError(LegacyImportError):
    """A worker failed or was killed; what it finished stays, and the next run goes on from it."""

    retryable = True

    def __init__(self, message: str, *, is_mongodb_away: bool = False) -> None:
        super().__init__(message)
        self.is_mongodb_away = is_mongodb_away


@dataclass(frozen=True)
class _Failure:
    sentence: str
    is_mongodb_away: bool = False


class Inline:
    """No workers: chunks are taken over in this process, for small tables."""

    def __init__(self) -> None:
        self._loader: ChunkLoader | None = None

    def begin(self, plan: "LoadPlan") -> None:
        from mentions.legacy.chunks import ChunkLoader

        self._loader = ChunkLoader(plan)

    def submit(self, task: "Task") -> Iterator["Result"]:
        assert self._loader is not None
        yield self._loader.load(task)

    def drain(self) -> Iterator["Result"]:
        yield from ()

    def close(self) -> None:
        """Nothing to end."""


class Workers:
    """``count`` processes. Results come back in any order, from ``submit`` and ``drain``.

    Raises WorkerError from both.
    """

    def __init__(self, count: int) -> None:
        from django.db import connection

        context = choose_context()
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        self._waiting: dict[Connection, int] = {}
        self._plan: tuple[int, LoadPlan] | None = None
        for number in range(count):
            mine, theirs = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(theirs, str(connection.settings_dict["NAME"])),
                name=f"import-worker-{number + 1}",
                daemon=True,
            )
            with interrupts_held():
                process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(mine)
            self._waiting[mine] = 0
        for pipe in self._pipes:
            try:
                pipe.recv()
            except (EOFError, OSError):
                raise self._explain(pipe) from None

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes if process.pid]

    def begin(self, plan: "LoadPlan") -> None:
        """What follows is loaded by this plan."""
        self._plan = (self._plan[0] + 1 if self._plan else 0, plan)

    def submit(self, task: "Task") -> Iterator["Result"]:
        """Hand a chunk to the worker with the least to do; gives the results that are there."""
        while True:
            pipe = min(self._waiting, key=lambda one: self._waiting[one])
            if self._waiting[pipe] < _AHEAD:
                break
            yield from self._receive(timeout=None)
        self._send(pipe, (self._plan, task))
        self._waiting[pipe] += 1
        yield from self._receive(timeout=0)

    def drain(self) -> Iterator["Result"]:
        """The results of everything that was submitted."""
        while any(self._waiting.values()):
            yield from self._receive(timeout=None)

    def close(self) -> None:
        """End the workers; a chunk under way is finished first."""
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()

    def _send(self, pipe: Connection, message: Any) -> None:
        try:
            pipe.send(message)
        except OSError:
            raise self._explain(pipe) from None

    def _receive(self, *, timeout: float | None) -> Iterator["Result"]:
        for ready in wait(self._pipes, timeout):
            assert isinstance(ready, Connection)
            try:
                message = ready.recv()
            except (EOFError, OSError):
                raise self._explain(ready) from None
            if isinstance(message, _Failure):
                raise WorkerError(message.sentence, is_mongodb_away=message.is_mongodb_away)
            self._waiting[ready] -= 1
            yield message

    def _explain(self, pipe: Connection) -> WorkerError:
        process = self._processes[self._pipes.index(pipe)]
        process.join(5)
        return WorkerError(
            f"A worker of the import ended (exit code {process.exitcode}), maybe for want of "
            "memory. Run the import again: it goes on from what is stored."
        )


def choose_context() -> ForkServerContext | SpawnContext:
    """How the import starts processes: never a copy of this one, with its threads and sockets."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_PRELOADED])
    return context


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal; those started in here never hear of it.

    Ignoring it is not enough: a process that still starts would show where it was interrupted.
    This process hears it when the block ends.
    """
    # Started by the first process otherwise, and leaves the signal unblocked.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def choose_worker_count() -> int:
    """Processes beside the reading one: as many as processors, two to four."""
    return max(2, min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2))


def _serve(pipe: Connection, database: str) -> None:
    """A worker's whole life: plans and tasks in, results out, until the pipe closes.

    Ctrl-C does not reach it: a chunk under way is finished.
    """
    from mentions.legacy import preload  # noqa: F401 - sets Django up

    # isort: split
    from django.db import connections

    connections["default"].settings_dict["NAME"] = database
    # Ready.
    pipe.send(None)
    tasks: queue.Queue[Any] = queue.Queue()
    lock = threading.Lock()
    threads = [
        threading.Thread(target=_work, args=(tasks, pipe, lock), daemon=True)
        for _ in range(_THREADS)
    ]
    for thread in threads:
        thread.start()
    while True:
        try:
            message = pipe.recv()
        except (EOFError, OSError):
            break
        tasks.put(message)
    for _ in threads:
        tasks.put(None)
    for thread in threads:
        thread.join()


def _work(tasks: "queue.Queue[Any]", pipe: Connection, lock: threading.Lock) -> None:
    from pymongo.errors import ConnectionFailure, PyMongoError

    from mentions.legacy.chunks import ChunkLoader

    # Each thread makes a loader of its own when it meets a new plan.
    loader: ChunkLoader | None = None
    number: int | None = None
    try:
        while (message := tasks.get()) is not None:
            plan, task = message
            if number != plan[0]:
                number, loader = plan[0], ChunkLoader(plan[1])
            assert loader is not None
            result = loader.load(task)
            with lock:
                pipe.send(result)
    except PyMongoError as error:
        _report(
            pipe,
            lock,
            f"MongoDB failed ({type(error).__name__}): check MONGODB_URL and that the server "
            "runs, then run the import again; it goes on from what is stored.",
            is_mongodb_away=isinstance(error, ConnectionFailure),
        )
    except OSError:
        # The import itself is gone.
        return
    except Exception as error:
        _report(pipe, lock, f"A worker of the import failed: {type(error).__name__}: {error}")
        raise


def _report(
    pipe: Connection, lock: threading.Lock, sentence: str, *, is_mongodb_away: bool = False
) -> None:
    try:
        with lock:
            pipe.send(_Failure(sentence, is_mongodb_away))
    except OSError:
        return
