"""Which posts of a page are stored already, and which are not to be stored.

Most pages are known from end to end, and one read of an index alone tells. Where one is newer than
what was stored, both are asked in one command.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from accounts.models import TwitterAccount
from autores.mongo.reads import Part, find_in_turn, find_page
from autores.x.posts import Post
from mentions.models import Message, Tombstone, tombstone_key

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
    chains = {
        id_: (id_, *post.edit_history_ids)
        for id_, post in newest.items()
        if len(post.edit_history_ids) > 1 or post.id != id_
    }
    later = {version for id_, chain in chains.items() for version in chain if version != id_}
    ids = newest.keys() | later
    if newest_known is None or max(map(int, ids)) <= newest_known:
        stored = _find_held(newest, chains, _find_stored(account, ids))
        missing = {id_: chains.get(id_, (id_,)) for id_ in newest if id_ not in stored}
        wanted = {version for chain in missing.values() for version in chain}
        rows = find_in_turn(*_passed_parts(account, wanted, later)) if wanted else []
        return Known(stored, _find_passed(account, missing, rows))
    # Little lies between the newest posts of a feed but themselves, and the ends of a stretch are
    # looked up where else a hundred ids are.
    is_stretch = len(set(map(len, ids))) == 1 and int(min(ids)) > newest_known
    match = {"account_id": account.pk, "post_id": _match(ids, is_stretch=is_stretch)}
    rows = find_in_turn(
        Part(Message, match, _AS_POST),
        *_passed_parts(account, ids, later, is_stretch=is_stretch),
    )
    if not rows:
        return Known({}, frozenset())
    held = frozenset(row["post_id"] for row in rows if "post_id" in row)
    stored = _find_held(newest, chains, held)
    missing = {id_: chains.get(id_, (id_,)) for id_ in newest if id_ not in stored}
    return Known(stored, _find_passed(account, missing, rows))


def _find_stored(account: TwitterAccount, post_ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that this account has a message of; answered by the unique index alone."""
    ids = list(post_ids)
    rows = find_page(
        Message,
        filter={"account_id": account.pk, "post_id": {"$in": ids}},
        projection=_AS_POST,
        limit=len(ids),
    )
    return frozenset(row["post_id"] for row in rows)


def _find_held(
    newest: Iterable[str], chains: Mapping[str, Sequence[str]], held: frozenset[str]
) -> dict[str, str]:
    stored = {id_: id_ for id_ in newest if id_ in held}
    for id_, chain in chains.items():
        if there := held.intersection(chain):
            stored[id_] = min(there, key=int)
    return stored


def _passed_parts(
    account: TwitterAccount,
    ids: Collection[str],
    later: set[str],
    *,
    is_stretch: bool = False,
) -> list[Part]:
    ends = [min(ids), max(ids)] if is_stretch else ids
    keys = [tombstone_key(account_id=account.pk, post_id=id_) for id_ in ends]
    parts = [Part(Tombstone, {"_id": _match(keys, is_stretch=is_stretch)})]
    if orphans := later.intersection(ids):
        # Of the first version, the write itself tells.
        parts.append(Part(Message, {"_id": {"$in": [*orphans]}, "account_id": None}, _KEY))
    return parts


def _match(keys: Collection[str], *, is_stretch: bool) -> dict[str, Any]:
    return {"$gte": min(keys), "$lte": max(keys)} if is_stretch else {"$in": [*keys]}


def _find_passed(
    account: TwitterAccount,
    missing: Mapping[str, Sequence[str]],
    rows: Iterable[Mapping[str, Any]],
) -> frozenset[str]:
    """``rows``: those of ``_passed_parts``, and perhaps others without ``_id``."""
    prefix = tombstone_key(account_id=account.pk, post_id="")
    passed = {row["_id"].removeprefix(prefix) for row in rows if "_id" in row}
    return frozenset(id_ for id_, chain in missing.items() if not passed.isdisjoint(chain))
