"""Whatever JSON comes back, callers only ever see XError."""

import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autores.tests.x.bodies import CARLA, page_body, post_body
from autores.x import parse
from autores.x.classify import classify_oauth_error, classify_refusal
from autores.x.errors import ContractError, XError
from autores.x.posts import Post
from autores.x.types import RateLimits, ReferenceKind

_KEYS = st.sampled_from(
    [
        "data", "includes", "errors", "meta", "id", "text", "author_id", "created_at",
        "conversation_id", "entities", "mentions", "urls", "start", "end", "url", "users", "posts",
        "tweets", "note_post", "note_tweet", "display_text_range", "referenced_posts", "type",
        "edit_history_post_ids", "title", "detail", "status", "code", "message", "event_type",
        "sender_id", "deleted", "scope", "error", "error_description", "next_token",
        "result_count", "username", "name", "dm_event_id",
    ]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=20)
    | st.sampled_from(["1", "12345", "2026-11-20T10:00:00Z", "MessageCreate", "replied_to"])
)
WILD = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(_KEYS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=30,
)


def read_page(body: Any) -> None:
    page = parse.parse_post_page(body, rate=RateLimits())
    for post in (*page.posts, *page.referenced.values()):
        read_all_of(post)


def read_all_of(post: Post) -> None:
    """Also what is read only when it is asked for."""
    kinds = {reference.kind for reference in post.references}
    assert kinds == {kind for kind in get_args(ReferenceKind) if post.get_reference(kind)}
    assert all(0 <= entity.start <= entity.end for entity in (*post.mentions, *post.urls))
    assert post.display_text_range is None or len(post.display_text_range) == 2
    assert all(
        value is None or isinstance(value, str)
        for value in (post.lang, post.reply_settings, post.in_reply_to_user_id)
    )


@pytest.mark.parametrize(
    "read",
    [
        lambda body: parse.parse_user(body).receives_your_dm,
        lambda body: read_all_of(parse.parse_post(body)),
        lambda body: read_all_of(parse.parse_post(body, is_included=True)),
        read_page,
        lambda body: parse.parse_message_page(body, rate=RateLimits()),
        lambda body: parse.parse_created_post(body),
        lambda body: parse.parse_sent_message(body),
        lambda body: parse.parse_deleted(body),
    ],
    ids=["user", "post", "included", "page", "messages", "created", "sent", "deleted"],
)
@given(body=WILD)
@settings(deadline=None)
def test_only_typed_errors_are_raised_when_an_answer_is_wild(read: Any, body: Any) -> None:
    with contextlib.suppress(XError):
        read(body)


@given(data=st.data())
@settings(deadline=None)
def test_only_typed_errors_are_raised_when_one_place_of_a_page_is_wild(data: st.DataObject) -> None:
    body = page_body()
    node: Any = body
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        inner = node[key]
        if not isinstance(inner, (dict, list)) or not inner or data.draw(st.booleans()):
            node[key] = data.draw(WILD)
            break
        node = inner
    with contextlib.suppress(XError):
        read_page(body)


@given(
    body=WILD,
    status=st.integers(400, 599),
    call=st.sampled_from(["read", "post", "delete", "dm", "token", "revoke"]),
)
@settings(deadline=None)
def test_every_refusal_has_a_type_when_its_body_is_wild(body: Any, status: int, call: Any) -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    error = classify_refusal(status, body, call=call, headers={}, rate=RateLimits(), now=now)
    assert isinstance(error, XError)
    assert error.code
    assert error.sentence
    assert not (error.is_outcome_unknown and error.retryable and call in ("post", "dm"))


@given(st.dictionaries(_KEYS, st.text()))
@settings(deadline=None)
def test_every_callback_error_has_a_type_when_its_words_are_wild(params: dict[str, str]) -> None:
    assert isinstance(classify_oauth_error(params), XError)


_ODD_FIELDS = {
    "id": ["", "12a", 7, None, "9" * 20],
    "text": ["", 7, None],
    "author_id": ["x", 7, None],
    "conversation_id": ["x", 7, None],
    "created_at": ["2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00", "yesterday", 7, None],
    "edit_history_post_ids": [[], ["5", "x", 7], "5", None],
    "note_post": [{"text": "the whole of it"}, {"text": 7}, "it"],
    "note_tweet": [{"text": "the whole of it"}],
}
# What X may give of a post that is all right.
_OTHER_FIELDS = {
    "id": ["7", "18530000000000001"],
    "text": ["", "Ünïcode 🎉"],
    "author_id": ["7"],
    "conversation_id": ["5"],
    "created_at": ["2026-11-20T10:00:00Z", "2026-11-20T10:00:00.250000+00:00"],
    "edit_history_post_ids": [[], ["5", "7"], ["5", "x", 7], None],
    "edit_history_tweet_ids": [["3", "4"]],
    "note_post": [{"text": "the whole of it"}, {}],
    "note_tweet": [{"text": "all of it"}],
}


def _draw_fields(values: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(some) for name, some in values.items()}
    )


_GOOD = _draw_fields(_OTHER_FIELDS).map(lambda some: {**post_body(), **some})
_ODD = _draw_fields(_ODD_FIELDS).map(lambda some: {**post_body(), **some})
# Pages of which all posts can be read, and others.
_POSTS = st.lists(_GOOD, max_size=4) | st.lists(
    _GOOD | _ODD | st.sampled_from([None, "post", []]), max_size=4
)
_PEOPLE = st.lists(
    st.fixed_dictionaries(
        {"id": st.sampled_from([CARLA["id"], "7", 7, "x"]), "username": st.just("carla")},
        optional={"name": st.sampled_from(["Carla", 7])},
    )
    | st.none(),
    max_size=3,
)


@given(posts=_POSTS, people=_PEOPLE)
@settings(max_examples=150, deadline=None)
def test_a_page_is_read_as_each_of_its_posts_alone(posts: list[Any], people: list[Any]) -> None:
    body = page_body(data=posts, includes={"users": people, "posts": posts})
    alone = list(_read_alone(parse.parse_post, posts))
    users = {user.id: user for user in _read_alone(parse.parse_user, people)}
    parents = _read_alone(parse.parse_post, posts, is_included=True)
    if not alone and len(posts) > 1:
        with pytest.raises(ContractError):
            parse.parse_post_page(body, rate=RateLimits())
        return
    page = parse.parse_post_page(body, rate=RateLimits())
    assert list(page.posts) == alone
    assert page.users == users
    assert page.referenced == {post.id: post for post in parents}
    assert [post.created_at.utcoffset() for post in page.posts] == [timedelta(0)] * len(alone)
    assert all(post.author == users.get(post.author_id) for post in page.referenced.values())
    assert [post.author for post in page.posts] == [users.get(post.author_id) for post in alone]


def _read_alone(read: Callable[..., Any], entries: list[Any], **known: Any) -> Iterator[Any]:
    for entry in entries:
        with contextlib.suppress(ContractError):
            yield read(entry, **known)
