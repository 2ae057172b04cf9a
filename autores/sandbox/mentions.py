"""Mentions arriving from people: what the control API and the autopilot make happen."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autores.sandbox.clock import Clock, parse_time
from autores.sandbox.corpus import PEOPLE, sample_text
from autores.sandbox.languages import detect_language
from autores.sandbox.posts import INSERT_FEED, INSERT_POST, REPLY_SETTINGS, Post, Posts
from autores.sandbox.store import Store
from autores.sandbox.text import compose, cut_long_text, find_handles
from autores.sandbox.users import SandboxInputError, User, Users

KINDS = ("direct", "implicit", "quote", "repost", "reply")
MAX_COUNT = 50_000


@dataclass(frozen=True)
class MentionOrder:
    """What should arrive: `count` posts of one kind at one account."""

    account: User
    author: User | None = None
    text: str | None = None
    kind: str = "direct"
    count: int = 1
    created_ms: int | None = None
    in_reply_to: Post | None = None
    quote_of: Post | None = None
    index_delay_ms: int = 0
    reply_settings: str = "everyone"


class Mentions:
    def __init__(self, store: Store, clock: Clock, users: Users, posts: Posts) -> None:
        self._store = store
        self._clock = clock
        self._users = users
        self._posts = posts
        self._random = random.Random()  # noqa: S311 - picks sample texts

    def arrive(self, order: MentionOrder) -> list[Post]:
        """Store all posts of the order in one transaction, oldest first."""
        if order.kind not in KINDS:
            raise SandboxInputError(f"kind {order.kind!r}: use one of {', '.join(KINDS)}")
        if order.reply_settings not in REPLY_SETTINGS:
            raise SandboxInputError(
                f"reply_settings {order.reply_settings!r}: use one of {', '.join(REPLY_SETTINGS)}"
            )
        if not 1 <= order.count <= MAX_COUNT:
            raise SandboxInputError(f"count {order.count}: use 1 to {MAX_COUNT}")
        with self._store.transaction() as db:
            parent, quoted, reposted = self._context(order)
            authors = self._authors(order)
            handles: dict[str, tuple[int, str] | None] = {}

            def find_user(handle: str) -> tuple[int, str] | None:
                key = handle.lower()
                if key not in handles:
                    handles[key] = self._users.find_handle(handle)
                return handles[key]

            carried = (
                []
                if parent is None
                else self._posts.participants(parent, replying=0, excluded=set())
            )
            ids = self._clock.next_ids(order.count, at_ms=order.created_ms)
            created_ms = order.created_ms if order.created_ms is not None else self._clock.now_ms()
            posts = []
            feed: list[tuple[int, int, str, int]] = []
            for number, (post_id, author) in enumerate(zip(ids, authors, strict=False), start=1):
                body = self._body(order, number, reposted)
                leading = [name for name in carried if name.lower() != author.username.lower()]
                if order.kind == "direct":
                    body = self._address_account(order.account, body)
                    typed = {name.lower() for name in find_handles(body)}
                    leading = [name for name in leading if name.lower() not in typed]
                shown, note = cut_long_text(body) if reposted is None else (body, None)
                composed = compose(
                    shown,
                    leading=leading,
                    find_user=find_user,
                    trailing_url=None if quoted is None else self._posts.address(quoted),
                )
                post = self._posts.build(
                    post_id,
                    author.id,
                    composed,
                    parent=parent,
                    quoted=quoted,
                    reposted=reposted,
                    reply_settings=order.reply_settings,
                    lang=detect_language(body),
                    note_text=note,
                    created_ms=created_ms,
                    index_delay_ms=order.index_delay_ms,
                    source="control",
                )
                posts.append(post)
                feed += self._posts.feed_rows(post, quoted, reposted)
            db.executemany(INSERT_POST, (post.as_row() for post in posts))
            db.executemany(INSERT_FEED, feed)
        return posts

    def edit(self, post_id: int, text: str) -> Post:
        """The author edits: a new id in the same chain; feeds show the newest version only."""
        with self._store.transaction() as db:
            old = self._posts.find(post_id)
            if old is None:
                raise SandboxInputError(f"there is no post {post_id}")
            if len(old.edit_history) > 5:
                raise SandboxInputError("X allows five edits of a post")
            parent = None if old.in_reply_to is None else self._posts.find(old.in_reply_to)
            quoted = None if old.quote_of is None else self._posts.find(old.quote_of)
            shown, note = cut_long_text(text)
            leading = [
                entity["username"]
                for entity in old.entities.get("mentions", [])
                if entity["start"] < old.display_start
            ]
            composed = compose(shown, leading=leading, find_user=self._users.find_handle)
            new = self._posts.insert(
                old.author_id,
                composed,
                parent=parent,
                quoted=quoted,
                reply_settings=old.reply_settings,
                lang=detect_language(text),
                note_text=note,
            )
            chain = [*old.edit_history, str(new.id)]
            for version in chain:
                db.execute(
                    "UPDATE posts SET edit_history = ?, conversation_id = ? WHERE id = ?",
                    (json.dumps(chain), old.conversation_id, int(version)),
                )
            db.execute("UPDATE feed SET is_gone = 1 WHERE post_id = ?", (old.id,))
        found = self._posts.find(new.id)
        assert found is not None
        return found

    # ---------------------------------------------------------------------------------------

    def _context(self, order: MentionOrder) -> tuple[Post | None, Post | None, Post | None]:
        """(parent, quoted, reposted): what the kind refers to, made when it is not there yet."""
        account = order.account
        if order.kind == "repost":
            return None, None, order.quote_of or self._own_post(account)
        quoted = order.quote_of
        if order.kind == "quote" and quoted is None:
            quoted = self._own_post(account)
        parent = order.in_reply_to
        if order.kind == "reply":
            parent = parent or self._own_post(account)
            if parent.author_id != account.id:
                raise SandboxInputError("a reply answers a post of the account itself")
        if order.kind == "implicit":
            parent = parent or self._thread_with(account)
            if account.id not in (*parent.mentioned_ids(), parent.author_id):
                raise SandboxInputError(
                    f"@{account.username} is not part of that thread: nothing carries the handle"
                )
        return parent, quoted, None

    def _own_post(self, account: User) -> Post:
        row = self._store.one(
            "SELECT id FROM posts WHERE author_id = ? AND in_reply_to IS NULL AND repost_of IS NULL"
            " AND deleted_ms IS NULL ORDER BY id DESC LIMIT 1",
            account.id,
        )
        post = None if row is None else self._posts.find(row["id"])
        if post is not None:
            return post
        text = f"Hello, this is {account.name}. Ask us anything."
        composed = compose(text, find_user=self._users.find_handle)
        return self._posts.insert(account.id, composed, lang="en")

    def _thread_with(self, account: User) -> Post:
        # The post that drew the account in stays out of the feed: the order is about its replies.
        starter = self._person("thread_starter", "Thread Starter")
        text = f"@{account.username} and everyone: what do you make of this?"
        composed = compose(text, find_user=self._users.find_handle)
        return self._posts.insert(starter.id, composed, lang="en", is_in_feeds=False)

    def _authors(self, order: MentionOrder) -> Iterator[User]:
        if order.author is not None:
            return iter([order.author] * order.count)
        people = self._random.sample(PEOPLE, len(PEOPLE))
        wanted = people[: min(order.count, len(people))]
        users = [self._person(username, name) for username, name in wanted]
        users = [user for user in users if user.id != order.account.id]
        return (users[number % len(users)] for number in range(order.count))

    def _person(self, username: str, name: str) -> User:
        found = self._users.find_by_username(username)
        return found or self._users.create(username, name=name)

    def _body(self, order: MentionOrder, number: int, reposted: Post | None) -> str:
        if reposted is not None:
            author = self._users.require(reposted.author_id)
            return f"RT @{author.username}: {reposted.text}"
        if order.text is None:
            return sample_text(self._random)
        return order.text if order.count == 1 else f"{order.text} ({number})"

    @staticmethod
    def _address_account(account: User, body: str) -> str:
        if account.username.lower() in (name.lower() for name in find_handles(body)):
            return body
        return f"@{account.username} {body}"


def order_from(body: dict[str, Any], *, users: Users, posts: Posts, clock: Clock) -> MentionOrder:
    """Read the control API's JSON; SandboxInputError says which key is wrong."""
    known = {
        "account_id", "account", "author", "text", "kind", "count", "created_at", "in_reply_to",
        "quote_of", "index_delay_seconds", "reply_settings", "author_name",
    }  # fmt: skip
    unknown = sorted(set(body) - known)
    if unknown:
        raise SandboxInputError(
            f"unknown keys {', '.join(unknown)}: use {', '.join(sorted(known))}"
        )
    account = users.require_either(user_id=body.get("account_id"), username=body.get("account"))
    author = None
    if body.get("author"):
        username = str(body["author"]).lstrip("@")
        author = users.find_by_username(username) or users.create(
            username, name=body.get("author_name")
        )

    def post_named(key: str) -> Post | None:
        if body.get(key) is None:
            return None
        found = posts.find(body[key]) if str(body[key]).isdigit() else None
        if found is None:
            raise SandboxInputError(f"{key}: there is no post {body[key]}")
        return found

    try:
        created_ms = parse_time(str(body["created_at"])) if body.get("created_at") else None
        count = int(body.get("count", 1))
        delay_ms = round(1000 * float(body.get("index_delay_seconds") or 0))
    except ValueError as error:
        raise SandboxInputError(f"created_at, count or index_delay_seconds: {error}") from error
    return MentionOrder(
        account=account,
        author=author,
        text=body.get("text"),
        kind=body.get("kind") or "direct",
        count=count,
        created_ms=created_ms,
        in_reply_to=post_named("in_reply_to"),
        quote_of=post_named("quote_of"),
        index_delay_ms=delay_ms,
        reply_settings=body.get("reply_settings") or "everyone",
    )
