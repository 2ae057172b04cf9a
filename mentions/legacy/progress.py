"""How far an import is: a bar on a terminal, a line now and then in a log, or nothing."""

import time
from collections.abc import Callable
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_LINE_SECONDS = 10.0


class ProgressView(Protocol):
    def begin(self, name: str, total: int) -> None:
        """Something of ``total`` rows starts."""

    def advance(self, rows: int) -> None: ...

    def say(self, sentence: str) -> None:
        """A remark beside the count."""

    def close(self) -> None: ...


class NoProgress:
    """For --quiet."""

    def begin(self, name: str, total: int) -> None: ...

    def advance(self, rows: int) -> None: ...

    def say(self, sentence: str) -> None: ...

    def close(self) -> None: ...


class LineProgress:
    """A sentence every ten seconds, and one at the end of each table."""

    def __init__(
        self, write: Callable[[str], object], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._name = ""
        self._total = self._done = 0
        self._began = self._told = 0.0

    def begin(self, name: str, total: int) -> None:
        self._name, self._total, self._done = name, total, 0
        self._began = self._told = self._clock()

    def advance(self, rows: int) -> None:
        self._done += rows
        now = self._clock()
        if now - self._told < _LINE_SECONDS and self._done < self._total:
            return
        self._told = now
        speed = self._done / max(now - self._began, 0.001)
        left = (self._total - self._done) / max(speed, 1)
        ending = f", {left:.0f} s left" if self._done < self._total else ""
        self._write(f"{self._name}: {self._done} of {self._total} rows, {speed:.0f} rows/s{ending}")

    def say(self, sentence: str) -> None:
        self._write(sentence)

    def close(self) -> None:
        """Every line is written already."""


class _SpeedColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} rows/s" if speed else "")


class BarProgress:
    """A bar with rows per second and the time left."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _SpeedColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream),
        )
        self._task: TaskID | None = None
        self._progress.start()

    def begin(self, name: str, total: int) -> None:
        # Of nothing there is no course to show.
        self._task = self._progress.add_task(name, total=total) if total else None

    def advance(self, rows: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, rows)

    def say(self, sentence: str) -> None:
        self._progress.console.print(sentence, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()


def choose_progress(
    stream: TextIO, *, is_quiet: bool, write: Callable[[str], object]
) -> ProgressView:
    """``write`` takes the lines where ``stream`` is no terminal."""
    if is_quiet:
        return NoProgress()
    if stream.isatty():
        return BarProgress(stream)
    return LineProgress(write)
