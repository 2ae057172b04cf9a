"""Documents that hold, under another id, what of a row may be here once."""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from pymongo.collection import Collection

from accounts.models import TwitterAccount
from mentions.legacy.contract import MESSAGES
from mentions.legacy.documents import Target
from mentions.legacy.mapping import MappedRow
from mentions.models import message_id_for

# While a large table is loaded, it is not there: each question would read the whole collection.
_DEFERRED = "message_account_post_unq"


def find_holders(
    target: Target, rows: Sequence[MappedRow], documents: Collection[Any]
) -> dict[str, str]:
    """The id of the other document that has a row's unique values, by the row's key."""
    if not target.unique or not rows:
        return {}
    names = target.unique
    if target.table is MESSAGES and _DEFERRED not in documents.index_information():
        query: dict[str, Any] = {"_id": {"$in": _list_renamed(rows)}}
    else:
        query = {name: {"$in": list({row.values[name] for row in rows})} for name in names}
    held = {
        tuple(found.get(name) for name in names): found["_id"]
        for found in documents.find(query, dict.fromkeys(names, 1))
    }
    holders = {row.key: held.get(tuple(row.values[name] for name in names)) for row in rows}
    return {key: holder for key, holder in holders.items() if holder is not None and holder != key}


def _list_renamed(rows: Sequence[MappedRow]) -> list[str]:
    """The ids under which polls store a post whose first one is another account's."""
    ids = list({row.values["account_id"] for row in rows} - {None})
    accounts = connection.get_collection(TwitterAccount._meta.db_table)
    x_ids = {
        account["_id"]: account["twitter_id"]
        for account in accounts.find({"_id": {"$in": ids}}, {"twitter_id": 1})
    }
    return [
        message_id_for(post_id=row.values["post_id"], account_x_id=x_ids[account_id], is_taken=True)
        for row in rows
        if (account_id := row.values["account_id"]) in x_ids
    ]
