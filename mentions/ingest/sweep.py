"""The nets behind the polls: the timeline once more, further back; and, daily, X's search and the
timeline as far back as it, because search leaves out reposts and quotes.

Neither moves the cursor. What they store says so by ``found_by``.
"""

import logging
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.models import TwitterAccount
from accounts.names import read_name
from autores.x.ids import first_post_id_at
from mentions.ingest.fetch import Pages, fetch_mentions, search_mentions
from mentions.ingest.finding import Finding
from mentions.ingest.gaps import (
    SEARCH_REACH,
    is_single,
    list_open_gaps,
    note_unreadable,
    publish_completeness,
    read_gaps,
    read_single_posts,
    recount_gaps,
    search_gap,
)
from mentions.ingest.pages import store_page
from mentions.ingest.poll import PollResult, count_late, late_judge, poll_account
from mentions.ingest.position import floor_of, load_cursor
from mentions.models import Cursor, FoundBy

logger = logging.getLogger(__name__)

# X's search index lags behind the timeline: what was made just now is left to the next search.
_SEARCH_OVERLAP = timedelta(hours=1)
# Also for so long one search is left alone: a worker that died makes none.
_PUT_OFF = timedelta(hours=1)


def sweep_account(account: TwitterAccount, *, now: datetime) -> PollResult:
    """Re-read a trailing window of the timeline, further back than the polls' overlap.

    The window reaches back from the last sweep that came through: what X showed after it, with a
    delay of at most X_SWEEP_OVERLAP, is read however long sweeps failed. Raises as
    ``poll_account``.
    """
    cursor = load_cursor(account)
    if not cursor.newest_post_id:
        return poll_account(account, now=now)
    since = min(now, cursor.swept_until or cursor.baseline_at or now)
    window = int(first_post_id_at(since - timedelta(minutes=settings.X_SWEEP_OVERLAP)))
    pages = fetch_mentions(account, since_id=str(max(window, floor_of(cursor))))
    result = _store_all(account, cursor, pages, found_by=FoundBy.SWEEP, now=now)
    if pages.is_whole:
        rows = Cursor.objects.filter(pk=cursor.pk)
        rows.filter(Q(swept_until=None) | Q(swept_until__lt=now)).update(swept_until=now)
    return result


def search_account(account: TwitterAccount, *, now: datetime) -> PollResult:
    """Read what X's search has: first the open gaps, then the time since the last search, of which
    the timeline is read again, too.

    A search that is cut short goes on from there in the next run. Raises as ``poll_account``.
    """
    cursor = load_cursor(account)
    new_ids: list[str] = []
    if not cursor.newest_post_id:
        return PollResult(account.pk, 0, 0, (), False, False)
    # It is the name that is searched for.
    read_name(account, now=now)
    has_more = False
    try:
        gaps = list_open_gaps(account.pk)
        for gap in gaps:
            if not is_single(gap):
                search = search_gap(account, gap, now=now)
                new_ids.extend(search.new_ids)
                has_more = has_more or search.has_more
        new_ids.extend(read_single_posts(account, [*filter(is_single, gaps)], now=now))
    finally:
        publish_completeness(account.pk)
    result = _search_recent(account, cursor, now=now, has_more=has_more)
    new_ids.extend(result.new_message_ids)
    return PollResult(account.pk, result.seen, len(new_ids), tuple(new_ids), False, False)


def find_search_due(*, now: datetime) -> list[str]:
    """Accounts with a gap to be read, or whose daily search is due."""
    return list(_due(now).values_list("account_id", flat=True))


def claim_search(account_id: str, *, now: datetime) -> bool:
    """Whether the search is the caller's: of several workers one makes it."""
    return bool(_due(now).filter(pk=account_id).update(search_due_at=now + _PUT_OFF))


def put_off_search(
    account_id: str, *, now: datetime, seconds: float | None, is_passing: bool = False
) -> None:
    """X refused: come again when it says, in an hour, or at the next look after a failure that
    passes: what X forgets next is in no one's reach for longer than it must.
    """
    wait = _PUT_OFF
    if seconds is not None or is_passing:
        wait = timedelta(seconds=max(60.0, seconds or 0.0))
    Cursor.objects.filter(pk=account_id).update(search_due_at=now + wait)


def _due(now: datetime) -> QuerySet[Cursor]:
    due = Q(search_due_at__lte=now)
    if settings.X_SEARCH_INTERVAL:
        # The daily search was switched off once.
        due |= Q(search_due_at=None, baseline_at__lte=now)
    return Cursor.objects.filter(due)


def _search_recent(
    account: TwitterAccount, cursor: Cursor, *, now: datetime, has_more: bool
) -> PollResult:
    begun_at, until = cursor.search_begun_at or now, cursor.search_lowest_id
    reach = now - SEARCH_REACH
    known = cursor.searched_until or cursor.baseline_at
    since = max(known - _SEARCH_OVERLAP, reach) if known else reach
    low = max(int(first_post_id_at(since)), floor_of(cursor))
    rows = Cursor.objects.filter(pk=cursor.pk)
    hours = settings.X_SEARCH_INTERVAL
    if not hours:
        _set_due(account, None, now=now, has_more=has_more)
        return PollResult(account.pk, 0, 0, (), False, False)
    rows.update(search_begun_at=begun_at)
    if until and int(until) - 1 <= low:
        pages = None
        result = PollResult(account.pk, 0, 0, (), False, False)
    else:
        pages = search_mentions(account, since_id=str(low), until_id=until or None)
        result = _store_all(account, cursor, pages, found_by=FoundBy.SEARCH, now=now)
    if pages is not None and not pages.is_whole:
        _set_due(account, now + _PUT_OFF, now=now, has_more=has_more or bool(result.seen))
        return result
    again = fetch_mentions(account, since_id=str(low))
    swept = _store_all(account, cursor, again, found_by=FoundBy.SWEEP, now=now)
    result = replace(
        result,
        seen=result.seen + swept.seen,
        new=result.new + swept.new,
        new_message_ids=(*result.new_message_ids, *swept.new_message_ids),
    )
    rows.update(searched_until=begun_at, search_lowest_id="", search_begun_at=None)
    _set_due(account, now + timedelta(hours=hours), now=now, has_more=has_more)
    return result


def _set_due(
    account: TwitterAccount, due_at: datetime | None, *, now: datetime, has_more: bool
) -> None:
    """When to search next: at once, if a poll has met a gap while this search ran, or this one was
    cut short; in an hour, if X did not give all of a gap in a form that can be read.
    """
    rows = Cursor.objects.filter(pk=account.pk)
    rows.update(search_due_at=due_at)
    gaps = list_open_gaps(account.pk)
    if has_more or any(gap.searched_at is None for gap in gaps):
        rows.update(search_due_at=now)
    elif gaps:
        rows.update(search_due_at=now + _PUT_OFF)


def _store_all(
    account: TwitterAccount, cursor: Cursor, pages: Pages, *, found_by: FoundBy, now: datetime
) -> PollResult:
    floor = floor_of(cursor)
    is_late = late_judge(read_gaps(account.pk), passed=int(cursor.newest_post_id))
    seen, late, lowest = 0, 0, 0
    new_ids: list[str] = []
    try:
        for page in pages:
            stored = store_page(
                account,
                page,
                finding=Finding(found_by, is_late=is_late),
                now=now,
                is_wanted=lambda post_id: post_id > floor,
            )
            note_unreadable(account, page, above=floor, now=now)
            seen += len(page.posts)
            new_ids.extend(stored.new_ids)
            late += sum(is_late(int(id_.partition(":")[0])) for id_ in stored.new_ids)
            if not page.posts:
                continue
            lowest = min(int(post.id) for post in page.posts)
            if found_by is FoundBy.SEARCH:
                Cursor.objects.filter(pk=cursor.pk).update(search_lowest_id=str(lowest))
    finally:
        if late:
            count_late(account, late, now=now)
        if lowest:
            recount_gaps(account.pk, above=lowest)
    return PollResult(account.pk, seen, len(new_ids), tuple(new_ids), False, False)
