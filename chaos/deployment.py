"""A whole Autores of its own: MongoDB, Valkey, the sandbox, a web process and two workers.

Real processes on free ports and in one folder. Those that are killed are started again here, and
from the main thread only: a child lives as long as the thread that started it.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import requests
from celery import Celery
from cryptography.fernet import Fernet
from kombu.exceptions import OperationalError
from pymongo import MongoClient
from redis.exceptions import RedisError

from autores.embedded.demo_parts import CALLBACK_PATH
from autores.embedded.errors import ServerStartError
from autores.embedded.mongod import find_mongod, start_mongod
from autores.embedded.ports import LOOPBACK, PortReservation, reserve_port
from autores.embedded.processes import Child, Group
from autores.embedded.valkey import find_valkey, start_valkey
from autores.sandbox.world import Options

ROOT = Path(__file__).resolve().parents[1]
DATABASE = "autores_chaos"
START_SECONDS = 120.0
WORKERS = ("worker-1", "worker-2")
HOST = "chaos"
USERNAME = "ana"
PASSWORD = "a-password-for-chaos-only"
# MongoDB keeps the rows of a dead client's transaction for a minute; here, for so many seconds.
_DEAD_TRANSACTION_SECONDS = 10

# Minutes and hours of production, as seconds; everything else is as it is deployed.
COMPRESSED = {
    "X_CONNECT_TIMEOUT_SECONDS": "2",
    "X_READ_TIMEOUT_SECONDS": "3",
    "TWITTER_POLLING_INTERVAL": "0.2",
    "X_POLL_OVERLAP": "0.25",
    "X_SWEEP_OVERLAP": "2",
    "X_PROBE_INTERVAL": "0.1",
    "X_BASELINE_COUNT": "10",
    "REPLY_ABSENT_SECONDS": "20",
    "REPLY_WAIT_SECONDS": "0",
    "RATE_LIMIT_PER_MINUTE": "1000000",
    "TWITTER_MENTIONS_RATE_LIMIT": "100000",
    "DRAFT_AUTOMATICALLY": "false",
    "X_RECHECK_INTERVAL": "0",
}


class Deployment:
    """Started by ``start``; whatever happened, ``stop`` leaves no process behind."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self._settings = settings
        self._logs = folder / "logs"
        self._group = Group()
        self._children: dict[str, Child] = {}
        self._ports: dict[str, PortReservation] = {
            name: reserve_port(purpose=name) for name in ("mongod", "valkey", "sandbox", "web")
        }
        self.web_url = f"http://{LOOPBACK}:{self._ports['web'].port}"
        self.sandbox_url = f"http://{LOOPBACK}:{self._ports['sandbox'].port}"
        self.mongodb_url = ""
        self.redis_url = ""
        self._environ: dict[str, str] = {}

    def start(self) -> None:
        """Raises EmbeddedError; ``stop`` is still due then."""
        self.start_mongod()
        self.start_valkey()
        self._environ = self._list_environment()
        self._start_sandbox()
        self._prepare_database()
        self._start_web()
        for name in WORKERS:
            self.launch_worker(name)
        for name in WORKERS:
            self.wait_for_worker(name)

    def stop(self) -> None:
        for name in (*WORKERS, "web", "sandbox"):
            if name in self._children:
                self._children[name].send_stop()
        self._group.stop()

    def stop_working(self) -> None:
        """End the workers and the web process in good order: nothing changes any more."""
        for name in (*WORKERS, "web"):
            self._children[name].send_stop()
        for name in (*WORKERS, "web"):
            self._end(name, seconds=30)

    def replace_ended(self) -> list[str]:
        """Start again what ended by itself, as a supervisor would; how each ended."""
        told = []
        for name, child in list(self._children.items()):
            if child.exit_code is None:
                continue
            told.append(child.describe_end())
            self._end(name, seconds=1)
            if name not in WORKERS:
                raise ServerStartError(told[-1])
            self.launch_worker(name)
            self.wait_for_worker(name)
        return told

    def find_silent_workers(self, *, patience: float = 45.0) -> list[str]:
        """Workers that run and take no tasks: they do not answer by the broker."""
        deadline = time.monotonic() + patience
        silent = {f"{name}@{HOST}" for name in WORKERS}
        while silent and time.monotonic() < deadline:
            # A broker that has just started may drop a connection once more.
            with (
                contextlib.suppress(RedisError, OperationalError, OSError),
                Celery(broker=self.redis_url, set_as_current=False) as app,
            ):
                for answer in app.control.ping(destination=sorted(silent), timeout=3):
                    silent -= set(answer)
        return sorted(silent)

    # Breaking and mending ------------------------------------------------------------------

    def kill_worker(self, name: str) -> None:
        """SIGKILL: no chance to finish anything."""
        self._kill(name)

    def launch_worker(self, name: str) -> None:
        self._add(
            name,
            [
                *("celery", "-A", "autores", "worker"),
                *("--hostname", f"{name}@{HOST}"),
                *("--pool", "threads"),
                *("--concurrency", "8"),
                *("--loglevel", "INFO"),
                "--without-gossip",
                "--without-mingle",
            ],
        )

    def wait_for_worker(self, name: str) -> None:
        child = self._children[name]
        child.wait_until_ready(lambda: " ready." in child.read_tail(500), seconds=START_SECONDS)

    def stop_valkey(self) -> None:
        """Killed, and all it knew is gone."""
        self._kill("valkey")
        shutil.rmtree(self.folder / "valkey", ignore_errors=True)

    def start_valkey(self) -> None:
        valkey = start_valkey(
            find_valkey(),
            data_folder=self.folder / "valkey",
            log_path=self._logs / "valkey.log",
            port=self._ports["valkey"],
        )
        self._keep("valkey", valkey.child)
        self.redis_url = valkey.url

    def stop_mongod(self, *, is_killed: bool) -> None:
        if is_killed:
            self._kill("mongod")
        else:
            self._end("mongod", seconds=30)

    def start_mongod(self) -> None:
        mongod = start_mongod(
            find_mongod(),
            data_folder=self.folder / "mongod",
            log_path=self._logs / "mongod.log",
            port=self._ports["mongod"],
        )
        self._keep("mongod", mongod.child)
        self.mongodb_url = mongod.url
        with MongoClient[dict[str, object]](mongod.url) as client:
            client.admin.command(
                {
                    "setParameter": 1,
                    "transactionLifetimeLimitSeconds": _DEAD_TRANSACTION_SECONDS,
                }
            )

    # ---------------------------------------------------------------------------------------

    def _list_environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "NO_PROXY": f"{LOOPBACK},localhost",
            "AUTORES_DOTENV": "",
            "PYTHONUNBUFFERED": "1",
            "ENVIRONMENT": "development",
            "SECRET_KEY": "a-key-for-chaos-only-and-long-enough-for-HS256",
            "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "MONGODB_URL": self.mongodb_url,
            "MONGODB_DB_NAME": DATABASE,
            "REDIS_URL": self.redis_url,
            "X_API_BASE_URL": self.sandbox_url,
            "X_AUTHORIZE_URL": f"{self.sandbox_url}/i/oauth2/authorize",
            "OPENAI_BASE_URL": f"{self.sandbox_url}/v1",
            "OPENAI_API_KEY": "sandbox",
            "TWITTER_CLIENT_ID": Options.client_id,
            "TWITTER_CLIENT_SECRET": Options.client_secret,
            "TWITTER_CALLBACK_URL": f"{self.web_url}{CALLBACK_PATH}",
            "DEMO_USERNAME": USERNAME,
            "DEMO_PASSWORD": PASSWORD,
            **COMPRESSED,
            **self._settings,
        }

    def _start_sandbox(self) -> None:
        child = self._add(
            "sandbox",
            [
                "autores.sandbox",
                *("--port", str(self._ports["sandbox"].port)),
                *("--data", str(self.folder / "sandbox.sqlite")),
                *("--callback", f"{self.web_url}{CALLBACK_PATH}"),
            ],
        )
        self._wait_for_http(child, f"{self.sandbox_url}/_sandbox/health")

    def _prepare_database(self) -> None:
        child = self._add("preparation", ["autores.embedded.demo_database"])
        while child.exit_code is None:
            time.sleep(0.05)
        if child.exit_code != 0:
            raise ServerStartError(child.describe_end())
        self._end("preparation", seconds=5)

    def _start_web(self) -> None:
        child = self._add(
            "web",
            [
                *("autores.web", "--host", LOOPBACK, "--port", str(self._ports["web"].port)),
                *("--workers", "1", "--threads", "12", "--graceful-seconds", "5"),
            ],
        )
        self._wait_for_http(child, f"{self.web_url}/healthz")

    def _add(self, name: str, arguments: list[str]) -> Child:
        child = Child(
            name,
            [sys.executable, "-m", *arguments],
            log_path=self._logs / f"{name}.log",
            environ=self._environ,
            folder=ROOT,
        )
        return self._keep(name, child)

    def _keep(self, name: str, child: Child) -> Child:
        self._children[name] = child
        # The databases end last: what was started first is stopped last.
        if name in ("mongod", "valkey"):
            self._group.children.insert(0, child)
        else:
            self._group.add(child)
        return child

    def _kill(self, name: str) -> None:
        os.killpg(self._children[name].pid, signal.SIGKILL)
        self._end(name, seconds=5)

    def _end(self, name: str, *, seconds: float) -> None:
        self._children[name].stop(seconds=seconds)
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._group.children.remove(self._children.pop(name))

    def _wait_for_http(self, child: Child, url: str) -> None:
        def answers() -> bool:
            with requests.Session() as session:
                session.trust_env = False  # a proxy has no business on loopback
                try:
                    return session.get(url, timeout=2).ok
                except requests.RequestException:
                    return False

        child.wait_until_ready(answers, seconds=START_SECONDS)
