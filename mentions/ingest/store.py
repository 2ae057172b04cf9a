"""Stores a page of mentions, the same result however often it runs.

Most of what a poll reads is known, as each reads again what the one before read: one read of an
index alone tells. What is new costs a second read and one bulk write.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from pymongo.errors import BulkWriteError, OperationFailure

from accounts.models import TwitterAccount
from autores.mongo.reads import find_page
from autores.x.posts import Post
from mentions.ingest.classify import Classification
from mentions.ingest.columns import NewColumns, NewRow
from mentions.ingest.edits import find_outdated, latest_id_of, store_edits
from mentions.ingest.finding import Finding
from mentions.models import Message, Tombstone, tombstone_key

_DUPLICATE_KEY = 11000
_NESTED_TOO_DEEPLY = 15


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a page: ids of new messages, and how many were known already."""

    new_ids: tuple[str, ...]
    known: int


def work_id_of(post: Post) -> str:
    """The first id of the post: an edited post stays the same work item."""
    return post.edit_history_ids[0] if post.edit_history_ids else post.id


def store_posts(
    account: TwitterAccount,
    posts: Iterable[Post],
    *,
    classify: Callable[[Post], Classification],
    finding: Finding,
    now: datetime,
) -> Stored:
    """Insert the mentions that are not there yet; refresh those that were edited on X.

    Two pollers may store the same page at once: the unique indexes on ``_id`` and on (account,
    post id) let one of them win each row. Deleted messages (tombstones) stay deleted. Only what
    is new or edited is classified.
    """
    newest = _newest_versions(posts)
    if not newest:
        return Stored((), 0)
    stored = _find_work(account, newest)
    shown = {stored[id_]: post for id_, post in newest.items() if id_ in stored}
    edited = find_outdated(account, shown)
    missing = {id_: post for id_, post in newest.items() if id_ not in stored}
    passed = _find_passed(account, missing) if missing else frozenset()
    verdicts = {id_: classify(post) for id_, post in missing.items() if id_ not in passed}
    own = [id_ for id_, verdict in verdicts.items() if not verdict.is_work_item]
    fresh = [
        (id_, missing[id_], verdicts[id_])
        for id_ in sorted(verdicts, key=int)
        if verdicts[id_].is_work_item
    ]
    columns = NewColumns(account, finding, now)
    rows = [columns.make_row(*each) for each in fresh]
    lost = _write(rows)
    store_edits(edited, shown, classify=classify, wants_drafts=finding.wants_drafts, now=now)
    new_ids = [row.id for row in rows if row.id not in lost]
    if lost:
        new_ids += _store_clashing(account, [row for row in rows if row.id in lost])
    return Stored(tuple(new_ids), len(newest) - len(own) - len(new_ids))


def _newest_versions(posts: Iterable[Post]) -> dict[str, Post]:
    """By work id. X may show two versions of a post on one page."""
    newest: dict[str, Post] = {}
    for post in posts:
        id_ = work_id_of(post)
        other = newest.get(id_)
        if other is None or int(latest_id_of(other)) < int(latest_id_of(post)):
            newest[id_] = post
    return newest


def _find_work(account: TwitterAccount, newest: Mapping[str, Post]) -> dict[str, str]:
    """By work id, the post id of the message that this account has of it.

    That may be any version's: the former system kept a post by the id that it saw.
    """
    work_ids = {id_: id_ for id_ in newest}
    for id_, post in newest.items():
        work_ids |= dict.fromkeys(post.edit_history_ids[1:], id_)
    found: dict[str, str] = {}
    for post_id in sorted(_find_stored(account, work_ids), key=int):
        found.setdefault(work_ids[post_id], post_id)
    return found


def _find_stored(account: TwitterAccount, post_ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that this account has a message of; answered by the unique index alone."""
    ids = list(post_ids)
    rows = find_page(
        Message,
        filter={"account_id": account.pk, "post_id": {"$in": ids}},
        projection={"_id": 0, "post_id": 1},
        limit=len(ids),
    )
    return frozenset(row["post_id"] for row in rows)


def _find_passed(account: TwitterAccount, posts: Mapping[str, Post]) -> frozenset[str]:
    """Those of the posts, by work id, that are not to be stored, by any version's id: deleted here,
    or kept from the former system without an account.
    """
    keys = {
        tombstone_key(account_id=account.pk, post_id=version): id_
        for id_, post in posts.items()
        for version in (id_, *post.edit_history_ids[1:])
    }
    rows = find_page(
        Tombstone, filter={"_id": {"$in": list(keys)}}, projection={"_id": 1}, limit=len(keys)
    )
    passed = {keys[row["_id"]] for row in rows}
    later = {version: id_ for id_, post in posts.items() for version in post.edit_history_ids[1:]}
    if later:
        # Of the first version, the write itself tells.
        kept = {"_id": {"$in": list(later)}, "account_id": None}
        rows = find_page(Message, filter=kept, projection={"_id": 1}, limit=len(later))
        passed |= {later[row["_id"]] for row in rows}
    return frozenset(passed)


def _write(rows: Sequence[NewRow]) -> frozenset[str]:
    """Write unordered; return the ids of those that met a row already there."""
    lost, too_deep = _insert(rows)
    if too_deep:
        # The server takes fewer levels than JSON has.
        again, still = _insert([row.flatten() for row in too_deep])
        if still:
            raise ValueError(f"MongoDB does not take the post {still[0].post_id}: it is too deep.")
        lost += again
    return frozenset(row.id for row in lost)


def _insert(rows: Sequence[NewRow]) -> tuple[list[NewRow], list[NewRow]]:
    """Those that met a row already there, and those that the server takes for too deep."""
    if not rows:
        return [], []
    lost: list[NewRow] = []
    too_deep: list[NewRow] = []
    collection = connection.get_collection(Message._meta.db_table)
    try:
        collection.insert_many([row.encode() for row in rows], ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise
        for failure in error.details["writeErrors"]:
            if failure["code"] == _DUPLICATE_KEY:
                lost.append(rows[failure["index"]])
            elif failure["code"] == _NESTED_TOO_DEEPLY:
                too_deep.append(rows[failure["index"]])
            else:
                raise
    except OperationFailure as error:
        # Beyond some depth the server does not even look at the single writes.
        if error.code != _NESTED_TOO_DEEPLY:
            raise
        return [], [*rows]
    return lost, too_deep


def _store_clashing(account: TwitterAccount, rows: Sequence[NewRow]) -> list[str]:
    """Insert what met a row already there, under an id of its own where that is another account's.

    It may also be another poll of this account that was first, or a row without an account, from
    the former system: those are known.
    """
    ids = [row.post_id for row in rows]
    stored = _find_stored(account, ids)
    holders = find_page(
        Message, filter={"_id": {"$in": ids}}, projection={"account_id": 1}, limit=len(ids)
    )
    taken = {row["_id"] for row in holders if row.get("account_id") not in (account.pk, None)}
    renamed = [row.rename(account) for row in rows if row.post_id in taken - stored]
    lost = _write(renamed)
    return [row.id for row in renamed if row.id not in lost]
