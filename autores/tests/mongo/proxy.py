"""A TCP proxy before mongod that lets a commit through and cuts the line before the answer."""

import contextlib
import socket
import threading
from types import TracebackType


class CutOnCommit:
    """Forwards everything, but ``cuts_left`` commits lose their answer and their connection."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.cuts_left = 0
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> "CutOnCommit":
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
                if is_request and self.cuts_left and b"commitTransaction" in data:
                    self.cuts_left -= 1
                    is_cut.set()
                # The answer proves that the server has done it; only then the line is cut.
                if not is_request and is_cut.is_set():
                    break
                target.sendall(data)
        _close(source)
        _close(target)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
