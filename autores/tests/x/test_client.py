"""What the client asks X for, held against X's own documents, and what it makes of the answers."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from autores.tests.scripted_server import ScriptedServer
from autores.tests.x.bodies import ANA, CARLA, page_body, post_body, problem_body
from autores.tests.x.conftest import ACCESS_TOKEN
from autores.tests.x_openapi.validator import validate_request
from autores.x import errors
from autores.x.client import XClient
from autores.x.types import Call

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EMPTY = {"meta": {"result_count": 0}}
ASKS: dict[str, tuple[Callable[[XClient], Any], int, Any]] = {
    "get_me": (lambda c: c.get_me(), 200, {"data": ANA}),
    "get_users": (lambda c: c.get_users(["3003"]), 200, {"data": CARLA}),
    "get_mentions": (
        lambda c: c.get_mentions(
            "1001", since_id="5", until_id="9", start_time=NOON, end_time=NOON,
            max_results=5, pagination_token="next-page-token-0001",
        ),
        200, EMPTY,
    ),
    "get_mentions, cheaply": (
        lambda c: c.get_mentions("1001", expand_authors=False, expand_references=False), 200, EMPTY
    ),
    "get_posts": (lambda c: c.get_posts(["5", "6", "5"]), 200, {"errors": [{}]}),
    "get_user_posts": (
        lambda c: c.get_user_posts("1001", since_id="5", pagination_token="token-of-sixteen"),
        200, EMPTY,
    ),
    "search_recent": (
        lambda c: c.search_recent("from:ana_team conversation_id:5", since_id="5"), 200, EMPTY
    ),
    "create_reply": (
        lambda c: c.create_reply("Hi", in_reply_to_post_id="5"),
        201, {"data": {"id": "6", "text": "Hi"}},
    ),
    "delete_post": (lambda c: c.delete_post("5"), 200, {"data": {"deleted": True}}),
    "send_dm": (
        lambda c: c.send_dm("Hi", participant_id="5"),
        201, {"data": {"dm_conversation_id": "1-5", "dm_event_id": "9"}},
    ),
    "get_dm_events": (
        lambda c: c.get_dm_events("5", pagination_token="token-of-sixteen"), 200, EMPTY
    ),
}  # fmt: skip


@pytest.mark.parametrize("vocabulary", ["post", "tweet"])
@pytest.mark.parametrize("name", ASKS)
def test_the_request_is_one_x_documents_when_calling(
    x: ScriptedServer, make_client: Any, vocabulary: Any, name: str
) -> None:
    ask, status, body = ASKS[name]
    x.answer(body, status=status)
    ask(make_client(vocabulary=vocabulary))
    (request,) = x.received
    validate_request(request.method, request.path, request.query, request.json, vocabulary)
    assert request.headers["authorization"] == f"Bearer {ACCESS_TOKEN}"
    foreign = "tweet.fields" if vocabulary == "post" else "post.fields"
    assert foreign not in request.query


@pytest.mark.parametrize(
    ("vocabulary", "needed"),
    [
        ("post", {"note_post", "entities", "display_text_range", "author_id", "referenced_posts",
                  "in_reply_to_user_id", "edit_history_post_ids", "conversation_id"}),
        ("tweet", {"note_tweet", "entities", "display_text_range", "author_id",
                   "referenced_tweets", "in_reply_to_user_id", "edit_history_tweet_ids",
                   "conversation_id", "reply_settings", "created_at"}),
    ],
)  # fmt: skip
def test_every_field_we_depend_on_is_asked_for_when_polling(
    x: ScriptedServer, make_client: Any, vocabulary: str, needed: set[str]
) -> None:
    x.answer(EMPTY)
    make_client(vocabulary=vocabulary).get_mentions("1001")
    query = x.received[0].query
    asked = {*query[f"{vocabulary}.fields"].split(","), *query["expansions"].split(",")}
    assert needed <= asked
    assert "username" in query["user.fields"]


def test_no_author_is_paid_for_when_the_tweet_vocabulary_polls_cheaply(
    x: ScriptedServer, make_client: Any
) -> None:
    x.answer(EMPTY)
    client = make_client(vocabulary="tweet")
    client.get_mentions("1001", expand_authors=False, expand_references=False)
    assert "expansions" not in x.received[0].query


@pytest.mark.parametrize("vocabulary", ["post", "tweet"])
def test_what_x_bills_is_told_when_a_page_arrives(
    x: ScriptedServer, make_client: Any, calls: list[Call], vocabulary: str
) -> None:
    x.answer(page_body(vocabulary), headers={"x-rate-limit-limit": "300",
             "x-rate-limit-remaining": "299", "x-rate-limit-reset": "1795348800"})  # fmt: skip
    page = make_client(vocabulary=vocabulary).get_mentions("1001")
    (call,) = calls
    assert (call.posts_read, call.users_read, call.messages_read) == (2, 2, 0)
    assert (call.method, call.path, call.status) == ("GET", "/2/users/{id}/mentions", 200)
    assert call.rate.window is not None
    assert call.rate.window.remaining == 299
    assert page.rate == call.rate
    assert call.seconds > 0


def test_headers_are_kept_when_x_refuses(
    x: ScriptedServer, client: XClient, calls: list[Call]
) -> None:
    x.answer({}, status=429, headers={"x-app-limit-24hour-limit": "1440",
             "x-app-limit-24hour-remaining": "0", "x-app-limit-24hour-reset": "1795348800",
             "Date": "Sun, 22 Nov 2026 00:00:00 GMT"})  # fmt: skip
    with pytest.raises(errors.RateLimitedError) as caught:
        client.send_dm("Hi", participant_id="5")
    assert caught.value.scope == "app"
    assert caught.value.rate == calls[0].rate
    assert calls[0].rate.app_day is not None


def test_x_own_clock_counts_when_ours_is_wrong(x: ScriptedServer, client: XClient) -> None:
    headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": "1000000300"}
    x.answer({}, status=429, headers=headers | {"Date": "Sun, 09 Sep 2001 01:46:40 GMT"})
    with pytest.raises(errors.RateLimitedError) as caught:
        client.get_me()
    assert caught.value.retry_after == 300


def test_the_post_is_named_when_a_reply_was_confirmed(x: ScriptedServer, client: XClient) -> None:
    x.answer({"data": {"id": "6", "text": "@carla Hi"}}, status=201)
    created = client.create_reply("Hi", in_reply_to_post_id="5")
    assert (created.id, created.text) == ("6", "@carla Hi")
    assert x.received[0].json == {"text": "Hi", "reply": {"in_reply_to_tweet_id": "5"}}


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"id": 6, "text": "Hi"}}, [], None])
def test_the_outcome_is_unknown_when_an_accepted_reply_comes_back_without_its_id(
    x: ScriptedServer, client: XClient, body: Any
) -> None:
    x.answer(body, status=201)
    with pytest.raises(errors.ContractError) as caught:
        client.create_reply("Hi", in_reply_to_post_id="5")
    assert caught.value.is_outcome_unknown
    assert not caught.value.retryable
    assert caught.value.status == 201


def test_a_read_is_settled_when_a_field_is_missing(x: ScriptedServer, client: XClient) -> None:
    x.answer(page_body(data=[post_body(author_id=None)] * 2))
    with pytest.raises(errors.ContractError) as caught:
        client.get_mentions("1001")
    assert caught.value.field == "data[0].author_id"
    assert not caught.value.is_outcome_unknown


def test_people_are_left_out_when_x_does_not_have_them(x: ScriptedServer, client: XClient) -> None:
    gone = problem_body(404, title="Not Found Error", kind="resource-not-found", detail="No user")
    x.answer({"errors": [gone]})
    x.answer({"data": CARLA | {"receives_your_dm": False}})
    x.answer(gone, status=404)
    (carla,) = client.get_users(["7", "3003", "8"])
    assert carla.receives_your_dm is False


def test_a_scope_is_missed_before_sending_when_the_grant_is_known(
    x: ScriptedServer, make_client: Any, calls: list[Call]
) -> None:
    client = make_client(granted_scopes=frozenset({"tweet.read", "users.read"}))
    with pytest.raises(errors.MissingScopeError) as caught:
        client.send_dm("Hi", participant_id="5")
    assert caught.value.missing == {"dm.write"}
    assert x.received == []
    assert calls == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.get_mentions("../me"),
        lambda c: c.get_mentions("1001", since_id="abc"),
        lambda c: c.get_mentions("1001", since_id="10", until_id="9"),
        lambda c: c.get_mentions("1001", max_results=4),
        lambda c: c.get_mentions("1001", start_time=datetime(2026, 1, 1)),
        lambda c: c.get_posts([]),
        lambda c: c.get_posts([str(n) for n in range(1, 102)]),
        lambda c: c.search_recent(""),
        lambda c: c.search_recent("x", max_results=5),
        lambda c: c.search_recent("half a pair: \ud83d"),
        lambda c: c.create_reply("  ", in_reply_to_post_id="5"),
        lambda c: c.create_reply("Hi", in_reply_to_post_id=""),
        lambda c: c.delete_post("5/hidden"),
        lambda c: c.send_dm("", participant_id="5"),
        lambda c: c.get_dm_events("x"),
    ],
)
def test_nothing_is_sent_when_an_argument_is_wrong(
    x: ScriptedServer, client: XClient, ask: Callable[[XClient], Any]
) -> None:
    with pytest.raises(errors.BadRequestError, match="not sent") as caught:
        ask(client)
    assert (caught.value.code, caught.value.status) == ("invalid_argument", None)
    assert x.received == []


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://api.x.com"},
        {"base_url": "ftp://127.0.0.1"},
        {"base_url": "http://localhost@evil.example"},
        {"base_url": "http://127.0.0.1.evil.example"},
        {"access_token": ""},
        {"access_token": "a\r\nX-Evil: 1"},
        {"vocabulary": "toot"},
    ],
)
def test_no_client_is_made_when_its_configuration_is_wrong(
    make_client: Any, options: dict[str, str]
) -> None:
    with pytest.raises(ValueError, match=r".+\."):
        make_client(**options)
