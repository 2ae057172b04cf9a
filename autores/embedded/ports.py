"""Loopback ports: a preferred one if it is free, otherwise another, and who holds the first."""

import errno
import random
import socket
from dataclasses import dataclass, field

import psutil

from autores.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral range (32768 and up), so that no outgoing connection takes one
# between the choice and the start of the server.
FIRST_RANDOM_PORT, LAST_RANDOM_PORT = 20_000, 32_000


@dataclass
class PortReservation:
    """A port kept from other pickers until ``release`` is called, just before the server starts.

    ``notice`` is a sentence when the preferred port was not to be had, otherwise None.
    """

    port: int
    notice: str | None = None
    _held: socket.socket | None = field(default=None, repr=False)

    def release(self) -> int:
        """Give the port free for its server, and return its number."""
        if self._held is not None:
            self._held.close()
            self._held = None
        return self.port


def reserve_port(preferred: int | None = None, *, purpose: str = "the server") -> PortReservation:
    """Reserve ``preferred``, or another port when it is None or taken.

    Raises EmbeddedError when no port at all is free.
    """
    notice = None
    if preferred is not None:
        held = _bind(preferred)
        if held is not None:
            return PortReservation(preferred, None, held)
        notice = f"Port {preferred} is held by {describe_holder(preferred)}"
    for port in _candidates(preferred):
        held = _bind(port)
        if held is not None:
            sentence = f"{notice}; {purpose} takes {port} instead." if notice else None
            return PortReservation(port, sentence, held)
    raise EmbeddedError(f"No free port was found on {LOOPBACK} for {purpose}.")


def describe_holder(port: int) -> str:
    """Name the process that listens on ``port``, as far as this user may see it."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, OSError):
        return "another process"
    for connection in connections:
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            if connection.pid is None:
                break
            try:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.Error:
                break
    return "another process"


def _candidates(preferred: int | None) -> list[int]:
    spread = random.sample(range(FIRST_RANDOM_PORT, LAST_RANDOM_PORT), 200)
    # The neighbours first: a port near the usual one is easier to recognise.
    return spread if preferred is None else [*range(preferred + 1, preferred + 20), *spread]


def _bind(port: int) -> socket.socket | None:
    # Without SO_REUSEADDR first: that also sees a port which another picker has only reserved.
    # With it second: connections of a server that just ended, in TIME_WAIT, do not hold a port.
    for is_reusing in (False, True):
        candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if is_reusing:
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((LOOPBACK, port))
        except OSError as error:
            candidate.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
        else:
            return candidate
    return None
