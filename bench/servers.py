"""The two sides, one worker process each: how they start, how long it takes, what they weigh."""

import contextlib
import importlib.metadata
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

from autores.embedded.ports import LOOPBACK, reserve_port
from autores.embedded.processes import Child, Group
from autores.web import DEFAULT_THREADS
from bench.databases import PEER, Databases

ROOT = Path(__file__).resolve().parent.parent
PEER_PACKAGES = ("fastapi", "starlette", "pydantic", "beanie", "uvicorn", "uvloop", "httptools")
OUR_PACKAGES = ("django", "djangorestframework", "django-mongodb-backend", "granian", "orjson")


@dataclass(frozen=True)
class Side:
    """A running server. ``headers`` go with every request."""

    name: str
    child: Child
    url: str
    start_seconds: float
    headers: dict[str, str] = field(default_factory=dict, repr=False)

    def measure_memory(self) -> float:
        """MiB (RSS) of the worker, which is the heaviest of the server's processes."""
        return max(one.memory_info().rss / 2**20 for one in self._list_processes())

    def read_cpu(self) -> float:
        """CPU seconds that its processes have used so far."""
        return sum(sum(one.cpu_times()[:2]) for one in self._list_processes())

    def _list_processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.child.pid)
        return [process, *process.children(recursive=True)]


@contextlib.contextmanager
def run_servers(
    databases: Databases,
    folder: Path,
    *,
    token: str,
    server: str = "granian",
    threads: int = DEFAULT_THREADS,
) -> Iterator[tuple[Side, Side]]:
    """The peer and ours, ready to answer; ``server`` and ``threads`` are of ours."""
    group = Group()
    try:
        peer = _start(
            group,
            "peer",
            [
                "uvicorn",
                "bench.peer.main:app",
                *("--host", LOOPBACK),
                *("--loop", "uvloop"),
                *("--http", "httptools"),
                *("--workers", "1"),
                *("--log-level", "warning"),
                "--no-access-log",
            ],
            port_option="--port",
            folder=folder,
            environ=databases.list_environment(MONGODB_DB_NAME=PEER),
            probe="/api/v1/messages/?limit=1",
            headers={},
        )
        ours = _start(
            group,
            "ours",
            _our_command(server, threads),
            port_option="--bind" if server == "gunicorn" else "--port",
            folder=folder,
            environ=databases.list_environment(),
            probe="/healthz",
            headers={
                "Authorization": f"Bearer {token}",
                "X-Forwarded-Proto": "https",
                "X-Forwarded-For": "192.0.2.10",
            },
        )
        yield peer, ours
    finally:
        group.stop()


def _our_command(server: str, threads: int) -> list[str]:
    if server == "gunicorn":
        return [
            *("gunicorn", "autores.wsgi:application", "--worker-class", "gthread"),
            *("--workers", "1", "--threads", str(threads), "--no-control-socket"),
        ]
    # As the README runs it, with one worker.
    return ["autores.web", "--host", LOOPBACK, "--workers", "1", "--threads", str(threads)]


def _start(
    group: Group,
    name: str,
    arguments: list[str],
    *,
    port_option: str,
    folder: Path,
    environ: dict[str, str],
    probe: str,
    headers: dict[str, str],
) -> Side:
    port = reserve_port(purpose=name).port
    address = f"{LOOPBACK}:{port}" if port_option == "--bind" else str(port)
    began = time.monotonic()
    child = Child(
        name,
        [sys.executable, "-m", *arguments, port_option, address],
        log_path=folder / "logs" / f"{name}.log",
        environ=environ,
        folder=ROOT,
    )
    group.add(child)
    url = f"http://{LOOPBACK}:{port}"
    # The first start of the peer builds its indexes.
    child.wait_until_ready(lambda: _answers(f"{url}{probe}", headers), seconds=600)
    return Side(name, child, url, time.monotonic() - began, headers)


def _answers(url: str, headers: dict[str, str]) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, headers=headers, timeout=60).ok
        except requests.RequestException:
            return False


def list_versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in packages}
