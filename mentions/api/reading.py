"""The hot reads, from the query to what is answered: a page of messages, and one message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accounts.models import User
from mentions.api import access, listing, queries
from mentions.api.encoding import digest_messages, join_messages
from mentions.api.etags import etag_of, is_unchanged


@dataclass(frozen=True, slots=True)
class Answer:
    """``content`` is JSON; ``is_known``: by If-None-Match the caller has it (304)."""

    content: bytes
    headers: dict[str, str]
    is_known: bool


def readable_accounts(user: User, account_id: str) -> tuple[str, ...] | None:
    """The accounts to read from: the one asked for if the person may see it, or all of theirs;
    None for every account there is.
    """
    visible = access.list_account_ids(user)
    if not account_id:
        return None if visible is None else tuple(visible)
    return (account_id,) if visible is None or account_id in visible else ()


def read_page(
    meta: Mapping[str, Any], user: User, wanted: listing.ListRequest, *, address: str
) -> Answer:
    """``meta``: the request's headers and query, as WSGI names them; ``address``: without query."""
    query = wanted.build_query(account_ids=readable_accounts(user, wanted.account_id))
    found = queries.list_messages(query, skip=wanted.skip, limit=wanted.limit)
    etag = f'"{digest_messages(found)}"'
    headers = {"ETag": f"W/{etag}"}
    if links := listing.link_pages(
        wanted, found, address=address, query_string=meta.get("QUERY_STRING", "")
    ):
        headers["Link"] = links
    is_known = is_unchanged(meta, etag)
    return Answer(b"" if is_known else join_messages(found), headers, is_known)


def read_one(meta: Mapping[str, Any], user: User, message_id: str) -> Answer:
    """Raises ApiProblem (404) for what is not there, or not theirs to see."""
    message = access.load_encoded(user, message_id)
    etag = etag_of(message.version)
    return Answer(message.content, {"ETag": etag}, is_unchanged(meta, etag))
