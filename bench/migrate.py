"""How fast the import is, against the bare databases and against a plain script, in one run.

    python bench/migrate.py [--rows 1060000] [--rounds 1] [--json PATH] [--skip-plain]

Starts a MariaDB and a mongod of its own, fills the former with text in nine scripts, and runs in
turn, in processes of their own: reading alone, writing alone (insert_many of 5,000 encoded
documents, acknowledged by a majority), the plain script (SQLAlchemy SELECT *, fetchall, Beanie
insert_many of 100, indexes first, no verification), and the import (load, indexes and full
verification). Prints rows per second, the ratios, each process's peak memory (RSS) and that of all
together (the sum of their PSS, in which a shared page counts once); only ratios from one run mean
anything.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
USERS_SHARE, STATES_SHARE = 50_000 / 1_060_000, 10_000 / 1_060_000
CACHE_GIGABYTES = 2
_WRITTEN_AT_ONCE = 5000
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def measure(command: list[str], environ: dict[str, str]) -> dict[str, Any]:
    """Run it; wall seconds, memory, and what it printed. Memory is sampled five times a second,
    and shared out once a second: the kernel walks over all pages for that, at the cost of the run.

    ``peaks_mib``: the peak RSS of each of its processes, pages it shares with others included,
    the command's own first.
    ``total_mib``: the peak of the sum of the PSS of all of them at one moment, which counts a
    shared page once, as the machine does.
    """
    peaks: dict[int, float] = {}
    totals = [0.0]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=out, stderr=errors)
        is_over = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, peaks, totals, is_over))
        watcher.start()
        code = process.wait()
        seconds = time.monotonic() - began
        is_over.set()
        watcher.join()
        out.seek(0)
        errors.seek(0)
        if code not in (0, 2):
            sys.exit(f"{command} ended with {code}:\n{errors.read()[-3000:]}")
        return {
            "seconds": seconds,
            "peaks_mib": [
                round(peak)
                for pid, peak in sorted(
                    peaks.items(), key=lambda item: (item[0] != process.pid, -item[1])
                )
            ],
            "total_mib": round(max(totals)),
            "output": out.read(),
        }


def _watch(
    pid: int, peaks: dict[int, float], totals: list[float], is_over: threading.Event
) -> None:
    samples = 0
    while not is_over.wait(0.2):
        total = 0.0
        samples += 1
        try:
            parent = psutil.Process(pid)
            processes = [parent, *parent.children(recursive=True)]
        except psutil.Error:
            continue
        for one in processes:
            try:
                used = one.memory_info().rss / 2**20
                if samples % 5 == 1:
                    total += _read_share(one.pid, used)
            except (psutil.Error, OSError):
                continue
            peaks[one.pid] = max(peaks.get(one.pid, 0), used)
        totals.append(total)


def _read_share(pid: int, used: float) -> float:
    """PSS in MiB; where the system does not tell it, all that the process uses."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except FileNotFoundError:
        return used
    shares = [int(line.split()[1]) for line in lines if line.startswith("Pss:")]
    return shares[0] / 1024 if shares else used


def read_alone(url: str) -> None:
    """All three tables through the import's own reader, nothing else."""
    from mentions.legacy.address import parse_source_url
    from mentions.legacy.contract import TABLES
    from mentions.legacy.source import Source

    with Source(parse_source_url(url)) as source:
        source.check_schema()
        began = time.monotonic()
        rows = sum(len(c.rows) for table in TABLES for c in source.read_chunks(table, size=2000))
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - began}))


def write_alone(url: str, database: str, rows: int) -> None:
    """insert_many of 5,000 documents that are there and encoded already, one after another, without
    indexes, at majority. They have the fields, and so the size, of those that the import writes.

    Without a pause: compression and checkpoints, which a server does behind a batch, are part of
    what it can take.
    """
    import bson
    import django
    from bson.raw_bson import RawBSONDocument
    from pymongo import MongoClient, WriteConcern

    from bench.legacy_data import make_messages

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autores.settings")
    django.setup()
    from mentions.legacy.documents import DocumentWriter
    from mentions.legacy.state import STATE_FIELD
    from mentions.models import Message

    names = ("_id", "timestamp", "user", "text", "status", "public_response", "dm_response")
    names += ("credits_used", "redirected", "created_at", "updated_at")
    # The fields that the import writes, so that both write documents of the same size.
    written = DocumentWriter(Message, constants={"kind": "legacy", "version": 1, "tally": ""})
    unknown = {
        "replyable_code": "legacy_unattributed",
        "replyable_reason": "It is not known which account this post mentions.",
    }
    constant = {**written.build(unknown), STATE_FIELD: {"run": "0" * 36, "digest": "0" * 32}}
    client: Any = MongoClient(url)
    client.drop_database(database)
    collection = client[database].get_collection("m", write_concern=WriteConcern("majority"))
    with tempfile.TemporaryFile() as spool:
        lengths = []
        for row in make_messages(rows):
            document = {**constant, **dict(zip(names, row, strict=True)), "post_id": row[0]}
            lengths.append(spool.write(bson.encode(document)))
        spool.seek(0)
        began = time.monotonic()
        for start in range(0, rows, _WRITTEN_AT_ONCE):
            batch = lengths[start : start + _WRITTEN_AT_ONCE]
            collection.insert_many(
                [RawBSONDocument(spool.read(length)) for length in batch], ordered=False
            )
        seconds = time.monotonic() - began
    client.drop_database(database)
    print(json.dumps({"rows": rows, "seconds": seconds}))


def run_plain(mysql_url: str, mongo_url: str, database: str) -> None:
    """What the plan of the former system's authors does."""
    import asyncio

    from beanie import Document, init_beanie
    from cryptography.fernet import Fernet
    from pydantic import ConfigDict
    from pymongo import AsyncMongoClient, IndexModel
    from sqlalchemy import create_engine, text

    class Base(Document):
        model_config = ConfigDict(extra="allow")
        id: str  # type: ignore[assignment]

    class Users(Base):
        class Settings:
            name = "users"
            indexes = [IndexModel([("twitter_id", 1)], unique=True)]

    class Messages(Base):
        class Settings:
            name = "messages"
            indexes = [
                IndexModel([("timestamp", -1)]),
                IndexModel([("status", 1), ("timestamp", -1)]),
                IndexModel([("user", 1)]),
            ]

    class States(Base):
        class Settings:
            name = "oauth_states"

    async def go() -> int:
        client: Any = AsyncMongoClient(mongo_url)
        await client.drop_database(database)
        await init_beanie(client[database], document_models=[Users, Messages, States])
        fernet = Fernet(KEY)
        engine = create_engine(mysql_url)
        done = 0
        for table, model in (("users", Users), ("messages", Messages), ("oauth_states", States)):
            with engine.connect() as connection:
                rows = connection.execute(text(f"SELECT * FROM {table}")).fetchall()
            for start in range(0, len(rows), 100):
                documents = []
                for row in rows[start : start + 100]:
                    values = dict(row._mapping)
                    if table == "oauth_states":
                        values["id"] = values.pop("state")
                    for name in ("access_token", "refresh_token"):
                        if name in values:
                            values[name] = fernet.encrypt(values[name].encode()).decode()
                    documents.append(model(**values))
                await model.insert_many(documents)
                done += len(documents)
        await client.drop_database(database)
        return done

    began = time.monotonic()
    rows = asyncio.run(go())
    print(json.dumps({"rows": rows, "seconds": time.monotonic() - began}))


def run_rounds(options: argparse.Namespace) -> dict[str, Any]:
    from autores.embedded.mariadb import find_mariadb, start_mariadb
    from autores.embedded.mongod import find_mongod, start_mongod
    from autores.embedded.ports import reserve_port
    from bench.legacy_data import fill_database

    users, states = int(options.rows * USERS_SHARE), int(options.rows * STATES_SHARE)
    messages = options.rows - users - states
    with tempfile.TemporaryDirectory(prefix="autores-bench-") as name:
        folder = Path(name)
        maria_port = reserve_port(purpose="the bench's MariaDB")
        mongo_port = reserve_port(purpose="the bench's mongod")
        maria = start_mariadb(
            find_mariadb(), folder=folder / "maria", log_path=folder / "maria.log", port=maria_port
        )
        try:
            mongo = start_mongod(
                find_mongod(),
                data_folder=folder / "mongo",
                log_path=folder / "mongo.log",
                port=mongo_port,
                # What the rows need; a server's own default is half of the machine's memory.
                cache_gigabytes=CACHE_GIGABYTES,
            )
            try:
                print(f"Filling MySQL with {options.rows} rows.", flush=True)
                fill_database(
                    maria.url, name="legacy", messages=messages, users=users, states=states
                )
                return _alternate(options, f"{maria.url}legacy", mongo.url, messages)
            finally:
                mongo.child.stop()
        finally:
            maria.child.stop()


def _alternate(
    options: argparse.Namespace, mysql_url: str, mongo_url: str, messages: int
) -> dict[str, Any]:
    environ = {
        **os.environ,
        "MYSQL_DATABASE_URL": mysql_url,
        "MONGODB_URL": mongo_url,
        "MONGODB_DB_NAME": "bench_ours",
        "TOKEN_ENCRYPTION_KEYS": KEY,
    }
    me = [sys.executable, str(Path(__file__).resolve())]
    manage = [sys.executable, "manage.py"]

    def part(*arguments: str) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            found = measure([*me, *arguments], environ)
            output = json.loads(found.pop("output"))
            return {**found, **output}

        return run

    def ours() -> dict[str, Any]:
        from pymongo import MongoClient

        client: Any = MongoClient(mongo_url)
        client.drop_database("bench_ours")
        client.close()
        measure([*manage, "migrate", "-v0"], environ)
        found = measure(
            [*manage, "migrate_from_mysql", "--unattributed", "--json", "--quiet"], environ
        )
        report = json.loads(found.pop("output"))
        loaded = report["seconds"]
        return {
            "rows": options.rows,
            "seconds": loaded,
            "load_phase_seconds": report["load_seconds"],
            "messages_per_second": messages / report["tables"]["messages"]["load_seconds"],
            "with_verification_seconds": found["seconds"],
            "peaks_mib": found["peaks_mib"],
            "total_mib": found["total_mib"],
            "is_complete": report["is_complete"],
        }

    parts = {
        "read alone": part("--part", "read", "--mysql", mysql_url),
        "write alone": part("--part", "write", "--mongo", mongo_url, "--rows", str(messages)),
        "plain script": part("--part", "plain", "--mysql", mysql_url, "--mongo", mongo_url),
        "ours": ours,
    }
    if options.skip_plain:
        del parts["plain script"]
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in parts}
    for number in range(options.rounds):
        for name, run in parts.items():
            found = run()
            found["rows_per_second"] = round(found["rows"] / found["seconds"])
            runs[name].append(found)
            print(f"round {number + 1}, {name}: {json.dumps(found)}", flush=True)
    return _summarize(runs)


def _summarize(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def median(name: str, key: str = "rows_per_second") -> float:
        return statistics.median(found[key] for found in runs[name])

    summary: dict[str, Any] = {"runs": runs, "write_concern": "majority", "ratios": {}}
    ratios = summary["ratios"]
    write = median("write alone")
    # The limit is of messages: an account is another kind of work, with two tokens to encrypt.
    ratios["load of messages / write alone"] = median("ours", "messages_per_second") / write
    ratios["load of all tables / write alone"] = (
        statistics.median(found["rows"] / found["load_phase_seconds"] for found in runs["ours"])
        / write
    )
    if "plain script" in runs:
        plain = median("plain script")
        verified = statistics.median(
            found["rows"] / found["with_verification_seconds"] for found in runs["ours"]
        )
        ratios["load and indexes / plain script"] = median("ours") / plain
        ratios["load, indexes and verification / plain script"] = verified / plain
    print()
    for name, found in runs.items():
        peak = max(max(one["peaks_mib"], default=0) for one in found)
        total = max(one["total_mib"] for one in found)
        print(
            f"{name:14} {median(name):>10,.0f} rows/s   peak {peak} MiB a process (RSS), "
            f"{total} MiB in all (sum of PSS)"
        )
    for name, ratio in ratios.items():
        print(f"{name:48} {ratio:6.2f}")
    return summary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_060_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", metavar="PATH")
    parser.add_argument("--skip-plain", action="store_true", help="without the plain script")
    parser.add_argument("--part", choices=("read", "write", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--mysql", help=argparse.SUPPRESS)
    parser.add_argument("--mongo", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "read":
        return read_alone(options.mysql)
    if options.part == "write":
        return write_alone(options.mongo, "bench_write", options.rows)
    if options.part == "plain":
        return run_plain(options.mysql, options.mongo, "bench_plain")
    if not options.skip_plain:
        try:
            import beanie  # noqa: F401
            import sqlalchemy  # noqa: F401
        except ImportError:
            wanted = str(ROOT / "requirements-bench.txt")
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "-r", wanted], check=True)
    summary = run_rounds(options)
    if options.json:
        Path(options.json).write_text(json.dumps(summary, indent=2))
    return None


if __name__ == "__main__":
    main()
