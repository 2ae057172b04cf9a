"""A real HTTP server that answers each request with the next scripted bytes, however odd."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Received:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass
class Step:
    """One answer: `raw` bytes as they are, cut into pieces `pause` seconds apart, then `after`.

    after  keep (the connection), close, reset, hang (until the server stops)
    """

    raw: bytes = b""
    after: str = "keep"
    pieces: int = 1
    pause: float = 0.0


@dataclass
class ScriptedServer:
    url: str
    steps: list[Step] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)

    def answer(
        self,
        body: Any,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        **step: Any,
    ) -> None:
        """Script a well-formed answer; `body` is JSON unless it is bytes."""
        raw_body = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", f"Content-Type: {content_type}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if "Content-Length" not in (headers or {}):
            lines.append(f"Content-Length: {len(raw_body)}")
        head = "\r\n".join([*lines, "", ""]).encode()
        self.steps.append(Step(raw=head + raw_body, **step))

    def act(self, raw: bytes = b"", **step: Any) -> None:
        """Script bytes that need be no HTTP at all."""
        self.steps.append(Step(raw=raw, **step))


@contextmanager
def serve_script() -> Iterator[ScriptedServer]:
    script = ScriptedServer(url="")
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            split = urlsplit(self.path)
            script.connections.add(self.client_address[1])
            script.received.append(
                Received(
                    method=self.command,
                    path=split.path,
                    query={k: v[0] for k, v in parse_qs(split.query).items()},
                    headers={k.lower(): v for k, v in self.headers.items()},
                    body=self.rfile.read(length),
                )
            )
            step = script.steps.pop(0)
            size = max(1, -(-len(step.raw) // step.pieces))
            for start in range(0, len(step.raw), size):
                if start:
                    time.sleep(step.pause)
                self.wfile.write(step.raw[start : start + size])
                self.wfile.flush()
            if step.after == "hang":
                is_over.wait(10)
            if step.after == "reset":
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.connection.close()
            self.close_connection = step.after != "keep"

        do_GET = do_POST = do_DELETE = _answer

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except (OSError, ValueError):  # the client hung up, or we did
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        is_over.set()
        server.shutdown()
        server.server_close()
        thread.join()
