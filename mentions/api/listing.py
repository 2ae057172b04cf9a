"""What a list was asked for: the query string, read and checked once for all who send it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import quote

from django.http import QueryDict

from mentions.api.cursors import Cursor, cursor_after, cursor_before, read_cursor
from mentions.api.encoding import EncodedMessage
from mentions.api.queries import MessageQuery
from mentions.api.serializers import MessageListSerializer

# Clients ask for few different pages; a query of this length is one of them.
_LONGEST_KEPT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRequest:
    """The parameters of ``MessageListSerializer``, as valid values."""

    skip: int
    limit: int
    cursor: Cursor | None
    account_id: str
    status: str
    kind: str
    author: str
    replyable: bool | None
    since: datetime | None
    until: datetime | None

    def build_query(self, *, account_ids: tuple[str, ...] | None) -> MessageQuery:
        """``account_ids``: those of which messages may be shown; None for all."""
        return MessageQuery(
            account_ids=account_ids,
            status=self.status,
            kind=self.kind,
            author=self.author,
            is_replyable=self.replyable,
            since=self.since,
            until=self.until,
            cursor=self.cursor,
        )


def read_query(query_string: str) -> ListRequest:
    """Raises ValidationError, which names each parameter that cannot be used."""
    return _read_kept(query_string) if len(query_string) <= _LONGEST_KEPT else _read(query_string)


def _read(query_string: str) -> ListRequest:
    given = MessageListSerializer(data=QueryDict(query_string))
    given.is_valid(raise_exception=True)
    values = given.validated_data
    cursor = read_cursor(values["cursor"]) if values["cursor"] else None
    return ListRequest(**{**values, "cursor": cursor})


_read_kept = lru_cache(512)(_read)


def link_pages(
    asked: ListRequest, page: Sequence[EncodedMessage], *, address: str, query_string: str
) -> str:
    """The Link header (RFC 8288) of a page: ``next`` is older, ``prev`` newer; "" without either.

    Both go on from the page's ends, whatever is written meanwhile.
    """
    if not page:
        return ""
    is_full, is_backward = len(page) == asked.limit, bool(asked.cursor and asked.cursor.is_backward)
    start = f"{address}?{_without_place(query_string)}cursor="
    links = []
    if is_full or is_backward:
        links.append(f'<{start}{quote(cursor_after(page[-1]), safe="")}>; rel="next"')
    if (is_full and is_backward) or asked.skip or (asked.cursor and not is_backward):
        links.append(f'<{start}{quote(cursor_before(page[0]), safe="")}>; rel="prev"')
    return ", ".join(links)


@lru_cache(512)
def _without_place(query_string: str) -> str:
    """The parameters without those that say where the page begins, each followed by ``&``."""
    parameters = QueryDict(query_string, mutable=True)
    parameters.pop("skip", None)
    parameters.pop("cursor", None)
    rest = parameters.urlencode()
    return f"{rest}&" if rest else ""
