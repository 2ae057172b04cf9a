"""What a poll costs as the stored messages grow, and how many accounts one worker polls.

    python -m bench.polling [--sizes 10000 100000 1000000] [--accounts 2000] [--json PATH]

Starts a mongod, a Valkey and a stand-in for X's mentions endpoint. Growth: at each size the real
poll (token, request over HTTP, parsing, storing, cursor) runs many times, of accounts to which the
stored messages belong; what counts is that its cost and its number of commands stay as they are.
Worker: many accounts are due at once, and Celery's worker, as the README runs it, polls them;
X takes ``--latency`` milliseconds to answer.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import requests
from pymongo import monitoring

from autores.embedded.errors import EmbeddedError
from autores.embedded.ports import LOOPBACK, reserve_port
from autores.embedded.processes import Child, Group
from bench.databases import Databases, connect_django, run_databases
from bench.report import describe_machine
from bench.seed import widen
from bench.servers import ROOT

_OWNERS = 10
_WARM_UP_POLLS = 20
_BATCH = 5000


def run(options: argparse.Namespace) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="autores-bench-") as name,
        run_databases(Path(name)) as databases,
    ):
        folder, group = Path(name), Group()
        x_url = _x_url(port := reserve_port(purpose="the stand-in of X").port)
        environment = {
            # Production talks to X over https alone.
            "ENVIRONMENT": "test",
            "X_API_BASE_URL": x_url,
            "MONGODB_MIN_POOL_SIZE": "1",
            "TWITTER_MENTIONS_RATE_LIMIT": "1000000",
        }
        monitoring.register(counter := Counter())
        connect_django(databases, **environment)
        result: dict[str, Any] = {"machine": describe_machine()}
        try:
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            stand_in = _start_stand_in(group, folder, port=port, latency=0, new=options.new)
            result["growth"] = [
                _measure_size(databases, counter, size, options) for size in options.sizes
            ]
            print(_format_growth(result["growth"]), flush=True)
            stand_in.stop()
            group.children.remove(stand_in)
            if options.accounts:
                _start_stand_in(group, folder, port=port, latency=options.latency, new=options.new)
                result["worker"] = _measure_worker(databases, group, folder, environment, options)
                print(_format_worker(result["worker"]), flush=True)
        finally:
            group.stop()
    return result


# -- the cost of a poll as the data grows -------------------------------------------------------


class Counter(monitoring.CommandListener):
    """Commands of this process to MongoDB; to be registered before a client is made."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


def _measure_size(
    databases: Databases, counter: Counter, size: int, options: argparse.Namespace
) -> dict[str, Any]:
    from mentions.ingest.poll import poll_account

    print(f"Filling up to {size:,} messages.", flush=True)
    owners = _provide_accounts(_OWNERS, first=0)
    stored = _fill_up_to(size, [account.pk for account in owners])
    mongod = psutil.Process(databases.mongod_pid)
    walls: list[float] = []
    new = 0
    for number in range(_WARM_UP_POLLS + options.polls):
        if number == _WARM_UP_POLLS:
            commands, used = counter.count, time.process_time()
            of_mongod = sum(mongod.cpu_times()[:2])
        account = owners[number % len(owners)]
        began = time.perf_counter()
        result = poll_account(account, now=datetime.now(UTC))
        if number >= _WARM_UP_POLLS:
            walls.append((time.perf_counter() - began) * 1000)
            new += result.new
    return {
        "messages": stored,
        "polls": options.polls,
        "new_each": new / options.polls,
        "ms_median": round(statistics.median(walls), 2),
        "ms_p90": round(statistics.quantiles(walls, n=10)[-1], 2),
        "python_cpu_ms": round((time.process_time() - used) / options.polls * 1000, 2),
        "mongod_cpu_ms": round((sum(mongod.cpu_times()[:2]) - of_mongod) / options.polls * 1000, 2),
        "mongodb_commands": (counter.count - commands) / options.polls,
    }


def _fill_up_to(size: int, account_ids: list[str]) -> int:
    """Fill the collection with messages of these accounts; large steps without the indexes, which
    are built afterwards, as an import does.
    """
    from django.db import connection
    from pymongo import WriteConcern

    from autores.mongo.restore import restore_indexes
    from mentions.models import Message

    messages = connection.database.get_collection(
        Message._meta.db_table, write_concern=WriteConcern(1)
    )
    have = messages.estimated_document_count()
    if size - have > 50_000:
        messages.drop_indexes()
    held: list[dict[str, Any]] = []
    for row in _make_rows(have, size):
        held.append(widen(row, account_id=account_ids[len(held) % len(account_ids)]))
        if len(held) == _BATCH:
            messages.insert_many(held, ordered=False)
            held.clear()
    if held:
        messages.insert_many(held, ordered=False)
    restore_indexes(Message)
    return int(messages.estimated_document_count())


def _make_rows(first: int, end: int) -> Iterator[dict[str, Any]]:
    from bench.legacy_data import make_messages
    from bench.seed import LEGACY_FIELDS

    # Another seed in each step: ids differ, and nothing has to be made twice.
    for row in make_messages(max(0, end - first), seed=first + 1):
        yield dict(zip(LEGACY_FIELDS, row, strict=True))


# -- how many accounts one worker polls ---------------------------------------------------------


def _measure_worker(
    databases: Databases,
    group: Group,
    folder: Path,
    environment: dict[str, str],
    options: argparse.Namespace,
) -> dict[str, Any]:
    from django.conf import settings

    from accounts.models import TwitterAccount
    from mentions.models import Message
    from mentions.tasks import poll_account

    accounts = _provide_accounts(options.accounts, first=_OWNERS)
    workers = [
        _start_worker(databases, group, folder, environment, number, options.threads)
        for number in range(options.workers)
    ]
    ids = [account.pk for account in accounts]
    before = Message.objects.filter(account_id__in=ids).count()
    began_at = datetime.now(UTC)
    began = time.monotonic()
    processes = [psutil.Process(worker.pid) for worker in workers]
    used = sum(sum(process.cpu_times()[:2]) for process in processes)
    for id_ in ids:
        poll_account.apply_async((id_,))
    done = 0
    while done < len(ids) and time.monotonic() - began < options.longest:
        time.sleep(0.5)
        done = TwitterAccount.objects.filter(last_polled_at__gte=began_at, pk__in=ids).count()
    seconds = time.monotonic() - began
    rate = done / seconds
    interval = settings.TWITTER_POLLING_INTERVAL * 60
    new = Message.objects.filter(account_id__in=ids).count() - before
    used = sum(sum(process.cpu_times()[:2]) for process in processes) - used
    return {
        "accounts": len(ids),
        "polled": done,
        "seconds": round(seconds, 1),
        "workers": options.workers,
        "threads": options.threads,
        "latency_ms": options.latency,
        "polls_per_second": round(rate, 1),
        "mentions_stored": new,
        "worker_cpu_ms_a_poll": round(used / max(done, 1) * 1000, 1),
        "worker_mib": [round(process.memory_info().rss / 2**20) for process in processes],
        "interval_seconds": interval,
        "accounts_in_an_interval": round(rate * interval),
    }


def _start_worker(
    databases: Databases,
    group: Group,
    folder: Path,
    environment: dict[str, str],
    number: int,
    threads: int,
) -> Child:
    worker = Child(
        f"worker{number}",
        [
            *(sys.executable, "-m", "celery", "-A", "autores", "worker"),
            *("--pool", "threads", "--concurrency", str(threads)),
            *("--hostname", f"bench{number}@localhost", "--queues", "ingest"),
            *("--without-gossip", "--without-mingle", "--loglevel", "INFO"),
        ],
        log_path=folder / "logs" / f"worker{number}.log",
        environ=databases.list_environment(**environment),
        folder=ROOT,
    )
    group.add(worker)
    worker.wait_until_ready(lambda: " ready." in worker.read_tail(500), seconds=60)
    return worker


# -- shared -------------------------------------------------------------------------------------


def _provide_accounts(count: int, *, first: int) -> list[Any]:
    """Connected accounts whose first poll was yesterday."""
    from accounts.models import TwitterAccount
    from accounts.stored_tokens import token_cipher
    from autores.x.ids import first_post_id_at
    from mentions.models import Cursor

    now, cipher = datetime.now(UTC), token_cipher()
    token, refresh = cipher.encrypt("bench-access"), cipher.encrypt("bench-refresh")
    ids = [f"11111111-0000-4000-8000-{first + number:012d}" for number in range(count)]
    have = {account.pk: account for account in TwitterAccount.objects.filter(pk__in=ids)}
    made = [
        TwitterAccount(
            id=id_,
            twitter_id=str(2 * 10**17 + first + number),
            twitter_username="team",
            access_token=token,
            refresh_token=refresh,
            token_expires_at=now + timedelta(days=30),
            # Its polls are asked for here, and not by their time.
            poll_due_at=now + timedelta(days=1),
        )
        for number, id_ in enumerate(ids)
        if id_ not in have
    ]
    TwitterAccount.objects.bulk_create(made, batch_size=1000)
    yesterday = now - timedelta(days=1)
    post_id = first_post_id_at(now - timedelta(minutes=5))
    Cursor.objects.bulk_create(
        [
            Cursor(
                id=account.pk,
                account_id=account.pk,
                newest_post_id=post_id,
                baseline_at=yesterday,
                searched_until=now,
                search_due_at=now + timedelta(days=1),
                complete_until=now - timedelta(minutes=5),
            )
            for account in made
        ],
        batch_size=1000,
    )
    return [have.get(id_) or next(one for one in made if one.pk == id_) for id_ in ids]


def _x_url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def _start_stand_in(group: Group, folder: Path, *, port: int, latency: int, new: int) -> Child:
    child = Child(
        "x",
        [
            *(sys.executable, "-m", "uvicorn", "bench.x_stand_in:app"),
            *("--host", LOOPBACK, "--port", str(port), "--loop", "uvloop"),
            *("--lifespan", "off", "--log-level", "warning", "--no-access-log"),
        ],
        log_path=folder / "logs" / "x.log",
        environ={**os.environ, "BENCH_LATENCY_MS": str(latency), "BENCH_NEW": str(new)},
        folder=ROOT,
    )
    group.add(child)
    child.wait_until_ready(lambda: _answers(f"{_x_url(port)}/2/users/1/mentions"))
    return child


def _answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).ok
        except requests.RequestException:
            return False


def _format_growth(growth: list[dict[str, Any]]) -> str:
    head = (
        f"{'messages':>10} {'ms a poll':>10} {'p90':>7} {'Python ms':>10} {'mongod ms':>10} "
        f"{'commands':>9} {'new':>5}"
    )
    lines = [head, "-" * len(head)]
    lines += [
        f"{one['messages']:>10,} {one['ms_median']:>10} {one['ms_p90']:>7} "
        f"{one['python_cpu_ms']:>10} {one['mongod_cpu_ms']:>10} {one['mongodb_commands']:>9} "
        f"{one['new_each']:>5}"
        for one in growth
    ]
    return "\n".join(lines)


def _format_worker(worker: dict[str, Any]) -> str:
    return (
        f"{worker['workers']} worker(s) of {worker['threads']} threads, X answers after "
        f"{worker['latency_ms']} ms: "
        f"{worker['polled']:,} of {worker['accounts']:,} accounts polled in {worker['seconds']} s, "
        f"{worker['polls_per_second']} a second ({worker['worker_cpu_ms_a_poll']} ms of CPU each, "
        f"{worker['mentions_stored']:,} mentions stored, {worker['worker_mib']} MiB)\n"
        f"in an interval of {worker['interval_seconds']:g} s: "
        f"{worker['accounts_in_an_interval']:,} accounts"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--polls", type=int, default=200, help="at each size")
    parser.add_argument("--new", type=int, default=5, help="new mentions a poll finds")
    parser.add_argument("--accounts", type=int, default=2_000, help="0 leaves the worker out")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=16, help="of each worker")
    parser.add_argument("--latency", type=int, default=150, help="of X, in ms")
    parser.add_argument("--longest", type=float, default=240, help="seconds for the worker")
    parser.add_argument("--json", metavar="PATH")
    options = parser.parse_args()
    try:
        result = run(options)
    except EmbeddedError as error:
        sys.exit(str(error))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
