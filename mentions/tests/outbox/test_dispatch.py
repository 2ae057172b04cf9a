"""Fairness: what one account has queued holds nobody else up."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AppPause, TwitterAccount, User
from autores.mongo.plans import recorded_plans
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import add_account
from mentions import tasks
from mentions.models import Reply, ReplyState
from mentions.outbox.dispatch import LANE, find_due, find_unknown, has_room
from mentions.tests.outbox.conftest import make_replies

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def beta(sandbox: RunningSandbox, ana: User) -> TwitterAccount:
    return add_account(sandbox, "beta", by=ana)


@pytest.fixture
def gamma(sandbox: RunningSandbox, ana: User) -> TwitterAccount:
    return add_account(sandbox, "gamma", by=ana)


def accounts_of(ids: list[str]) -> list[str]:
    found = dict(Reply.objects.filter(pk__in=ids).values_list("pk", "account_id"))
    return [found[row_id] for row_id in ids]


def test_single_row_comes_second_at_the_latest_when_another_account_has_hundreds(
    acme: TwitterAccount, beta: TwitterAccount
) -> None:
    now = timezone.now()
    make_replies(acme, 300, not_before=now - timedelta(hours=1))
    (mine,) = make_replies(beta, 1, not_before=now - timedelta(seconds=1))
    ids = find_due(now=now)
    assert ids.index(mine.pk) <= 1
    assert len(ids) == LANE + 1, "no account gets more than its lane in a round"


def test_accounts_take_turns_and_each_ones_oldest_goes_first(
    acme: TwitterAccount, beta: TwitterAccount, gamma: TwitterAccount
) -> None:
    now = timezone.now()
    for hours, account in ((3, acme), (2, beta), (1, gamma)):
        for minutes in (30, 10, 20):
            due = now - timedelta(hours=hours, minutes=minutes)
            make_replies(account, 1, not_before=due)
    ids = find_due(now=now)
    assert accounts_of(ids) == [acme.pk, beta.pk, gamma.pk] * 3
    times = [Reply.objects.get(pk=row_id).not_before for row_id in ids[0::3]]
    assert times == sorted(times)


def test_what_is_not_due_waits(acme: TwitterAccount) -> None:
    now = timezone.now()
    make_replies(acme, 3, not_before=now + timedelta(minutes=1))
    make_replies(acme, 2, state=ReplyState.UNKNOWN)
    assert find_due(now=now) == []
    assert len(find_due(now=now + timedelta(minutes=1))) == 3


def test_account_gets_less_when_x_is_slow_for_it(
    acme: TwitterAccount, beta: TwitterAccount
) -> None:
    now = timezone.now()
    sending = {"state": ReplyState.SENDING, "lease_until": now + timedelta(seconds=20)}
    make_replies(acme, LANE - 1, **sending)
    make_replies(acme, 20)
    make_replies(beta, 3)
    ids = accounts_of(find_due(now=timezone.now()))
    assert (ids.count(acme.pk), ids.count(beta.pk)) == (1, 3)
    # A dead sender's rows stand in nobody's way once their leases are over.
    later = now + timedelta(seconds=21)
    assert accounts_of(find_due(now=later)).count(acme.pk) == LANE


def test_one_key_per_account_is_read_when_many_rows_wait(
    acme: TwitterAccount, beta: TwitterAccount, gamma: TwitterAccount
) -> None:
    for account in (acme, beta, gamma):
        make_replies(account, 60)
    with recorded_plans() as plans:
        assert len(find_due(now=timezone.now())) == 3 * LANE
    assert len(plans) == 5
    for plan in plans:
        assert plan.is_index_scan, plan
        assert not plan.has_sort, plan
        assert plan.docs_examined <= LANE, plan
        assert plan.keys_examined <= 2 * LANE, plan


def test_unknown_rows_are_looked_up_in_turns_too(
    acme: TwitterAccount, beta: TwitterAccount
) -> None:
    now = timezone.now()
    make_replies(acme, 30, state=ReplyState.UNKNOWN, not_before=now - timedelta(hours=1))
    (mine,) = make_replies(beta, 1, state=ReplyState.UNKNOWN)
    ids = find_unknown(now=timezone.now())
    assert ids.index(mine.pk) == 1
    assert len(ids) == LANE + 1


def test_nudges_stop_when_the_account_has_more_waiting_than_its_lane(
    acme: TwitterAccount, beta: TwitterAccount, monkeypatch: Any
) -> None:
    nudged = []
    monkeypatch.setattr(
        tasks.deliver_reply, "apply_async", lambda args, **options: nudged.append((args, options))
    )
    rows = make_replies(acme, LANE)
    tasks.nudge_delivery(rows[0])
    make_replies(acme, 1)
    assert not has_room(acme.pk, now=timezone.now())
    tasks.nudge_delivery(rows[0])
    (mine,) = make_replies(beta, 1, not_before=timezone.now() + timedelta(seconds=5))
    tasks.nudge_delivery(mine)
    assert [args for args, _ in nudged] == [(rows[0].pk,), (mine.pk,)]
    # What can still be undone starts when that is over.
    assert nudged[0][1]["countdown"] is None
    assert 4 < nudged[1][1]["countdown"] <= 5


def test_nothing_is_taken_up_while_all_calls_are_paused_and_one_row_probes_it(
    acme: TwitterAccount, monkeypatch: Any
) -> None:
    sent = []
    monkeypatch.setattr(tasks.deliver_reply, "apply_async", lambda args, **_: sent.append(args))
    make_replies(acme, 3)
    pause = AppPause.objects.create(code="credits_depleted", reason="No credits.")
    assert tasks.deliver_due_replies() == 0
    AppPause.objects.filter(pk=pause.pk).update(until=timezone.now())
    assert tasks.deliver_due_replies() == 1
    AppPause.objects.all().delete()
    assert tasks.deliver_due_replies() == 3
    assert len(sent) == 4
