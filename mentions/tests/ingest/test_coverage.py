"""No mention is missed that X would give, however late, and none is stored twice."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.x.errors import ServerError
from mentions.ingest import gaps, position
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import search_account, sweep_account
from mentions.models import Cursor, Gap, Message
from mentions.tests.ingest.reading import ids_of, poll

pytestmark = pytest.mark.django_db(transaction=True)


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
