"""One account's poll: read every page since the cursor, store each, then move the cursor."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from accounts.clients import call_x
from accounts.errors import AccountBlockedError
from accounts.models import TwitterAccount
from accounts.names import read_name
from autores.x.errors import ContractError, NoAnswerError, ServerError, XError
from autores.x.ids import first_post_id_at
from mentions.ingest.fetch import (
    REACHABLE_MENTIONS,
    REACHABLE_PAGES,
    Pages,
    fetch_mentions,
)
from mentions.ingest.finding import Finding
from mentions.ingest.gaps import (
    GapRange,
    note_unreadable,
    publish_completeness,
    publish_poll,
    read_gaps,
    record_gap,
)
from mentions.ingest.pages import store_page
from mentions.ingest.position import (
    Span,
    finish_span,
    floor_of,
    load_cursor,
    overlap_start,
    save_unfinished,
    unfinished_span,
)
from mentions.models import Cursor, FoundBy, Message

logger = logging.getLogger(__name__)

# An account without any mention yet gets a cursor this far back, for clocks that disagree.
_EMPTY_BASELINE_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll did. ``seen`` counts posts X showed, known ones included; ``has_gap``: some
    that X does not show any more were passed over, and kept as a gap.
    """

    account_id: str
    seen: int
    new: int
    new_message_ids: tuple[str, ...]
    is_baseline: bool
    has_gap: bool


def poll_account(account: TwitterAccount, *, now: datetime) -> PollResult:
    """Read the account's new mentions to the end and store them.

    The first poll of an account is its baseline: one small page, not 800 old mentions.
    A poll that fails half way leaves the cursor where it was, and the next one first reads on
    below what this one stored. Raises what ``accounts.clients.call_x`` raises.
    """
    cursor = load_cursor(account)
    if not account.twitter_username:
        _learn_name(account, now=now)
    if not cursor.newest_post_id:
        return _take_baseline(account, cursor, now=now)
    reading = _Reading(account, now)
    begun = unfinished_span(cursor)
    if begun is not None:
        try:
            reading.read_span(cursor, begun, is_resumed=True)
        except (ServerError, NoAnswerError, ContractError) as error:
            # What X cannot give down there must not keep out what came since.
            logger.warning("%s: not read on below: %s", account.twitter_id, error.code)
    reading.read_span(cursor, Span(begun_at=now), is_resumed=False)
    if reading.late:
        count_late(account, reading.late, now=now)
    publish_poll(account, cursor, now=now, has_open_gap=reading.has_open_gap)
    new_ids = reading.new_ids
    logger.info("polled %s: %d seen, %d new", account.twitter_id, reading.seen, len(new_ids))
    return PollResult(
        account.pk, reading.seen, len(new_ids), tuple(new_ids), False, reading.has_gap
    )


def _learn_name(account: TwitterAccount, *, now: datetime) -> None:
    """Of an account that was taken over; it is polled without, too."""
    try:
        read_name(account, now=now)
    except (XError, AccountBlockedError) as error:
        logger.warning("the name of %s is not known: %s", account.twitter_id, error.code)


def late_judge(gaps: Sequence[GapRange], *, passed: int) -> Callable[[int], bool]:
    """Tells of an id whether the polls had passed it. What lies in a gap is not late: X had
    stopped to show it.
    """

    def is_late(post_id: int) -> bool:
        return post_id <= passed and not any(gap.low < post_id < gap.high for gap in gaps)

    return is_late


def count_late(account: TwitterAccount, found: int, *, now: datetime) -> None:
    """Count all late mentions of the account anew, which no crash can make wrong."""
    total = Message.objects.filter(account_id=account.pk, found_by__gt="", is_late=True).count()
    Cursor.objects.filter(pk=account.pk).update(late_count=total, updated_at=now)
    logger.warning("%s: %d mentions were shown late", account.twitter_id, found)


class _Reading:
    """What one poll reads, in one or two spans."""

    def __init__(self, account: TwitterAccount, now: datetime) -> None:
        self.account = account
        self.now = now
        self._begun = time.monotonic()
        self.seen = 0
        self.new_ids: list[str] = []
        self.late = 0
        self.has_gap = False
        # Whether any is known, of this poll or an earlier one, that the search has not read yet.
        self.has_open_gap = False

    def read_span(self, cursor: Cursor, span: Span, *, is_resumed: bool) -> None:
        """Read on below ``span`` down to the cursor and its overlap; then move the cursor."""
        passed, since, seen_before = int(cursor.newest_post_id), overlap_start(cursor), self.seen
        floor, new_before = floor_of(cursor), len(self.new_ids)
        gaps = read_gaps(self.account.pk)
        self.has_open_gap = self.has_open_gap or any(gap.is_open for gap in gaps)
        is_late = late_judge(gaps, passed=passed)
        pages: Pages | None = None
        if not span.lowest or span.lowest - 1 > since:
            pages = fetch_mentions(
                self.account,
                since_id=str(since),
                until_id=str(span.lowest) if span.lowest else None,
            )
            for page in pages:
                stored = store_page(
                    self.account,
                    page,
                    finding=Finding(FoundBy.POLL, is_late=is_late, newest_known=passed),
                    now=self.now,
                    is_wanted=lambda post_id: post_id > floor,
                )
                if note_unreadable(self.account, page, above=floor, now=self.now):
                    self.has_open_gap = True
                self.seen += len(page.posts)
                self.new_ids.extend(stored.new_ids)
                self.late += sum(is_late(int(id_.partition(":")[0])) for id_ in stored.new_ids)
                span = span.extend(page)
                if page.next_token is not None and span.lowest:
                    save_unfinished(cursor, span)
        # Its own post, shown again, proves that X's reach came down to the cursor.
        if span.lowest > passed and (
            (pages is not None and pages.ending != "end")
            or self._may_be_cut(span, pages, is_resumed=is_resumed)
        ):
            # More may have come since the poll began, and have brought the gap about.
            noticed_at = self.now + timedelta(seconds=time.monotonic() - self._begun)
            record_gap(self.account, after=passed, before=span.lowest, now=noticed_at)
            self.has_gap = self.has_open_gap = True
        finish_span(
            cursor,
            span,
            now=self.now,
            last_poll_seen=self.seen - seen_before,
            last_poll_new=len(self.new_ids) - new_before,
            **({"possible_gap_at": self.now} if self.has_gap else {}),
        )

    def _may_be_cut(self, span: Span, pages: Pages | None, *, is_resumed: bool) -> bool:
        """Whether X may have stopped above the cursor, though it said nothing of the kind."""
        is_far = pages is not None and pages.count >= REACHABLE_PAGES
        if span.seen >= REACHABLE_MENTIONS or is_far:
            return True
        if not is_resumed:
            return False
        # Newer mentions may have used up X's reach since the span was begun: does it still show
        # anything older?
        older = call_x(
            self.account,
            lambda client: client.get_mentions(
                self.account.twitter_id, until_id=str(span.lowest), max_results=5
            ),
        )
        return not older.posts


def _take_baseline(account: TwitterAccount, cursor: Cursor, *, now: datetime) -> PollResult:
    span = Span(begun_at=now)
    new_ids: list[str] = []
    finding = Finding(FoundBy.BASELINE, wants_drafts=False, newest_known=0)
    count = settings.X_BASELINE_COUNT
    for page in fetch_mentions(account, max_results=count, max_pages=1):
        new_ids.extend(store_page(account, page, finding=finding, now=now).new_ids)
        note_unreadable(account, page, above=0, now=now)
        span = span.extend(page)
    # A full page: older ones were left out on purpose, and stay out.
    floor = span.lowest - 1 if span.seen >= count else 0
    hours = settings.X_SEARCH_INTERVAL
    if not span.newest:
        empty = int(first_post_id_at(now - _EMPTY_BASELINE_MARGIN))
        span = Span(begun_at=now, newest=empty, lowest=empty)
    Cursor.objects.filter(pk=cursor.pk, baseline_at=None).update(
        baseline_at=now,
        floor_post_id=str(floor),
        searched_until=now,
        search_due_at=now + timedelta(hours=hours) if hours else None,
    )
    finish_span(cursor, span, now=now, last_poll_seen=span.seen, last_poll_new=len(new_ids))
    publish_completeness(account.pk, last_polled_at=now)
    logger.info("baseline of %s: %d taken over", account.twitter_id, len(new_ids))
    return PollResult(account.pk, span.seen, len(new_ids), tuple(new_ids), True, False)
