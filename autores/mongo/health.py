"""Whether MongoDB answers, and is one that Autores can work on."""

import time
from dataclasses import dataclass
from typing import Any

import pymongo
from django.db import DEFAULT_DB_ALIAS, connections
from pymongo.errors import PyMongoError

from .errors import MongoUnavailableError

MINIMUM_VERSION = (6, 0)
DEFAULT_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """What the server says of itself; ``replica_set`` is None if it is not part of one."""

    version: tuple[int, ...]
    replica_set: str | None
    is_writable: bool
    latency_ms: float

    def list_problems(self) -> list[str]:
        """What keeps Autores from working, each with its remedy; empty if nothing does."""
        problems = []
        if self.version[:2] < MINIMUM_VERSION:
            found, least = (".".join(map(str, v)) for v in (self.version, MINIMUM_VERSION))
            problems.append(f"MongoDB is {found}; Autores needs {least} or later: upgrade it.")
        if self.replica_set is None:
            problems.append(
                "MongoDB is not a replica set, so transactions do not work: start mongod with "
                "--replSet and run rs.initiate(); one node is enough."
            )
        if not self.is_writable:
            problems.append(
                "MongoDB has no primary here that takes writes: wait for the election, or add "
                "?replicaSet=<name> to MONGODB_URL."
            )
        return problems


def ping(
    *, using: str = DEFAULT_DB_ALIAS, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> float:
    """Milliseconds a round trip to the primary takes.

    Raises:
        MongoUnavailableError: no answer within ``timeout_seconds``.
    """
    started = time.perf_counter()
    _run_admin_command("ping", using=using, timeout_seconds=timeout_seconds)
    return (time.perf_counter() - started) * 1000


def read_server_state(
    *, using: str = DEFAULT_DB_ALIAS, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
) -> ServerState:
    """Version and replica-set state of the server.

    Raises:
        MongoUnavailableError: no answer within ``timeout_seconds``.
    """
    started = time.perf_counter()
    hello = _run_admin_command("hello", using=using, timeout_seconds=timeout_seconds)
    latency_ms = (time.perf_counter() - started) * 1000
    build = _run_admin_command("buildInfo", using=using, timeout_seconds=timeout_seconds)
    return ServerState(
        version=tuple(build["versionArray"][:3]),
        replica_set=hello.get("setName"),
        is_writable=bool(hello.get("isWritablePrimary")),
        latency_ms=latency_ms,
    )


def _run_admin_command(name: str, *, using: str, timeout_seconds: float) -> dict[str, Any]:
    connection = connections[using]
    try:
        with pymongo.timeout(timeout_seconds):
            connection.ensure_connection()
            return dict(connection.connection.admin.command(name))
    except PyMongoError as error:
        hosts = connection.settings_dict.get("HOST") or "localhost"
        raise MongoUnavailableError(
            f"MongoDB at {_without_credentials(hosts)} did not answer {name} within "
            f"{timeout_seconds:g} s ({type(error).__name__}): check MONGODB_URL and that mongod "
            "runs."
        ) from error


def _without_credentials(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    hosts = rest.partition("?")[0].rpartition("@")[2].partition("/")[0]
    return f"{scheme}{separator}{hosts}"
