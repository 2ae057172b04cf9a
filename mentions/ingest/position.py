"""Where an account's reading stands: the cursor, moved only forward and only over what is stored.

A poll that is cut short (429, a crash) leaves what it has read on the cursor as "unfinished", and
the next one goes on below it: pages run from new to old, so one that began at the top again and
again would never come to the oldest mentions, which X forgets first.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection
from pymongo import ReturnDocument

from accounts.models import TwitterAccount
from autores.mongo.instances import find_instance
from autores.mongo.reads import AWARE_UTC
from autores.x.ids import first_post_id_at
from autores.x.posts import PostPage
from mentions.models import Cursor

# More than clocks of one team's machines do, and less than would be missed.
_CLOCKS_DIFFER = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of reading, downwards: every post X showed from ``lowest`` to ``newest`` is
    stored. 0 stands for nothing yet.
    """

    begun_at: datetime
    newest: int = 0
    lowest: int = 0
    seen: int = 0

    def extend(self, page: PostPage) -> "Span":
        # One that cannot be read was shown as well: it is kept as a gap.
        ids = [int(id_) for id_ in (*(post.id for post in page.posts), *page.unreadable_ids) if id_]
        if not ids:
            return self
        return replace(
            self,
            newest=max([self.newest, *ids]),
            lowest=min([self.lowest or max(ids), *ids]),
            seen=self.seen + len(ids),
        )


def load_cursor(account: TwitterAccount) -> Cursor:
    cursor = find_instance(Cursor, {"_id": account.pk})
    if cursor is not None:
        return cursor
    try:
        return Cursor.objects.create(pk=account.pk, account_id=account.pk)
    except IntegrityError:
        return Cursor.objects.get(pk=account.pk)


def floor_of(cursor: Cursor) -> int:
    """The id at and below which nothing is taken over: what was there before the account was."""
    if cursor.floor_post_id:
        return int(cursor.floor_post_id)
    return int(first_post_id_at(cursor.baseline_at)) if cursor.baseline_at else 0


def overlap_start(cursor: Cursor) -> int:
    """From where (exclusive) a poll reads: below the cursor, for what X shows late.

    What X showed up to ``complete_until`` is stored. A mention shown after that, with a delay of
    at most X_POLL_OVERLAP, was made after ``complete_until`` less the overlap. The cursor's own
    post is always read again: seeing it proves that X's reach still comes down to it.
    """
    start = int(cursor.newest_post_id) - 1
    if cursor.complete_until is not None:
        overlap = timedelta(minutes=settings.X_POLL_OVERLAP)
        start = min(start, int(first_post_id_at(cursor.complete_until - overlap)))
    return max(start, floor_of(cursor), 0)


def unfinished_span(cursor: Cursor) -> Span | None:
    if not cursor.unfinished_lowest_id or cursor.unfinished_begun_at is None:
        return None
    return Span(
        begun_at=cursor.unfinished_begun_at,
        newest=int(cursor.unfinished_newest_id),
        lowest=int(cursor.unfinished_lowest_id),
        seen=cursor.unfinished_seen,
    )


def save_unfinished(cursor: Cursor, span: Span) -> None:
    """Keep how far a poll came. Any such span is true by itself, whichever poll wrote last."""
    Cursor.objects.filter(pk=cursor.pk).update(
        unfinished_newest_id=str(span.newest),
        unfinished_lowest_id=str(span.lowest),
        unfinished_seen=span.seen,
        unfinished_begun_at=span.begun_at,
    )


def finish_span(cursor: Cursor, span: Span, *, now: datetime, **figures: Any) -> None:
    """The span is stored down to the cursor: move the cursor up to it.

    Forward only, as another poll of the account may have been faster; in one command, as every
    poll of every account ends here. ``figures`` are columns to be written along.
    """
    newest = {"$convert": {"input": "$newest_post_id", "to": "long", "onError": 0, "onNull": 0}}
    is_ahead = {"$gt": [span.newest, newest]}
    # Literal, as an operand that begins with a dollar would be a field's name.
    own = {"$eq": ["$unfinished_newest_id", {"$literal": str(span.newest)}]}
    ended: dict[str, Any] = {
        "unfinished_newest_id": "",
        "unfinished_lowest_id": "",
        "unfinished_seen": 0,
        "unfinished_begun_at": None,
    }
    stored = (
        connection.get_collection(Cursor._meta.db_table)
        .with_options(codec_options=AWARE_UTC)
        .find_one_and_update(
            {"_id": cursor.pk},
            [
                {
                    "$set": {
                        **{name: {"$literal": value} for name, value in figures.items()},
                        "updated_at": now,
                        "newest_post_id": {
                            "$cond": [is_ahead, {"$literal": str(span.newest)}, "$newest_post_id"]
                        },
                        "complete_until": {
                            "$cond": [
                                # By a clock that was ahead once.
                                {"$gt": ["$complete_until", now + _CLOCKS_DIFFER]},
                                span.begun_at,
                                {"$max": ["$complete_until", span.begun_at]},
                            ]
                        },
                        **{
                            name: {"$cond": [own, {"$literal": value}, f"${name}"]}
                            for name, value in ended.items()
                        },
                    }
                }
            ],
            return_document=ReturnDocument.AFTER,
        )
    )
    if stored is None:
        raise Cursor.DoesNotExist(f"The cursor of {cursor.account_id} is gone.")
    for field in Cursor._meta.concrete_fields:
        setattr(cursor, field.attname, stored.get(field.column))
