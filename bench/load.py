"""Load from one machine: wrk if it is there, else threads of our own, which are slower than wrk."""

import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """What a side is asked: each request one of ``paths``, with one of ``bodies`` if any."""

    url: str
    method: str
    paths: tuple[str, ...]
    bodies: tuple[str, ...]
    headers: dict[str, str]


@dataclass(frozen=True)
class Measured:
    """Answers a second, latencies in ms; ``errors``: status 400 or above, broken connections.

    A side that answered nothing at all counts as one answer in that time: more than it did.
    """

    rate: float
    p50: float
    p99: float
    errors: int
    requests: int
    bytes_each: float
    # Of the side's processes, for each answer, in ms: steadier than a rate on a busy machine.
    cpu_each: float = 0.0


def find_wrk() -> str | None:
    return shutil.which("wrk")


def run_load(load: Load, *, seconds: float, connections: int) -> Measured:
    if find_wrk():
        return _run_wrk(load, seconds=seconds, connections=connections)
    return _run_threads(load, seconds=seconds, connections=connections)


_LUA = """
local paths = {%(paths)s}
local bodies = {%(bodies)s}
local headers = {%(headers)s}
request = function()
  local body = nil
  if #bodies > 0 then body = bodies[math.random(#bodies)] end
  return wrk.format(%(method)s, paths[math.random(#paths)], headers, body)
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\\n{"microseconds": %%d, "requests": %%d, "bytes": %%d, ' ..
    '"p50": %%f, "p99": %%f, "errors": %%d}\\n',
    summary.duration, summary.requests, summary.bytes,
    latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def _run_wrk(load: Load, *, seconds: float, connections: int) -> Measured:
    script = _LUA % {
        "paths": ", ".join(map(_quote, load.paths)),
        "bodies": ", ".join(map(_quote, load.bodies)),
        "headers": ", ".join(f"[{_quote(k)}] = {_quote(v)}" for k, v in load.headers.items()),
        "method": _quote(load.method),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "case.lua"
        path.write_text(script)
        path.chmod(0o600)
        done = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{max(1, round(seconds))}s", "--timeout", "60s"),
                *("--script", str(path), load.url),
            ],
            capture_output=True,
            text=True,
            timeout=seconds + 30,
            check=True,
        )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    answers = max(found["requests"], 1)
    return Measured(
        rate=answers / (found["microseconds"] / 1e6),
        p50=found["p50"] / 1000,
        p99=found["p99"] / 1000,
        errors=found["errors"],
        requests=found["requests"],
        bytes_each=found["bytes"] / answers,
    )


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _run_threads(load: Load, *, seconds: float, connections: int) -> Measured:
    ends_at = time.monotonic() + seconds
    took: list[float] = []
    sizes: list[int] = []
    errors = [0] * connections
    threads = [
        threading.Thread(target=_ask, args=(load, ends_at, took, sizes, errors, number))
        for number in range(connections)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.monotonic() - began
    took.sort()
    return Measured(
        rate=max(len(took), 1) / wall,
        p50=_percentile(took, 0.50) * 1000,
        p99=_percentile(took, 0.99) * 1000,
        errors=sum(errors),
        requests=len(took),
        bytes_each=sum(sizes) / max(len(sizes), 1),
    )


def _ask(
    load: Load,
    ends_at: float,
    took: list[float],
    sizes: list[int],
    errors: list[int],
    number: int,
) -> None:
    parts = urlsplit(load.url)
    chance = random.Random(number)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    while (began := time.monotonic()) < ends_at:
        body = chance.choice(load.bodies).encode() if load.bodies else None
        try:
            connection.request(load.method, chance.choice(load.paths), body, load.headers)
            answer = connection.getresponse()
            sizes.append(len(answer.read()))
        except (OSError, HTTPException):
            connection.close()
            errors[number] += 1
            continue
        took.append(time.monotonic() - began)
        errors[number] += answer.status >= 400
    connection.close()


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
