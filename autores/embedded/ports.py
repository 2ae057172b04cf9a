"""Loopback ports: a preferred one if it is free, otherwise another, and who holds the first."""

import contextlib
import errno
import fcntl
import os
import random
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from autores.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes one
# between the choice and the start of the server.
FIRST_RANDOM_PORT, LAST_RANDOM_PORT = 20_000, 32_000


@dataclass
class PortReservation:
    """A port that no other start of ours picks until this process ends, or ``release``.

    A lock on a file, as a bound socket would have to be closed before the server starts, and a
    server takes a second to bind: two demos started together would meet on one port.
    ``notice`` is a sentence when the preferred port was not to be had, otherwise None.
    """

    port: int
    notice: str | None = None
    _lock: int = field(default=-1, repr=False)

    def release(self) -> int:
        """Let others pick the port again; return its number."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        return self.port


def reserve_port(preferred: int | None = None, *, purpose: str = "the server") -> PortReservation:
    """Reserve ``preferred``, or another port when it is None or taken.

    Raises EmbeddedError when no port at all is free.
    """
    notice = None
    if preferred is not None:
        lock = _lock_free_port(preferred)
        if lock is not None:
            return PortReservation(preferred, None, lock)
        notice = f"Port {preferred} is held by {describe_holder(preferred)}"
    for port in _list_candidates(preferred):
        lock = _lock_free_port(port)
        if lock is not None:
            sentence = f"{notice}; {purpose} takes {port} instead." if notice else None
            return PortReservation(port, sentence, lock)
    raise EmbeddedError(f"No free port was found on {LOOPBACK} for {purpose}.")


def describe_holder(port: int) -> str:
    """Name the process that listens on ``port``, or reserved it, as far as this user may see."""
    pid = None
    with contextlib.suppress(psutil.AccessDenied, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                pid = connection.pid
    if pid is None:
        with contextlib.suppress(OSError, ValueError):
            pid = int(_lock_path(port).read_text())
    with contextlib.suppress(psutil.Error):
        if pid is not None:
            return f"{psutil.Process(pid).name()} (process {pid})"
    return "another process"


def _list_candidates(preferred: int | None) -> list[int]:
    spread = random.sample(range(FIRST_RANDOM_PORT, LAST_RANDOM_PORT), 200)
    # The neighbours first: a port near the usual one is easier to recognise.
    neighbours = [] if preferred is None else range(preferred + 1, min(preferred + 20, 65_536))
    return [*neighbours, *spread]


def _lock_free_port(port: int) -> int | None:
    """Return the descriptor that holds the lock, or None when the port is not to be had."""
    path = _lock_path(port)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not _is_free(port):
        os.close(descriptor)
        return None
    os.truncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as candidate:
        # Connections of a server that just ended, in TIME_WAIT, do not hold a port.
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _lock_path(port: int) -> Path:
    return Path(tempfile.gettempdir()) / f"autores-ports-{os.getuid()}" / str(port)
