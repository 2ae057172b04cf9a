"""The outbox under its budgets: what is refused waits, and counts as no attempt."""

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from redis import Redis

from accounts import budgets
from accounts.budgets import DMS, POSTS, read_budgets
from accounts.models import TwitterAccount, User
from accounts.pauses import resume_app
from autores.sandbox.server import RunningSandbox
from mentions.api.changes import delete_message
from mentions.ingest.poll import poll_account
from mentions.models import Message, Reply, ReplyState
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.metering import list_departures

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(days=2)


@pytest.fixture
def replies(acme: TwitterAccount, sandbox: RunningSandbox) -> list[Reply]:
    """Six queued replies to six mentions."""
    sandbox.control.set_limits(preset="unlimited")
    sandbox.control.create_mentions(account="acme", count=6)
    poll_account(acme, now=timezone.now())
    return [
        enqueue_reply(message, kind="public", text=f"Answer {message.pk}", now=timezone.now())
        for message in Message.objects.filter(is_replyable=True)[:6]
    ]


def deliver(reply: Reply) -> Reply:
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    return reply


def left(account: TwitterAccount, budget: budgets.Budget = POSTS) -> dict[str, int]:
    found = read_budgets(budget, account_id=account.pk, now=timezone.now())
    return {state.scope: state.remaining for state in found}


def test_waits_for_the_reset_without_an_attempt_when_the_apps_day_is_spent(
    replies: list[Reply], acme: TwitterAccount, sandbox: RunningSandbox, settings: Any
) -> None:
    settings.X_APP_POSTS_PER_DAY = 2
    for reply in replies[:2]:
        assert deliver(reply).state == ReplyState.SENT
    refused = deliver(replies[2])
    assert (refused.state, refused.reason_code) == (ReplyState.QUEUED, "budget_app_day")
    assert (refused.attempts, refused.departures) == (0, 0)
    wait = refused.not_before - timezone.now()
    assert timedelta(hours=23, minutes=59) < wait <= budgets.DAY
    assert refused.reason.endswith("UTC.")
    assert len(sandbox.control.list_calls(route="create_post")) == 2
    assert left(acme) == {"app_day": 0}


def test_never_more_than_the_budget_when_redis_forgets_between_sends(
    replies: list[Reply], sandbox: RunningSandbox, settings: Any
) -> None:
    settings.X_APP_POSTS_PER_DAY = 3
    redis = Redis.from_url(settings.REDIS_URL)
    for reply in replies:
        redis.flushall()
        deliver(reply)
    assert Reply.objects.filter(state=ReplyState.SENT).count() == 3
    assert len(sandbox.control.list_posts(author="acme")) == 3


def test_never_more_than_the_budget_when_senders_race_and_redis_forgets(
    replies: list[Reply], sandbox: RunningSandbox, settings: Any
) -> None:
    settings.X_APP_POSTS_PER_DAY = 3
    redis = Redis.from_url(settings.REDIS_URL)

    def work(reply: Reply) -> None:
        try:
            deliver_reply(reply.pk, now=timezone.now())
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(reply,)) for reply in replies]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        redis.flushall()
        time.sleep(0.04)
    for thread in threads:
        thread.join()
    # A refused row that a rebuild counts may cost another its place, so there may be fewer.
    assert len(sandbox.control.list_posts(author="acme")) <= 3
    assert set(Reply.objects.values_list("state", flat=True)) <= {"sent", "queued"}


def test_a_row_that_x_limits_costs_no_place_in_the_budget(
    replies: list[Reply], acme: TwitterAccount, sandbox: RunningSandbox, settings: Any
) -> None:
    settings.X_APP_POSTS_PER_DAY = 5
    expected = {
        "credits_depleted": 5,
        "duplicate": 4,  # X looked at it, and counts it
        "reset_before": 3,  # nobody knows
        "reset_after": 2,
    }
    for reply, (fault, remaining) in zip(replies, expected.items(), strict=False):
        sandbox.control.add_fault("create_post", fault)
        deliver(reply)
        budgets_left = left(acme)
        assert budgets_left == {"app_day": remaining}, fault
        resume_app()
    # The same is read from the rows.
    Redis.from_url(settings.REDIS_URL).flushall()
    assert left(acme) == {"app_day": 2}


def test_next_row_is_not_even_tried_when_xs_headers_say_the_day_is_spent(
    replies: list[Reply], acme: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.set_limits(route="create_post", user_day=2)
    assert deliver(replies[0]).state == ReplyState.SENT
    assert left(acme)["user_day"] == 1
    assert deliver(replies[1]).state == ReplyState.SENT
    refused = deliver(replies[2])
    assert (refused.reason_code, refused.attempts) == ("budget_user_day", 0)
    assert len(sandbox.control.list_calls(route="create_post")) == 2


def test_messages_have_a_budget_of_their_own(
    replies: list[Reply], acme: TwitterAccount, ana: User, settings: Any
) -> None:
    settings.X_APP_DMS_PER_DAY = 1
    messages = [reply.message for reply in replies[:2]]
    first, second = (
        enqueue_reply(message, kind="dm", text="Hi.", now=timezone.now()) for message in messages
    )
    assert deliver(first).state == ReplyState.SENT
    assert deliver(second).reason_code == "budget_app_day"
    assert left(acme, DMS)["app_day"] == 0
    assert deliver(replies[0]).state == ReplyState.SENT


def test_nothing_leaves_when_redis_does_not_answer(
    replies: list[Reply], sandbox: RunningSandbox, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    waiting = deliver(replies[0])
    assert (waiting.state, waiting.reason_code) == (ReplyState.QUEUED, "budget_unavailable")
    assert waiting.attempts == 0
    assert not sandbox.control.list_calls(route="create_post")


def test_deleted_mention_still_counts_when_the_budget_is_read_from_the_rows(
    replies: list[Reply], acme: TwitterAccount, ana: User
) -> None:
    sent = deliver(replies[0])
    since = timezone.now() - timedelta(hours=1)
    assert [name for name, _ in list_departures("posts", since)] == [f"{sent.pk}:1"]
    message = Message.objects.get(pk=sent.message_id)
    delete_message(message.pk, actor=ana.pk, now=timezone.now(), expected_version=message.version)
    assert not Reply.objects.filter(pk=sent.pk).exists()
    assert [name for name, _ in list_departures("posts", since)] == [f"{sent.pk}:1"]
    assert list(list_departures("dms", since)) == []
    assert list(list_departures("posts", timezone.now() + LONG_AGO)) == []
