"""Ten thousand accounts on a clock that is set, not waited for: lag, calls and cost.

    python -m bench.simulation [--accounts 10000] [--minutes 10] [--mentions 2] [--json PATH]

Starts a mongod, a Valkey and the sandbox, whose clock stands still and is moved on by five seconds
a round. All accounts are due at once when it begins. In each round mentions arrive (more for some
accounts than for others), the due accounts are claimed as beat's task claims them, and polled as
its workers poll them. After ``--minutes`` nothing arrives any more, and the polls go on for one
interval: by then every mention must be stored, once.

Lag is what a person sees: from the making of a mention to the poll that stored it, on that clock.
What the rounds took on this machine is told apart from it.
"""

import argparse
import itertools
import json
import math
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from autores.embedded.errors import EmbeddedError
from autores.embedded.ports import LOOPBACK, reserve_port
from autores.embedded.processes import Child, Group
from autores.sandbox.control import SandboxControl, SandboxControlError
from autores.sandbox.world import Options, World
from bench.databases import connect_django, run_databases
from bench.report import describe_machine
from bench.servers import ROOT

# Dollars, X's pay-per-use prices; the same object is billed once in a UTC day.
_POST_READ, _USER_READ = 0.005, 0.010
_SCOPES = ["tweet.read", "tweet.write", "users.read", "dm.read", "dm.write", "offline.access"]
_AUTHORS_AN_ACCOUNT = 5
_BATCH = 1000
# Some accounts are mentioned a hundred times as often as others: the spread of a log-normal.
_SPREAD = 1.2


@dataclass
class Rounds:
    """What happened in the rounds so far. Times in seconds of this machine."""

    polls: int = 0
    new: int = 0
    arrived: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    polled_at: dict[str, list[datetime]] = field(default_factory=dict)


def run(options: argparse.Namespace) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(prefix="autores-bench-") as name,
        run_databases(Path(name)) as databases,
    ):
        folder, group = Path(name), Group()
        port = reserve_port(purpose="the sandbox").port
        url = f"http://{LOOPBACK}:{port}"
        connect_django(databases, ENVIRONMENT="test", X_API_BASE_URL=url)
        try:
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            begin = datetime.now(UTC).replace(microsecond=0)
            print(f"Connecting {options.accounts:,} accounts.", flush=True)
            world = folder / "sandbox.sqlite"
            _connect_accounts(world, options.accounts, begin)
            child = _start_sandbox(group, folder, world, port)
            found = _simulate(SandboxControl(url), begin, options)
            used = psutil.Process(child.pid).cpu_times()
            found["sandbox_cpu_seconds"] = round(used.user + used.system, 1)
        finally:
            group.stop()
        found |= _read_results(world, found.pop("begin_of_lag"))
    return {"machine": describe_machine(), **found}


# -- the world ----------------------------------------------------------------------------------


def _connect_accounts(path: Path, count: int, now: datetime) -> None:
    """The same accounts on both sides; each was polled before, and is due now."""
    from accounts.models import TwitterAccount
    from accounts.stored_tokens import token_cipher
    from autores.x.ids import first_post_id_at
    from mentions.models import Cursor

    world = World(str(path), Options(settings={"access_token_seconds": 30 * 86_400}))
    cipher = token_cipher()
    accounts: list[TwitterAccount] = []
    with world.store.transaction():
        for number in range(count):
            user = world.users.create(f"team{number}")
            grant = world.oauth.issue_directly(user.id, world.options.client_id, _SCOPES)
            accounts.append(
                TwitterAccount(
                    id=f"11111111-0000-4000-8000-{number:012d}",
                    twitter_id=str(user.id),
                    twitter_username=user.username,
                    access_token=cipher.encrypt(grant["access_token"]),
                    refresh_token=cipher.encrypt(grant["refresh_token"]),
                    token_expires_at=now + timedelta(days=30),
                    scopes=_SCOPES,
                    poll_due_at=now,
                )
            )
    world.close()
    before = now - timedelta(minutes=1)
    cursors = [
        Cursor(
            id=account.pk,
            account_id=account.pk,
            newest_post_id=first_post_id_at(before),
            baseline_at=now - timedelta(days=1),
            complete_until=before,
        )
        for account in accounts
    ]
    TwitterAccount.objects.bulk_create(accounts, batch_size=_BATCH)
    Cursor.objects.bulk_create(cursors, batch_size=_BATCH)


def _start_sandbox(group: Group, folder: Path, world: Path, port: int) -> Child:
    child = Child(
        "sandbox",
        [sys.executable, "-m", "autores.sandbox", "--port", str(port), "--data", str(world)],
        log_path=folder / "logs" / "sandbox.log",
        folder=ROOT,
    )
    group.add(child)
    control = SandboxControl(f"http://{LOOPBACK}:{port}")

    def answers() -> bool:
        try:
            return bool(control.check_health())
        except SandboxControlError:
            return False

    child.wait_until_ready(answers)
    return child


def _draw_rates(count: int, mean: float, chance: random.Random) -> list[float]:
    """Mentions an hour of each account, ``mean`` on average."""
    drawn = [chance.lognormvariate(0, _SPREAD) for _ in range(count)]
    return [rate * mean * count / sum(drawn) for rate in drawn]


def _list_arrivals(
    rates: list[float], begin: datetime, length: timedelta, chance: random.Random
) -> Iterator[tuple[int, datetime]]:
    """Account and moment of each mention within the round: a Poisson process for each account."""
    total = sum(rates) / 3600 * length.total_seconds()
    # Many small processes are one large one, whose events fall on accounts by their rates.
    number = _draw_poisson(total, chance)
    for account in chance.choices(range(len(rates)), weights=rates, k=number):
        yield account, begin + length * chance.random()


def _draw_poisson(mean: float, chance: random.Random) -> int:
    number, left = 0, chance.expovariate(1)
    while left < mean:
        number += 1
        left += chance.expovariate(1)
    return number


# -- the rounds ---------------------------------------------------------------------------------


def _simulate(
    control: SandboxControl, begin: datetime, options: argparse.Namespace
) -> dict[str, Any]:
    from django.conf import settings

    from mentions.ingest.due import ROUND, claim_due_accounts

    chance = random.Random(7)
    rates = _draw_rates(options.accounts, options.mentions, chance)
    interval = timedelta(minutes=settings.TWITTER_POLLING_INTERVAL)
    arriving = math.ceil(timedelta(minutes=options.minutes) / ROUND)
    # Until each account was polled once more, the last ones behind the herd of the beginning.
    total = arriving + math.ceil(interval * 1.5 / ROUND)
    rounds = Rounds()
    control.set_clock(now=begin.isoformat(), frozen=True)
    used, began = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(options.threads) as pool:
        for number in range(1, total + 1):
            now = begin + number * ROUND
            control.set_clock(now=now.isoformat())
            if number <= arriving:
                for account, moment in _list_arrivals(rates, now - ROUND, ROUND, chance):
                    author = chance.randrange(options.accounts * _AUTHORS_AN_ACCOUNT)
                    control.create_mention(
                        account=f"team{account}",
                        author=f"p{author}",
                        text="when does my parcel arrive? 📦",
                        created_at=moment.isoformat(),
                    )
                    rounds.arrived += 1
            round_began = time.monotonic()
            ids = claim_due_accounts(now=now)
            for id_, outcome in pool.map(_poll, ids, itertools.repeat(now)):
                rounds.polled_at.setdefault(id_, []).append(now)
                if isinstance(outcome, int):
                    rounds.new += outcome
                else:
                    rounds.errors[outcome] += 1
            rounds.polls += len(ids)
            rounds.sizes.append(len(ids))
            rounds.seconds.append(time.monotonic() - round_began)
            if number % 12 == 0:
                print(
                    f"{number * ROUND.total_seconds() / 60:5.0f} min: {rounds.polls:,} polls, "
                    f"{rounds.new:,} of {rounds.arrived:,} mentions stored",
                    flush=True,
                )
    gaps = [
        (after - before).total_seconds()
        for moments in rounds.polled_at.values()
        for before, after in itertools.pairwise(moments)
    ]
    return {
        "accounts": options.accounts,
        "minutes": options.minutes,
        "interval_seconds": interval.total_seconds(),
        # A mention made before every account had been polled once waited for the herd to pass.
        "begin_of_lag": begin + interval,
        "mentions_arrived": rounds.arrived,
        "mentions_stored": rounds.new,
        "polls": rounds.polls,
        "errors": dict(rounds.errors),
        "accounts_polled": len(rounds.polled_at),
        "polls_a_round_median": statistics.median(rounds.sizes),
        "polls_a_round_most": max(rounds.sizes),
        "seconds_between_polls_median": statistics.median(gaps),
        "seconds_between_polls_most": max(gaps),
        "python_cpu_ms_a_poll": round((time.process_time() - used) / rounds.polls * 1000, 2),
        "real_seconds": round(time.monotonic() - began, 1),
        "polls_a_real_second": round(rounds.polls / sum(rounds.seconds), 1),
    }


def _poll(account_id: str, now: datetime) -> tuple[str, int | str]:
    """How many mentions were new, or the code of the error."""
    from accounts.errors import AccountError
    from accounts.models import TwitterAccount
    from autores.mongo.instances import find_instance
    from autores.x.errors import XError
    from mentions.ingest.poll import poll_account

    account = find_instance(TwitterAccount, {"_id": account_id})
    assert account is not None
    try:
        return account_id, poll_account(account, now=now).new
    except (XError, AccountError) as error:
        return account_id, error.code


def _read_results(world: Path, begin_of_lag: datetime) -> dict[str, Any]:
    """What both sides hold in the end: lag from our rows, calls and cost from the sandbox's."""
    from mentions.models import Message

    lags = sorted(
        (seen - made).total_seconds()
        for made, seen in Message.objects.values_list("timestamp", "seen_at")
        if made >= begin_of_lag
    )
    stored = set(Message.objects.values_list("account__twitter_id", "post_id"))
    with sqlite3.connect(world) as database:
        arrived = {
            (str(a), str(b)) for a, b in database.execute("SELECT user_id, post_id FROM feed")
        }
        ((calls, items),) = database.execute(
            "SELECT count(*), coalesce(sum(items), 0) FROM calls WHERE route = 'mentions'"
        )
        refused = database.execute(
            "SELECT count(*) FROM calls WHERE route = 'mentions' AND status <> 200"
        ).fetchone()[0]
        ((posts, authors),) = database.execute(
            "SELECT count(DISTINCT s.post_id), count(DISTINCT p.author_id)"
            " FROM shown s JOIN posts p ON p.id = s.post_id"
        )
        (most,) = database.execute(
            "SELECT max(n) FROM (SELECT count(*) AS n FROM calls WHERE route = 'mentions'"
            " GROUP BY account_id)"
        ).fetchone()
    return {
        "mentions_missing": len(arrived - stored),
        "mentions_not_of_x": len(stored - arrived),
        "lag_seconds": {
            "median": round(statistics.median(lags), 1),
            "p95": round(lags[int(len(lags) * 0.95)], 1),
            "most": round(lags[-1], 1),
        }
        if lags
        else {},
        "calls": calls,
        "calls_refused": refused,
        "calls_of_one_account_most": most,
        "posts_shown": items,
        "posts_billed": posts,
        "authors_billed": authors,
        "dollars": round(posts * _POST_READ + authors * _USER_READ, 2),
        "dollars_a_thousand_mentions": round(
            (posts * _POST_READ + authors * _USER_READ) / max(1, posts) * 1000, 2
        ),
    }


def _format(found: dict[str, Any]) -> str:
    lag = found["lag_seconds"]
    return "\n".join(
        (
            f"{found['accounts']:,} accounts, an interval of {found['interval_seconds']:g} s, "
            f"{found['minutes']:g} minutes of mentions",
            f"polls      {found['polls']:,}, at most {found['polls_a_round_most']} in a round "
            f"(median {found['polls_a_round_median']:g}); {found['seconds_between_polls_median']:g}"
            f" s between two of an account, {found['seconds_between_polls_most']:g} at most",
            f"mentions   {found['mentions_arrived']:,} arrived, {found['mentions_stored']:,} "
            f"stored, {found['mentions_missing']} missing, {found['mentions_not_of_x']} too many",
            f"lag        median {lag.get('median')} s, p95 {lag.get('p95')} s, "
            f"{lag.get('most')} s at most",
            f"calls      {found['calls']:,} to X, {found['calls_refused']} refused, at most "
            f"{found['calls_of_one_account_most']} of one account; errors {found['errors'] or 0}",
            f"cost       {found['posts_shown']:,} posts shown, {found['posts_billed']:,} billed, "
            f"{found['authors_billed']:,} authors: ${found['dollars']:,} "
            f"(${found['dollars_a_thousand_mentions']:,} a thousand mentions)",
            f"machine    {found['polls_a_real_second']} polls a second, "
            f"{found['python_cpu_ms_a_poll']} ms of Python's CPU each, "
            f"{found['real_seconds']} s in all",
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=10, help="for which mentions arrive")
    parser.add_argument("--mentions", type=float, default=2, help="an hour, of one account")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--json", metavar="PATH")
    options = parser.parse_args()
    try:
        found = run(options)
    except EmbeddedError as error:
        sys.exit(str(error))
    print(_format(found))
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
