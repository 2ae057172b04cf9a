"""Proof before the timing: both sides give the same rows with the same values."""

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import requests

from bench.cases import Case
from bench.servers import Side

LEGACY_FIELDS = (
    *("id", "timestamp", "user", "text", "status", "public_response", "dm_response"),
    *("credits_used", "redirected", "created_at", "updated_at"),
)
_TIMES = ("timestamp", "created_at", "updated_at")
_MOST_PATHS = 25


class UnequalError(Exception):
    """The two sides answered differently: timing them would compare nothing."""


def check_case(case: Case, peer: Side, ours: Side) -> int:
    """Compare a case's answers, at most 25 of its requests; returns how many rows were equal.

    A change is compared by the rows both answer with, but for the time it was made at.
    Raises UnequalError.
    """
    compared = 0
    with requests.Session() as session:
        session.trust_env = False
        bodies = itertools.cycle(case.bodies or ("",))
        for path, body in zip(case.paths[:_MOST_PATHS], bodies, strict=False):
            of_ours = _ask(session, ours, case.method, path, body)
            of_peer = _ask(session, peer, case.method, path, body)
            compared += compare_answers(case, path, of_peer, of_ours)
        for path, adopted in zip(case.paths, case.adopted_paths, strict=False):
            of_ours = _ask(session, ours, case.method, path, "")
            compared += compare_answers(
                case, adopted, _ask(session, peer, "GET", adopted, ""), of_ours
            )
    return compared


def find_etag(case: Case, side: Side) -> str | None:
    """The ETag of the case's first path; None if it has none, or if it is not honoured."""
    with requests.Session() as session:
        session.trust_env = False
        first = session.get(f"{side.url}{case.paths[0]}", headers=side.headers, timeout=30)
        etag = first.headers.get("ETag")
        if not etag:
            return None
        headers = {**side.headers, "If-None-Match": etag}
        again = session.get(f"{side.url}{case.paths[0]}", headers=headers, timeout=30)
        return etag if again.status_code == 304 and not again.content else None


def _ask(session: requests.Session, side: Side, method: str, path: str, body: str) -> Any:
    headers = {**side.headers, **({"Content-Type": "application/json"} if body else {})}
    answer = session.request(
        method, f"{side.url}{path}", data=body.encode() or None, headers=headers, timeout=60
    )
    if answer.status_code != 200:
        raise UnequalError(
            f"{side.name} answered {method} {path} with {answer.status_code}: {answer.text[:500]}\n"
            f"{side.child.read_tail()}"
        )
    return answer.json()


def compare_answers(case: Case, path: str, of_peer: Any, of_ours: Any) -> int:
    """How many rows are equal; raises UnequalError if one is not."""
    if isinstance(of_peer, list):
        _compare_pages(path, of_peer, of_ours)
        return len(of_peer)
    if "id" in of_peer:
        ignored = {"updated_at"} if case.method == "PATCH" else set()
        _compare_rows(path, of_peer, of_ours, ignored=ignored)
        return 1
    if of_peer != of_ours:
        raise UnequalError(f"{path}: the peer says {of_peer}, ours {of_ours}.")
    return 1


def _compare_pages(path: str, of_peer: list[Any], of_ours: list[Any]) -> None:
    times = [[_value(row, "timestamp") for row in rows] for rows in (of_peer, of_ours)]
    if not of_peer or times[0] != times[1]:
        raise UnequalError(
            f"{path}: {len(of_peer)} rows of the peer and {len(of_ours)} of ours, or another order."
        )
    # The peer orders by time alone: of rows of one moment it may show others at a page's ends.
    ends = {times[0][0], times[0][-1]}
    mine = {row["id"]: row for row in of_ours}
    for row in of_peer:
        if row["id"] in mine:
            _compare_rows(path, row, mine[row["id"]])
        elif _value(row, "timestamp") not in ends:
            raise UnequalError(f"{path}: only the peer has {row['id']}.")


def _compare_rows(
    path: str, of_peer: Any, of_ours: Any, *, ignored: set[str] = frozenset()
) -> None:
    for name in LEGACY_FIELDS:
        if name not in ignored and _value(of_peer, name) != _value(of_ours, name):
            raise UnequalError(
                f"{path}, {of_peer['id']}: {name} is {json.dumps(of_peer[name])} on the peer and "
                f"{json.dumps(of_ours[name])} on ours."
            )


def _value(row: Any, name: str) -> Any:
    value = row[name]
    if name in _TIMES and value is not None:
        moment = datetime.fromisoformat(value)
        # The legacy system's times are UTC and do not say so.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return value
