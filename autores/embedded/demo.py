"""The demo: every part of Autores on one machine, on one command, stopped by Ctrl-C.

python -m autores.embedded demo [--port 8000] [--data .data] [--fresh]
"""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import IO

from pymongo import MongoClient

from autores.embedded.demo_accounts import ACCOUNTS, connect_accounts
from autores.embedded.demo_parts import CALLBACK_PATH, Part, list_parts
from autores.embedded.demo_settings import (
    load_demo_settings,
    save_application_settings,
    save_demo_settings,
)
from autores.embedded.errors import EmbeddedError, ServerStartError
from autores.embedded.mongod import find_mongod, start_mongod
from autores.embedded.ports import LOOPBACK, PortReservation, reserve_port
from autores.embedded.processes import Child, Group
from autores.embedded.valkey import find_valkey, start_valkey
from autores.sandbox.world import Options

ROOT = Path(__file__).resolve().parents[2]
PREFERRED_PORTS = {"web": 8000, "sandbox": 8090, "mongod": 27117, "valkey": 6390}
DATABASE = "autores_demo"
POLLING_MINUTES = "0.25"
# A part that ends again this soon after its restart is broken, not unlucky.
RESTART_GRACE_SECONDS = 60.0
PART_START_SECONDS = 90.0


class Demo:
    """One run of the demo in one data folder."""

    def __init__(self, folder: Path, *, web_port: int | None, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._logs = folder / "logs"
        self._web_port = web_port
        self._say = say
        self._group = Group()
        self._ports: dict[str, PortReservation] = {}
        self._parts: dict[str, Part] = {}
        self._restarted_at: dict[str, float] = {}
        self._environ: dict[str, str] = {}
        self._settings: dict[str, str] = {}

    @property
    def web_url(self) -> str:
        return f"http://{LOOPBACK}:{self._ports['web'].port}"

    @property
    def sandbox_url(self) -> str:
        return f"http://{LOOPBACK}:{self._ports['sandbox'].port}"

    def start(self) -> None:
        """Start every part in order; raises EmbeddedError, and then ``stop`` is still due."""
        self._settings = load_demo_settings(self._folder)
        _check_stop()
        external = {"mongod": "MONGODB_URL", "valkey": "REDIS_URL"}
        for purpose in PREFERRED_PORTS:
            if not os.environ.get(external.get(purpose, "")):
                self._ports[purpose] = self._reserve(purpose)
        mongodb_url, redis_url = self._start_databases()
        self._environ = self._list_environment(mongodb_url, redis_url)
        save_demo_settings(
            self._folder,
            {
                **self._settings,
                "DEMO_URL": self.web_url,
                "DEMO_SANDBOX_URL": self.sandbox_url,
                "DEMO_MONGODB_URL": mongodb_url,
                "DEMO_REDIS_URL": redis_url,
            },
        )
        save_application_settings(self._folder, self._environ)
        self._say("Preparing the database …")
        self._prepare_database()
        self._say("Starting the sandbox, the web server, the worker and beat …")
        self._start_parts()
        self._connect_accounts()

    def watch(self) -> None:
        """Return never: restart a part that ends; raise ServerStartError when that is no use."""
        while True:
            time.sleep(0.5)
            _check_stop()
            ended = self._group.find_ended()
            if ended is None:
                continue
            self._say(ended.describe_end())
            part = self._parts.get(ended.name)
            last = self._restarted_at.get(ended.name, float("-inf"))
            if part is None or time.monotonic() - last < RESTART_GRACE_SECONDS:
                raise ServerStartError(f"{ended.name} does not stay up: the demo stops.")
            self._say(f"Restarting {ended.name} …")
            self._restarted_at[ended.name] = time.monotonic()
            ended.stop()
            successor = self._launch(part)
            self._group.replace(ended, successor)
            self._wait_for(part, successor)

    def describe(self) -> str:
        """Return what a person needs to begin: addresses and login."""
        lines = [
            ("Admin", f"{self.web_url}/admin/"),
            ("Browsable API", f"{self.web_url}/api/v1/"),
            ("API docs", f"{self.web_url}/api/v1/docs/"),
            ("Stand-in X", f"{self.sandbox_url}/"),
            ("Login", f"{self._settings['DEMO_USERNAME']} / {self._settings['DEMO_PASSWORD']}"),
            ("Logs", f"{self._logs}/"),
        ]
        table = "\n".join(f"  {name:<14} {value}" for name, value in lines)
        return (
            f"\nAutores is running.\n\n{table}\n\nNew mentions arrive by themselves. Ctrl-C stops."
        )

    def stop(self) -> None:
        # All are asked at once, so that the slow ones end side by side; the databases last.
        for child in self._group.children:
            if child.name in self._parts:
                child.send_stop()
        self._group.stop()

    def _reserve(self, purpose: str) -> PortReservation:
        preferred: int | None = PREFERRED_PORTS[purpose]
        if self._web_port is not None:
            preferred = self._web_port if purpose == "web" and self._web_port else preferred
            preferred = None if self._web_port == 0 else preferred
        return reserve_port(preferred, purpose=purpose)

    def _announce(self, purpose: str) -> None:
        notice = self._ports[purpose].notice
        if notice:
            self._say(notice)

    def _start_databases(self) -> tuple[str, str]:
        mongodb_url, redis_url = os.environ.get("MONGODB_URL"), os.environ.get("REDIS_URL")
        if mongodb_url:
            self._say("Using the MongoDB that MONGODB_URL names.")
        else:
            self._announce("mongod")
            mongod = start_mongod(
                find_mongod(),
                data_folder=self._folder / "mongod",
                log_path=self._logs / "mongod.log",
                port=self._ports["mongod"],
            )
            self._group.add(mongod.child)
            mongodb_url = mongod.url
        _check_stop()
        if redis_url:
            self._say("Using the Redis that REDIS_URL names.")
        else:
            self._announce("valkey")
            valkey = start_valkey(
                find_valkey(),
                data_folder=self._folder / "valkey",
                log_path=self._logs / "valkey.log",
                port=self._ports["valkey"],
            )
            self._group.add(valkey.child)
            redis_url = valkey.url
        return mongodb_url, redis_url

    def _list_environment(self, mongodb_url: str, redis_url: str) -> dict[str, str]:
        return {
            **os.environ,
            "NO_PROXY": f"{LOOPBACK},localhost,{os.environ.get('NO_PROXY', '')}",
            # Real credentials in .env have no business here.
            "AUTORES_DOTENV": "",
            "PYTHONUNBUFFERED": "1",
            "ENVIRONMENT": "development",
            "SECRET_KEY": self._settings["SECRET_KEY"],
            "TOKEN_ENCRYPTION_KEYS": self._settings["TOKEN_ENCRYPTION_KEYS"],
            "MONGODB_URL": mongodb_url,
            "MONGODB_DB_NAME": DATABASE,
            "REDIS_URL": redis_url,
            "X_API_BASE_URL": self.sandbox_url,
            "X_AUTHORIZE_URL": f"{self.sandbox_url}/i/oauth2/authorize",
            "OPENAI_BASE_URL": f"{self.sandbox_url}/v1",
            "OPENAI_API_KEY": "sandbox",
            # The sandbox's few authors write all day.
            "DRAFTS_PER_AUTHOR_PER_DAY": "0",
            "TWITTER_CLIENT_ID": Options.client_id,
            "TWITTER_CLIENT_SECRET": Options.client_secret,
            "TWITTER_CALLBACK_URL": f"{self.web_url}{CALLBACK_PATH}",
            "TWITTER_POLLING_INTERVAL": POLLING_MINUTES,
            # Four polls a minute, and a person's own: more than the careful default allows.
            "TWITTER_MENTIONS_RATE_LIMIT": "250",
            "BACKEND_CORS_ORIGINS": f'["{self.web_url}"]',
        }

    def _prepare_database(self) -> None:
        child = self._group.add(
            Child(
                "database preparation",
                [sys.executable, "-m", "autores.embedded.demo_database"],
                log_path=self._logs / "database.log",
                environ={**self._environ, **self._settings},
                folder=ROOT,
            )
        )
        while child.exit_code is None:
            time.sleep(0.05)
            _check_stop()
        child.stop()
        self._group.children.remove(child)
        if child.exit_code != 0:
            raise ServerStartError(child.describe_end())

    def _start_parts(self) -> None:
        for purpose in ("web", "sandbox"):
            self._announce(purpose)
        self._parts = list_parts(
            web_port=self._ports["web"].port,
            sandbox_port=self._ports["sandbox"].port,
            folder=self._folder,
        )
        # All at once, then wait: they load side by side.
        children = [self._group.add(self._launch(part)) for part in self._parts.values()]
        for part, child in zip(self._parts.values(), children, strict=True):
            self._wait_for(part, child)

    def _launch(self, part: Part) -> Child:
        return Child(
            part.name,
            [sys.executable, "-m", *part.arguments],
            log_path=self._logs / f"{part.name}.log",
            environ=self._environ,
            folder=ROOT,
        )

    def _wait_for(self, part: Part, child: Child) -> None:
        def is_ready() -> bool:
            _check_stop()
            return part.is_ready(child)

        child.wait_until_ready(is_ready, seconds=PART_START_SECONDS)

    def _connect_accounts(self) -> None:
        if self._are_accounts_connected():
            return
        handles = connect_accounts(
            web_url=self.web_url,
            sandbox_url=self.sandbox_url,
            username=self._settings["DEMO_USERNAME"],
            password=self._settings["DEMO_PASSWORD"],
        )
        self._say(f"Connected {' and '.join(handles)} through the OAuth flow.")

    def _are_accounts_connected(self) -> bool:
        client: MongoClient[dict[str, object]] = MongoClient(self._environ["MONGODB_URL"])
        with client:
            connected = client[DATABASE].users.count_documents(
                {
                    "twitter_username": {"$in": [account.username for account in ACCOUNTS]},
                    "access_token": {"$gt": ""},
                    "status": {"$nin": ["token_expired", "error"]},
                }
            )
        return connected == len(ACCOUNTS)


def run_demo(folder: Path, *, web_port: int | None, is_fresh: bool) -> int:
    """Run until interrupted; return the exit code."""
    folder = folder.resolve()
    try:
        with _hold_folder(folder), _stop_on_signals():
            if is_fresh:
                _remove_data(folder)
            demo = Demo(folder, web_port=web_port, say=_say)
            try:
                demo.start()
                _check_stop()
                _say(demo.describe())
                demo.watch()
            finally:
                _say("Stopping …")
                demo.stop()
    except KeyboardInterrupt:
        _say("Stopped. The data is kept; the next start goes on from here.")
        return 0
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _say(sentence: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(f"{sentence}\n")
        sys.stdout.flush()


@contextlib.contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    # The databases in it ask for no password; other users of the machine stay out.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock: IO[str]
    with (folder / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise EmbeddedError(
                f"A demo already runs on {folder} (process {lock.read().strip() or 'unknown'}): "
                'stop it, or give this one another folder: make demo ARGS="--data FOLDER".'
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


_is_stop_asked = threading.Event()


def _check_stop() -> None:
    """Raise KeyboardInterrupt once a signal asked for the end."""
    if _is_stop_asked.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        # Raised here it would be lost where Python ignores exceptions, in a finalizer for one.
        # Who is in a hurry asks twice.
        if _is_stop_asked.is_set():
            raise KeyboardInterrupt
        _is_stop_asked.set()

    _is_stop_asked.clear()

    former = {
        number: signal.signal(number, interrupt)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _remove_data(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name == "demo.lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
