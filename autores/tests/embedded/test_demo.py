"""The demo as a person runs it: one command, real processes, Ctrl-C, and again."""

import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from dotenv import dotenv_values
from pymongo import MongoClient

from autores.embedded import demo
from autores.embedded.demo import DATABASE, ROOT
from autores.embedded.demo_settings import FILE_NAME
from autores.embedded.ports import LOOPBACK

START_SECONDS = 120.0
# Within a minute on an idle machine; a loaded one may need the rest.
MENTION_SECONDS = 90.0


class RunningDemo:
    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self.lines: list[str] = []
        environ = {
            name: value
            for name, value in os.environ.items()
            # What the test run itself uses must not leak into a person's demo.
            if name not in {"MONGODB_URL", "REDIS_URL", "PYTEST_CURRENT_TEST"}
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "autores.embedded", "demo", "--data", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environ,
        )
        self._queue: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def settings(self) -> dict[str, str]:
        return {name: value or "" for name, value in dotenv_values(self.folder / FILE_NAME).items()}

    def wait_for_line(self, words: str, *, seconds: float = START_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while True:
            line = self._queue.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, f"the demo ended:\n{self.output}"
            if words in line:
                return

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                self._queue.put(line)
        self._queue.put(None)


@contextmanager
def run_demo(folder: Path, *arguments: str) -> Iterator[RunningDemo]:
    demo = RunningDemo(folder, *arguments)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.end(signal.SIGTERM)


def find_processes(folder: Path) -> list[str]:
    """Every process that has the folder in its command line or the demo's addresses around it."""
    settings = dotenv_values(folder / FILE_NAME)
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "environ", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        around = (process.info["environ"] or {}).get("SECRET_KEY")
        if process.info["status"] != psutil.STATUS_ZOMBIE and (
            str(folder) in command or around == settings["SECRET_KEY"]
        ):
            found.append(f"{process.info['pid']}: {command}")
    return found


def wait_until_no_process(folder: Path, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := find_processes(folder):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def count_messages(demo: RunningDemo) -> int:
    with MongoClient(demo.settings["DEMO_MONGODB_URL"]) as client:
        return client[DATABASE].messages.count_documents({})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_demo_ends_when_the_signal_comes_while_exceptions_are_ignored(
    number: signal.Signals,
) -> None:
    """Python drops what is raised in a finalizer, and the demo's start makes many of them."""

    class Dying:
        def __del__(self) -> None:
            os.kill(os.getpid(), number)

    with demo._stop_on_signals():
        Dying()
        with pytest.raises(KeyboardInterrupt):
            demo._check_stop()
        with pytest.raises(KeyboardInterrupt):  # who is in a hurry asks twice
            os.kill(os.getpid(), number)


def test_demo_works_stops_keeps_its_data_and_leaves_no_process(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with run_demo(folder, "--port", "0") as first:
        first.wait_for_line("Autores is running.")
        assert "Connected @aurora_coffee and @nimbus_bikes through the OAuth flow." in first.output
        settings = first.settings
        signed_in = requests.post(
            f"{settings['DEMO_URL']}/api/v1/auth/token",
            json={"username": settings["DEMO_USERNAME"], "password": settings["DEMO_PASSWORD"]},
            timeout=10,
        )
        assert signed_in.status_code == 200, signed_in.text
        deadline = time.monotonic() + MENTION_SECONDS
        while count_messages(first) == 0:
            assert time.monotonic() < deadline, "no mention arrived by itself"
            time.sleep(1)
        kept = count_messages(first)

        second = subprocess.run(
            [sys.executable, "-m", "autores.embedded", "demo", "--data", str(folder)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert f"A demo already runs on {folder} (process {first.process.pid})" in second.stderr
        assert "Traceback" not in second.stderr

        assert first.end(signal.SIGINT) == 0, first.output
    assert find_processes(folder) == []
    assert "Traceback" not in first.output

    with (
        socket.create_server((LOOPBACK, 0)) as holder,
        run_demo(folder, "--port", str(holder.getsockname()[1])) as again,
    ):
        again.wait_for_line("Autores is running.")
        assert f"Port {holder.getsockname()[1]} is held by" in again.output
        assert "Connected" not in again.output
        assert count_messages(again) >= kept
        assert requests.get(f"{again.settings['DEMO_URL']}/admin/login/", timeout=10).ok

        worker = int((folder / "logs" / "worker.pid").read_text().split()[0])
        os.kill(worker, signal.SIGKILL)
        again.wait_for_line("worker was ended by SIGKILL", seconds=30)
        again.wait_for_line("Restarting worker", seconds=30)

        again.end(signal.SIGKILL)
    wait_until_no_process(folder, seconds=30)
