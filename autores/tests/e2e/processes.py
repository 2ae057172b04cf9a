"""Autores' own processes for one test: web, worker and beat, started as the demo starts them."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from celery import Celery

from autores.embedded.demo_parts import CALLBACK_PATH, list_parts
from autores.embedded.ports import LOOPBACK, reserve_port
from autores.embedded.processes import Child
from autores.sandbox.server import RunningSandbox

ROOT = Path(__file__).resolve().parents[3]
# Generous, as nothing waits longer than it must: a loaded machine takes a minute for one start.
START_SECONDS = 120.0
WAIT_SECONDS = 60.0
_SANDBOX_CLIENT = "sandbox-client"
_DEFAULT_CALLBACK = f"http://127.0.0.1:8000{CALLBACK_PATH}"

Found = TypeVar("Found")


class RunningAutores:
    """The processes of one deployment; ``environ`` names their database, broker and sandbox.

    Keyword arguments are settings (``TWITTER_POLLING_INTERVAL="0.05"``) that win over it.
    """

    def __init__(
        self, environ: Mapping[str, str], *, folder: Path, sandbox: RunningSandbox, **settings: str
    ) -> None:
        self._folder = folder
        self._port = reserve_port(purpose="the web server")
        self._children: dict[str, Child] = {}
        self.web_url = f"http://{LOOPBACK}:{self._port.port}"
        callback = f"{self.web_url}{CALLBACK_PATH}"
        self._environ = {
            **environ,
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": LOOPBACK,
            "TWITTER_CALLBACK_URL": callback,
            # Tests ask more often than a person would.
            "RATE_LIMIT_PER_MINUTE": "100000",
            **settings,
        }
        self._parts = list_parts(web_port=self._port.port, sandbox_port=0, folder=folder)
        # The other tests' callback stays registered: they share the sandbox.
        sandbox.control.register_client(
            client_id=_SANDBOX_CLIENT, callbacks=[callback, _DEFAULT_CALLBACK]
        )

    def start(self, *names: str) -> None:
        """Start parts (web, worker, beat) side by side, and return when all are up."""
        for name in names:
            part = self._parts[name]
            self._children[name] = Child(
                name,
                [sys.executable, "-m", *part.arguments],
                log_path=self._folder / "logs" / f"{name}.log",
                environ=self._environ,
                folder=ROOT,
            )
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._wait_until_ready, names))

    def kill(self, name: str) -> None:
        """SIGKILL: no chance to finish anything."""
        child = self._children.pop(name)
        assert child.exit_code is None, child.describe_end()
        os.killpg(child.pid, signal.SIGKILL)
        child.stop()

    def stop(self) -> None:
        for child in self._children.values():
            child.send_stop()
        while self._children:
            # Nothing of it is kept, so none gets the time it would have to end well.
            self._children.popitem()[1].stop(seconds=0.5)
        self._port.release()

    def run_task(self, name: str, *arguments: str) -> None:
        """Put a Celery task on the queue, as beat does."""
        with Celery(broker=self._environ["REDIS_URL"], set_as_current=False) as app:
            app.send_task(name, arguments, ignore_result=True)

    def wait_until(
        self, what: str, probe: Callable[[], Found], *, seconds: float = WAIT_SECONDS
    ) -> Found:
        """Return the first true answer of ``probe``; fail with the ends of the logs if none."""
        deadline = time.monotonic() + seconds
        pause = 0.02
        while not (found := probe()):
            for child in self._children.values():
                assert child.exit_code is None, child.describe_end()
            assert time.monotonic() < deadline, (
                f"after {seconds:g} s, still not true: {what}\n\n{self.read_tails()}"
            )
            time.sleep(pause)
            pause = min(pause * 1.5, 0.2)
        return found

    def read_tails(self, *, lines: int = 40) -> str:
        return "\n\n".join(
            f"--- {name}\n{child.read_tail(lines)}" for name, child in self._children.items()
        )

    def find_tracebacks(self) -> list[str]:
        """The log files that hold a traceback; a run without faults has none."""
        return [
            f"{path.name}:\n{text[text.index('Traceback') :][:3000]}"
            for path in sorted((self._folder / "logs").glob("*.log"))
            if "Traceback" in (text := path.read_text(errors="replace"))
        ]

    def _wait_until_ready(self, name: str) -> None:
        child = self._children[name]
        child.wait_until_ready(lambda: self._parts[name].is_ready(child), seconds=START_SECONDS)
