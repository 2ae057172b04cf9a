"""One account's poll: read every page since the cursor, store each, then move the cursor."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F

from accounts.models import TwitterAccount
from autores.x.ids import first_post_id_at
from autores.x.types import PostPage
from mentions.ingest.classify import classify_post
from mentions.ingest.fetch import REACHABLE_MENTIONS, fetch_pages
from mentions.ingest.store import Item, Stored, store_items
from mentions.models import Cursor

logger = logging.getLogger(__name__)

# An account without any mention yet gets a cursor this far back, for clocks that disagree.
_EMPTY_BASELINE_MARGIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class PollResult:
    """What one poll did. ``has_gap``: more may have been posted than X still shows."""

    account_id: str
    seen: int
    new: int
    new_message_ids: tuple[str, ...]
    is_baseline: bool
    has_gap: bool


def poll_account(account: TwitterAccount, *, now: datetime) -> PollResult:
    """Read the account's new mentions to the end and store them.

    The first poll of an account is its baseline: one small page, not 800 old mentions.
    A poll that fails half way leaves the cursor where it was: the next one reads the same pages
    again and stores what is missing. Raises what ``accounts.clients.call_x`` raises.
    """
    cursor = _cursor_for(account)
    is_baseline = not cursor.newest_post_id
    seen, newest = 0, int(cursor.newest_post_id or 0)
    new_ids: list[str] = []
    if is_baseline:
        pages = fetch_pages(account, max_results=settings.X_BASELINE_COUNT, max_pages=1)
    else:
        pages = fetch_pages(account, since_id=cursor.newest_post_id)
    for page in pages:
        stored = store_page(account, page, wants_drafts=not is_baseline, now=now)
        seen += len(page.posts)
        new_ids.extend(stored.new_ids)
        newest = max([newest, *(int(post.id) for post in page.posts)])
    if not newest:
        newest = int(first_post_id_at(now - _EMPTY_BASELINE_MARGIN))
    has_gap = not is_baseline and seen >= REACHABLE_MENTIONS
    _finish(cursor, newest=newest, seen=seen, new=len(new_ids), has_gap=has_gap, now=now)
    TwitterAccount.objects.filter(pk=account.pk).update(last_polled_at=now)
    logger.info("polled %s: %d seen, %d new", account.twitter_id, seen, len(new_ids))
    return PollResult(account.pk, seen, len(new_ids), tuple(new_ids), is_baseline, has_gap)


def sweep_account(account: TwitterAccount, *, now: datetime) -> PollResult:
    """Re-read a trailing window without moving the cursor: X sometimes shows a mention late.

    What is found here and was missed by the polls is counted as late on the cursor.
    """
    cursor = _cursor_for(account)
    if not cursor.newest_post_id:
        return poll_account(account, now=now)
    since = first_post_id_at(
        max(
            now - timedelta(minutes=settings.X_SWEEP_OVERLAP),
            cursor.baseline_at or now - timedelta(minutes=settings.X_SWEEP_OVERLAP),
        )
    )
    seen = 0
    late_ids: list[str] = []
    other_ids: list[str] = []
    upper = int(cursor.newest_post_id)
    for page in fetch_pages(account, since_id=since):
        stored = store_page(account, page, wants_drafts=True, now=now)
        seen += len(page.posts)
        for message_id in stored.new_ids:
            is_late = int(message_id.partition(":")[0]) <= upper
            (late_ids if is_late else other_ids).append(message_id)
    if late_ids:
        Cursor.objects.filter(pk=cursor.pk).update(late_count=F("late_count") + len(late_ids))
        logger.warning("%s: %d mentions were shown late", account.twitter_id, len(late_ids))
    new_ids = (*late_ids, *other_ids)
    return PollResult(account.pk, seen, len(new_ids), new_ids, False, False)


def store_page(
    account: TwitterAccount, page: PostPage, *, wants_drafts: bool, now: datetime
) -> Stored:
    """Classify and store one page."""
    items = [
        Item(
            post,
            classify_post(
                post,
                account_x_id=account.twitter_id,
                account_username=account.twitter_username,
                referenced=page.referenced,
            ),
        )
        for post in page.posts
    ]
    is_drafting = (
        wants_drafts
        and account.drafts_automatically
        and settings.DRAFT_AUTOMATICALLY
        and bool(settings.OPENAI_API_KEY)
    )
    return store_items(account, items, wants_drafts=is_drafting, now=now)


def _cursor_for(account: TwitterAccount) -> Cursor:
    cursor = Cursor.objects.filter(pk=account.pk).first()
    if cursor is not None:
        return cursor
    try:
        return Cursor.objects.create(pk=account.pk, account_id=account.pk)
    except IntegrityError:
        return Cursor.objects.get(pk=account.pk)


def _finish(
    cursor: Cursor, *, newest: int, seen: int, new: int, has_gap: bool, now: datetime
) -> None:
    """Move the cursor forward, never back: another poll of the account may have been faster."""
    figures = {
        "complete_until": now,
        "last_poll_seen": seen,
        "last_poll_new": new,
        "updated_at": now,
    }
    if has_gap:
        figures["possible_gap_at"] = now
    position = cursor.newest_post_id
    while newest > int(position or 0):
        moved = Cursor.objects.filter(pk=cursor.pk, newest_post_id=position).update(
            newest_post_id=str(newest), baseline_at=cursor.baseline_at or now, **figures
        )
        if moved:
            return
        position = Cursor.objects.values_list("newest_post_id", flat=True).get(pk=cursor.pk)
    Cursor.objects.filter(pk=cursor.pk).update(**figures)
