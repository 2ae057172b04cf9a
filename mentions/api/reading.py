"""The hot reads, from the query to what is answered: a page of messages, and one message."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from accounts.models import User
from autores.mongo.rawpages import RawPage
from mentions.api import access, listing, queries
from mentions.api.encoding import digest_messages, encode_message, join_messages
from mentions.api.etags import is_unchanged

# Of a hundred messages 250 kB, BSON and JSON together: 8 MB a process, and 26 at the most.
_MOST_PAGES = 32
_LONGEST_PAGE = 400_000


@dataclass(frozen=True, slots=True)
class Answer:
    """``content`` is JSON; ``is_known``: by If-None-Match the caller has it (304)."""

    content: bytes
    headers: Mapping[str, str]
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
    """The page ``wanted``, of the messages that the person may see.

    Args:
        meta: the request's headers and query string, as WSGI names them.
        address: the list's own, absolute, without a query.
    """
    query = wanted.build_query(account_ids=readable_accounts(user, wanted.account_id))
    found = queries.find_messages(query, skip=wanted.skip, limit=wanted.limit)
    build = _build_kept if sum(map(len, found.batches)) <= _LONGEST_PAGE else _build_page
    content, headers, etag = build(found, wanted, address, meta.get("QUERY_STRING", ""))
    is_known = is_unchanged(meta, etag)
    return Answer(b"" if is_known else content, headers, is_known)


def _build_page(
    found: RawPage, wanted: listing.ListRequest, address: str, query_string: str
) -> tuple[bytes, Mapping[str, str], str]:
    """JSON, headers, and the strong form of the ETag: always the same, of the same bytes."""
    page = [encode_message(stored) for stored in found.split()]
    if wanted.cursor and wanted.cursor.is_backward:
        page.reverse()
    etag = f'"{digest_messages(page)}"'
    headers = {"ETag": f"W/{etag}"}
    if links := listing.link_pages(wanted, page, address=address, query_string=query_string):
        headers["Link"] = links
    return join_messages(page), headers, etag


_build_kept = lru_cache(_MOST_PAGES)(_build_page)


def read_one(meta: Mapping[str, Any], user: User, message_id: str) -> Answer:
    """Raises ApiProblem (404) for what is not there, or not theirs to see."""
    message = access.load_encoded(user, message_id)
    return Answer(message.content, {"ETag": message.etag}, is_unchanged(meta, message.etag))
