"""No mention is missed that X would give, and what it would not give is known exactly."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.x.errors import RateLimitedError, ServerError
from mentions import tasks
from mentions.ingest import gaps, position, sweep
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import find_search_due, search_account, sweep_account
from mentions.models import Cursor, Gap, Message

pytestmark = pytest.mark.django_db(transaction=True)


def poll(account: TwitterAccount, **later: float):
    return poll_account(account, now=timezone.now() + timedelta(**later))


def stored_ids() -> set[str]:
    return set(Message.objects.values_list("pk", flat=True))


def ids_of(posts: list[dict[str, Any]]) -> list[str]:
    return [post["id"] for post in posts]


def complete_until(account: TwitterAccount):
    return TwitterAccount.objects.values_list("complete_until", flat=True).get(pk=account.pk)


def reopen(account: TwitterAccount) -> None:
    """The window of X's limit is over."""
    TwitterAccount.objects.filter(pk=account.pk).update(closed_endpoints=[], blocked_until=None)


@pytest.fixture
def baselined(acme: TwitterAccount, sandbox: RunningSandbox) -> TwitterAccount:
    """@acme after its first poll, with one mention taken over."""
    sandbox.control.create_mention(account="acme", author="dora", text="@acme the first")
    poll(acme)
    sandbox.control.advance_clock(2)
    sandbox.control.clear_calls()
    return acme


# -- shown late -------------------------------------------------------------------------------


def test_a_poll_finds_what_x_showed_late_when_the_cursor_has_passed_it(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    late = sandbox.control.create_mention(account="acme", author="dora", index_delay_seconds=300)
    sandbox.control.advance_clock(5)
    prompt = sandbox.control.create_mention(account="acme", author="emil")
    assert poll(baselined).new_message_ids == (prompt["id"],)
    assert int(Cursor.objects.get().newest_post_id) > int(late["id"])
    sandbox.control.advance_clock(300)
    assert poll(baselined).new_message_ids == (late["id"],)
    assert Message.objects.get(pk=late["id"]).is_late
    assert not Message.objects.get(pk=prompt["id"]).is_late
    assert Cursor.objects.get().late_count == 1


def test_the_overlap_begins_at_the_last_complete_poll_when_polls_were_out(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    late = sandbox.control.create_mention(account="acme", author="dora", index_delay_seconds=300)
    sandbox.control.advance_clock(5)
    sandbox.control.create_mention(account="acme", author="emil")
    poll(baselined)
    sandbox.control.advance_clock(5 * 3600)
    assert late["id"] in poll(baselined, hours=5).new_message_ids


def test_a_sweep_begins_at_the_last_one_that_came_through_when_sweeps_were_refused(
    baselined: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_POLL_OVERLAP, settings.X_SWEEP_OVERLAP = 1.0, 5.0
    assert sweep_account(baselined, now=timezone.now()).new == 0
    late = sandbox.control.create_mention(account="acme", author="dora", index_delay_seconds=240)
    sandbox.control.advance_clock(5)
    sandbox.control.create_mention(account="acme", author="emil")
    poll(baselined)
    sandbox.control.add_fault("mentions", "server_error")
    with pytest.raises(ServerError):
        sweep_account(baselined, now=timezone.now() + timedelta(minutes=1))
    poll(baselined, minutes=3)
    sandbox.control.advance_clock(3600)
    assert poll(baselined, hours=1).new == 0
    result = sweep_account(baselined, now=timezone.now() + timedelta(hours=1))
    assert result.new_message_ids == (late["id"],)
    # From now on it need not reach back so far.
    sandbox.control.clear_calls()
    sweep_account(baselined, now=timezone.now() + timedelta(hours=2))
    (call,) = sandbox.control.list_calls(route="mentions")
    assert int(call["query"]["since_id"]) > int(late["id"])


def test_search_finds_what_x_showed_later_than_any_overlap(
    baselined: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_POLL_OVERLAP, settings.X_SWEEP_OVERLAP = 1.0, 5.0
    late = sandbox.control.create_mention(account="acme", author="dora", index_delay_seconds=7200)
    sandbox.control.advance_clock(5)
    sandbox.control.create_mention(account="acme", author="emil")
    poll(baselined)
    poll(baselined, hours=1)
    sweep_account(baselined, now=timezone.now() + timedelta(hours=1))
    sandbox.control.advance_clock(7200)
    assert poll(baselined, hours=2).new == 0
    assert sweep_account(baselined, now=timezone.now() + timedelta(hours=2)).new == 0
    result = search_account(baselined, now=timezone.now() + timedelta(hours=2))
    assert result.new_message_ids == (late["id"],)
    message = Message.objects.get(pk=late["id"])
    assert (message.found_by, message.is_late) == ("search", True)


@pytest.mark.parametrize("kind", ["repost", "quote"])
def test_the_daily_search_reads_the_timeline_too_as_it_leaves_these_out(
    baselined: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings, kind: str
) -> None:
    settings.X_POLL_OVERLAP, settings.X_SWEEP_OVERLAP = 1.0, 5.0
    late = sandbox.control.create_mention(account="acme", kind=kind, index_delay_seconds=7200)
    sandbox.control.advance_clock(5)
    sandbox.control.create_mention(account="acme", author="emil")
    poll(baselined, hours=1)
    sweep_account(baselined, now=timezone.now() + timedelta(hours=1))
    sandbox.control.advance_clock(7200)
    later = timezone.now() + timedelta(hours=2)
    assert sweep_account(baselined, now=later).new == 0
    result = search_account(baselined, now=later)
    assert (result.new, result.new_message_ids) == (1, (late["id"],))
    message = Message.objects.get(pk=late["id"])
    assert (message.found_by, message.is_late) == ("sweep", True)


def test_old_mentions_stay_out_when_the_baseline_left_them_out(
    acme: TwitterAccount, sandbox: RunningSandbox, settings: LazySettings
) -> None:
    settings.X_BASELINE_COUNT = 10
    sandbox.control.create_mentions(account="acme", count=60)
    assert poll(acme).new == 10
    now = timezone.now()
    assert poll(acme).new == 0
    assert sweep_account(acme, now=now).new == 0
    assert search_account(acme, now=now).new == 0
    assert set(Message.objects.values_list("found_by", flat=True)) == {"baseline"}


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
    baselined: TwitterAccount, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.control.create_mentions(account="acme", count=1_000)
    search = sweep.search_mentions

    def search_beside_a_poll(account: TwitterAccount, **bounds: Any) -> Any:
        pages = search(account, **bounds)
        if not Gap.objects.exists():
            poll(account)
        return pages

    monkeypatch.setattr(sweep, "search_mentions", search_beside_a_poll)
    search_account(baselined, now=timezone.now())
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


def _die(*args: Any, **kwargs: Any) -> None:
    raise KilledError


# -- together ---------------------------------------------------------------------------------


def test_each_mention_is_stored_once_when_poll_sweep_and_search_race(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    posts = sandbox.control.create_mentions(account="acme", count=250)
    barrier = threading.Barrier(3)
    new: list[str] = []

    def work(read: Any) -> None:
        barrier.wait()
        try:
            account = TwitterAccount.objects.get(pk=baselined.pk)
            new.extend(read(account, now=timezone.now()).new_message_ids)
        finally:
            connection.close()

    reads = (poll_account, sweep_account, search_account)
    threads = [threading.Thread(target=work, args=(read,)) for read in reads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == sorted(ids_of(posts))
    assert Message.objects.exclude(found_by="baseline").count() == 250
    assert Cursor.objects.get().newest_post_id == posts[-1]["id"]
    assert not Gap.objects.exists()


def test_an_older_poll_moves_nothing_back_when_it_ends_after_a_newer_one(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    slow = position.load_cursor(baselined)
    sandbox.control.create_mentions(account="acme", count=5)
    poll(baselined, minutes=10)
    cursor = Cursor.objects.get()
    old = position.Span(begun_at=timezone.now(), newest=int(slow.newest_post_id) + 1, lowest=1)
    position.finish_span(slow, old, now=timezone.now())
    after = Cursor.objects.get()
    assert (after.newest_post_id, after.complete_until) == (
        cursor.newest_post_id,
        cursor.complete_until,
    )
    assert gaps.publish_completeness(baselined.pk) == cursor.complete_until


def test_a_poll_that_missed_a_gap_does_not_hide_it_when_another_published_it_meanwhile(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    """Two polls at once: one has read that there is no gap; the other finds one and ends first."""
    slow = TwitterAccount.objects.get()
    cursor = position.load_cursor(slow)
    assert gaps.read_gaps(slow.pk) == []
    newest = int(cursor.newest_post_id)
    gaps.record_gap(baselined, after=newest, before=newest + (1 << 40), now=timezone.now())
    begins = gaps.publish_completeness(baselined.pk, last_polled_at=timezone.now())

    cursor.complete_until = timezone.now()
    gaps.publish_poll(slow, cursor, now=timezone.now(), has_open_gap=False)

    assert begins is not None
    assert TwitterAccount.objects.get().complete_until == begins == Gap.objects.get().from_at
