"""Stores a page of mentions, the same result however often it runs.

Most of what a poll reads is known, as each reads again what the one before read: one read of an
index alone tells. A page with new ones is one read of two collections, and one bulk write.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bson.raw_bson import RawBSONDocument

from accounts.models import TwitterAccount
from autores.mongo.backend.errors import described_errors
from autores.mongo.errors import OutcomeUnknownError
from autores.mongo.reads import find_page
from autores.mongo.writes import DUPLICATE_KEY, insert_each
from autores.x.posts import Post
from mentions.ingest.classify import Classification
from mentions.ingest.columns import NewColumns, NewMention
from mentions.ingest.edits import find_outdated, latest_id_of, store_edits
from mentions.ingest.finding import Finding
from mentions.ingest.known import find_known
from mentions.models import Message, message_id_for

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
    stored, passed = find_known(account, newest, newest_known=finding.newest_known)
    shown = _find_shown(newest, stored)
    edited = find_outdated(account, shown)
    verdicts = {
        id_: classify(post)
        for id_, post in newest.items()
        if id_ not in stored and id_ not in passed
    }
    new = [
        NewMention(id_, id_, newest[id_], verdicts[id_])
        for id_ in sorted(verdicts, key=int)
        if verdicts[id_].is_work_item
    ]
    columns = NewColumns(account, finding, now)
    lost = _write(account, new, columns)
    store_edits(edited, shown, classify=classify, wants_drafts=finding.wants_drafts, now=now)
    new_ids = [each.id for each in new if each.id not in lost]
    if lost:
        new_ids += _store_clashing(account, [each for each in new if each.id in lost], columns)
    not_ours = len(verdicts) - len(new)
    return Stored(tuple(new_ids), len(newest) - not_ours - len(new_ids))


def _newest_versions(posts: Iterable[Post]) -> dict[str, Post]:
    """By work id. X may show two versions of a post on one page, and one of them without the id
    of the first.
    """
    posts = list(posts)
    first_ids = {
        version: work_id_of(post)
        for post in posts
        if len(post.edit_history_ids) > 1
        for version in post.edit_history_ids[1:]
    }
    newest: dict[str, Post] = {}
    for post in posts:
        id_ = work_id_of(post)
        # No id is smaller than itself: a circle of them ends.
        while first_ids and int(first_ids.get(id_, id_)) < int(id_):
            id_ = first_ids[id_]
        other = newest.get(id_)
        if other is None or _is_newer(post, other):
            newest[id_] = post
    return newest


def _is_newer(post: Post, other: Post) -> bool:
    """Of the same version, the one that says what came before."""
    ages = [(int(latest_id_of(each)), len(each.edit_history_ids)) for each in (post, other)]
    return ages[0] > ages[1]


def _find_shown(newest: Mapping[str, Post], stored: Mapping[str, str]) -> dict[str, Post]:
    """What X shows of the stored messages, by their post id."""
    shown: dict[str, Post] = {}
    for id_, held in stored.items():
        other = shown.get(held)
        if other is None or _is_newer(newest[id_], other):
            shown[held] = newest[id_]
    return shown


def _write(
    account: TwitterAccount, new: Sequence[NewMention], columns: NewColumns
) -> frozenset[str]:
    """Write unordered; return the ids of those that met a row already there."""
    if not new:
        return frozenset()
    try:
        return _write_once(new, columns)
    except OutcomeUnknownError:
        return _write_again(account, new, columns)


def _write_again(
    account: TwitterAccount, new: Sequence[NewMention], columns: NewColumns
) -> frozenset[str]:
    """As ``_write``, after an answer was lost: each may be there, or have been deleted since."""
    posts = {each.post_id: each.post for each in new}
    stored, passed = find_known(account, posts, newest_known=None)
    left = [each for each in new if each.post_id not in stored and each.post_id not in passed]
    if left:
        _write_once(left, columns)
    ids = frozenset(each.id for each in new)
    # What this page stored has its time.
    own = {"_id": {"$in": [*ids]}, "account_id": account.pk, "seen_at": columns.now}
    rows = find_page(Message, filter=own, projection={"_id": 1}, limit=len(ids))
    return ids - {row["_id"] for row in rows}


def _write_once(new: Sequence[NewMention], columns: NewColumns) -> frozenset[str]:
    lost, too_deep = _insert(new, columns.encode)
    if too_deep:
        # The server takes fewer levels than JSON has.
        again, still = _insert(too_deep, columns.encode_flat)
        if still:
            raise ValueError(f"MongoDB does not take the post {still[0].post_id}: it is too deep.")
        lost += again
    return frozenset(each.id for each in lost)


def _insert(
    new: Sequence[NewMention], encode: Callable[[NewMention], RawBSONDocument]
) -> tuple[list[NewMention], list[NewMention]]:
    """Those that met a row already there, and those that the server takes for too deep."""
    refused = insert_each(Message, [*map(encode, new)])
    lost: list[NewMention] = []
    too_deep: list[NewMention] = []
    for index, failure in refused.items():
        if failure.code == DUPLICATE_KEY:
            lost.append(new[index])
        elif failure.code == _NESTED_TOO_DEEPLY:
            # Beyond some depth the server does not even look at the single ones of a command.
            too_deep.append(new[index])
        else:
            with described_errors(Message._meta.db_table):
                raise failure
    return lost, too_deep


def _store_clashing(
    account: TwitterAccount, clashing: Sequence[NewMention], columns: NewColumns
) -> list[str]:
    """Insert what met a row already there, under an id of its own where that is another account's.

    It may also be another poll of this account that was first, or a row without an account, from
    the former system: those are known.
    """
    posts = {each.post_id: each.post for each in clashing}
    ids = list(posts)
    stored, passed = find_known(account, posts, newest_known=None)
    holders = find_page(
        Message, filter={"_id": {"$in": ids}}, projection={"account_id": 1}, limit=len(ids)
    )
    taken = {row["_id"] for row in holders if row.get("account_id") not in (account.pk, None)}
    renamed = [
        each._replace(
            id=message_id_for(post_id=each.post_id, account_x_id=account.twitter_id, is_taken=True)
        )
        for each in clashing
        if each.post_id in taken and each.post_id not in stored and each.post_id not in passed
    ]
    lost = _write(account, renamed, columns)
    return [each.id for each in renamed if each.id not in lost]
