"""Threads of a test: several at once, one in the background, and the wait for what one does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import connections

_PATIENCE_SECONDS = 30.0


def run_together(*functions: Callable[[], object]) -> None:
    """Run in threads of their own, begun at one moment; the first failure is raised here."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], object]) -> None:
        try:
            barrier.wait()
            function()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@contextmanager
def running(function: Callable[[], object]) -> Iterator[None]:
    """Beside the block, which ends when the function has; its failure is raised then."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


def wait_until(condition: Callable[[], object]) -> None:
    """For what another thread writes into a row: it tells nobody, so that it is looked at."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it has not come to be"
        # Between two looks, with the deadline above; no assertion rests on it.
        time.sleep(0.01)
