"""X's JSON to `types`, both field vocabularies. Pure.

Unknown keys are ignored; odd values of fields nobody depends on become None or are dropped. A
field Autores depends on raises ContractError naming it: X drops unknown field names with a 200,
so an absent field must never pass for an empty one.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from autores.x.errors import ContractError
from autores.x.ids import is_post_id
from autores.x.types import (
    CreatedPost,
    MentionEntity,
    MessageEvent,
    MessageEventPage,
    PartialError,
    Post,
    PostLookup,
    PostPage,
    RateLimits,
    Reference,
    ReferenceKind,
    SentMessage,
    UrlEntity,
    User,
)

_REFERENCE_KINDS: dict[str, ReferenceKind] = {
    "replied_to": "replied_to",
    "quoted": "quoted",
    "retweeted": "retweeted",
    "reposted": "retweeted",
}


def parse_user(value: object, *, at: str = "data") -> User:
    """A user with id, name and username; everything else is optional."""
    raw = _require_object(value, at=at)
    statuses = raw.get("connection_status")
    return User(
        id=_require_id(raw, "id", at=at),
        username=_require_text(raw, "username", at=at),
        name=_require_text(raw, "name", at=at),
        profile_image_url=_optional_text(raw, "profile_image_url"),
        is_verified=_optional_bool(raw, "verified"),
        is_protected=_optional_bool(raw, "protected"),
        receives_your_dm=_optional_bool(raw, "receives_your_dm"),
        connection_status=tuple(entry for entry in as_list(statuses) if isinstance(entry, str))
        if statuses
        else (),
        raw=raw,
    )


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
    raw = _require_object(value, at=at)
    text = _require_text(raw, "text", at=at)
    entities = _as_object(raw.get("entities"))
    note = _as_object(raw.get("note_post")) or _as_object(raw.get("note_tweet"))
    note_text = _optional_text(note, "text") if note else None
    note_entities = _as_object(note.get("entities")) if note else {}
    if note_text is not None:
        text = note_text
    author_id = _optional_id(raw, "author_id") or known_author_id
    conversation_id = _optional_id(raw, "conversation_id") or ""
    if not is_included:
        author_id = author_id or _require_id(raw, "author_id", at=at)
        conversation_id = conversation_id or _require_id(raw, "conversation_id", at=at)
    chain = raw.get("edit_history_post_ids", raw.get("edit_history_tweet_ids"))
    return Post(
        id=_require_id(raw, "id", at=at),
        text=text,
        author_id=author_id,
        author=users.get(author_id) if users else None,
        created_at=_require_time(raw, "created_at", at=at),
        conversation_id=conversation_id,
        in_reply_to_user_id=_optional_id(raw, "in_reply_to_user_id"),
        references=_parse_references(raw),
        mentions=_merge_mentions(entities, note_entities),
        urls=(_parse_urls(note_entities) if note_text is not None else ()) or _parse_urls(entities),
        display_text_range=_parse_range(
            raw.get("display_text_range"), end=None if note_text is None else len(text)
        ),
        reply_settings=_optional_text(raw, "reply_settings"),
        edit_history_ids=tuple([entry for entry in as_list(chain) if is_post_id(entry)]),
        lang=_optional_text(raw, "lang"),
        raw=raw,
    )


def parse_post_page(body: object, *, rate: RateLimits, known_author_id: str = "") -> PostPage:
    """A page of posts. No `data` is an empty page: an idle poll has none."""
    page = _require_object(body, at="answer")
    includes = _as_object(page.get("includes"))
    users = {
        user.id: user
        for user in (
            parse_user(entry, at=f"includes.users[{index}]")
            for index, entry in enumerate(as_list(includes.get("users")))
        )
    }
    included = [*as_list(includes.get("posts")), *as_list(includes.get("tweets"))]
    referenced = (
        parse_post(entry, users=users, at=f"includes.posts[{index}]", is_included=True)
        for index, entry in enumerate(included)
    )
    posts = tuple(
        parse_post(entry, users=users, at=f"data[{index}]", known_author_id=known_author_id)
        for index, entry in enumerate(_page_data(page))
    )
    meta = _as_object(page.get("meta"))
    return PostPage(
        posts=posts,
        newest_id=_optional_id(meta, "newest_id"),
        oldest_id=_optional_id(meta, "oldest_id"),
        next_token=_optional_text(meta, "next_token") or None,
        result_count=_optional_count(meta, "result_count", default=len(posts)),
        partial_errors=parse_partial_errors(page),
        referenced={post.id: post for post in referenced},
        users=users,
        rate=rate,
    )


def parse_lookup(body: object) -> PostLookup:
    """Which posts an answer holds; one that is no lookup must not pass for "none of them"."""
    page = _require_object(body, at="answer")
    posts = (
        _require_object(entry, at=f"data[{index}]") for index, entry in enumerate(_page_data(page))
    )
    return PostLookup(
        shown_ids=frozenset(_require_id(post, "id", at="data") for post in posts),
        partial_errors=parse_partial_errors(page),
    )


def parse_created_post(body: object) -> CreatedPost:
    data = _require_object(_require_object(body, at="answer").get("data"), at="data")
    return CreatedPost(
        id=_require_id(data, "id", at="data"), text=_require_text(data, "text", at="data")
    )


def parse_sent_message(body: object) -> SentMessage:
    data = _require_object(_require_object(body, at="answer").get("data"), at="data")
    return SentMessage(
        conversation_id=_require_text(data, "dm_conversation_id", at="data"),
        event_id=_require_text(data, "dm_event_id", at="data"),
    )


def parse_deleted(body: object) -> None:
    """Checks that X says the post is gone."""
    data = _require_object(_require_object(body, at="answer").get("data"), at="data")
    if data.get("deleted") is not True:
        raise _missing("data.deleted")


def parse_message_page(body: object, *, rate: RateLimits) -> MessageEventPage:
    page = _require_object(body, at="answer")
    events = tuple(
        _parse_message_event(entry, at=f"data[{index}]")
        for index, entry in enumerate(_page_data(page))
    )
    meta = _as_object(page.get("meta"))
    return MessageEventPage(
        events=events,
        next_token=_optional_text(meta, "next_token") or None,
        result_count=_optional_count(meta, "result_count", default=len(events)),
        partial_errors=parse_partial_errors(page),
        rate=rate,
    )


def parse_partial_errors(body: Mapping[str, Any]) -> tuple[PartialError, ...]:
    """The problems X reports beside its data; entries in a form not known are still counted."""
    problems = (_as_object(entry) for entry in as_list(body.get("errors")))
    return tuple(
        PartialError(
            kind=(_optional_text(problem, "type") or "").rstrip("/").rsplit("/", 1)[-1],
            title=_optional_text(problem, "title") or "",
            detail=_optional_text(problem, "detail") or "",
            resource_id=_optional_text(problem, "resource_id")
            or _optional_text(problem, "value")
            or "",
            resource_type=_optional_text(problem, "resource_type") or "",
            parameter=_optional_text(problem, "parameter") or "",
        )
        for problem in problems
    )


def _parse_message_event(value: object, *, at: str) -> MessageEvent:
    raw = _require_object(value, at=at)
    event_type = _require_text(raw, "event_type", at=at)
    is_message = event_type == "MessageCreate"
    sender_id = _optional_id(raw, "sender_id") or ""
    if is_message and not sender_id:
        raise _missing(f"{at}.sender_id")
    # A message that is only a picture has no text.
    return MessageEvent(
        id=_require_id(raw, "id", at=at),
        event_type=event_type,
        text=_optional_text(raw, "text") or "",
        sender_id=sender_id,
        created_at=_require_time(raw, "created_at", at=at),
        conversation_id=_optional_text(raw, "dm_conversation_id"),
        # The two vocabularies keep a message's links in different places.
        urls=_parse_urls(_as_object(raw.get("entities"))) or _parse_urls(raw),
        raw=raw,
    )


def _parse_references(raw: Mapping[str, Any]) -> tuple[Reference, ...]:
    found = []
    for entry in as_list(raw.get("referenced_posts", raw.get("referenced_tweets"))):
        reference = _as_object(entry)
        kind = _REFERENCE_KINDS.get(_optional_text(reference, "type") or "")
        post_id = _optional_id(reference, "id")
        if kind is not None and post_id is not None:
            found.append(Reference(kind=kind, post_id=post_id))
    return tuple(found)


def _merge_mentions(
    entities: Mapping[str, Any], note_entities: Mapping[str, Any]
) -> tuple[MentionEntity, ...]:
    # Entities of the cut text stop at the cut; those of the long text may miss the handles
    # that a thread carries along. A handle counts once, where the cut text has it.
    found = list(_parse_mentions(entities))
    if not note_entities:
        return tuple(found)
    seen = {mention.user_id or mention.username.lower() for mention in found}
    found += [
        mention
        for mention in _parse_mentions(note_entities)
        if (mention.user_id or mention.username.lower()) not in seen
    ]
    return tuple(found)


def _parse_mentions(entities: Mapping[str, Any]) -> Iterator[MentionEntity]:
    for entry in as_list(entities.get("mentions")):
        raw = _as_object(entry)
        span = _parse_span(raw)
        user_id, username = _optional_id(raw, "id"), _optional_text(raw, "username") or ""
        if span is not None and (user_id or username):
            yield MentionEntity(user_id=user_id, username=username, start=span[0], end=span[1])


def _parse_urls(entities: Mapping[str, Any]) -> tuple[UrlEntity, ...]:
    found = []
    for entry in as_list(entities.get("urls")):
        raw = _as_object(entry)
        span, url = _parse_span(raw), _optional_text(raw, "url")
        if span is not None and url:
            found.append(
                UrlEntity(
                    url=url,
                    expanded_url=_optional_text(raw, "expanded_url"),
                    display_url=_optional_text(raw, "display_url"),
                    start=span[0],
                    end=span[1],
                )
            )
    return tuple(found)


def _parse_span(raw: Mapping[str, Any]) -> tuple[int, int] | None:
    return _as_span(raw.get("start"), raw.get("end"))


def _as_span(start: object, end: object) -> tuple[int, int] | None:
    if type(start) is int and type(end) is int and 0 <= start <= end:
        return start, end
    return None


def _parse_range(value: object, *, end: int | None) -> tuple[int, int] | None:
    pair = as_list(value)
    if len(pair) != 2:
        return None
    span = _as_span(pair[0], pair[1])
    if span is None or end is None:
        return span
    return min(span[0], end), end


def _page_data(page: Mapping[str, Any]) -> list[Any]:
    data = page.get("data")
    if data is None:
        # An answer that is none of X's page forms must not pass for "nothing new".
        if not page.keys() & {"meta", "errors", "includes"}:
            raise _missing("data")
        return []
    if not isinstance(data, list):
        raise _missing("data")
    return data


def _missing(path: str) -> ContractError:
    return ContractError(
        f"X's answer lacks the field {path}, or has it in another form. Check that "
        "X_FIELD_VOCABULARY is the one X speaks now.",
        code="missing_field",
        field=path,
    )


def _require_object(value: object, *, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _missing(at)
    return value


def _require_text(raw: Mapping[str, Any], key: str, *, at: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise _missing(f"{at}.{key}")
    return value


def _require_id(raw: Mapping[str, Any], key: str, *, at: str) -> str:
    value = _optional_id(raw, key)
    if value is None:
        raise _missing(f"{at}.{key}")
    return value


def _require_time(raw: Mapping[str, Any], key: str, *, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(_require_text(raw, key, at=at))
        if moment.tzinfo is UTC:
            return moment
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _missing(f"{at}.{key}")


def _optional_text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) else None


def _optional_id(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if is_post_id(value) else None


def _optional_bool(raw: Mapping[str, Any], key: str) -> bool | None:
    value = raw.get(key)
    return value if isinstance(value, bool) else None


def _optional_count(raw: Mapping[str, Any], key: str, *, default: int) -> int:
    value = raw.get(key)
    return value if type(value) is int and value >= 0 else default


def _as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []
