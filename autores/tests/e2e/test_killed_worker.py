"""A real worker, ended by SIGKILL at random moments: nothing is lost and nothing doubled.

AUTORES_KILLS and AUTORES_DELIVERY_KILLS say how often, AUTORES_KILL_SEED repeats a run.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from redis import Redis

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import connect_account, create_person
from autores.tests.e2e.conftest import StartAutores
from autores.tests.e2e.processes import RunningAutores
from mentions.ingest.poll import poll_account
from mentions.models import Cursor, Message, Reply, ReplyKind, ReplyState
from mentions.outbox.deliver import claim_seconds
from mentions.outbox.dispatch import LANE
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.lookback import absent_after

KILLS = int(os.environ.get("AUTORES_KILLS", "1"))
DELIVERY_KILLS = int(os.environ.get("AUTORES_DELIVERY_KILLS", "1"))
MENTIONS = 800
PAGES = 8
REPLIES = 16
# Several times the model's and X's part, so that a kill meets the work and not its beginning.
SECONDS_PER_PAGE = 0.05
SECONDS_PER_SEND = 0.3
SECONDS_HELD = 10


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("AUTORES_KILL_SEED") or time.time_ns() % 1_000_000)
    print(f"AUTORES_KILL_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def acme(sandbox: RunningSandbox, transactional_db: None) -> TwitterAccount:
    sandbox.control.set_limits(preset="unlimited")
    account = connect_account(sandbox, "acme", by=create_person("ana"))
    poll_account(account, now=timezone.now())  # the baseline: of nothing
    return account


@pytest.fixture
def short_transactions(transactional_db: None) -> Iterator[None]:
    """MongoDB keeps a dead client's transaction, and its rows, for this long: a minute by default.

    The rows are blocked meanwhile, and go on after it by themselves; a test need not wait so long.
    """
    name = "transactionLifetimeLimitSeconds"
    admin = connection.connection.admin
    before = admin.command({"getParameter": 1, name: 1})[name]
    admin.command({"setParameter": 1, name: 3})
    yield
    admin.command({"setParameter": 1, name: before})


class PolledMentions:
    """What is stored of the 800 that X has, round after round."""

    def __init__(self, account: TwitterAccount, on_x: list[str]) -> None:
        self._account = account
        self._on_x = sorted(on_x)
        self._baseline = Cursor.objects.get(pk=account.pk)
        self.newest = max(on_x, key=int)

    @property
    def cursor(self) -> str:
        return Cursor.objects.get(pk=self._account.pk).newest_post_id

    def forget(self) -> None:
        """As before the first poll."""
        connection.get_collection(Message._meta.db_table).delete_many({})
        self._baseline.save()

    def count(self) -> int:
        return Message.objects.count()

    def is_read_to_the_end(self) -> bool:
        return self.cursor == self.newest

    def is_polled_since(self, moment: datetime) -> bool:
        """Whether a poll that began after it has ended.

        The cursor alone does not tell: a poll that goes on where a killed one stopped moves it, and
        then reads what is newer.
        """
        return TwitterAccount.objects.filter(
            pk=self._account.pk, last_polled_at__gt=moment
        ).exists()

    def assert_complete(self) -> None:
        stored = Message.objects.values_list("account_id", "post_id")
        assert sorted(post_id for _, post_id in stored) == self._on_x
        assert {account_id for account_id, _ in stored} == {self._account.pk}
        assert self.cursor == self.newest


def test_every_mention_is_stored_once_when_the_worker_is_killed_during_a_poll(
    start_autores: StartAutores,
    sandbox: RunningSandbox,
    acme: TwitterAccount,
    valkey_url: str,
    chance: random.Random,
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=MENTIONS)
    mentions = PolledMentions(acme, [post["id"] for post in posts])
    slow_down(sandbox)
    autores = start_autores(
        "worker", DRAFT_AUTOMATICALLY="false", TWITTER_MENTIONS_RATE_LIMIT="1000000"
    )

    def poll() -> float:
        """Poll as beat does; return the seconds from the nudge to the end of the poll."""
        began = timezone.now()
        autores.run_task("mentions.poll_accounts")
        autores.wait_until("the account is polled", lambda: mentions.is_polled_since(began))
        return (timezone.now() - began).total_seconds()

    duration = poll()
    mentions.assert_complete()
    counts = []
    for number in range(KILLS):
        mentions.forget()
        # By progress, not by the clock: on a busy machine most kills would come too early.
        pages = chance.randint(0, PAGES)
        if number == 0:
            # This one is amid the poll in any case, the others also before and after it.
            pages = chance.randint(1, PAGES - 2)
            slow_down(sandbox, hold_after=pages + 1)
        autores.run_task("mentions.poll_accounts")
        wanted = pages * MENTIONS // PAGES
        autores.wait_until(
            f"{wanted} mentions are stored", lambda wanted=wanted: mentions.count() >= wanted
        )
        time.sleep(chance.uniform(0, duration / PAGES))
        autores.kill("worker")
        counts.append(mentions.count())
        # The cursor promises that everything up to it is stored, at every instant.
        assert counts[-1] == MENTIONS or not mentions.is_read_to_the_end()

        empty_queues(valkey_url)
        slow_down(sandbox)
        autores.start("worker")
        poll()
        mentions.assert_complete()

    mid_poll = sum(0 < count < MENTIONS for count in counts)
    print(f"poll of {duration:.2f} s; {mid_poll} of {KILLS} kills amid it; stored then: {counts}")
    assert mid_poll or not KILLS


@pytest.mark.usefixtures("short_transactions")
def test_every_reply_reaches_x_once_when_the_worker_is_killed_while_sending(
    start_autores: StartAutores,
    sandbox: RunningSandbox,
    acme: TwitterAccount,
    chance: random.Random,
) -> None:
    x = sandbox.control
    autores = start_autores("worker", DRAFT_AUTOMATICALLY="false")
    states: Counter[str] = Counter()
    for number in range(DELIVERY_KILLS):
        replies = queue_replies(acme, sandbox, number)
        for route in ("create_post", "dm"):
            # A third is on X without the worker knowing; the rest takes a while to get there.
            seconds = {"seconds": SECONDS_PER_SEND}
            x.add_fault(route, "timeout_after", times=None, probability=0.3, params=seconds)
            x.add_fault(route, "slow", times=None, params=seconds)
        autores.run_task("mentions.deliver_due_replies")
        if number == 0:
            # The others may fall between two sends; this one is amid one in any case.
            autores.wait_until("a reply is being sent", is_any_sending)
        # One look of beat's sends for no more than an account's lane.
        sends = chance.randint(0, LANE // 2) if number else 0
        autores.wait_until(
            f"{sends} public replies have reached X",
            lambda sends=sends: len(x.list_calls(route="create_post")) >= sends,
        )
        time.sleep(chance.uniform(0, SECONDS_PER_SEND))
        autores.kill("worker")
        states.update(Reply.objects.filter(pk__in=replies).values_list("state", flat=True))
        x.clear_faults()

        let_leases_end()
        autores.start("worker")
        recover(autores)
        assert_sent_once(sandbox, list(Reply.objects.filter(pk__in=replies)))
        x.clear_calls()

    print(f"{DELIVERY_KILLS} kills met these replies: {dict(states)}")
    assert states[ReplyState.SENDING] or not DELIVERY_KILLS


def slow_down(sandbox: RunningSandbox, *, hold_after: int | None = None) -> None:
    """Every page takes a moment; the one after ``hold_after`` pages takes far longer."""
    x = sandbox.control
    x.clear_faults()
    if hold_after is not None:
        x.add_fault("mentions", "slow", after=hold_after, params={"seconds": SECONDS_HELD})
    x.add_fault("mentions", "slow", times=None, params={"seconds": SECONDS_PER_PAGE})


def empty_queues(valkey_url: str) -> None:
    """A poll left over would run beside the next one, and on into the next round's clean slate."""
    with Redis.from_url(valkey_url) as broker:
        broker.delete("celery", "ingest", "unacked", "unacked_index")


def is_any_sending() -> bool:
    return Reply.objects.filter(state=ReplyState.SENDING).exists()


def queue_replies(account: TwitterAccount, sandbox: RunningSandbox, number: int) -> list[str]:
    """Public replies and direct messages, each to a new mention."""
    sandbox.control.create_mentions(account=account.twitter_username, count=REPLIES)
    fresh = poll_account(account, now=timezone.now()).new_message_ids
    return [
        enqueue_reply(
            message,
            kind=ReplyKind.DM if position % 4 == 0 else ReplyKind.PUBLIC,
            text=f"Answer {position} of round {number}",
            now=timezone.now(),
        ).pk
        for position, message in enumerate(Message.objects.filter(pk__in=fresh))
    ]


def let_leases_end() -> None:
    """As if the minutes had passed for which a dead sender keeps its rows."""
    Reply.objects.filter(state=ReplyState.SENDING).update(
        lease_until=F("lease_until") - timedelta(seconds=claim_seconds())
    )


def recover(autores: RunningAutores) -> None:
    """What beat does every few seconds, and time passing faster than it does."""

    def is_all_sent() -> bool:
        now = timezone.now()
        unsettled = Reply.objects.exclude(state=ReplyState.SENT)
        unsettled.filter(state=ReplyState.UNKNOWN, not_before__gt=now).update(
            not_before=now, sending_at=F("sending_at") - absent_after()
        )
        unsettled.filter(state=ReplyState.QUEUED, not_before__gt=now).update(not_before=now)
        for task in ("deliver_due_replies", "reconcile_unknown_replies"):
            autores.run_task(f"mentions.{task}")
        time.sleep(0.2)
        return not unsettled.exists()

    autores.wait_until("every reply is sent", is_all_sent)


def assert_sent_once(sandbox: RunningSandbox, replies: list[Reply]) -> None:
    dms = Counter(dm["text"] for dm in sandbox.control.list_dms())
    assert len(replies) == REPLIES
    for reply in replies:
        assert reply.state == ReplyState.SENT, reply.reason
        if reply.kind == ReplyKind.DM:
            assert dms[reply.text] == 1, reply.text
            continue
        on_x = sandbox.control.list_posts(in_reply_to=reply.message_id)
        assert [post["id"] for post in on_x] == [reply.x_post_id], reply.text
