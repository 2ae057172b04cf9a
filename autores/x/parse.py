"""X's JSON to `posts` and `types`, both field vocabularies. Pure.

Unknown keys are ignored; odd values of fields nobody depends on become None or are dropped. A
field Autores depends on raises ContractError naming it: X drops unknown field names with a 200,
so an absent field must never pass for an empty one.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import chain, repeat
from typing import Any

from autores.x.errors import ContractError, ErrorsOnlyError
from autores.x.fields import (
    as_list,
    as_object,
    missing,
    optional_count,
    optional_id,
    optional_text,
    require_id,
    require_object,
    require_text,
    require_time,
)
from autores.x.ids import are_post_ids, is_post_id
from autores.x.included import Included
from autores.x.posts import Post, PostPage, find_note, read_urls
from autores.x.types import (
    CreatedPost,
    MessageEvent,
    MessageEventPage,
    PartialError,
    PostLookup,
    RateLimits,
    SentMessage,
    User,
)

_NOBODY: Mapping[str, User] = {}


def parse_user(value: object, *, at: str = "data") -> User:
    """A user with id, name and username; everything else is optional."""
    raw = require_object(value, at=at)
    # Hundreds of users and posts make a page: a call for each field is most of reading it.
    user_id, username, name = raw.get("id"), raw.get("username"), raw.get("name")
    if not is_post_id(user_id):
        raise missing(f"{at}.id")
    if not isinstance(username, str):
        raise missing(f"{at}.username")
    if not isinstance(name, str):
        raise missing(f"{at}.name")
    return User(user_id, username, name, raw)


def parse_post(
    value: object,
    *,
    users: Mapping[str, User] | None = None,
    at: str = "data",
    known_author_id: str = "",
    is_included: bool = False,
) -> Post:
    """A post from either vocabulary.

    known_author_id  stands in where the request left the author out because it is known
    is_included      a post from `includes`: its author and conversation may be absent
    """
    raw = require_object(value, at=at)
    post_id, text = raw.get("id"), raw.get("text")
    author_id, conversation_id = raw.get("author_id"), raw.get("conversation_id")
    if not is_post_id(post_id):
        raise missing(f"{at}.id")
    if not isinstance(text, str):
        raise missing(f"{at}.text")
    if not is_post_id(author_id):
        author_id = known_author_id
        if not (author_id or is_included):
            raise missing(f"{at}.author_id")
    if not is_post_id(conversation_id):
        conversation_id = ""
        if not is_included:
            raise missing(f"{at}.conversation_id")
    note = find_note(raw)
    history = raw.get("edit_history_post_ids", raw.get("edit_history_tweet_ids"))
    return Post(
        post_id,
        note["text"] if note else text,
        author_id,
        require_time(raw, "created_at", at=at),
        conversation_id,
        (post_id,) if history == [post_id] else _read_ids(history),
        raw,
        note,
        _NOBODY if users is None else users,
    )


def parse_post_page(
    body: object, *, rate: RateLimits, known_author_id: str = "", is_lookup: bool = False
) -> PostPage:
    """A page of posts. No `data` is an empty page: an idle poll has none.

    One odd post must not keep the others out: it is left out, and named; an odd person or post of
    `includes` is left out. When none of several can be read, X speaks another vocabulary:
    ContractError. So it is when there is no `data` where X says that there is some, and
    ErrorsOnlyError where it gives its errors instead; in a lookup (`is_lookup`) those are the
    answer.
    """
    page = require_object(body, at="answer")
    includes = as_object(page.get("includes"))
    people = as_list(includes.get("users"))
    parents = [*as_list(includes.get("posts")), *as_list(includes.get("tweets"))]
    users = Included(partial(_read_users, people))
    referenced = Included(partial(_read_parents, parents, users=users))
    data = _page_data(page, is_lookup=is_lookup)
    odd: list[tuple[str, ContractError]] = []
    posts = _read_columns(data, users=users)
    if posts is None:
        posts, odd = _read_each(data, users=users, known_author_id=known_author_id)
    if len(odd) > 1 and not posts:
        raise odd[0][1]
    meta = as_object(page.get("meta"))
    return PostPage(
        posts=tuple(posts),
        newest_id=optional_id(meta, "newest_id"),
        oldest_id=optional_id(meta, "oldest_id"),
        next_token=optional_text(meta, "next_token") or None,
        result_count=optional_count(meta, "result_count", default=len(posts)),
        partial_errors=parse_partial_errors(page),
        referenced=referenced,
        users=users,
        rate=rate,
        unreadable_ids=tuple(post_id for post_id, _ in odd),
    )


def parse_lookup(body: object) -> PostLookup:
    """Which posts an answer holds; one that is no lookup must not pass for "none of them"."""
    page = require_object(body, at="answer")
    posts = (
        require_object(entry, at=f"data[{index}]")
        for index, entry in enumerate(_page_data(page, is_lookup=True))
    )
    return PostLookup(
        shown_ids=frozenset(require_id(post, "id", at="data") for post in posts),
        partial_errors=parse_partial_errors(page),
    )


def parse_created_post(body: object) -> CreatedPost:
    data = require_object(require_object(body, at="answer").get("data"), at="data")
    return CreatedPost(
        id=require_id(data, "id", at="data"), text=require_text(data, "text", at="data")
    )


def parse_sent_message(body: object) -> SentMessage:
    data = require_object(require_object(body, at="answer").get("data"), at="data")
    return SentMessage(
        conversation_id=require_text(data, "dm_conversation_id", at="data"),
        event_id=require_text(data, "dm_event_id", at="data"),
    )


def parse_deleted(body: object) -> None:
    """Checks that X says the post is gone."""
    data = require_object(require_object(body, at="answer").get("data"), at="data")
    if data.get("deleted") is not True:
        raise missing("data.deleted")


def parse_message_page(body: object, *, rate: RateLimits) -> MessageEventPage:
    page = require_object(body, at="answer")
    events = tuple(
        _parse_message_event(entry, at=f"data[{index}]")
        for index, entry in enumerate(_page_data(page, is_lookup=False))
    )
    meta = as_object(page.get("meta"))
    return MessageEventPage(
        events=events,
        next_token=optional_text(meta, "next_token") or None,
        result_count=optional_count(meta, "result_count", default=len(events)),
        partial_errors=parse_partial_errors(page),
        rate=rate,
    )


def parse_partial_errors(body: Mapping[str, Any]) -> tuple[PartialError, ...]:
    """The problems X reports beside its data; entries in a form not known are still counted."""
    problems = (as_object(entry) for entry in as_list(body.get("errors")))
    return tuple(
        PartialError(
            kind=(optional_text(problem, "type") or "").rstrip("/").rsplit("/", 1)[-1],
            title=optional_text(problem, "title") or "",
            detail=optional_text(problem, "detail") or "",
            resource_id=optional_text(problem, "resource_id")
            or optional_text(problem, "value")
            or "",
            resource_type=optional_text(problem, "resource_type") or "",
            parameter=optional_text(problem, "parameter") or "",
        )
        for problem in problems
    )


def _parse_message_event(value: object, *, at: str) -> MessageEvent:
    raw = require_object(value, at=at)
    event_type = require_text(raw, "event_type", at=at)
    is_message = event_type == "MessageCreate"
    sender_id = optional_id(raw, "sender_id") or ""
    if is_message and not sender_id:
        raise missing(f"{at}.sender_id")
    # A message that is only a picture has no text.
    return MessageEvent(
        id=require_id(raw, "id", at=at),
        event_type=event_type,
        text=optional_text(raw, "text") or "",
        sender_id=sender_id,
        created_at=require_time(raw, "created_at", at=at),
        conversation_id=optional_text(raw, "dm_conversation_id"),
        # The two vocabularies keep a message's links in different places.
        urls=read_urls(as_object(raw.get("entities"))) or read_urls(raw),
        raw=raw,
    )


def _read_ids(value: object) -> tuple[str, ...]:
    return tuple(entry for entry in as_list(value) if is_post_id(entry))


def _read_columns(entries: Sequence[Any], *, users: Mapping[str, User]) -> list[Post] | None:
    """The posts of a page, read field by field of all, in about half of the time.

    None if one of them is odd, or left to what the caller knows.
    """
    if not set(map(type, entries)) <= {dict}:
        return None
    try:
        ids = [raw["id"] for raw in entries]
        texts = [raw["text"] for raw in entries]
        authors = [raw["author_id"] for raw in entries]
        conversations = [raw["conversation_id"] for raw in entries]
        moments = [datetime.fromisoformat(raw["created_at"]) for raw in entries]
    except (KeyError, TypeError, ValueError):
        return None
    if entries and not (
        are_post_ids([*ids, *authors, *conversations])
        and set(map(type, texts)) == {str}
        and {moment.tzinfo for moment in moments} == {UTC}
    ):
        return None
    histories = [
        raw.get("edit_history_post_ids", raw.get("edit_history_tweet_ids")) for raw in entries
    ]
    versions = [
        (id_,) if history == [id_] else _read_ids(history)
        for id_, history in zip(ids, histories, strict=True)
    ]
    notes = [*map(find_note, entries)]
    if any(notes):
        texts = [note["text"] if note else text for note, text in zip(notes, texts, strict=True)]
    return [
        *map(
            Post,
            ids,
            texts,
            authors,
            moments,
            conversations,
            versions,
            entries,
            notes,
            repeat(users),
        )
    ]


def _read_each(
    entries: Sequence[object], **known: Any
) -> tuple[list[Post], list[tuple[str, ContractError]]]:
    """What can be read of the entries; of each other one its id ("" for none), and why not."""
    found: list[Post] = []
    odd: list[tuple[str, ContractError]] = []
    for index, entry in enumerate(entries):
        try:
            found.append(parse_post(entry, at=f"data[{index}]", **known))
        except ContractError as error:
            odd.append((optional_id(as_object(entry), "id") or "", error))
    return found, odd


def _read_users(entries: Sequence[Any]) -> dict[str, User]:
    """Those that can be read, by id."""
    with contextlib.suppress(KeyError, TypeError):
        ids = [raw["id"] for raw in entries]
        names = [raw["username"] for raw in entries], [raw["name"] for raw in entries]
        if set(map(type, chain(*names))) == {str} and are_post_ids(ids):
            return dict(zip(ids, map(User, ids, *names, entries), strict=True))
    users = {}
    for entry in entries:
        with contextlib.suppress(ContractError):
            user = parse_user(entry)
            users[user.id] = user
    return users


def _read_parents(entries: Sequence[Any], *, users: Mapping[str, User]) -> dict[str, Post]:
    """Those that can be read, by id."""
    posts = _read_columns(entries, users=users)
    if posts is None:
        posts, _ = _read_each(entries, users=users, is_included=True)
    return {post.id: post for post in posts}


def _page_data(page: Mapping[str, Any], *, is_lookup: bool) -> list[Any]:
    data = page.get("data")
    if isinstance(data, list):
        return data
    # An answer that is none of X's page forms must not pass for "nothing new".
    if data is not None or not page.keys() & {"meta", "errors", "includes"}:
        raise missing("data")
    if not is_lookup and (problems := parse_partial_errors(page)):
        raise ErrorsOnlyError(detail=f"{problems[0].title} {problems[0].detail}".strip()[:300])
    if optional_count(as_object(page.get("meta")), "result_count", default=0):
        raise missing("data")
    return []
