"""Each account is polled once an interval, and never all of them at the same moment."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import chain

import pytest
from django.conf import LazySettings
from django.db import connection, connections
from django.utils import timezone

from accounts.health import resume_account
from accounts.models import TwitterAccount
from autores.mongo.plans import recorded_plans
from mentions.ingest.due import ROUND, claim_due_accounts

pytestmark = pytest.mark.django_db(transaction=True)

INTERVAL = timedelta(minutes=5)
START = timezone.now().replace(microsecond=0)


@pytest.fixture(autouse=True)
def _interval(settings: LazySettings) -> None:
    settings.TWITTER_POLLING_INTERVAL = INTERVAL / timedelta(minutes=1)


def add_accounts(count: int, **values: object) -> list[str]:
    made = TwitterAccount.objects.bulk_create(
        TwitterAccount(twitter_id=str(1000 + number), **values) for number in range(count)
    )
    return [account.pk for account in made]


def run_beat(*, since: datetime, span: timedelta) -> dict[datetime, list[str]]:
    """What each of beat's rounds claims."""
    rounds = int(span / ROUND)
    moments = [since + number * ROUND for number in range(rounds)]
    return {moment: claim_due_accounts(now=moment) for moment in moments}


def test_each_account_is_claimed_once_an_interval_when_beat_goes_round() -> None:
    ids = add_accounts(3)
    claims = Counter(chain(*run_beat(since=START, span=3 * INTERVAL).values()))
    assert claims == dict.fromkeys(ids, 3)


def test_polls_are_spread_when_all_accounts_fall_due_at_once() -> None:
    ids = add_accounts(1800)
    rounds = run_beat(since=START, span=INTERVAL)
    share = len(ids) / (INTERVAL / ROUND)
    assert max(len(claimed) for claimed in rounds.values()) <= 1.1 * share
    assert sorted(chain(*rounds.values())) == sorted(ids)
    # They keep their places: the next interval is as even.
    later = run_beat(since=START + INTERVAL, span=INTERVAL)
    assert max(len(claimed) for claimed in later.values()) <= 1.1 * share
    assert sorted(chain(*later.values())) == sorted(ids)


def test_the_longest_due_is_claimed_first_when_polls_fell_behind() -> None:
    ids = add_accounts(1800)
    TwitterAccount.objects.update(poll_due_at=START - timedelta(hours=1))
    oldest = ids[900:920]
    TwitterAccount.objects.filter(pk__in=oldest).update(poll_due_at=START - timedelta(hours=2))
    assert set(oldest) <= set(claim_due_accounts(now=START))
    # Once, and not for each interval that was missed.
    assert not set(oldest) & set(claim_due_accounts(now=START))


def test_more_are_claimed_a_round_when_accounts_have_missed_a_whole_interval() -> None:
    count = len(add_accounts(1800))
    share = count / (INTERVAL / ROUND)
    TwitterAccount.objects.update(poll_due_at=START - INTERVAL + ROUND)
    assert len(claim_due_accounts(now=START)) == 1.1 * share
    TwitterAccount.objects.update(poll_due_at=START - INTERVAL)
    assert len(claim_due_accounts(now=START)) == 1.5 * share


@pytest.mark.parametrize("status", ["paused", "token_expired"])
def test_account_is_left_alone_when_only_a_person_can_bring_it_back(status: str) -> None:
    stopped, active = add_accounts(2)
    TwitterAccount.objects.filter(pk=stopped).update(status=status)
    assert claim_due_accounts(now=START) == [active]
    TwitterAccount.objects.filter(pk=stopped).update(status="active")
    assert claim_due_accounts(now=START) == [stopped], "brought back, it is polled at once"


def test_account_is_due_when_its_document_is_from_before_there_were_due_times() -> None:
    (account_id,) = add_accounts(1)
    accounts = connection.get_collection(TwitterAccount._meta.db_table)
    accounts.update_one({"_id": account_id}, {"$unset": {"poll_due_at": ""}})
    assert claim_due_accounts(now=START) == [account_id]
    assert claim_due_accounts(now=START + INTERVAL - ROUND) == []
    assert claim_due_accounts(now=START + INTERVAL) == [account_id]


def test_due_accounts_are_found_by_index_in_its_order() -> None:
    add_accounts(200)
    TwitterAccount.objects.update(poll_due_at=START + timedelta(minutes=2))
    with recorded_plans() as plans:
        claim_due_accounts(now=START)
    assert len(plans) == 2
    for plan in plans:
        assert plan.is_index_scan
        assert plan.docs_examined == 0


def test_no_account_is_passed_over_when_two_beats_race() -> None:
    ids = add_accounts(300)

    def go_round(_: int) -> set[str]:
        try:
            return set(chain(*run_beat(since=START, span=INTERVAL).values()))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=2) as pool:
        claimed = list(pool.map(go_round, range(2)))
    assert set.union(*claimed) == set(ids)


def test_a_clock_that_was_ahead_puts_nobody_off() -> None:
    (account_id,) = add_accounts(1)
    assert claim_due_accounts(now=START + timedelta(days=2)) == [account_id]
    assert claim_due_accounts(now=START) == [account_id]


@pytest.mark.parametrize(("code", "times"), [("account_suspended", 2), ("server_error", 12)])
def test_what_x_suspended_is_asked_for_less_often(code: str, times: int) -> None:
    add_accounts(1, status="error", last_error_code=code)
    claims = run_beat(since=START, span=12 * INTERVAL)
    assert sum(map(len, claims.values())) == times


def test_an_account_that_is_resumed_is_polled_at_once() -> None:
    (account_id,) = add_accounts(1, status="error", last_error_code="account_suspended")
    assert claim_due_accounts(now=START) == [account_id]
    resume_account(TwitterAccount.objects.get(), now=START)
    assert claim_due_accounts(now=START + ROUND) == [account_id]
