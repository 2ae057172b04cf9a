"""What X did not show: kept as ranges of ids, and closed by the search."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from accounts.clients import call_x
from accounts.models import TwitterAccount
from autores.mongo.reads import find_page
from autores.mongo.transactions import run_in_transaction
from autores.x.errors import ContractError
from autores.x.ids import created_at_of, first_post_id_at
from autores.x.posts import PostPage
from mentions.ingest.fetch import search_mentions
from mentions.ingest.finding import Finding
from mentions.ingest.pages import store_page
from mentions.models import (
    Cursor,
    FoundBy,
    Gap,
    GapState,
    Message,
    Tombstone,
    gap_key,
    tombstone_key,
)

logger = logging.getLogger(__name__)

_MOST_GAPS = 100_000
_LOOKED_UP = 100
# From the id below a post to the one above it.
_SINGLE = 2
_NOT_FOUND = "resource-not-found"
# X's recent search reaches seven days back; asked for more, it refuses.
SEARCH_REACH = timedelta(days=7) - timedelta(minutes=10)


def record_gap(account: TwitterAccount, *, after: int, before: int, now: datetime) -> None:
    """Keep that X did not show what lies between the two ids (exclusive).

    A poll that died after this and before it moved the cursor comes here again, perhaps with a
    higher ``before``, as X has moved on: what the first one was shown is stored, so the lower one
    stands.
    """
    key = gap_key(account_id=account.pk, from_post_id=str(after))
    # 19 digits at most, so that texts compare as numbers do.
    lowest = str(before).zfill(19)
    connection.get_collection(Gap._meta.db_table).update_one(
        {"_id": key},
        [
            {
                "$set": {
                    "account_id": account.pk,
                    "from_post_id": {"$literal": str(after)},
                    "to_post_id": {
                        "$cond": [
                            {"$gt": [{"$ifNull": ["$to_post_id", ""]}, ""]},
                            {"$min": ["$to_post_id", {"$literal": lowest}]},
                            {"$literal": lowest},
                        ]
                    },
                    "from_at": created_at_of(str(after)),
                    "to_at": {"$min": ["$to_at", created_at_of(str(before))]},
                    "state": {"$ifNull": ["$state", GapState.OPEN.value]},
                    "found": {"$ifNull": ["$found", 0]},
                    "search_lowest_id": {"$ifNull": ["$search_lowest_id", ""]},
                    "searched_at": {"$ifNull": ["$searched_at", None]},
                    "closed_at": {"$ifNull": ["$closed_at", None]},
                    "created_at": {"$ifNull": ["$created_at", now]},
                }
            }
        ],
        upsert=True,
    )
    Cursor.objects.filter(pk=account.pk).update(search_due_at=now)
    logger.error(
        "%s: X did not show the mentions between %s and %s; see the gaps",
        account.twitter_id,
        created_at_of(str(after)).isoformat(timespec="seconds"),
        created_at_of(str(before)).isoformat(timespec="seconds"),
    )


@dataclass(frozen=True, slots=True)
class GapRange:
    """Ids, both exclusive, between which X did not show an account's mentions."""

    low: int
    high: int
    is_open: bool


def read_gaps(account_id: str) -> list[GapRange]:
    """All of the account, whatever their state."""
    found = find_page(
        Gap,
        filter={"account_id": account_id},
        projection={"_id": 0, "from_post_id": 1, "to_post_id": 1, "state": 1},
        limit=_MOST_GAPS,
    )
    return [
        GapRange(int(gap["from_post_id"]), int(gap["to_post_id"]), gap["state"] == GapState.OPEN)
        for gap in found
    ]


def list_open_gaps(account_id: str) -> list[Gap]:
    """The oldest first: X's search forgets it first."""
    return list(Gap.objects.filter(account_id=account_id, state=GapState.OPEN).order_by("from_at"))


def note_unreadable(account: TwitterAccount, page: PostPage, *, above: int, now: datetime) -> bool:
    """Keep each post of the page that could not be read, and is not stored, as a gap of its own,
    which is looked up by its id; not those up to the id ``above``. Whether there was one.
    """
    is_noted = False
    for post_id in page.unreadable_ids:
        if not post_id:
            logger.error("%s: X gave a post without a readable id", account.twitter_id)
            continue
        key = gap_key(account_id=account.pk, from_post_id=str(int(post_id) - 1))
        if int(post_id) <= above or _is_settled(account, post_id):
            continue
        is_noted = True
        if not Gap.objects.filter(pk=key).exists():
            logger.error("%s: the post %s cannot be read", account.twitter_id, post_id)
            record_gap(account, after=int(post_id) - 1, before=int(post_id) + 1, now=now)
    return is_noted


def _is_settled(account: TwitterAccount, post_id: str) -> bool:
    """Whether it is stored, or was deleted here."""
    stone = tombstone_key(account_id=account.pk, post_id=post_id)
    return (
        Message.objects.filter(account_id=account.pk, post_id=post_id).exists()
        or Tombstone.objects.filter(pk=stone).exists()
    )


def is_single(gap: Gap) -> bool:
    """Whether it is of one post that could not be read."""
    return int(gap.to_post_id) - int(gap.from_post_id) == _SINGLE


def read_single_posts(account: TwitterAccount, gaps: list[Gap], *, now: datetime) -> list[str]:
    """Look the posts of such gaps up by their ids, a hundred a call; ids of the new messages.

    Raises what ``accounts.clients.call_x`` raises.
    """
    new_ids: list[str] = []
    for start in range(0, len(gaps), _LOOKED_UP):
        some = {str(int(gap.from_post_id) + 1): gap for gap in gaps[start : start + _LOOKED_UP]}
        new_ids += _read_single(account, some, now=now)
    return new_ids


def _read_single(account: TwitterAccount, gaps: dict[str, Gap], *, now: datetime) -> list[str]:
    ids = list(gaps)
    new_ids: list[str] = []
    told: set[str] = set()
    try:
        page = call_x(account, lambda client: client.get_posts(ids, expand_references=True))
    except ContractError as error:
        logger.warning("%s: still not readable: %s", account.twitter_id, error.code)
    else:
        new_ids += store_page(account, page, finding=Finding(FoundBy.SWEEP), now=now).new_ids
        told |= {post.id for post in page.posts}
        # Deleted on X since.
        told |= {error.resource_id for error in page.partial_errors if error.kind == _NOT_FOUND}
    for post_id, gap in gaps.items():
        changes: dict[str, Any] = {"searched_at": now, "found": count_found(gap)}
        if post_id in told or _is_settled(account, post_id):
            changes |= {"state": GapState.CLOSED, "closed_at": now}
        elif gap.created_at < now - SEARCH_REACH:
            changes |= {"state": GapState.EXPIRED, "closed_at": now}
        Gap.objects.filter(pk=gap.pk, state=GapState.OPEN).update(**changes)
    return new_ids


@dataclass(frozen=True, slots=True)
class GapSearch:
    """What a search of a gap brought; ``has_more``: it is to be gone on with at once."""

    new_ids: tuple[str, ...]
    has_more: bool


def search_gap(account: TwitterAccount, gap: Gap, *, now: datetime) -> GapSearch:
    """Read the range by X's search, and store what it shows.

    Cut short, it goes on from where it came to in the next run. Raises as ``fetch_mentions``, but
    for ContractError: a gap that cannot be read keeps no other from being read.
    """
    reach = int(first_post_id_at(now - SEARCH_REACH))
    low, high = int(gap.from_post_id), int(gap.search_lowest_id or gap.to_post_id)
    new_ids: list[str] = []
    is_read, has_more = True, False
    if max(low, reach) + 1 < high:
        pages = search_mentions(account, since_id=str(max(low, reach)), until_id=str(high))
        finding = Finding(FoundBy.SEARCH)
        try:
            for page in pages:
                new_ids.extend(store_page(account, page, finding=finding, now=now).new_ids)
                note_unreadable(account, page, above=low, now=now)
                if page.posts:
                    lowest = str(min(int(post.id) for post in page.posts)).zfill(19)
                    Gap.objects.filter(pk=gap.pk).update(search_lowest_id=lowest, searched_at=now)
                    has_more = True
        except ContractError as error:
            logger.warning("%s: a gap cannot be read: %s", account.twitter_id, error.code)
            has_more = False
        is_read = pages.is_whole
    changes = {"found": count_found(gap), "searched_at": now}
    if is_read:
        is_whole = reach <= low
        changes["state"] = GapState.CLOSED if is_whole else GapState.EXPIRED
        changes["closed_at"] = now
    Gap.objects.filter(pk=gap.pk, state=GapState.OPEN).update(**changes)
    logger.warning("%s: %d found in a gap", account.twitter_id, changes["found"])
    return GapSearch(tuple(new_ids), has_more and not is_read)


def count_found(gap: Gap) -> int:
    """How many messages of the range are stored, whichever search brought them."""
    low, high = int(gap.from_post_id), int(gap.to_post_id)
    ids = Message.objects.filter(
        account_id=gap.account_id,
        timestamp__gte=gap.from_at - timedelta(seconds=1),
        timestamp__lte=gap.to_at + timedelta(seconds=1),
        found_by__gt="",
    ).values_list("post_id", flat=True)
    return sum(low < int(post_id) < high for post_id in ids)


def recount_gaps(account_id: str, *, above: int) -> None:
    """Count anew for every gap that reaches above this id: what read there may have found more."""
    for gap in Gap.objects.filter(account_id=account_id, to_at__gte=created_at_of(str(above))):
        found = count_found(gap)
        if found != gap.found:
            Gap.objects.filter(pk=gap.pk).update(found=found)


def publish_completeness(account_id: str, **columns: Any) -> datetime | None:
    """Write "complete up to" onto the account: where the cursor is, or the first open gap begins.
    ``columns`` of the account are written along.

    In a transaction, so that of two polls at once the one that knows of a gap has the last word.
    """

    def write() -> datetime | None:
        moment: datetime | None = (
            Cursor.objects.filter(pk=account_id).values_list("complete_until", flat=True).first()
        )
        gaps = list_open_gaps(account_id)
        if gaps and moment is not None:
            moment = min(moment, gaps[0].from_at)
        TwitterAccount.objects.filter(pk=account_id).update(complete_until=moment, **columns)
        return moment

    return run_in_transaction(write)


def publish_poll(
    account: TwitterAccount, cursor: Cursor, *, now: datetime, has_open_gap: bool
) -> None:
    """Publish what a poll came to, as ``publish_completeness`` does.

    A poll reads the account first, then its gaps. When it met none that is open, and nobody has
    published anything since it read the account, the cursor says it all, in one command. Who
    records a gap publishes after that, and so has the last word over a poll that missed it.
    """
    published = {"complete_until": cursor.complete_until, "last_polled_at": now}
    if not has_open_gap:
        read = {name: getattr(account, name) for name in published}
        changed = connection.get_collection(TwitterAccount._meta.db_table).update_one(
            {"_id": account.pk, **read}, {"$set": published}
        )
        if changed.matched_count:
            account.complete_until, account.last_polled_at = cursor.complete_until, now
            return
    publish_completeness(account.pk, last_polled_at=now)
