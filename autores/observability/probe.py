"""Container health checks: ``python -m autores.observability.probe web [PORT]``, or ``… beat``.

Settings come from the environment and from ``.env``, as everywhere. Exit code 0 when the process of
this container does its work, else 1 with a sentence.
"""

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial

from redis import Redis
from redis.exceptions import RedisError

from autores import env

# RedBeat's name for it. Asking RedBeat would load Celery and Django for every check.
BEAT_LOCK_KEY = "redbeat::lock"
_SECONDS = 4.0


class ProbeError(Exception):
    """The process does not do its work; the message says what was asked and what came back."""

    retryable = True
    retry_after: float | None = None


def probe_web(url: str = "http://127.0.0.1:8000/readyz") -> None:
    """The web process answers, and reaches MongoDB and Redis."""
    # The address is ours.
    request = urllib.request.Request(url, headers={"Host": _choose_host()})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - likewise
            answer.read()
    except urllib.error.HTTPError as error:
        raise ProbeError(f"{url} answered {error.code}: {error.read(300).decode()}") from None
    except OSError as error:
        raise ProbeError(f"{url} does not answer: {error}") from None


def probe_beat() -> None:
    """Beat holds its lock in Redis: it renews it every few seconds, and loses it when it hangs."""
    try:
        with Redis.from_url(
            env.load_own(os.environ)["REDIS_URL"], socket_timeout=_SECONDS
        ) as redis:
            is_held = redis.exists(BEAT_LOCK_KEY)
    except RedisError as error:
        raise ProbeError(f"Redis does not answer: {type(error).__name__}") from None
    if not is_held:
        raise ProbeError(f"Nobody holds beat's lock ({BEAT_LOCK_KEY}).")


def _choose_host() -> str:
    """A name the web process answers to: it refuses every host not in ALLOWED_HOSTS."""
    for host in env.load_own(os.environ)["ALLOWED_HOSTS"]:
        if host != "*":
            return str(host).lstrip(".")
    return "localhost"


def main(arguments: list[str]) -> int:
    match arguments:
        case ["beat"]:
            probe: Callable[[], None] = probe_beat
        case ["web"]:
            probe = probe_web
        case ["web", port] if port.isdecimal():
            probe = partial(probe_web, f"http://127.0.0.1:{port}/readyz")
        case _:
            sys.stderr.write("usage: probe web [PORT] | probe beat\n")
            return 2
    try:
        probe()
    except ProbeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
