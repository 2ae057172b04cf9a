"""Everything the checks compare, read once: X's side, our side, and what the run was promised."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from pymongo import MongoClient

Row = dict[str, Any]


@dataclass(frozen=True)
class XState:
    """What X has. Ids are numbers as strings; ``feeds`` are the mentions by the account's id."""

    users: dict[str, Row]
    posts: dict[str, Row]
    dms: list[Row]
    feeds: dict[str, list[Row]]
    calls: list[Row]

    def is_post_of_ours(self, post: Row, account_x_ids: set[str]) -> bool:
        """Made through the API, by a connected account."""
        return post["source"] == "api" and post["author_id"] in account_x_ids


@dataclass(frozen=True)
class Stored:
    """What the database has. ``accounts`` maps our ids to rows."""

    accounts: dict[str, Row]
    messages: dict[str, Row]
    replies: list[Row]
    gaps: list[Row]
    cursors: dict[str, Row]
    audit: list[Row]
    pauses: list[Row]


@dataclass(frozen=True)
class Promised:
    """What the run kept: accepted requests, spells in which one account was in trouble, and
    processes that ended without being killed.
    """

    accepted: list[Row] = field(default_factory=list)
    troubles: list[Row] = field(default_factory=list)
    injected: Counter[str] = field(default_factory=Counter)
    ended: list[str] = field(default_factory=list)
    run: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    x: XState
    stored: Stored
    promised: Promised
    read_at: datetime

    def x_id_of(self, account_id: str) -> str:
        return str(self.stored.accounts[account_id]["twitter_id"])

    def account_x_ids(self) -> set[str]:
        return {str(row["twitter_id"]) for row in self.stored.accounts.values()}


def read_facts(*, sandbox_url: str, mongodb_url: str, database: str, ledger: str | None) -> Facts:
    stored, promised = _read_database(mongodb_url, database, ledger)
    x_ids = {str(row["twitter_id"]) for row in stored.accounts.values()}
    return Facts(_read_x(sandbox_url, x_ids), stored, promised, datetime.now(UTC))


def _read_x(url: str, account_x_ids: set[str]) -> XState:
    with requests.Session() as session:
        session.trust_env = False  # a proxy has no business on loopback

        def read(path: str, **query: str) -> list[Row]:
            answer = session.get(f"{url}/_sandbox/{path}", params=query, timeout=300)
            answer.raise_for_status()
            (rows,) = answer.json().values()
            return list(rows)

        return XState(
            users={row["id"]: row for row in read("users")},
            posts={row["id"]: row for row in read("posts")},
            dms=read("dms"),
            feeds={x_id: read("feed", account_id=x_id) for x_id in account_x_ids},
            calls=read("calls"),
        )


def _read_database(url: str, database: str, ledger: str | None) -> tuple[Stored, Promised]:
    with MongoClient[Row](url, tz_aware=True, serverSelectionTimeoutMS=10_000) as client:
        ours = client[database]

        def read(name: str, query: Row | None = None, **without: int) -> list[Row]:
            return list(ours[name].find(query or {}, without or None))

        stored = Stored(
            accounts={row["_id"]: row for row in read("users", access_token=0, refresh_token=0)},
            messages={row["_id"]: row for row in read("messages", raw=0)},
            replies=read("mentions_reply"),
            gaps=read("mentions_gap"),
            cursors={row["_id"]: row for row in read("mentions_cursor")},
            audit=read("mentions_auditentry", {"object_type": "reply"}),
            pauses=read("accounts_apppause"),
        )
        if ledger is None:
            return stored, Promised()
        kept = client[ledger]
        run = kept["run"].find_one() or {}
        promised = Promised(
            accepted=list(kept["accepted"].find()),
            troubles=list(kept["troubles"].find()),
            injected=Counter(run.pop("injected", {})),
            ended=run.pop("ended", []),
            run=run,
        )
        return stored, promised
