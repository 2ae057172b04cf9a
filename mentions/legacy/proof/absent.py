"""What the application recorded about rows that have no document: why they need none.

Read for many rows at once: where an import was not finished, there are thousands of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from accounts.models import TwitterAccount
from mentions.legacy.checkpoint import Checkpoints
from mentions.legacy.documents import Target
from mentions.legacy.state import STATE_FIELD
from mentions.legacy.versions import Versions
from mentions.models import Tombstone, find_ids_of_posts

# Of ``<account id>:<post id>``, the key of a tombstone.
_POST_OF_STONE = {"$substrBytes": ["$_id", {"$add": [{"$indexOfBytes": ["$_id", ":"]}, 1]}, -1]}


@dataclass
class Absent:
    """By key of the row: when its message was deleted here, under which other id its post is here,
    and whether a consent flow was taken over. By X user id: the account that is connected here
    without an import.
    """

    deleted_at: dict[str, datetime] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    taken_over: set[str] = field(default_factory=set)
    connected: dict[str, str] = field(default_factory=dict)


def read_absent(target: Target, rows: Mapping[str, tuple[Any, ...] | None]) -> Absent:
    """About rows without a document: key to what is expected of it, None if it is unreadable."""
    keys = list(rows)
    if not keys:
        return Absent()
    if target.table.name == "oauth_states":
        return Absent(taken_over=set(Checkpoints(target.table).find_taken_over(keys)))
    if target.table.name == "users":
        return Absent(connected=_find_connected([row[1] for row in rows.values() if row]))
    # Of several the one with the least id, which is the post's own.
    ids = sorted(find_ids_of_posts(keys).items(), reverse=True)
    holders = {post_id: id_ for id_, post_id in ids}
    return Absent(deleted_at=_find_deleted(keys), holders=_find_other_versions(keys) | holders)


def _find_other_versions(keys: Sequence[str]) -> dict[str, str]:
    versions = Versions()
    found = {key: versions.find_holder(key, account_id=None) for key in versions.find(keys)}
    return {key: holder for key, holder in found.items() if holder is not None}


def _find_connected(x_ids: Sequence[str]) -> dict[str, str]:
    found = connection.get_collection(TwitterAccount._meta.db_table).find(
        {"twitter_id": {"$in": list(x_ids)}, STATE_FIELD: {"$exists": False}}, {"twitter_id": 1}
    )
    return {account["twitter_id"]: account["_id"] for account in found}


def _find_deleted(keys: Sequence[str]) -> dict[str, datetime]:
    """One scan of the tombstones; a message of a second account has another id than its post."""
    stones = connection.get_collection(Tombstone._meta.db_table).aggregate(
        [
            {"$set": {"post": _POST_OF_STONE}},
            {"$match": {"$or": [{"message_id": {"$in": keys}}, {"post": {"$in": keys}}]}},
        ]
    )
    wanted = set(keys)
    found: dict[str, datetime] = {}
    for stone in stones:
        for key in {stone["message_id"], stone["post"]} & wanted:
            found[key] = stone["deleted_at"]
    return found
