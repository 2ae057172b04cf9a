import json
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import requests
from django.conf import settings

from autores.embedded.ports import reserve_port
from autores.embedded.processes import Child

TOKEN = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA"


def test_worker_that_was_killed_has_a_successor(
    tmp_path: Path, child_environ: dict[str, str]
) -> None:
    port = reserve_port(purpose="web").release()
    child = Child(
        "web",
        [sys.executable, "-m", "autores.web", "--port", str(port), "--workers", "1"],
        log_path=tmp_path / "web.log",
        environ=child_environ,
        folder=Path(settings.BASE_DIR),
    )

    def is_up() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    try:
        child.wait_until_ready(is_up, seconds=60)
        (worker,) = psutil.Process(child.pid).children()
        worker.kill()
        worker.wait(10)
        child.wait_until_ready(is_up, seconds=60)
    finally:
        child.stop()
    assert not worker.is_running()


def test_each_request_is_logged_without_its_query(
    tmp_path: Path, child_environ: dict[str, str]
) -> None:
    port = reserve_port(purpose="web").release()
    child = Child(
        "web",
        [
            *(sys.executable, "-m", "autores.web"),
            *("--port", str(port), "--workers", "1"),
        ],
        log_path=tmp_path / "web.log",
        environ={**child_environ, "LOG_FORMAT": "json"},
        folder=Path(settings.BASE_DIR),
    )
    address = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        try:
            return requests.get(f"{address}/healthz", timeout=2).ok
        except requests.RequestException:
            return False

    try:
        child.wait_until_ready(is_up, seconds=60)
        taken = subprocess.run(
            [sys.executable, "-m", "autores.web", "--port", str(port)],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
        )
        assert taken.returncode == 1
        assert taken.stderr.startswith(f"Cannot listen at 127.0.0.1:{port}: ")
        assert "Traceback" not in taken.stderr
        for odd in (["--port", "70000"], ["--host", "no.such.host.invalid"], ["--workers", "x"]):
            refused = subprocess.run(
                [sys.executable, "-m", "autores.web", *odd],
                cwd=settings.BASE_DIR,
                capture_output=True,
                text=True,
            )
            assert refused.returncode == 2
            assert odd[1] in refused.stderr.splitlines()[-1]
        requests.get(f"{address}/api/v1/%0aforged", timeout=10)
        for prefix in ("%20", "%3D", "%22", "%7B"):
            requests.get(f"{address}/x{prefix}atr_{TOKEN}", timeout=10)
        chunked = requests.post(f"{address}/api/v1/auth/token", data=iter([b"{}"]), timeout=10)
        assert (chunked.status_code, chunked.json()["code"]) == (411, "length_required")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as cut:
            head = "POST /api/v1/auth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\n"
            cut.sendall(f"{head}Content-Type: application/json\r\n\r\n{{".encode())
            cut.shutdown(socket.SHUT_WR)
            cut.recv(4096)
        requests.get(
            f"{address}/api/v1/auth/twitter/callback?code={TOKEN}&state={TOKEN}",
            headers={"X-Request-ID": "trace-4"},
            timeout=10,
        )
    finally:
        child.stop()

    log = (tmp_path / "web.log").read_text()
    assert TOKEN not in log
    entries = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    access = [entry for entry in entries if entry["logger"] == "autores.access"]
    forged, *hidden, callback = [entry for entry in access if "auth/token" not in entry["message"]]
    assert len(hidden) == 4
    assert "GET /api/v1/%0Aforged 404" in forged["message"]
    assert "127.0.0.1 GET /api/v1/auth/twitter/callback 4" in callback["message"]
    assert callback["request_id"] == "trace-4"
    assert any("Listening at" in entry["message"] for entry in entries)
    # Nothing in another form, such as a server's own lines.
    assert [line for line in log.splitlines() if line and not line.startswith("{")] == []
