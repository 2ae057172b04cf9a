"""How fast the HTTP API is, against the system it replaces, in one run: `make bench`.

    python -m bench.api [--messages 1000000] [--rounds 3] [--only NAME ...] [--json PATH]

Starts a mongod and a Valkey of its own and fills two databases with the same messages; starts the
peer (FastAPI, Beanie, uvicorn with uvloop and httptools; no authentication, as it was) and ours
(granian, authentication, permissions and throttling on), one worker each; checks that both give
the same rows with the same values; then loads them in turn, round after round, and prints the
median of the rounds' ratios. Everything stays on loopback. Only ratios from one run mean anything.

--data FOLDER keeps the databases' files there and uses them again; without it, they vanish.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from autores.embedded.errors import EmbeddedError
from autores.web import DEFAULT_THREADS
from bench.cases import Case, list_cases
from bench.databases import PEER, Databases, connect_django, run_databases
from bench.equality import UnequalError, check_case, find_etag
from bench.load import Load, Measured, find_wrk, run_load
from bench.report import Outcome, describe_machine, format_table
from bench.seed import (
    Seeded,
    is_usable,
    keep_rows,
    prepare_ours,
    seed_databases,
)
from bench.servers import OUR_PACKAGES, PEER_PACKAGES, Side, list_versions, run_servers

_WARM_UP_SECONDS = 1.0


def main() -> None:
    options = _parse(sys.argv[1:])
    try:
        import beanie  # noqa: F401
        import fastapi  # noqa: F401
    except ImportError as error:
        sys.exit(f"{error}: pip install -r requirements-bench.txt (`make bench` does).")
    try:
        result = run(options)
    except (EmbeddedError, UnequalError) as error:
        sys.exit(f"{error}")
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    if result["errors"]:
        sys.exit(f"{result['errors']} requests failed.")


def run(options: argparse.Namespace) -> dict[str, Any]:
    with provide_folder(options.data) as folder, run_databases(folder) as databases:
        connect_django(databases)
        seeded = provide_data(databases, folder, options)
        token = prepare_ours(accounts=options.accounts)
        with (
            MongoClient[dict[str, Any]](databases.mongodb_url) as client,
            # Outside of the servers: a change under way when the load ends is still made.
            keep_rows(client, seeded, folder),
            run_servers(
                databases, folder, token=token, server=options.server, threads=options.threads
            ) as (peer, ours),
        ):
            cases = list_cases(seeded, deep_page_follows=_find_deep_start(client, seeded))
            if options.only:
                cases = [case for case in cases if any(one in case.name for one in options.only)]
            outcomes = [_time_case(case, peer, ours, options) for case in cases]
            memory = {side.name: round(side.measure_memory()) for side in (peer, ours)}
            starts = {side.name: round(side.start_seconds, 2) for side in (peer, ours)}
            mongod = client.server_info()["version"]
    print(f"\n{format_table(outcomes)}")
    print(f"start in s: {starts}; MiB of the worker after the load: {memory}")
    return {
        "machine": describe_machine(),
        "messages": options.messages,
        "accounts": options.accounts,
        "our_server": f"{options.server}, {options.threads} threads",
        "connections": options.connections,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "generator": "wrk" if find_wrk() else "threads",
        "versions": {
            "peer": list_versions(PEER_PACKAGES),
            "ours": list_versions(OUR_PACKAGES),
            "pymongo": list_versions(("pymongo",))["pymongo"],
            "mongod": mongod,
        },
        "start_seconds": starts,
        "worker_mib": memory,
        "cases": [one.to_json() for one in outcomes],
        "errors": sum(one.errors for one in outcomes),
    }


def provide_data(databases: Databases, folder: Path, options: argparse.Namespace) -> Seeded:
    found = Seeded.load(folder)
    if found is not None and is_usable(found, messages=options.messages, accounts=options.accounts):
        return found
    print(f"Filling the databases with {options.messages:,} messages each.", flush=True)
    return seed_databases(databases, folder, messages=options.messages, accounts=options.accounts)


def _find_deep_start(client: MongoClient[dict[str, Any]], seeded: Seeded) -> Any:
    skip = min(50_000, seeded.messages // 2)
    newest_first = client[PEER]["messages"].find({}, {"timestamp": 1}).sort("timestamp", -1)
    return next(newest_first.skip(skip - 1).limit(1))["timestamp"]


def _time_case(case: Case, peer: Side, ours: Side, options: argparse.Namespace) -> Outcome:
    outcome = Outcome(case)
    headers = {**ours.headers, **({"Content-Type": "application/json"} if case.bodies else {})}
    if case.is_conditional:
        etag = find_etag(case, ours)
        if etag is None:
            outcome.skipped = "no ETag that If-None-Match could name"
            return outcome
        headers["If-None-Match"] = etag
    else:
        outcome.equal_rows = check_case(case, peer, ours)
    peer_headers = {"Content-Type": "application/json"} if case.bodies else {}
    loads = [
        (outcome.peer, peer, Load(peer.url, case.method, case.paths, case.bodies, peer_headers)),
        (outcome.ours, ours, Load(ours.url, case.method, case.paths, case.bodies, headers)),
    ]
    if case.adopted_paths:
        loads.append((outcome.adopted, peer, Load(peer.url, "GET", case.adopted_paths, (), {})))
    for _, side, load in loads:
        _measure(load, side, options, seconds=_WARM_UP_SECONDS)
    for number in range(options.rounds):
        # The order turns round, so that none always follows the other.
        for rounds, side, load in loads if number % 2 == 0 else reversed(loads):
            seconds = options.seconds * case.patience
            rounds.append(_measure(load, side, options, seconds=seconds))
    print(
        f"{case.name}: {outcome.ratio:.2f} of the peer, {outcome.equal_rows} rows equal", flush=True
    )
    return outcome


def _measure(load: Load, side: Side, options: argparse.Namespace, *, seconds: float) -> Measured:
    used = side.read_cpu()
    measured = run_load(load, seconds=seconds, connections=options.connections)
    used = side.read_cpu() - used
    return replace(measured, cpu_each=used / max(measured.requests, 1) * 1000)


@contextlib.contextmanager
def provide_folder(kept: str | None) -> Iterator[Path]:
    if kept:
        path = Path(kept).resolve()
        path.mkdir(parents=True, exist_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=f"autores-bench-{os.getpid()}-") as name:
        yield Path(name)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=_count, default=1_000_000)
    parser.add_argument("--accounts", type=_count, default=3, help="X accounts they belong to")
    parser.add_argument("--server", choices=("gunicorn", "granian"), default="granian")
    parser.add_argument("--threads", type=_count, default=DEFAULT_THREADS, help="of our worker")
    parser.add_argument("--rounds", type=_count, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of load per side and round")
    parser.add_argument("--connections", type=_count, default=16)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="cases whose name holds one of these"
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="keep the databases here, and use them again"
    )
    parser.add_argument("--json", metavar="PATH")
    return parser.parse_args(arguments)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    main()
