"""All state of the sandbox: one SQLite file (or memory), one connection, one lock.

Every request works inside `transaction()`, so two calls that race see each other whole, which is
what makes single-use tokens burn for good. A restart on the same file keeps everything.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

MAX_INTEGER = (1 << 63) - 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS users (
  id INTEGER PRIMARY KEY, username TEXT NOT NULL COLLATE NOCASE UNIQUE, name TEXT NOT NULL,
  created_ms INTEGER NOT NULL, receives_your_dm INTEGER NOT NULL DEFAULT 1,
  profile TEXT NOT NULL DEFAULT '{}');
CREATE TABLE IF NOT EXISTS posts (
  id INTEGER PRIMARY KEY, author_id INTEGER NOT NULL, text TEXT NOT NULL, note_text TEXT,
  created_ms INTEGER NOT NULL, indexed_ms INTEGER NOT NULL, conversation_id INTEGER NOT NULL,
  in_reply_to INTEGER, in_reply_to_user INTEGER, quote_of INTEGER, repost_of INTEGER,
  reply_settings TEXT NOT NULL, lang TEXT NOT NULL, entities TEXT NOT NULL,
  display_start INTEGER NOT NULL, display_end INTEGER NOT NULL, edit_history TEXT NOT NULL,
  source TEXT NOT NULL, text_key TEXT NOT NULL, deleted_ms INTEGER);
CREATE INDEX IF NOT EXISTS posts_by_author ON posts (author_id, id);
CREATE INDEX IF NOT EXISTS posts_by_text ON posts (author_id, text_key);
CREATE INDEX IF NOT EXISTS posts_by_conversation ON posts (conversation_id, id);
CREATE INDEX IF NOT EXISTS posts_by_parent ON posts (in_reply_to) WHERE in_reply_to IS NOT NULL;
CREATE INDEX IF NOT EXISTS posts_by_quoted ON posts (quote_of) WHERE quote_of IS NOT NULL;
CREATE TABLE IF NOT EXISTS feed (
  user_id INTEGER NOT NULL, post_id INTEGER NOT NULL, kind TEXT NOT NULL,
  indexed_ms INTEGER NOT NULL, is_gone INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, post_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS feed_by_post ON feed (post_id);
CREATE TABLE IF NOT EXISTS dm_events (
  id INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL, sender_id INTEGER NOT NULL,
  recipient_id INTEGER NOT NULL, text TEXT NOT NULL, created_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS dm_by_conversation ON dm_events (conversation_id, id);
CREATE TABLE IF NOT EXISTS clients (
  client_id TEXT PRIMARY KEY, client_secret TEXT NOT NULL, name TEXT NOT NULL,
  callbacks TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS consents (
  id INTEGER PRIMARY KEY, client_id TEXT, user_id INTEGER NOT NULL, decision TEXT NOT NULL,
  scopes TEXT, is_sticky INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS codes (
  code TEXT PRIMARY KEY, client_id TEXT NOT NULL, redirect_uri TEXT NOT NULL,
  user_id INTEGER NOT NULL, scopes TEXT NOT NULL, challenge TEXT NOT NULL, method TEXT NOT NULL,
  expires_ms INTEGER NOT NULL, is_used INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS grants (
  id INTEGER PRIMARY KEY, client_id TEXT NOT NULL, user_id INTEGER NOT NULL,
  scopes TEXT NOT NULL, is_revoked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS grants_by_user ON grants (user_id);
CREATE TABLE IF NOT EXISTS access_tokens (
  token TEXT PRIMARY KEY, grant_id INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
  is_revoked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS access_by_grant ON access_tokens (grant_id);
CREATE TABLE IF NOT EXISTS refresh_tokens (
  token TEXT PRIMARY KEY, grant_id INTEGER NOT NULL, is_burned INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS rate_counts (
  scope TEXT NOT NULL, subject TEXT NOT NULL, bucket TEXT NOT NULL, started_ms INTEGER NOT NULL,
  used INTEGER NOT NULL, PRIMARY KEY (scope, subject, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS faults (
  id INTEGER PRIMARY KEY, route TEXT NOT NULL, name TEXT NOT NULL, times INTEGER,
  skip INTEGER NOT NULL, probability REAL NOT NULL, account_id TEXT, params TEXT NOT NULL,
  fired INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS calls (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, route TEXT NOT NULL, method TEXT NOT NULL,
  path TEXT NOT NULL, query TEXT NOT NULL, status INTEGER, account_id TEXT, fault TEXT,
  items INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS calls_by_route ON calls (route, id);
CREATE TABLE IF NOT EXISTS shown (
  user_id INTEGER NOT NULL, post_id INTEGER NOT NULL, route TEXT NOT NULL, at_ms INTEGER NOT NULL,
  PRIMARY KEY (user_id, post_id, route)) WITHOUT ROWID;
"""
TABLES = (
    "settings", "users", "posts", "feed", "dm_events", "consents", "codes", "grants",
    "access_tokens", "refresh_tokens", "rate_counts", "faults", "calls", "shown",
)  # fmt: skip

# What the control API may change, and what holds until it does.
DEFAULT_SETTINGS: dict[str, Any] = {
    "vocabulary": "post",  # what a call that names no fields is answered in
    "access_token_seconds": 7200,
    "code_seconds": 30,
    "refresh_revokes_access": False,  # X does not say whether the old access token dies
    "duplicate_window_seconds": 86400,  # X does not publish its window
    "carried_mention_is_summons": False,  # unconfirmed for X; the strict reading is the default
    "reply_is_summons": True,  # answering a post of ours is engaging with us
    "own_posts_in_mentions": True,
    "timeline_delay_seconds": 0,  # how late own posts show in the author's timeline
    "limits": "pay_per_use",
    "limit_overrides": {},
    "autopilot": {"enabled": False, "every_seconds": 20},
    "clock_offset_ms": 0,
    "clock_frozen_ms": None,
}


class Store:
    """The database. Methods that read take the lock; writers hold `transaction()`."""

    def __init__(self, path: str = ":memory:") -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode=WAL")
        # A crash of the process keeps every commit; only a power cut could lose the last ones.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(SCHEMA)
        self.settings: dict[str, Any] = {}
        self._read_settings()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything inside is written together or not at all. Nests: the outermost decides."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield self._connection
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")

    def one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock:
            row: sqlite3.Row | None = self._connection.execute(sql, _fit(values)).fetchone()
            return row

    def all(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(sql, _fit(values)).fetchall()

    def all_in(self, sql: str, ids: Iterable[Any]) -> list[sqlite3.Row]:
        """Rows of a query whose `{}` becomes one placeholder per id, in chunks SQLite accepts."""
        wanted = list(dict.fromkeys(ids))
        rows: list[sqlite3.Row] = []
        for start in range(0, len(wanted), 500):
            chunk = wanted[start : start + 500]
            rows += self.all(sql.format(",".join("?" * len(chunk))), *chunk)
        return rows

    def run(self, sql: str, *values: Any) -> int:
        """Execute one statement; returns how many rows it changed."""
        with self.transaction() as db:
            return db.execute(sql, values).rowcount

    def run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self.transaction() as db:
            db.executemany(sql, rows)

    def highest_id(self, *, floor: int | None = None) -> int:
        """The highest id given to anything; with `floor`, within that one millisecond."""
        if floor is None:
            row = self.one(
                "SELECT max(coalesce((SELECT max(id) FROM posts), 0),"
                " coalesce((SELECT max(id) FROM dm_events), 0),"
                " coalesce((SELECT max(id) FROM users), 0))"
            )
            return int(row[0]) if row else 0
        row = self.one(
            "SELECT max(id) FROM posts WHERE id >= ? AND id < ?", floor, floor + (1 << 22)
        )
        return int(row[0]) if row and row[0] is not None else floor - 1

    def put_setting(self, key: str, value: Any) -> None:
        self.run("INSERT OR REPLACE INTO settings VALUES (?, ?)", key, json.dumps(value))
        self.settings[key] = value

    def wipe(self) -> None:
        """Empty every table but the registered apps."""
        with self.transaction() as db:
            for table in TABLES:
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - names from the tuple above
        self._read_settings()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def _read_settings(self) -> None:
        stored = {r["key"]: json.loads(r["value"]) for r in self.all("SELECT * FROM settings")}
        self.settings = {**DEFAULT_SETTINGS, **stored}


def _fit(values: Sequence[Any]) -> list[Any]:
    # X's ids have up to 19 digits, a little more than SQLite's integers: no row has such an id.
    return [min(value, MAX_INTEGER) if isinstance(value, int) else value for value in values]
