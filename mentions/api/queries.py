"""The hot reads of the API: pages of messages, one message, counts. Ordered by an index, always.

Documents come as MongoDB stores them, without the raw JSON of X: a list of 100 model instances
costs more than its query.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

import bson
from django.db import connection

from autores.batching import Batcher, call_shared
from autores.mongo.rawpages import RawPage, find_raw_page, read_id
from autores.mongo.reads import AWARE_UTC, find_page
from mentions import tallies
from mentions.api.cursors import Cursor
from mentions.api.encoding import EncodedMessage, encode_message
from mentions.api.serializers import STORED_FIELDS
from mentions.models import Message
from mentions.tallies import Scope, find_day, open_snapshot

Document = dict[str, Any]

NEWEST_FIRST = {"timestamp": -1, "_id": -1}
OLDEST_FIRST = {"timestamp": 1, "_id": 1}
# A page that begins below is as soon reached by passing over what comes before.
_SHORTEST_DEEP_SKIP = 500
# Named one by one, the server copies them without making a document of its own of each.
SHOWN = dict.fromkeys(STORED_FIELDS, 1)
# Of a single one, reading the names would take longer.
_WITHOUT_LONG = {"raw": 0, "unfiled": 0}
# MongoDB merges one index scan per account in order; beyond some number it sorts in memory.
_MOST_MERGED_ACCOUNTS = 100


@dataclass(frozen=True, kw_only=True)
class MessageQuery:
    """Which messages. ``account_ids`` None: of every account, and those without one.

    ``author`` is an X user id, or a username as X spells it. ``since`` is inclusive, ``until`` is
    not; both are compared with the post's time.
    """

    account_ids: tuple[str, ...] | None = None
    status: str = ""
    kind: str = ""
    author: str = ""
    is_replyable: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    cursor: Cursor | None = None

    def build_filter(self) -> dict[str, Any]:
        query: dict[str, Any] = {}
        if self.account_ids is not None:
            ids = list(self.account_ids)
            query["account_id"] = ids[0] if len(ids) == 1 else {"$in": ids}
        if self.status:
            query["status"] = self.status
        if self.kind:
            query["kind"] = self.kind
        if self.author:
            name = self.author.removeprefix("@")
            if name.isdecimal():
                query["user"] = name
            else:
                # X's names know no upper and lower case.
                query["author_username"] = {"$regex": f"^{re.escape(name)}$", "$options": "i"}
        if self.is_replyable is not None:
            query["is_replyable"] = self.is_replyable
        times = {"$gte": self.since, "$lt": self.until}
        if bounds := {operator: at for operator, at in times.items() if at is not None}:
            query["timestamp"] = bounds
        if self.cursor is not None:
            self._go_on(query, self.cursor)
        return query

    def _go_on(self, query: dict[str, Any], cursor: Cursor) -> None:
        # The time alone bounds the index scan; of those with the same time the key decides.
        beyond = "$gt" if cursor.is_backward else "$lt"
        bounds = query.setdefault("timestamp", {})
        at = f"{beyond}e"
        pick = max if cursor.is_backward else min
        bounds[at] = pick(bounds.get(at, cursor.timestamp), cursor.timestamp)
        query["$or"] = [
            {"timestamp": {beyond: cursor.timestamp}},
            {"_id": {beyond: cursor.message_id}},
        ]

    @property
    def is_counted(self) -> bool:
        """Whether counters tell how many there are."""
        return (
            not (self.kind or self.author or self.since or self.until or self.cursor)
            and self.is_replyable is None
        )

    def choose_index(self) -> str:
        """The index that yields the page in order. Named: the planner's guess depends on data."""
        is_by_account = self.account_ids is not None and (
            len(self.account_ids) <= _MOST_MERGED_ACCOUNTS
        )
        if is_by_account:
            return "message_acct_status_idx" if self.status else "message_account_idx"
        return "message_status_idx" if self.status else "message_time_idx"

    def build_page(self, *, skip: int, limit: int) -> dict[str, Any]:
        """Arguments of ``find_page``."""
        return {
            "filter": self.build_filter(),
            "sort": OLDEST_FIRST if self.cursor and self.cursor.is_backward else NEWEST_FIRST,
            "skip": skip,
            "limit": limit,
            "projection": SHOWN,
            "hint": self.choose_index(),
        }


class _Page(NamedTuple):
    query: MessageQuery
    skip: int
    limit: int


def find_messages(query: MessageQuery, *, skip: int, limit: int) -> RawPage:
    """One page as MongoDB sends it, newest first, but oldest first if the cursor is backward."""
    if limit == 0 or (query.account_ids is not None and not query.account_ids):
        return RawPage(())
    find = _find_page_together if connection.session is None else _find_page
    return find(_Page(query, skip, limit))


def _find_page(page: _Page) -> RawPage:
    query, skip, limit = page
    found = _find_deep(query, skip=skip, limit=limit) if skip >= _SHORTEST_DEEP_SKIP else None
    if found is None:
        found = find_raw_page(Message, **query.build_page(skip=skip, limit=limit))
    return found


# A team looks at the same page.
_find_page_together = call_shared(_find_page)


def _find_deep(query: MessageQuery, *, skip: int, limit: int) -> RawPage | None:
    """The same page by the counters, past the days before it; None if they cannot tell."""
    if not query.is_counted:
        return None
    with open_snapshot() as snapshot:
        scope = Scope(query.account_ids, query.status)
        place = find_day(scope, skip=skip, session=snapshot)
        if place is None:
            return None
        before, rest = place
        page = replace(query, until=before).build_page(skip=rest, limit=limit)
        return find_raw_page(Message, **page, session=snapshot)


def find_encoded(message_id: str) -> EncodedMessage | None:
    stored = _find_stored(message_id)
    return None if stored is None else encode_message(stored)


def find_message(message_id: str) -> Document | None:
    """The message without X's JSON of it."""
    stored = _find_stored(message_id)
    return None if stored is None else bson.decode(stored, AWARE_UTC)


def _find_stored(message_id: str) -> bytes | None:
    """Of several threads at once by one command, but in the transaction where one runs."""
    find = _find_together if connection.session is None else _find_alone
    return find(message_id)


def _find_alone(message_id: str) -> bytes | None:
    return _find_each([message_id])[0]


def _find_each(message_ids: Sequence[str]) -> list[bytes | None]:
    key = message_ids[0] if len(message_ids) == 1 else {"$in": message_ids}
    found = find_raw_page(
        Message, filter={"_id": key}, limit=len(message_ids), projection=_WITHOUT_LONG
    )
    by_id = {read_id(stored): stored for stored in found.split()}
    return [by_id.get(message_id) for message_id in message_ids]


_find_together = Batcher(_find_each)


def list_messages_by_id(message_ids: Sequence[str], *, limit: int) -> list[Document]:
    """The newest ``limit`` of these, newest first."""
    if not message_ids:
        return []
    return find_page(
        Message,
        filter={"_id": {"$in": list(message_ids)}},
        sort=NEWEST_FIRST,
        limit=limit,
        projection=SHOWN,
    )


def build_count(account_ids: tuple[str, ...] | None) -> dict[str, Any]:
    """The command that counts messages by status, answered from an index alone."""
    query = MessageQuery(account_ids=account_ids)
    pipeline: list[Mapping[str, Any]] = [
        {"$match": query.build_filter()},
        {"$group": {"_id": "$status", "count": {"$sum": 1}}},
    ]
    hint = "message_status_idx" if account_ids is None else "message_acct_status_idx"
    name = Message._meta.db_table
    return {"aggregate": name, "pipeline": pipeline, "cursor": {}, "hint": hint}


def count_by_status(account_ids: tuple[str, ...] | None) -> Mapping[str, int]:
    if account_ids is not None and not account_ids:
        return {}
    count = _count_together if connection.session is None else _count
    return count(account_ids)


def _count(account_ids: tuple[str, ...] | None) -> Mapping[str, int]:
    counted = tallies.count_by_status(account_ids)
    if counted is not None:
        return counted
    rows = connection.database.command(build_count(account_ids))["cursor"]["firstBatch"]
    return {row["_id"]: row["count"] for row in rows}


_count_together = call_shared(_count)
