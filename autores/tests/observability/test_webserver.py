import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from django.conf import settings

from autores.embedded.ports import reserve_port
from autores.embedded.processes import Child

TOKEN = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA"


@dataclass(frozen=True)
class Web:
    child: Child
    port: int
    log_path: Path

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.address}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    def stop(self) -> list[dict[str, Any]]:
        """The entries of its log; nothing in it has another form."""
        self.child.stop()
        return [json.loads(line) for line in self.log_path.read_text().splitlines() if line]


@pytest.fixture
def web(tmp_path: Path, child_environ: dict[str, str]) -> Iterator[Web]:
    """The web server, one worker, its log as JSON."""
    port, log_path = reserve_port(purpose="web").release(), tmp_path / "web.log"
    child = Child(
        "web",
        [sys.executable, "-m", "autores.web", "--port", str(port), "--workers", "1"],
        log_path=log_path,
        environ={**child_environ, "LOG_FORMAT": "json"},
        folder=Path(settings.BASE_DIR),
    )
    web = Web(child, port, log_path)
    try:
        child.wait_until_ready(web.is_up, seconds=60)
        yield web
    finally:
        child.stop()


def run_web(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "autores.web", *arguments],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )


def test_worker_that_was_killed_has_a_successor(web: Web) -> None:
    (worker,) = psutil.Process(web.child.pid).children()
    worker.kill()
    worker.wait(10)
    web.child.wait_until_ready(web.is_up, seconds=60)


def test_address_that_is_taken_is_named(web: Web) -> None:
    taken = run_web("--port", str(web.port))
    assert taken.returncode == 1
    assert taken.stderr.startswith(f"Cannot listen at 127.0.0.1:{web.port}: ")
    assert "Traceback" not in taken.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [("--port", "70000"), ("--host", "no.such.host.invalid"), ("--host", ""), ("--workers", "x")],
)
def test_option_that_is_none_is_named(option: str, value: str) -> None:
    refused = run_web(option, value)
    assert refused.returncode == 2
    assert f"argument {option}: {value!r} is no " in refused.stderr


def test_body_without_an_end_is_refused(web: Web) -> None:
    path = f"{web.address}/api/v1/auth/token"
    chunked = requests.post(path, data=iter([b"{}"]), timeout=10)
    assert (chunked.status_code, chunked.json()["code"]) == (411, "length_required")
    with socket.create_connection(("127.0.0.1", web.port), timeout=10) as cut:
        head = "POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n"
        cut.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
        cut.shutdown(socket.SHUT_WR)
        cut.recv(4096)
    assert web.is_up()
    assert not [entry for entry in web.stop() if entry["level"] == "ERROR"]


def test_each_request_is_logged_without_its_query_and_without_a_token(web: Web) -> None:
    requests.get(f"{web.address}/api/v1/%0aforged", timeout=10)
    for prefix in ("%20", "%3D", "%22", "%7B"):
        requests.get(f"{web.address}/x{prefix}atr_{TOKEN}", timeout=10)
    requests.get(
        f"{web.address}/api/v1/auth/twitter/callback?code={TOKEN}&state={TOKEN}",
        headers={"X-Request-ID": "trace-4"},
        timeout=10,
    )
    entries = web.stop()
    assert TOKEN not in web.log_path.read_text()
    access = [entry for entry in entries if entry["logger"] == "autores.access"]
    forged, *hidden, callback = access
    assert len(hidden) == 4
    assert "GET /api/v1/%0Aforged 404" in forged["message"]
    assert "127.0.0.1 GET /api/v1/auth/twitter/callback 4" in callback["message"]
    assert callback["request_id"] == "trace-4"
    assert any("Listening at" in entry["message"] for entry in entries)
