"""How fast mentions are stored, against the bare database, in one run.

    python -m bench.ingest [--mentions 4000] [--rounds 5] [--threads 4] [--processes 2]
        [--json PATH]

Starts a mongod and a Valkey of its own. Ours is the real ingest code: X's JSON is parsed, each
mention classified, and the page stored (one read, one write), acknowledged by a majority, with all
indexes. Bare is what the database needs for the same documents: for new ones insert_many, for known
ones a find of their ids; nothing is parsed. Both take turns, a few pages at a time.

Beside the rates, which a busy machine spoils for whoever computes more, the CPU time of Python and
of mongod is printed for each mention: it says what a quiet machine would give.

A worker stores pages of several accounts at once, on threads, and a machine runs a worker for each
core: both are measured, too, for both. X gives at most 100 mentions a page; batches of 1,000 show
what the code would do with more.
"""

import argparse
import contextlib
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from autores.embedded.errors import EmbeddedError
from autores.mongo import documents
from bench.databases import Databases, connect_django, run_databases
from bench.mention_pages import Mentioned, make_posts, print_page
from bench.report import describe_machine
from bench.storing import BARE, StoringError, StoringProcess

_FIRST_POST = datetime(2026, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=7)
_KNOWN_SHARES = (0, 50, 100)
_FEWEST_A_TURN, _EACH_A_TURN = 8, 4
# Mentions a second of one machine, in X's pages, by the percentage of known ones.
_PAGE = 100
_TARGETS = {0: 12_000, 100: 55_000}
# Of insert_many, which is bare for new ones alone.
_TARGET_OF_BARE = 0.8
Posts = list[dict[str, Any]]


class Spent(NamedTuple):
    wall: float = 0.0
    python: float = 0.0
    mongod: float = 0.0

    def plus(self, other: "Spent") -> "Spent":
        return Spent(*map(sum, zip(self, other, strict=True)))


class Ingest:
    """Makes mentions, and tells the time; ``processes`` store them, each on ``threads``.

    Django must be set up.
    """

    def __init__(self, databases: Databases) -> None:
        from django.core.management import call_command
        from django.db import connection

        from accounts.models import TwitterAccount
        from autores.mongo.restore import list_indexes
        from mentions.models import Message

        call_command("migrate", verbosity=0)
        self._databases = databases
        self.account = TwitterAccount.objects.create(
            twitter_id=str(10**17), twitter_username="team"
        )
        self.stored = connection.get_collection(Message._meta.db_table)
        self.bare = {name: connection.database.get_collection(name) for name in BARE}
        self.bare["bare"].create_indexes(list_indexes(Message))
        self.processes: list[StoringProcess] = []
        self.threads = 1
        self._moment = _FIRST_POST
        self._mongod = psutil.Process(databases.mongod_pid)

    @contextlib.contextmanager
    def run_processes(self, count: int, *, threads: int) -> Iterator[None]:
        self.threads = threads
        self.processes = []
        try:
            for _ in range(count):
                self.processes.append(
                    StoringProcess(self._databases, account_id=self.account.pk, threads=threads)
                )
            yield
        finally:
            for process in self.processes:
                process.stop()

    @property
    def pages_a_turn(self) -> int:
        """Enough that nobody waits for the last page for long."""
        return max(_FEWEST_A_TURN, _EACH_A_TURN * self.threads * len(self.processes))

    def make_batches(self, mentions: int, size: int) -> list[Posts]:
        """Mentions that nobody has stored yet, old to new."""
        mentioned = Mentioned(self.account.twitter_id)
        posts = list(make_posts(mentions, of=mentioned, after=self._moment, step=_STEP))
        self._moment += _STEP * mentions
        return [posts[start : start + size] for start in range(0, mentions, size)]

    def store(
        self, kind: str, pages: Sequence[Any], *, is_known: bool = False
    ) -> tuple[int, Spent]:
        """How many were new, and what it took."""
        for number, process in enumerate(self.processes):
            process.hand_over(kind, pages[number :: len(self.processes)])
        server = self._mongod.cpu_times()
        began = time.perf_counter()
        for process in self.processes:
            process.begin(is_known=is_known)
        ends = [process.end() for process in self.processes]
        seconds = time.perf_counter() - began
        after = self._mongod.cpu_times()
        spent = Spent(
            seconds,
            sum(used for _, used in ends),
            after.user + after.system - server.user - server.system,
        )
        return sum(new for new, _ in ends), spent


def run(options: argparse.Namespace) -> dict[str, Any]:
    cases = [
        (_PAGE, 1, 1),
        (_PAGE, 1, options.threads),
        (_PAGE, options.processes, options.threads),
        (1000, 1, 1),
    ]
    with (
        tempfile.TemporaryDirectory(prefix="autores-bench-") as name,
        run_databases(Path(name)) as databases,
    ):
        connect_django(databases)
        ingest = Ingest(databases)
        results = []
        for size, processes, threads in cases:
            with ingest.run_processes(processes, threads=threads):
                # Code, connections and files are warm before the first round.
                _run_round(ingest, mentions=2_000, size=size, share=50)
                for share in _KNOWN_SHARES:
                    rounds = [
                        _run_round(ingest, mentions=options.mentions, size=size, share=share)
                        for _ in range(options.rounds)
                    ]
                    results.append(_summarize(rounds, ingest, size=size, share=share))
    targets = _judge(results)
    print(_format_table(results, targets))
    return {
        "machine": describe_machine(),
        "mentions_a_round": options.mentions,
        "write_concern": "majority",
        "accelerator": documents.HAS_ACCELERATOR,
        "targets": targets,
        "results": results,
    }


def _run_round(ingest: Ingest, *, mentions: int, size: int, share: int) -> dict[str, Spent]:
    """Microseconds for each mention, by who stored it."""
    batches = ingest.make_batches(mentions, size)
    spent = dict.fromkeys(["ours", *BARE], Spent())
    for start in range(0, len(batches), ingest.pages_a_turn):
        turn = batches[start : start + ingest.pages_a_turn]
        known = [posts[: len(posts) * share // 100] for posts in turn]
        ingest.store("ours", [(print_page(posts), 0) for posts in known if posts])
        new, used = ingest.store("ours", [_as_polled(posts, share=share) for posts in turn])
        spent["ours"] = spent["ours"].plus(used)
        expected = sum(map(len, turn)) - sum(map(len, known))
        if new != expected:
            raise RuntimeError(f"{new} mentions were stored as new; they were {expected}.")
        pages = [
            list(ingest.stored.find({"_id": {"$in": [post["id"] for post in posts]}}))
            for posts in turn
        ]
        for name, collection in ingest.bare.items():
            already = {post["id"] for posts in known for post in posts}
            if already:
                rows = [row for page in pages for row in page if row["_id"] in already]
                collection.insert_many(rows, ordered=False)
            _, used = ingest.store(name, pages, is_known=bool(share))
            spent[name] = spent[name].plus(used)
    return {
        name: Spent(*(seconds / mentions * 1e6 for seconds in one)) for name, one in spent.items()
    }


def _as_polled(posts: Posts, *, share: int) -> tuple[bytes, int]:
    """A page, and the newest id of it that its account knows: the one below, if none."""
    known = posts[: len(posts) * share // 100]
    return print_page(posts), int(known[-1]["id"]) if known else int(posts[0]["id"]) - 1


def _summarize(
    rounds: list[dict[str, Spent]], ingest: Ingest, *, size: int, share: int
) -> dict[str, Any]:
    medians = {
        name: 1e6 / statistics.median(one[name].wall for one in rounds) for name in rounds[0]
    }
    of_bare = statistics.median(one["bare"].wall / one["ours"].wall for one in rounds)
    return {
        "batch": size,
        "processes": len(ingest.processes),
        "threads": ingest.threads,
        "known_percent": share,
        "mentions_per_second": {name: round(rate) for name, rate in medians.items()},
        "of_bare": round(of_bare, 2),
        "cpu_microseconds": {
            name: {
                part: round(statistics.median(getattr(one[name], part) for one in rounds), 1)
                for part in ("python", "mongod")
            }
            for name in rounds[0]
        },
        "rounds": [
            {name: round(1e6 / spent.wall) for name, spent in one.items()} for one in rounds
        ],
    }


def _judge(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What was wanted, and what came of it."""
    pages = [one for one in results if one["batch"] == _PAGE]
    targets = []
    for share, wanted in _TARGETS.items():
        rates = [
            one["mentions_per_second"]["ours"] for one in pages if one["known_percent"] == share
        ]
        targets.append(
            {
                "target": f"{wanted:,} {'known' if share else 'new'} mentions a second",
                "measured": f"{max(rates):,}",
                "is_met": max(rates) >= wanted,
            }
        )
    alone, *others = [one["of_bare"] for one in pages if one["known_percent"] == 0]
    targets.append(
        {
            "target": f"{_TARGET_OF_BARE} of insert_many, one thread against one",
            "measured": f"{alone} (by more threads and processes {', '.join(map(str, others))})",
            "is_met": alone >= _TARGET_OF_BARE,
        }
    )
    return targets


def _format_table(results: list[dict[str, Any]], targets: list[dict[str, Any]]) -> str:
    head = (
        f"{'batch':>6} {'processes':>9} {'threads':>7} {'known':>6} {'ours/s':>9} "
        f"{'bare/s':>9} {'ours/bare':>10}   {'bare without indexes/s':>22}"
        "   CPU us: ours, bare (Python + mongod)"
    )
    lines = [head, "-" * len(head)]
    for one in results:
        rates = one["mentions_per_second"]
        lines.append(
            f"{one['batch']:>6} {one['processes']:>9} {one['threads']:>7} "
            f"{one['known_percent']:>5}% "
            f"{rates['ours']:>9,} {rates['bare']:>9,} {one['of_bare']:>10.2f}   "
            f"{rates['bare without indexes']:>22,}   "
            f"{_format_cpu(one, 'ours')}, {_format_cpu(one, 'bare')}"
        )
    lines += [
        f"Medians; ours / bare: of the rounds' ratios. Python {platform.python_version()}, "
        f"{'with' if documents.HAS_ACCELERATOR else 'without'} the accelerator.",
        *(
            f"{'met' if one['is_met'] else 'NOT met':>7}: {one['target']}: {one['measured']}"
            for one in targets
        ),
    ]
    return "\n".join(lines)


def _format_cpu(result: dict[str, Any], name: str) -> str:
    used = result["cpu_microseconds"][name]
    return f"{used['python']:.0f} + {used['mongod']:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mentions", type=int, default=4_000, help="a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--json", metavar="PATH")
    options = parser.parse_args()
    try:
        result = run(options)
    except (EmbeddedError, StoringError) as error:
        sys.exit(str(error))
    if options.json:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
