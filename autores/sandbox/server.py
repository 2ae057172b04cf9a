"""The HTTP server: threads, HTTP/1.1 with keep-alive, and connections that can be cut on purpose.

In a test: `running = start_in_thread(port=0)`, then `running.url`, `running.control`,
`running.stop()`.
"""

from __future__ import annotations

import errno
import io
import socket
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from wsgiref.types import WSGIApplication

from flask import Flask
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app

from autores.sandbox.autopilot import Autopilot
from autores.sandbox.control import SandboxControl
from autores.sandbox.control_routes import make_control_blueprint
from autores.sandbox.oauth_routes import make_oauth_blueprint
from autores.sandbox.responses_api import make_openai_blueprint
from autores.sandbox.timeline import make_timeline_blueprint
from autores.sandbox.world import Options, World
from autores.sandbox.x_routes import make_x_blueprint


class PortTakenError(RuntimeError):
    """Another program listens on the port; the text names it and the way out."""


def make_app(world: World) -> Flask:
    app = Flask("autores.sandbox", template_folder=str(Path(__file__).parent / "templates"))
    # An exception of ours is a bug to see, and a cut connection has to reach the server.
    app.config["PROPAGATE_EXCEPTIONS"] = True
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
    for make in (
        make_x_blueprint,
        make_oauth_blueprint,
        make_openai_blueprint,
        make_control_blueprint,
        make_timeline_blueprint,
    ):
        app.register_blueprint(make(world))
    return app


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        # Werkzeug closes after each answer because it does not drain the request; reading the
        # whole body first is what makes keep-alive safe.
        if self.headers.get("Expect", "").strip().lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.environ = environ = self.make_environ()
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
        else:
            body = self.rfile.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        try:
            pieces, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
            payload = b"".join(pieces)
        except ConnectionError:
            self.close_connection = True
            return
        except Exception:
            self.server.log("error", "Error on request:\n%s", traceback.format_exc())
            status, payload = "500 Internal Server Error", b'{"error":"bug in the sandbox"}'
            headers = None
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers or [("Content-Type", "application/json")]:
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Calls are recorded in the database; the terminal stays quiet."""


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, app: WSGIApplication, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self.connections: set[socket.socket] = set()
        super().__init__(host, port, app, _Handler, fd=listener.fileno())

    def close_connections(self) -> None:
        for connection in list(self.connections):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


@dataclass
class RunningSandbox:
    """A sandbox serving from a thread of this process."""

    url: str
    control: SandboxControl
    world: World
    _server: _Server
    _listener: socket.socket
    _thread: threading.Thread
    _autopilot: Autopilot

    def stop(self) -> None:
        """Stop serving, end every held connection, close the database."""
        self.world.stopping.set()
        self._server.shutdown()
        self._thread.join(timeout=10)
        self._server.close_connections()
        self._server.server_close()
        self._listener.close()
        self._autopilot.join()
        self.control.close()
        self.world.close()

    def __enter__(self) -> RunningSandbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start_in_thread(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data: str = ":memory:",
    options: Options | None = None,
    **option_values: Any,
) -> RunningSandbox:
    """Serve from a daemon thread; `port` 0 takes a free one.

    `option_values` are fields of Options (client_id, callbacks, settings …). Raises PortTakenError.
    """
    listener = _listen(host, port)
    world = World(data, options or Options(**option_values))
    server = _Server(make_app(world), listener)
    shown_host = f"[{host}]" if ":" in host else host
    url = f"http://{shown_host}:{listener.getsockname()[1]}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
    )
    thread.start()
    autopilot = Autopilot(world)
    autopilot.start()
    return RunningSandbox(url, SandboxControl(url), world, server, listener, thread, autopilot)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(256)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTakenError(
                f"port {port} on {host} is taken by another program: stop it or give another --port"
            ) from error
        raise
    return listener
