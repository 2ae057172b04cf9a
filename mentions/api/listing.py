"""What a list was asked for: the query string, read and checked once for all who send it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from django.http import QueryDict

from mentions.api.queries import MessageQuery
from mentions.api.serializers import MessageListSerializer

# Clients ask for few different pages; a query of this length is one of them.
_LONGEST_KEPT = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class ListRequest:
    """The parameters of ``MessageListSerializer``, as valid values."""

    skip: int
    limit: int
    account_id: str
    status: str
    kind: str
    author: str
    replyable: bool | None
    since: datetime | None
    until: datetime | None

    def build_query(self, *, account_ids: Sequence[str] | None) -> MessageQuery:
        """``account_ids``: those of which messages may be shown; None for all."""
        return MessageQuery(
            account_ids=account_ids,
            status=self.status,
            kind=self.kind,
            author=self.author,
            is_replyable=self.replyable,
            since=self.since,
            until=self.until,
        )


def read_query(query_string: str) -> ListRequest:
    """Raises ValidationError, which names each parameter that cannot be used."""
    return _read_kept(query_string) if len(query_string) <= _LONGEST_KEPT else _read(query_string)


def _read(query_string: str) -> ListRequest:
    given = MessageListSerializer(data=QueryDict(query_string))
    given.is_valid(raise_exception=True)
    return ListRequest(**given.validated_data)


_read_kept = lru_cache(512)(_read)
