"""What X would not give is known exactly: bursts, and polls that were cut short."""

from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.threads import run_together, running, wait_until
from autores.x.errors import RateLimitedError
from mentions import tasks
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import find_search_due, search_account, sweep_account
from mentions.models import Cursor, Gap, Message
from mentions.tests.ingest.reading import complete_until, ids_of, poll, reopen, stored_ids

pytestmark = pytest.mark.django_db(transaction=True)


# -- bursts -----------------------------------------------------------------------------------


def test_the_loss_is_exact_when_more_came_than_x_shows(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    cursor = Cursor.objects.get()
    posts = sandbox.control.create_mentions(account="acme", count=1500)
    result = poll(baselined)
    assert (result.new, result.has_gap) == (800, True)
    gap = Gap.objects.get()
    lost, kept = ids_of(posts)[:700], ids_of(posts)[700:]
    assert set(kept) <= stored_ids()
    assert [id_ for id_ in ids_of(posts) if int(gap.from_post_id) < int(id_) < int(gap.to_post_id)]
    assert (gap.from_post_id, gap.to_post_id) == (cursor.newest_post_id, kept[0])
    assert not stored_ids() & set(lost)
    assert complete_until(baselined) == gap.from_at
    assert find_search_due(now=timezone.now() + timedelta(seconds=1)) == [baselined.pk]


def test_a_gap_is_noticed_after_the_page_that_shows_it_and_not_when_the_poll_began(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    """A burst may come while a poll reads, and is no gap before it came."""
    sandbox.control.create_mentions(account="acme", count=900)
    sandbox.control.add_fault("mentions", "slow", params={"seconds": 0.3})
    now = timezone.now()
    poll_account(baselined, now=now)
    assert Gap.objects.get().created_at >= now + timedelta(seconds=0.3)


def test_search_fills_the_gap_and_closes_it_when_it_has_read_all_of_it(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=1000)
    poll(baselined)
    search_account(baselined, now=timezone.now() + timedelta(minutes=1))
    gap = Gap.objects.get()
    assert (gap.state, gap.found) == ("closed", 200)
    assert set(ids_of(posts)) <= stored_ids()
    assert complete_until(baselined) == Cursor.objects.get().complete_until
    assert not Message.objects.filter(is_late=True).exists(), "lost and found is not late"


def test_a_closed_gap_counts_what_a_sweep_found_of_it_later(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    """X showed some of the burst late, to the timeline as well as to the search."""
    sandbox.control.create_mentions(account="acme", count=100, index_delay_seconds=600)
    sandbox.control.create_mentions(account="acme", count=850)
    poll(baselined)
    search_account(baselined, now=timezone.now() + timedelta(minutes=1))
    gap = Gap.objects.get()
    assert (gap.state, gap.found) == ("closed", 50)
    for message in Message.objects.filter(found_by="poll").order_by("-post_id")[:200]:
        sandbox.control.delete_post(message.post_id)
    sandbox.control.advance_clock(700)
    assert sweep_account(baselined, now=timezone.now() + timedelta(minutes=12)).new == 100
    assert Gap.objects.get().found == 150


def test_a_gap_search_goes_on_when_it_was_cut(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=1100)
    poll(baselined)
    sandbox.control.add_fault("search", "rate_limit_window", after=1)
    with pytest.raises(RateLimitedError):
        search_account(baselined, now=timezone.now())
    assert Gap.objects.get().state == "open"
    assert complete_until(baselined) == Gap.objects.get().from_at
    assert Message.objects.filter(found_by="search").count() == 100
    reopen(baselined)
    assert search_account(baselined, now=timezone.now() + timedelta(minutes=20)).new == 200
    assert (Gap.objects.get().state, Gap.objects.get().found) == ("closed", 300)
    assert Message.objects.filter(found_by="search").count() == 300


def test_a_gap_is_searched_at_once_when_it_was_met_while_a_search_ran(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=1_000)
    sandbox.control.add_fault("search", "slow", params={"seconds": 2})
    with running(lambda: search_account(baselined, now=timezone.now())):
        # It has looked for gaps by then, and waits for X.
        wait_until(lambda: Cursor.objects.get().search_begun_at is not None)
        poll(baselined)
    assert Gap.objects.get().state == "open"
    assert find_search_due(now=timezone.now()) == [baselined.pk]


@pytest.mark.parametrize(
    ("fault", "hours"),
    [("server_error", 0), ("credits_depleted", 0), ("usage_cap", 0), ("forbidden", 1)],
)
def test_a_search_is_put_off_by_what_refused_it(
    baselined: TwitterAccount, sandbox: RunningSandbox, fault: str, hours: int
) -> None:
    now = timezone.now()
    Cursor.objects.update(search_due_at=now)
    sandbox.control.add_fault("search", fault)
    tasks.search_account(baselined.pk)
    due_at = Cursor.objects.get().search_due_at
    assert due_at is not None
    assert due_at > now
    assert (due_at - now) // timedelta(hours=1) == hours


def test_a_gap_is_lost_when_the_search_does_not_reach_it_any_more(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=900)
    poll(baselined)
    search_account(baselined, now=timezone.now() + timedelta(days=8))
    gap = Gap.objects.get()
    assert (gap.state, gap.found) == ("expired", 0)
    assert complete_until(baselined) == Cursor.objects.get().complete_until


def test_there_is_no_gap_when_x_still_shows_the_cursors_post(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=799)
    result = poll(baselined)
    assert (result.new, result.has_gap, Gap.objects.count()) == (799, False, 0)


# -- polls cut short --------------------------------------------------------------------------


def test_the_next_poll_goes_on_below_when_a_page_was_refused(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=750)
    before = complete_until(baselined)
    sandbox.control.add_fault("mentions", "rate_limit_window", after=3)
    with pytest.raises(RateLimitedError):
        poll(baselined)
    assert Message.objects.filter(found_by="poll").count() == 300
    assert complete_until(baselined) == before
    # While it waits, X's reach moves up: read from the top again, the oldest would be lost.
    more = sandbox.control.create_mentions(account="acme", count=40)
    reopen(baselined)
    result = poll(baselined, minutes=16)
    assert not result.has_gap
    assert set(ids_of([*posts, *more])) <= stored_ids()
    assert complete_until(baselined) > before
    cursor = Cursor.objects.get()
    assert (cursor.newest_post_id, cursor.unfinished_newest_id) == (more[-1]["id"], "")


def test_the_gap_is_exact_when_x_moved_on_while_a_poll_was_cut(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    newest = Cursor.objects.get().newest_post_id
    posts = sandbox.control.create_mentions(account="acme", count=750)
    sandbox.control.add_fault("mentions", "rate_limit_window", after=3)
    with pytest.raises(RateLimitedError):
        poll(baselined)
    more = sandbox.control.create_mentions(account="acme", count=400)
    reopen(baselined)
    assert poll(baselined, minutes=16).has_gap
    # X showed 800: the 400 new ones, and 400 of the 750.
    lost = ids_of(posts)[:350]
    gap = Gap.objects.get()
    assert (gap.from_post_id, gap.to_post_id) == (newest, posts[350]["id"])
    assert stored_ids() & set(ids_of([*posts, *more])) == set(ids_of([*posts, *more])) - set(lost)


def test_there_is_no_gap_when_a_resumed_poll_finds_the_cursors_post_deleted(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme the second")
    poll(baselined)
    sandbox.control.delete_post(Cursor.objects.get().newest_post_id)
    sandbox.control.create_mentions(account="acme", count=150)
    sandbox.control.add_fault("mentions", "rate_limit_window", after=1)
    with pytest.raises(RateLimitedError):
        poll(baselined)
    reopen(baselined)
    result = poll(baselined, minutes=16)
    assert (result.new, Gap.objects.count()) == (50, 0)


class KilledError(BaseException):
    """Stands for the end of the process between two writes."""


def test_a_gap_is_written_once_when_the_poll_dies_before_the_cursor_moves(
    baselined: TwitterAccount, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=900)
    with monkeypatch.context() as patch:
        patch.setattr("mentions.ingest.poll.finish_span", _die)
        with pytest.raises(KilledError):
            poll(baselined)
    first = Gap.objects.get()
    sandbox.control.create_mentions(account="acme", count=50)
    poll(baselined)
    gap = Gap.objects.get()
    assert (gap.to_post_id, first.to_post_id) == (posts[100]["id"], posts[100]["id"])
    assert gap.created_at == first.created_at


# Where no process can be killed to the moment: between two writes of one poll.
def _die(*args: Any, **kwargs: Any) -> None:
    raise KilledError


# -- whose a search is ------------------------------------------------------------------------


def test_one_worker_searches_when_several_are_told_to(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=1100)
    poll(baselined)
    sandbox.control.clear_calls()
    sandbox.control.add_fault("search", "slow", times=None, params={"seconds": 0.1})

    run_together(*[lambda: tasks.search_account(baselined.pk)] * 4)
    assert Gap.objects.get().state == "closed"
    # Three pages of the gap, and those of the daily search.
    assert len(sandbox.control.list_calls(route="search")) < 20
    assert find_search_due(now=timezone.now() + timedelta(hours=2)) == []


def test_the_daily_search_goes_on_when_it_is_switched_on_again(
    baselined: TwitterAccount, settings: LazySettings
) -> None:
    settings.X_SEARCH_INTERVAL = 0
    Cursor.objects.update(search_due_at=timezone.now())
    tasks.search_account(baselined.pk)
    assert find_search_due(now=timezone.now() + timedelta(days=30)) == []
    settings.X_SEARCH_INTERVAL = 24
    assert find_search_due(now=timezone.now()) == [baselined.pk]


def test_completeness_of_a_clock_that_was_ahead_is_taken_back(baselined: TwitterAccount) -> None:
    poll(baselined, days=2)
    poll(baselined)
    assert complete_until(baselined) <= timezone.now()
