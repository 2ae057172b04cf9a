import json
import sys
from pathlib import Path

import requests
from django.conf import settings

from autores.embedded.ports import reserve_port
from autores.embedded.processes import Child

TOKEN = "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MA"


def test_access_log_is_json_without_the_query_when_gunicorn_serves(
    tmp_path: Path, child_environ: dict[str, str]
) -> None:
    port = reserve_port(purpose="web").release()
    child = Child(
        "web",
        [
            *(sys.executable, "-m", "gunicorn", "autores.wsgi:application"),
            *("--bind", f"127.0.0.1:{port}", "--access-logfile", "-", "--no-control-socket"),
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
    access = [entry["message"] for entry in entries if entry["logger"] == "gunicorn.access"]
    (callback,) = [line for line in access if "/api/v1/auth/twitter/callback" in line]
    assert "GET /api/v1/auth/twitter/callback 4" in callback
    assert callback.endswith("[trace-4]")
    assert any("Listening at" in entry["message"] for entry in entries)
