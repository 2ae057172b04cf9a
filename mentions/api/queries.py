"""The hot reads of the API: pages of messages, one message, counts. Ordered by an index, always.

Documents come as MongoDB stores them, without the raw JSON of X: a list of 100 model instances
costs more than its query.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import connection

from autores.mongo.rawpages import RawPage, find_raw_page
from autores.mongo.reads import find_page
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

    account_ids: Sequence[str] | None = None
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
            query["user" if name.isdecimal() else "author_username"] = name
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


def find_messages(query: MessageQuery, *, skip: int, limit: int) -> RawPage:
    """One page as MongoDB sends it, newest first, but oldest first if the cursor is backward."""
    if limit == 0 or (query.account_ids is not None and not query.account_ids):
        return RawPage(())
    found = _find_deep(query, skip=skip, limit=limit) if skip >= _SHORTEST_DEEP_SKIP else None
    if found is None:
        found = find_raw_page(Message, **query.build_page(skip=skip, limit=limit))
    return found


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
    found = find_raw_page(Message, filter={"_id": message_id}, limit=1, projection=_WITHOUT_LONG)
    stored = found.split()
    return encode_message(stored[0]) if stored else None


def find_message(message_id: str) -> Document | None:
    """The message without X's JSON of it."""
    found = find_page(Message, filter={"_id": message_id}, limit=1, projection=_WITHOUT_LONG)
    return found[0] if found else None


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


def build_count(account_ids: Sequence[str] | None) -> dict[str, Any]:
    """The command that counts messages by status, answered from an index alone."""
    query = MessageQuery(account_ids=account_ids)
    pipeline: list[Mapping[str, Any]] = [
        {"$match": query.build_filter()},
        {"$group": {"_id": "$status", "count": {"$sum": 1}}},
    ]
    hint = "message_status_idx" if account_ids is None else "message_acct_status_idx"
    name = Message._meta.db_table
    return {"aggregate": name, "pipeline": pipeline, "cursor": {}, "hint": hint}


def count_by_status(account_ids: Sequence[str] | None) -> dict[str, int]:
    if account_ids is not None and not account_ids:
        return {}
    counted = tallies.count_by_status(account_ids)
    if counted is not None:
        return counted
    rows = connection.database.command(build_count(account_ids))["cursor"]["firstBatch"]
    return {row["_id"]: row["count"] for row in rows}
