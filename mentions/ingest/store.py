"""Stores a page of mentions: one read, one bulk write, the same result however often it runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError

from accounts.models import TwitterAccount
from autores.x.text import unescape_text
from autores.x.types import Post
from mentions.ingest.classify import Classification
from mentions.models import GONE_STATES, FoundBy, Message, MessageStatus, Tombstone, message_id_for

_DUPLICATE_KEY = 11000


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a page: ids of new messages, and how many were known already."""

    new_ids: tuple[str, ...]
    known: int


@dataclass(frozen=True, slots=True)
class Item:
    """A classified post, on its way into the database."""

    post: Post
    classification: Classification

    @property
    def post_id(self) -> str:
        """The first id of the post: an edited post stays the same work item."""
        history = self.post.edit_history_ids
        return history[0] if history else self.post.id

    @property
    def latest_post_id(self) -> str:
        return self.post.edit_history_ids[-1] if self.post.edit_history_ids else self.post.id


@dataclass(frozen=True, slots=True)
class Finding:
    """How a page was come by: what its new mentions are stored with.

    ``is_late`` tells of an id whether the polls had passed it already.
    """

    found_by: FoundBy
    is_late: Callable[[int], bool] = lambda post_id: False
    wants_drafts: bool = True


def store_items(
    account: TwitterAccount, items: Sequence[Item], *, finding: Finding, now: datetime
) -> Stored:
    """Insert the mentions that are not there yet; refresh those that were edited on X.

    Two pollers may store the same page at once: the unique indexes on ``_id`` and on (account,
    post id) let one of them win each row. Deleted messages (tombstones) stay deleted.
    """
    newest_first: dict[str, Item] = {}
    for item in sorted(items, key=lambda item: int(item.latest_post_id)):
        if item.classification.is_work_item:
            newest_first[item.post_id] = item
    if not newest_first:
        return Stored((), 0)
    known, taken = _read_known(account, list(newest_first))
    writes: list[Any] = []
    inserted_ids: list[str] = []
    for post_id, item in newest_first.items():
        if post_id in known:
            if item.latest_post_id != (known[post_id] or post_id):
                writes.append(_edit(account, item, now))
            continue
        message_id = message_id_for(
            post_id=post_id, account_x_id=account.twitter_id, is_taken=post_id in taken
        )
        inserted_ids.append(message_id)
        writes.append(InsertOne(_document(message_id, account, item, finding, now)))
    lost = _write(writes)
    clashes = [id_ for id_ in inserted_ids if id_ in lost]
    if clashes:
        # Another account's poll took the bare id, or another poll of this account was first.
        retry = [newest_first[id_] for id_ in clashes if id_ in newest_first]
        again = _store_clashing(account, retry, finding, now)
        inserted_ids = [id_ for id_ in inserted_ids if id_ not in lost] + again
    return Stored(tuple(inserted_ids), len(newest_first) - len(inserted_ids))


def _read_known(
    account: TwitterAccount, post_ids: list[str]
) -> tuple[dict[str, str], frozenset[str]]:
    """Latest version by post id for what this account has; ids that another account's row has."""
    suffixed = {f"{post_id}:{account.twitter_id}": post_id for post_id in post_ids}
    tombstones = {f"{account.pk}:{post_id}": post_id for post_id in post_ids}
    rows = connection.get_collection(Message._meta.db_table).aggregate(
        [
            {"$match": {"_id": {"$in": [*post_ids, *suffixed]}}},
            {"$project": {"account_id": 1, "post_id": 1, "latest_post_id": 1}},
            {
                "$unionWith": {
                    "coll": Tombstone._meta.db_table,
                    "pipeline": [
                        {"$match": {"_id": {"$in": list(tombstones)}}},
                        {"$project": {"_id": 1}},
                    ],
                }
            },
        ]
    )
    known: dict[str, str] = {}
    taken: set[str] = set()
    for row in rows:
        key = row["_id"]
        if key in tombstones:
            # Deleted here: known, at a version that nothing is newer than.
            known[tombstones[key]] = tombstones[key]
        elif row.get("account_id") in (account.pk, None):
            known[row.get("post_id") or suffixed.get(key, key)] = row.get("latest_post_id") or ""
        else:
            taken.add(key)
    return known, frozenset(taken)


def _write(writes: list[Any]) -> frozenset[str]:
    """Write unordered; return the ``_id`` of inserts that met a row already there."""
    if not writes:
        return frozenset()
    collection = connection.get_collection(Message._meta.db_table)
    try:
        collection.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != _DUPLICATE_KEY for failure in failures):
            raise
        return frozenset(failure["op"]["_id"] for failure in failures)
    return frozenset()


def _store_clashing(
    account: TwitterAccount, items: list[Item], finding: Finding, now: datetime
) -> list[str]:
    known, _ = _read_known(account, [item.post_id for item in items])
    ids = []
    writes = []
    for item in items:
        if item.post_id in known:
            continue
        message_id = message_id_for(
            post_id=item.post_id, account_x_id=account.twitter_id, is_taken=True
        )
        ids.append(message_id)
        writes.append(InsertOne(_document(message_id, account, item, finding, now)))
    lost = _write(writes)
    return [id_ for id_ in ids if id_ not in lost]


def _edit(account: TwitterAccount, item: Item, now: datetime) -> UpdateOne:
    return UpdateOne(
        {
            "account_id": account.pk,
            "post_id": item.post_id,
            "latest_post_id": {"$ne": item.latest_post_id},
            # What was deleted on X, and was just now shown once more by a lagging index.
            "x_state": {"$nin": [state.value for state in GONE_STATES]},
        },
        {
            "$set": {
                "text": unescape_text(item.post.text),
                "latest_post_id": item.latest_post_id,
                "raw": dict(item.post.raw),
                "updated_at": now,
                "kind": item.classification.kind,
                "is_replyable": item.classification.is_replyable,
                "replyable_code": item.classification.code,
                "replyable_reason": item.classification.reason,
            },
            "$inc": {"version": 1},
        },
    )


def _document(
    message_id: str, account: TwitterAccount, item: Item, finding: Finding, now: datetime
) -> dict[str, Any]:
    """Every column, as the backend stores it: it reads a missing one as None, not as a default."""
    post, verdict = item.post, item.classification
    is_draft_wanted = finding.wants_drafts and verdict.is_replyable
    return {
        "_id": message_id,
        "account_id": account.pk,
        "post_id": item.post_id,
        "timestamp": post.created_at,
        "user": post.author_id,
        "text": unescape_text(post.text),
        # A repost says nothing that could be answered; it stays out of the queue.
        "status": MessageStatus.IGNORED if verdict.kind == "repost" else MessageStatus.PENDING,
        "public_response": None,
        "dm_response": None,
        "credits_used": 0,
        "redirected": False,
        "created_at": now,
        "updated_at": now,
        "author_username": post.author.username if post.author else "",
        "author_name": post.author.name if post.author else "",
        "lang": post.lang or "",
        "kind": verdict.kind,
        "conversation_id": post.conversation_id,
        "in_reply_to_post_id": post.get_reference("replied_to") or "",
        "quoted_post_id": post.get_reference("quoted") or "",
        "latest_post_id": "" if item.latest_post_id == item.post_id else item.latest_post_id,
        "is_replyable": verdict.is_replyable,
        "replyable_code": verdict.code,
        "replyable_reason": verdict.reason,
        "draft_state": "wanted" if is_draft_wanted else "none",
        "draft_not_before": now if is_draft_wanted else None,
        "draft_attempts": 0,
        "claimed_by": "",
        "claimed_at": None,
        "version": 1,
        "raw": dict(post.raw),
        "found_by": finding.found_by.value,
        "seen_at": now,
        "is_late": finding.is_late(int(item.post_id)),
        "x_state": "",
        "x_checked_at": None,
        "recheck_at": now + timedelta(hours=settings.X_RECHECK_INTERVAL)
        if settings.X_RECHECK_INTERVAL
        else None,
        "deleted_found_at": None,
        "redacted_at": None,
    }
