"""Which posts of a page are stored already, and which are not to be stored.

Most pages are known from end to end, and one read of an index alone tells. Where one is newer than
what was stored, both are asked in one command.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from accounts.models import TwitterAccount
from autores.mongo.reads import Part, find_in_turn, find_page
from autores.x.posts import Post
from mentions.models import Message, Tombstone, tombstone_key

_INDEX = "message_account_post_unq"
_AS_POST = {"_id": 0, "post_id": 1}
_KEY = {"_id": 1}


class Known(NamedTuple):
    """By work id.

    stored  the post id of the message that the account has of it. That may be any version's: the
            former system kept a post by the id that it saw.
    passed  those not in ``stored`` that are not to be: deleted here, or kept from the former system
            without an account, by any version's id
    """

    stored: Mapping[str, str]
    passed: frozenset[str]


def find_known(
    account: TwitterAccount, newest: Mapping[str, Post], *, newest_known: int | None
) -> Known:
    """``newest``: by work id. ``newest_known``: as ``Finding`` has it.

    Messages are read before tombstones, and a deletion writes both at once: what is deleted
    meanwhile is found in one of them.
    """
    versions = {id_: id_ for id_ in newest}
    for id_, post in newest.items():
        if len(post.edit_history_ids) > 1:
            versions |= dict.fromkeys(post.edit_history_ids[1:], id_)
    if newest_known is None or max(map(int, versions)) <= newest_known:
        stored = _by_work(find_stored(account, versions), versions)
        missing = {version: id_ for version, id_ in versions.items() if id_ not in stored}
        rows = find_in_turn(*_passed_parts(account, missing)) if missing else []
        return Known(stored, _read_passed(rows, missing))
    # Little lies between the newest posts of a feed but themselves, and the ends of a stretch are
    # looked up where else a hundred ids are.
    is_stretch = len(set(map(len, versions))) == 1 and int(min(versions)) > newest_known
    match = {"account_id": account.pk, "post_id": _match(versions, is_stretch=is_stretch)}
    rows = find_in_turn(
        Part(Message, match, _AS_POST),
        *_passed_parts(account, versions, is_stretch=is_stretch),
        hint=_INDEX,
    )
    stored = _by_work((row["post_id"] for row in rows if "post_id" in row), versions)
    passed = _read_passed((row for row in rows if "post_id" not in row), versions)
    return Known(stored, passed - stored.keys())


def find_stored(account: TwitterAccount, post_ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that this account has a message of; answered by the unique index alone."""
    ids = list(post_ids)
    rows = find_page(
        Message,
        filter={"account_id": account.pk, "post_id": {"$in": ids}},
        projection=_AS_POST,
        limit=len(ids),
    )
    return frozenset(row["post_id"] for row in rows)


def _by_work(post_ids: Iterable[str], versions: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for post_id in sorted((id_ for id_ in post_ids if id_ in versions), key=int):
        found.setdefault(versions[post_id], post_id)
    return found


def _passed_parts(
    account: TwitterAccount, versions: Mapping[str, str], *, is_stretch: bool = False
) -> list[Part]:
    ids = [min(versions), max(versions)] if is_stretch else versions
    keys = [tombstone_key(account_id=account.pk, post_id=id_) for id_ in ids]
    parts = [Part(Tombstone, {"_id": _match(keys, is_stretch=is_stretch)})]
    later = [version for version, id_ in versions.items() if version != id_]
    if later:
        # Of the first version, the write itself tells.
        parts.append(Part(Message, {"_id": {"$in": later}, "account_id": None}, _KEY))
    return parts


def _match(keys: Collection[str], *, is_stretch: bool) -> dict[str, Any]:
    return {"$gte": min(keys), "$lte": max(keys)} if is_stretch else {"$in": [*keys]}


def _read_passed(rows: Iterable[Mapping[str, Any]], versions: Mapping[str, str]) -> frozenset[str]:
    """``rows``: those of ``_passed_parts``."""
    found = (row["_id"].rpartition(":")[2] for row in rows)
    return frozenset(versions[version] for version in found if version in versions)
