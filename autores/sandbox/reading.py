"""Pages of posts: a user's mentions, a user's own posts, the recent search."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autores.sandbox.clock import Clock, parse_time, snowflake_floor
from autores.sandbox.posts import Post, post_of
from autores.sandbox.problems import ApiProblem, invalid_request
from autores.sandbox.store import Store
from autores.sandbox.users import Users

MENTIONS_REACH = 800
TIMELINE_REACH = 3200
SEARCH_DAYS = 7


@dataclass(frozen=True)
class PageRequest:
    """Which slice is asked for; ids are exclusive bounds, `towards_newer` reads backwards."""

    max_results: int
    since_id: int
    until_id: int | None
    anchor: int | None
    towards_newer: bool


@dataclass(frozen=True)
class Page:
    posts: list[Post]
    next_token: str | None
    previous_token: str | None

    def meta(self) -> dict[str, Any]:
        meta: dict[str, Any] = {"result_count": len(self.posts)}
        if self.posts:
            meta["newest_id"] = str(self.posts[0].id)
            meta["oldest_id"] = str(self.posts[-1].id)
        if self.next_token is not None:
            meta["next_token"] = self.next_token
        if self.previous_token is not None:
            meta["previous_token"] = self.previous_token
        return meta


def read_page_request(
    args: Mapping[str, str],
    *,
    vocabulary: str,
    minimum: int = 5,
    default: int = 10,
    token_names: tuple[str, ...] = ("pagination_token",),
) -> PageRequest:
    """Parse and check the paging parameters; raises ApiProblem 400 as X words it."""

    def refuse(name: str, message: str | None = None) -> ApiProblem:
        value = args[name]
        text = message or f"The `{name}` query parameter value [{value}] is not valid"
        return invalid_request(text, parameter=name, value=value, vocabulary=vocabulary)

    max_results = default
    if "max_results" in args:
        raw = args["max_results"]
        if not re.fullmatch(r"\d+", raw) or not minimum <= int(raw) <= 100:
            raise refuse(
                "max_results",
                f"The `max_results` query parameter value [{raw}] is not between {minimum} and 100",
            )
        max_results = int(raw)
    bounds: dict[str, int] = {}
    for name in ("since_id", "until_id"):
        if name in args:
            if not re.fullmatch(r"[0-9]{1,19}", args[name]):
                raise refuse(name)
            bounds[name] = int(args[name])
    since_id = bounds.get("since_id", 0)
    until_id = bounds.get("until_id")
    if until_id is not None and "since_id" in bounds and since_id >= until_id:
        raise refuse("since_id", "Invalid 'since_id': it must be less than 'until_id'")
    for name in ("start_time", "end_time"):
        if name not in args:
            continue
        try:
            at_ms = parse_time(args[name])
        except ValueError:
            raise refuse(name) from None
        if name == "start_time":
            since_id = max(since_id, snowflake_floor(at_ms) - 1)
        else:
            floor = snowflake_floor(at_ms)
            until_id = floor if until_id is None else min(until_id, floor)
    anchor, towards_newer = None, False
    for name in token_names:
        if name in args:
            decoded = decode_token(args[name])
            if decoded is None:
                raise refuse(name)
            anchor, towards_newer = decoded
    return PageRequest(max_results, since_id, until_id, anchor, towards_newer)


def encode_token(post_id: int, *, towards_newer: bool) -> str:
    raw = f"{'n' if towards_newer else 'o'}{post_id:020d}".encode()
    return base64.b32encode(raw).decode().rstrip("=").lower()


def decode_token(token: str) -> tuple[int, bool] | None:
    padded = token.upper() + "=" * (-len(token) % 8)
    try:
        raw = base64.b32decode(padded).decode()
    except (ValueError, UnicodeDecodeError):
        return None
    if not re.fullmatch(r"[no]\d{20}", raw):
        return None
    return int(raw[1:]), raw[0] == "n"


class Reading:
    def __init__(self, store: Store, clock: Clock, users: Users) -> None:
        self._store = store
        self._clock = clock
        self._users = users

    def mentions(self, user_id: int, request: PageRequest) -> Page:
        now = self._clock.now_ms()
        visible = "user_id = ? AND is_gone = 0 AND indexed_ms <= ?"
        # Only the latest 800 exist for a reader; what is older is a page without data.
        row = self._store.one(
            f"SELECT post_id FROM feed WHERE {visible}"  # noqa: S608 - fixed text
            " ORDER BY post_id DESC LIMIT 1 OFFSET ?",
            user_id,
            now,
            MENTIONS_REACH - 1,
        )
        floor = row["post_id"] if row else 0

        def select(where: str, order: str, limit: int, *values: int) -> list[int]:
            rows = self._store.all(
                f"SELECT post_id FROM feed WHERE {visible} AND {where}"  # noqa: S608 - fixed text
                f" ORDER BY post_id {order} LIMIT ?",
                user_id,
                now,
                *values,
                limit,
            )
            return [row["post_id"] for row in rows]

        return self._page(request, select, "post_id", floor)

    def timeline(self, user_id: int, request: PageRequest, *, exclude: set[str]) -> Page:
        now = self._clock.now_ms()
        visible = "author_id = ? AND deleted_ms IS NULL AND indexed_ms <= ?"
        if "replies" in exclude:
            visible += " AND in_reply_to IS NULL"
        if "retweets" in exclude:
            visible += " AND repost_of IS NULL"
        row = self._store.one(
            f"SELECT id FROM posts WHERE {visible}"  # noqa: S608 - fixed text
            " ORDER BY id DESC LIMIT 1 OFFSET ?",
            user_id,
            now,
            TIMELINE_REACH - 1,
        )
        floor = row["id"] if row else 0

        def select(where: str, order: str, limit: int, *values: int) -> list[int]:
            rows = self._store.all(
                f"SELECT id FROM posts WHERE {visible} AND {where}"  # noqa: S608 - fixed text
                f" ORDER BY id {order} LIMIT ?",
                user_id,
                now,
                *values,
                limit,
            )
            return [row["id"] for row in rows]

        return self._page(request, select, "id", floor)

    def search(self, query: str, request: PageRequest, *, vocabulary: str) -> Page:
        """Recent search: words, "phrases", -not, OR, (groups), from: to: @ conversation_id: is:
        lang:."""
        condition, values = self._search_condition(query, vocabulary)
        now = self._clock.now_ms()
        floor = snowflake_floor(now - SEARCH_DAYS * 86_400_000)
        visible = f"deleted_ms IS NULL AND indexed_ms <= ? AND {condition}"

        def select(where: str, order: str, limit: int, *bounds: int) -> list[int]:
            rows = self._store.all(
                f"SELECT id FROM posts WHERE {visible} AND {where}"  # noqa: S608 - fixed text
                f" ORDER BY id {order} LIMIT ?",
                now,
                *values,
                *bounds,
                limit,
            )
            return [row["id"] for row in rows]

        return self._page(request, select, "id", floor)

    def _page(
        self,
        request: PageRequest,
        select: Callable[..., list[int]],
        column: str,
        floor: int,
    ) -> Page:
        low = max(request.since_id, floor - 1)
        high = request.until_id if request.until_id is not None else 1 << 63
        limit = request.max_results
        where = f"{column} > ? AND {column} < ?"
        if request.anchor is not None and request.towards_newer:
            ids = select(where, "ASC", limit + 1, max(low, request.anchor), min(high, 1 << 62))
            has_newer, ids = len(ids) > limit, list(reversed(ids[:limit]))
            has_older = bool(ids)
        else:
            top = min(high, 1 << 62)
            if request.anchor is not None:
                top = min(top, request.anchor)
            ids = select(where, "DESC", limit + 1, low, top)
            has_older, ids = len(ids) > limit, ids[:limit]
            has_newer = request.anchor is not None and bool(ids)
            if ids and not has_older and request.since_id < ids[-1]:
                # Older ones lie beyond the reach: X's token then leads to an empty page.
                beyond = select(where, "DESC", 1, request.since_id, min(floor, high, 1 << 62))
                has_older = bool(beyond)
        return Page(
            posts=self._load(ids),
            next_token=encode_token(ids[-1], towards_newer=False) if ids and has_older else None,
            previous_token=encode_token(ids[0], towards_newer=True) if ids and has_newer else None,
        )

    def _load(self, ids: list[int]) -> list[Post]:
        rows = self._store.all_in("SELECT * FROM posts WHERE id IN ({})", ids)
        found = {row["id"]: post_of(row) for row in rows}
        return [found[post_id] for post_id in ids if post_id in found]

    def _search_condition(self, query: str, vocabulary: str) -> tuple[str, list[Any]]:
        """Terms side by side must all hold, and bind closer than OR; parentheses group."""
        terms = re.findall(r'-?\(|\)|-?"[^"]*"|[^\s()]+', query)

        def refuse(why: str) -> ApiProblem:
            return invalid_request(why, parameter="query", value=query, vocabulary=vocabulary)

        def read_group() -> tuple[str, list[Any]]:
            values: list[Any] = []
            choices: list[list[str]] = [[]]
            while terms and terms[0] != ")":
                term = terms.pop(0)
                if term == "OR":
                    choices.append([])
                    continue
                word = term.removeprefix("-")
                if word == "(":
                    condition, value = read_group()
                    if not terms or terms.pop(0) != ")":
                        raise refuse("The query has a parenthesis that does not end")
                else:
                    is_phrase = word.startswith('"')
                    phrase = word[1:-1] if is_phrase else ""
                    condition, value = self._search_term(phrase, word, vocabulary)
                choices[-1].append(f"NOT ({condition})" if term != word else f"({condition})")
                values += value
            if not all(choices):
                raise refuse("The query holds no term where one is needed")
            return " OR ".join(" AND ".join(choice) for choice in choices), values

        condition, values = read_group()
        if terms:
            raise refuse("The query has a parenthesis that does not begin")
        return f"({condition})", values

    def _search_term(self, phrase: str, word: str, vocabulary: str) -> tuple[str, list[Any]]:
        if phrase:
            return "text LIKE ? ESCAPE '\\'", [f"%{_escape_like(phrase)}%"]
        operator, _, argument = word.partition(":")
        if not argument or word.startswith("http"):
            if word.startswith("@"):
                user = self._users.find_by_username(word)
                return (
                    "EXISTS (SELECT 1 FROM json_each(entities, '$.mentions') AS m"
                    " WHERE json_extract(m.value, '$.id') = ?)",
                    [str(user.id) if user else ""],
                )
            return "text LIKE ? ESCAPE '\\'", [f"%{_escape_like(word)}%"]
        if operator in ("from", "to"):
            user = (
                self._users.find(int(argument))
                if argument.isdigit()
                else self._users.find_by_username(argument)
            )
            column = "author_id" if operator == "from" else "in_reply_to_user"
            return f"coalesce({column}, 0) = ?", [user.id if user else -1]
        if operator == "conversation_id" and argument.isdigit():
            return "conversation_id = ?", [int(argument)]
        if operator in ("in_reply_to_tweet_id", "in_reply_to_status_id") and argument.isdigit():
            return "coalesce(in_reply_to, 0) = ?", [int(argument)]
        if operator == "lang":
            return "lang = ?", [argument]
        if operator == "is" and argument in ("reply", "quote", "retweet"):
            column = {"reply": "in_reply_to", "quote": "quote_of", "retweet": "repost_of"}[argument]
            return f"{column} IS NOT NULL", []
        raise invalid_request(
            f"Reference to invalid operator '{operator}'. The sandbox does not know it.",
            parameter="query",
            value=word,
            vocabulary=vocabulary,
        )


def _escape_like(text: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", text)
