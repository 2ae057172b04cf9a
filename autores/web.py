"""The web server: ``python -m autores.web``.

Granian serves the WSGI application: HTTP is parsed outside of Python, and a request stays in one
thread. Some threads a process are enough to let what they ask of MongoDB go together; with more of
them, they wait for each other's turn. More processes are the way to use more cores.
"""

import argparse
import errno
import gc
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

DEFAULT_PORT = 8000
DEFAULT_THREADS = 8
_MOST_DEFAULT_WORKERS = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT; what is being answered then is answered.

    Exits with one sentence where it cannot start: broken settings, an address that is taken.
    """
    options = _parse(arguments)
    _refuse_taken(options.host, options.port)
    gc.disable()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
    from django.core.exceptions import ImproperlyConfigured

    try:
        # Here, so that the processes forked from this one share what is loaded.
        from autores.wsgi import application
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    from django.conf import settings
    from granian.constants import Interfaces
    from granian.log import LogLevels
    from granian.server import Server

    server = Server(
        "autores.wsgi:application",
        address=options.host,
        port=options.port,
        interface=Interfaces.WSGI,
        workers=options.workers,
        blocking_threads=options.threads,
        websockets=False,
        # autores.observability.requests writes one, without what a query may hold.
        log_access=False,
        log_level=LogLevels.info,
        log_dictconfig=settings.LOGGING,
        workers_kill_timeout=options.graceful_seconds,
        # The others go on meanwhile; but one that dies again within 5.5 s ends the server, as
        # Granian takes that for a fault of the code.
        respawn_failed_workers=True,
        respawn_interval=1.0,
    )

    def load(target: str) -> Callable[..., Any]:
        return application

    server.serve(target_loader=load)


def _refuse_taken(host: str, port: int) -> None:
    """Granian would answer with a traceback."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            is_taken = error.errno == errno.EADDRINUSE
            remedy = "another --port" if is_taken else "another --host or --port"
            sys.exit(f"Cannot listen at {host}:{port}: {error.strerror}. Choose {remedy}.")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m autores.web", description="The web server.")
    cores = os.cpu_count() or 1
    parser.add_argument("--host", type=_address, default="127.0.0.1", help="address to listen at")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT)
    parser.add_argument(
        "--workers",
        type=_count,
        default=min(max(cores, 2), _MOST_DEFAULT_WORKERS),
        help=f"processes; by default one per core, 2 to {_MOST_DEFAULT_WORKERS}",
    )
    parser.add_argument(
        "--threads",
        type=_count,
        default=DEFAULT_THREADS,
        help="requests that a process answers at once; more if many wait for X (%(default)s)",
    )
    parser.add_argument(
        "--graceful-seconds",
        type=_count,
        default=15,
        help="how long the last requests may take after SIGTERM (%(default)s)",
    )
    return parser.parse_args(arguments)


def _address(text: str) -> str:
    """An IP address, of a name if need be: Granian takes no other."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    try:
        return socket.gethostbyname(text or "?")
    except (OSError, UnicodeError):
        raise argparse.ArgumentTypeError(f"{text!r} is no address of this machine") from None


def _number(text: str, *, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from {least} to {most}")
    return int(text)


def _port(text: str) -> int:
    return _number(text, least=0, most=65_535)


def _count(text: str) -> int:
    return _number(text, least=1, most=1000)


if __name__ == "__main__":
    main()
