"""Child processes that are waited for, logged, stopped in order, and never left behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from autores.embedded.errors import ServerStartError

TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1
# Loaded before any fork: the child may only make calls that are safe between fork and exec.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """One running server in a process group of its own, its output in one log file.

    On Linux the kernel sends it SIGTERM when the thread that started it dies, so start it from
    the main thread. Where the kernel has no such signal, the record beside the log lets the next
    start end what a killed one left (see ``end_leftover``).
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log_path: Path,
        environ: Mapping[str, str] | None = None,
        folder: Path | None = None,
        is_telling: Callable[[str], bool] | None = None,
    ) -> None:
        """Start it. ``is_telling`` picks the log lines that explain a failure, if any do."""
        self.name = name
        self._is_telling = is_telling
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        self._record = log_path.with_suffix(".pid")
        end_leftover(self._record)
        with log_path.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(  # noqa: S603  (fixed argument lists, no shell)
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environ) if environ is not None else None,
                cwd=folder,
                process_group=0,
                preexec_fn=_tie_to_parent(os.getpid()),
            )
        with contextlib.suppress(psutil.Error):
            started_at = psutil.Process(self.pid).create_time()
            self._record.write_text(f"{self.pid} {started_at}\n")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal, as in subprocess."""
        return self._process.poll()

    def read_tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines it has logged since this start."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - 64_000))
                text = log.read().decode(errors="replace")
        except OSError:
            return "(no log)"
        logged = text.splitlines()
        if self._is_telling is not None:
            logged = [line for line in logged if self._is_telling(line)] or logged
        return "\n".join(logged[-lines:]) or "(its log is empty)"

    def describe_end(self) -> str:
        """Say how it ended, with the tail of its log."""
        code = self.exit_code
        how = "is still running" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
        return f"{self.name} {how}. The end of {self.log_path}:\n{self.read_tail()}"

    def wait_until_ready(self, probe: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Call ``probe`` until it is true; raise ServerStartError at once if the child ends."""
        deadline = time.monotonic() + seconds
        pause = 0.02
        while not probe():
            if self.exit_code is not None:
                raise ServerStartError(self.describe_end())
            if time.monotonic() > deadline:
                raise ServerStartError(
                    f"{self.name} did not answer within {seconds:g} s. "
                    f"The end of {self.log_path}:\n{self.read_tail()}"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.25)

    def send_stop(self) -> None:
        """Ask it to end, and return at once."""
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()

    def stop(self, *, seconds: float = 15.0) -> None:
        """End it: SIGTERM, and after ``seconds`` SIGKILL to what is left of its group."""
        self.send_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._record.unlink(missing_ok=True)


class Group:
    """Children that belong together; stopped in the reverse order of their start."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def add(self, child: Child) -> Child:
        self.children.append(child)
        return child

    def find_ended(self) -> Child | None:
        """Return the first child that is no longer running."""
        return next((child for child in self.children if child.exit_code is not None), None)

    def replace(self, old: Child, new: Child) -> None:
        self.children[self.children.index(old)] = new

    def stop(self, *, seconds: float = 15.0) -> None:
        """Stop all, and let none survive even if interrupts arrive meanwhile.

        An interrupt means impatience: what is left gets one second each.
        """
        while self.children:
            child = self.children[-1]
            try:
                child.stop(seconds=seconds)
            except KeyboardInterrupt:
                seconds = 1.0
                continue
            self.children.pop()


def end_leftover(record: Path) -> None:
    """End the process a killed supervisor left behind, if it is still the one in ``record``."""
    try:
        pid, started_at = record.read_text().split()
        leftover = psutil.Process(int(pid))
        if abs(leftover.create_time() - float(started_at)) < 1.0:
            leftover.terminate()
            try:
                leftover.wait(15)
            except psutil.TimeoutExpired:
                leftover.kill()
                leftover.wait(5)
    except (OSError, ValueError, psutil.Error):
        pass
    record.unlink(missing_ok=True)


def _tie_to_parent(parent: int) -> Callable[[], None] | None:
    if _libc is None:
        return None

    def ask_for_signal() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        # The parent may have died between fork and prctl; then nothing would ever be sent.
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_signal
