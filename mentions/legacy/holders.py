"""Documents that hold, under another id, what of a row may be here once.

A message is looked for by the ids that it may have, never by its values: while a large table is
loaded, the index of those is not there, and each question would read the whole collection.
"""

from collections.abc import Sequence
from typing import Any

from pymongo.collection import Collection

from accounts.models import TwitterAccount
from mentions.legacy.contract import MESSAGES
from mentions.legacy.documents import Target
from mentions.legacy.mapping import MappedRow
from mentions.models import message_id_for


def find_holders(
    target: Target, rows: Sequence[MappedRow], documents: Collection[Any]
) -> dict[str, str]:
    """The id of the other document that has a row's unique values, by the row's key."""
    if not target.unique or not rows:
        return {}
    if target.table is MESSAGES:
        return _find_renamed(rows, documents)
    (name,) = target.unique
    query = {name: {"$in": list({row.values[name] for row in rows})}}
    held = {found[name]: found["_id"] for found in documents.find(query, {name: 1})}
    holders = {row.key: held.get(row.values[name], row.key) for row in rows}
    return {key: holder for key, holder in holders.items() if holder != key}


def _find_renamed(rows: Sequence[MappedRow], documents: Collection[Any]) -> dict[str, str]:
    """Polls store a post under an id of its own where its first one is another account's."""
    account_ids = {row.values["account_id"] for row in rows} - {None}
    x_ids = dict(
        TwitterAccount.objects.filter(pk__in=account_ids).values_list("pk", "twitter_id")
        if account_ids
        else ()
    )
    keys = {
        message_id_for(
            post_id=row.values["post_id"], account_x_id=x_ids[account_id], is_taken=True
        ): row.key
        for row in rows
        if (account_id := row.values["account_id"]) in x_ids
    }
    if not keys:
        return {}
    found = documents.find({"_id": {"$in": list(keys)}}, {"_id": 1})
    return {keys[document["_id"]]: document["_id"] for document in found}
