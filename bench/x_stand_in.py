"""X's mentions endpoint for many accounts, made to cost little: ``uvicorn bench.x_stand_in:app``.

Each request of an account's timeline finds ``BENCH_NEW`` posts more than the one before, and shows
those above ``since_id``: what a poll reads again and what is new. It answers after
``BENCH_LATENCY_MS``, as X is far away. This is for load; for behaviour there is the sandbox.
"""

import asyncio
import itertools
import os
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from bench.mention_pages import Mentioned, make_posts, print_page

_NEW = int(os.environ.get("BENCH_NEW", "5"))
_KEPT = int(os.environ.get("BENCH_KEPT", "25"))
_LATENCY = float(os.environ.get("BENCH_LATENCY_MS", "0")) / 1000
_timelines: dict[str, deque[dict[str, Any]]] = {}
_served = itertools.count(1)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http", scope["type"]
    _, version, users, x_id, *rest = scope["path"].split("/")
    if (version, users, rest) != ("2", "users", ["mentions"]):
        await _answer(send, 404, b'{"title":"Not Found","status":404}')
        return
    if _LATENCY:
        await asyncio.sleep(_LATENCY)
    query = parse_qs(scope["query_string"].decode())
    since = int(query.get("since_id", ["0"])[0])
    shown = [post for post in _grow(x_id) if int(post["id"]) > since]
    await _answer(send, 200, print_page(shown[-100:]))


def _grow(x_id: str) -> deque[dict[str, Any]]:
    timeline = _timelines.setdefault(x_id, deque(maxlen=_KEPT))
    now = datetime.now(UTC)
    # Made in the last seconds, one after the other; ids rise with the time.
    begin = now - timedelta(milliseconds=2 * _NEW)
    seed = next(_served)
    timeline.extend(
        make_posts(_NEW, of=Mentioned(x_id), after=begin, step=timedelta(milliseconds=2), seed=seed)
    )
    return timeline


async def _answer(send: Any, status: int, body: bytes) -> None:
    reset = int(datetime.now(UTC).timestamp()) + 900
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-rate-limit-limit", b"300"),
        (b"x-rate-limit-remaining", b"299"),
        (b"x-rate-limit-reset", str(reset).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
