"""A TCP proxy before mongod that cuts the line at a certain command."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from django.db import connection

from autores.tests.other_server import connected_to


class CuttingProxy:
    """Forwards everything, but ``cuts_left`` requests that hold ``word`` lose their connection:
    before the server's answer arrives, or before the request does (``is_cut_before``). ``on_cut``
    is called when the server has done it, and the client does not know yet.
    """

    def __init__(self, server: tuple[str, int], *, word: bytes) -> None:
        self.cuts_left = 0
        self.is_cut_before = False
        self.on_cut: Callable[[], object] = lambda: None
        self._word = word
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> "CuttingProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in self._sockets:
            _close(each)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._sockets += [client, server]
                is_cut = threading.Event()
                for source, target, is_request in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._forward, args=(source, target, is_request, is_cut), daemon=True
                    ).start()

    def _forward(
        self,
        source: socket.socket,
        target: socket.socket,
        is_request: bool,
        is_cut: threading.Event,
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_request and self.cuts_left and self._word in data:
                    self.cuts_left -= 1
                    if self.is_cut_before:
                        break
                    is_cut.set()
                # The answer proves that the server has done it; only then the line is cut.
                if not is_request and is_cut.is_set():
                    self.on_cut()
                    break
                target.sendall(data)
        _close(source)
        _close(target)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


@contextlib.contextmanager
def connected_through(word: bytes) -> Iterator[CuttingProxy]:
    """The default connection, through a proxy that can cut the line at ``word``."""
    connection.ensure_connection()
    connection.connection.admin.command("ping")
    with (
        CuttingProxy(connection.connection.address, word=word) as proxy,
        connected_to(f"mongodb://{proxy.address}/?directConnection=true"),
    ):
        yield proxy
