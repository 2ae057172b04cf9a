"""The demo's own programs: how each is started, and how one knows that it is up."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from autores.embedded.ports import LOOPBACK
from autores.embedded.processes import Child

CALLBACK_PATH = "/api/v1/auth/twitter/callback"
MENTION_EVERY_SECONDS = 20


@dataclass(frozen=True)
class Part:
    """A Python program; ``arguments`` follow ``python -m``."""

    name: str
    arguments: list[str]
    is_ready: Callable[[Child], bool]


def list_parts(*, web_port: int, sandbox_port: int, folder: Path) -> dict[str, Part]:
    """Return sandbox, web, worker and beat by name, in the order of their start."""
    web_url, sandbox_url = f"http://{LOOPBACK}:{web_port}", f"http://{LOOPBACK}:{sandbox_port}"
    sandbox = Part(
        "sandbox",
        [
            "autores.sandbox",
            *("--port", str(sandbox_port)),
            *("--data", str(folder / "sandbox.sqlite")),
            *("--autopilot", str(MENTION_EVERY_SECONDS)),
            *("--callback", f"{web_url}{CALLBACK_PATH}"),
        ],
        lambda child: _answers(f"{sandbox_url}/_sandbox/health"),
    )
    web = Part(
        "web",
        [
            "autores.web",
            *("--host", LOOPBACK),
            *("--port", str(web_port)),
            *("--workers", "2"),
            *("--graceful-seconds", "5"),
        ],
        lambda child: _answers(f"{web_url}/healthz"),
    )
    worker = Part(
        "worker",
        [
            *("celery", "-A", "autores", "worker"),
            *("--pool", "threads"),
            *("--concurrency", "8"),
            *("--loglevel", "INFO"),
            "--without-gossip",
            "--without-mingle",
        ],
        lambda child: " ready." in child.read_tail(500),
    )
    beat = Part(
        "beat",
        [
            *("celery", "-A", "autores", "beat"),
            *("-S", "redbeat.RedBeatScheduler"),
            *("--loglevel", "INFO"),
            # A pid file left by a crash would refuse the next start.
            "--pidfile=",
        ],
        lambda child: "beat: Starting" in child.read_tail(500),
    )
    return {part.name: part for part in (sandbox, web, worker, beat)}


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business on loopback
        try:
            return session.get(url, timeout=2).ok
        except requests.RequestException:
            return False
