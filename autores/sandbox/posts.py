"""Posts: how one is stored, what an account may post, and who gets to see it as a mention."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from autores.sandbox import problems
from autores.sandbox.clock import Clock
from autores.sandbox.languages import detect_language
from autores.sandbox.store import Store
from autores.sandbox.text import (
    MAX_WEIGHTED_LENGTH,
    Composed,
    compose,
    find_handles,
    weighted_length,
)
from autores.sandbox.users import User, Users

REPLY_SETTINGS = ("everyone", "mentionedUsers", "following", "subscribers", "verified")
_COLUMNS = (
    "id", "author_id", "text", "note_text", "created_ms", "indexed_ms", "conversation_id",
    "in_reply_to", "in_reply_to_user", "quote_of", "repost_of", "reply_settings", "lang",
    "entities", "display_start", "display_end", "edit_history", "source", "text_key", "deleted_ms",
)  # fmt: skip
# Counts columns.
INSERT_POST = f"INSERT INTO posts VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
INSERT_FEED = "INSERT OR IGNORE INTO feed VALUES (?, ?, ?, ?, 0)"


@dataclass(frozen=True)
class Post:
    id: int
    author_id: int
    text: str
    note_text: str | None
    created_ms: int
    indexed_ms: int
    conversation_id: int
    in_reply_to: int | None
    in_reply_to_user: int | None
    quote_of: int | None
    repost_of: int | None
    reply_settings: str
    lang: str
    entities: dict[str, list[dict[str, Any]]]
    display_start: int
    display_end: int
    edit_history: list[str]
    source: str
    text_key: str
    deleted_ms: int | None = None

    def as_row(self) -> tuple[Any, ...]:
        values = [getattr(self, name) for name in _COLUMNS]
        values[_COLUMNS.index("entities")] = json.dumps(self.entities, ensure_ascii=False)
        values[_COLUMNS.index("edit_history")] = json.dumps(self.edit_history)
        return tuple(values)

    def mentioned_ids(self, *, explicit_only: bool = False) -> list[int]:
        """Users named in the text; `explicit_only` leaves out handles a reply carries in front."""
        return [
            int(entity["id"])
            for entity in self.entities.get("mentions", [])
            if not explicit_only or entity["start"] >= self.display_start
        ]


def post_of(row: Any) -> Post:
    values = {name: row[name] for name in _COLUMNS}
    values["entities"] = json.loads(values["entities"])
    values["edit_history"] = json.loads(values["edit_history"])
    return Post(**values)


class Posts:
    def __init__(self, store: Store, clock: Clock, users: Users) -> None:
        self._store = store
        self._clock = clock
        self._users = users

    def find(self, post_id: int | str, *, with_deleted: bool = False) -> Post | None:
        row = self._store.one("SELECT * FROM posts WHERE id = ?", int(post_id))
        if row is None or (row["deleted_ms"] is not None and not with_deleted):
            return None
        return post_of(row)

    def find_many(self, ids: Iterable[int]) -> dict[int, Post]:
        rows = self._store.all_in(
            "SELECT * FROM posts WHERE id IN ({}) AND deleted_ms IS NULL", ids
        )
        return {row["id"]: post_of(row) for row in rows}

    # What an account posts through the API -------------------------------------------------

    def create(
        self,
        author_id: int,
        *,
        text: str,
        in_reply_to: str | None,
        quote_of: str | None,
        exclude_user_ids: list[str],
        reply_settings: str | None,
        vocabulary: str,
        source: str = "api",
    ) -> Post:
        """Post as X would; raises ApiProblem with X's refusal."""
        with self._store.transaction():
            author = self._users.require(author_id)
            if author.is_suspended:
                raise problems.forbidden(problems.SUSPENDED)
            if not text.strip() and quote_of is None:
                raise problems.invalid_request(
                    "`text` must not be empty", parameter="text", value=text, vocabulary=vocabulary
                )
            parent = quoted = None
            if in_reply_to is not None:
                parent = self._target(in_reply_to, "reply.in_reply_to_tweet_id", vocabulary)
                self._check_may_reply(author, parent)
            if quote_of is not None:
                quoted = self._target(quote_of, "quote_tweet_id", vocabulary)
                self._check_may_quote(author, quoted)
            if weighted_length(text) > MAX_WEIGHTED_LENGTH:
                raise problems.forbidden(problems.TOO_LONG)
            leading: list[str] = []
            if parent is not None:
                typed = {name.lower() for name in find_handles(text)}
                leading = [
                    name
                    for name in self.participants(
                        parent, replying=author.id, excluded=set(exclude_user_ids)
                    )
                    if name.lower() not in typed
                ]
            composed = compose(
                text,
                leading=leading,
                find_user=self._users.find_handle,
                trailing_url=None if quoted is None else self.address(quoted),
            )
            self._check_duplicate(author_id, composed.text)
            delay = int(1000 * float(self._store.settings["timeline_delay_seconds"]))
            return self.insert(
                author_id,
                composed,
                parent=parent,
                quoted=quoted,
                reply_settings=reply_settings
                or str(author.profile.get("reply_settings", "everyone")),
                lang=detect_language(text),
                index_delay_ms=delay,
                source=source,
            )

    def delete(self, author_id: int, post_id: str, *, vocabulary: str) -> None:
        with self._store.transaction():
            post = self.find(post_id)
            if post is None:
                raise problems.not_found("tweet", value=post_id, vocabulary=vocabulary)
            if post.author_id != author_id:
                raise problems.forbidden("You are not authorized to delete this Tweet.")
            self.remove(post.id)

    def remove(self, post_id: int) -> bool:
        """Delete whoever wrote it; False when it is already gone."""
        with self._store.transaction() as db:
            now = self._clock.now_ms()
            changed = db.execute(
                "UPDATE posts SET deleted_ms = ? WHERE id = ? AND deleted_ms IS NULL",
                (now, post_id),
            ).rowcount
            db.execute("UPDATE feed SET is_gone = 1 WHERE post_id = ?", (post_id,))
        return changed == 1

    # Rules ---------------------------------------------------------------------------------

    def _target(self, post_id: str, parameter: str, vocabulary: str) -> Post:
        post = self.find(post_id)
        if post is None:
            raise problems.invalid_request(
                problems.TARGET_GONE,
                parameter=parameter,
                value=post_id,
                vocabulary=vocabulary,
            )
        return post

    def _check_may_reply(self, author: User, parent: Post) -> None:
        if parent.author_id == author.id:
            return
        writer = self._users.require(parent.author_id)
        if writer.blocks(author.id):
            raise problems.forbidden(problems.BLOCKED)
        root = parent
        if parent.conversation_id != parent.id:
            root = self.find(parent.conversation_id) or parent
        for post in (parent, root):
            if post.author_id != author.id and not self._settings_allow(author, post):
                raise problems.forbidden(problems.REPLIES_RESTRICTED)
        if not self.is_summoned(author.id, parent):
            raise problems.forbidden(problems.NOT_SUMMONED)

    def _check_may_quote(self, author: User, quoted: Post) -> None:
        if quoted.author_id != author.id and not self.is_summoned(author.id, quoted):
            raise problems.forbidden(problems.NOT_QUOTABLE)

    def is_summoned(self, account_id: int, post: Post) -> bool:
        """Did the author of that very post mention the account or quote one of its posts?"""
        settings = self._store.settings
        if post.repost_of is not None:
            return False
        if account_id in post.mentioned_ids(explicit_only=True):
            return True
        if post.quote_of is not None:
            quoted = self.find(post.quote_of, with_deleted=True)
            if quoted is not None and quoted.author_id == account_id:
                return True
        if settings["reply_is_summons"] and post.in_reply_to_user == account_id:
            return True
        return bool(settings["carried_mention_is_summons"]) and account_id in post.mentioned_ids()

    def _settings_allow(self, author: User, post: Post) -> bool:
        if post.reply_settings == "everyone" or author.id in post.mentioned_ids():
            return True
        if post.reply_settings == "following":
            return self._users.require(post.author_id).follows(author.id)
        return post.reply_settings == "verified" and bool(author.profile.get("verified"))

    def _check_duplicate(self, author_id: int, text: str) -> None:
        # X compares what it stores, leading handles included: thanks to two people are two texts.
        window = int(1000 * float(self._store.settings["duplicate_window_seconds"]))
        row = self._store.one(
            "SELECT id FROM posts WHERE author_id = ? AND text_key = ? AND created_ms > ?"
            " AND deleted_ms IS NULL AND repost_of IS NULL",
            author_id,
            make_text_key(text),
            self._clock.now_ms() - window,
        )
        if row is not None:
            raise problems.forbidden(problems.DUPLICATE)

    # Storing -------------------------------------------------------------------------------

    def participants(self, parent: Post, *, replying: int, excluded: set[str]) -> list[str]:
        """Handles a reply carries: the author replied to, then those the parent mentions."""
        ids = [parent.author_id, *parent.mentioned_ids()]
        wanted = [
            user_id
            for user_id in dict.fromkeys(ids)
            if user_id != replying and (str(user_id) not in excluded or user_id == parent.author_id)
        ]
        known = self._users.find_many(set(wanted))
        return [known[user_id].username for user_id in wanted if user_id in known]

    def address(self, post: Post) -> str:
        author = self._users.require(post.author_id)
        return f"https://x.com/{author.username}/status/{post.id}"

    def insert(
        self,
        author_id: int,
        composed: Composed,
        *,
        parent: Post | None = None,
        quoted: Post | None = None,
        reposted: Post | None = None,
        reply_settings: str = "everyone",
        lang: str = "und",
        note_text: str | None = None,
        created_ms: int | None = None,
        index_delay_ms: int = 0,
        source: str = "control",
        is_in_feeds: bool = True,
    ) -> Post:
        """Store one post and put it into the feeds of those it mentions."""
        with self._store.transaction() as db:
            (post_id,) = self._clock.next_ids(at_ms=created_ms)
            post = self.build(
                post_id,
                author_id,
                composed,
                parent=parent,
                quoted=quoted,
                reposted=reposted,
                reply_settings=reply_settings,
                lang=lang,
                note_text=note_text,
                created_ms=created_ms if created_ms is not None else self._clock.now_ms(),
                index_delay_ms=index_delay_ms,
                source=source,
            )
            db.execute(INSERT_POST, post.as_row())
            if is_in_feeds:
                db.executemany(INSERT_FEED, self.feed_rows(post, quoted, reposted))
        return post

    def build(
        self,
        post_id: int,
        author_id: int,
        composed: Composed,
        *,
        parent: Post | None,
        quoted: Post | None,
        reposted: Post | None,
        reply_settings: str,
        lang: str,
        note_text: str | None,
        created_ms: int,
        index_delay_ms: int,
        source: str,
    ) -> Post:
        """The post, not stored yet."""
        return Post(
            id=post_id,
            author_id=author_id,
            text=composed.text,
            note_text=note_text,
            created_ms=created_ms,
            indexed_ms=(self._clock.now_ms() + index_delay_ms) if index_delay_ms else created_ms,
            conversation_id=post_id if parent is None else parent.conversation_id,
            in_reply_to=None if parent is None else parent.id,
            in_reply_to_user=None if parent is None else parent.author_id,
            quote_of=None if quoted is None else quoted.id,
            repost_of=None if reposted is None else reposted.id,
            reply_settings=reply_settings,
            lang=lang,
            entities=composed.entities,
            display_start=composed.display[0],
            display_end=composed.display[1],
            edit_history=[str(post_id)],
            source=source,
            text_key=make_text_key(composed.text),
        )

    def feed_rows(
        self, post: Post, quoted: Post | None, reposted: Post | None
    ) -> list[tuple[int, int, str, int]]:
        """Whose mention feed the post enters, and as what."""
        kinds: dict[int, str] = {}
        for user_id in post.mentioned_ids():
            kinds[user_id] = "implicit"
        for user_id in post.mentioned_ids(explicit_only=True):
            kinds[user_id] = "direct"
        if post.in_reply_to_user is not None and kinds.get(post.in_reply_to_user) != "direct":
            kinds[post.in_reply_to_user] = "reply"
        if quoted is not None:
            kinds[quoted.author_id] = "quote"
        if reposted is not None:
            kinds = {reposted.author_id: "repost"}
        own = post.author_id in kinds or post.in_reply_to is not None
        kinds.pop(post.author_id, None)
        # The feed is known to carry the account's own posts out of its threads as well.
        if own and reposted is None and self._store.settings["own_posts_in_mentions"]:
            kinds[post.author_id] = "self"
        return [(user_id, post.id, kind, post.indexed_ms) for user_id, kind in kinds.items()]


def make_text_key(text: str) -> str:
    """Equal for texts X would call duplicates."""
    plain = re.sub(r"\s+", " ", text).strip().casefold()
    return hashlib.blake2b(plain.encode(), digest_size=12).hexdigest()
