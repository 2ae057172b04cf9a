from datetime import UTC, datetime
from typing import Any

import pytest

from autores.tests.x.bodies import ANA, CARLA, page_body, post_body
from autores.tests.x_openapi.validator import validate_response
from autores.x.errors import ContractError, ErrorsOnlyError
from autores.x.parse import (
    parse_created_post,
    parse_deleted,
    parse_message_page,
    parse_post,
    parse_post_page,
    parse_sent_message,
    parse_user,
)
from autores.x.types import MentionEntity, RateLimits, Reference

VOCABULARIES = ["post", "tweet"]


@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_the_same_page_is_read_when_x_speaks(vocabulary: Any) -> None:
    body = page_body(vocabulary)
    validate_response("GET", "/2/users/1001/mentions", 200, body, vocabulary)
    page = parse_post_page(body, rate=RateLimits())
    (post,) = page.posts
    assert post.author is not None
    assert post.author.username == "carla"
    assert post.created_at == datetime(2026, 11, 20, 10, tzinfo=UTC)
    assert post.references == (Reference("replied_to", "1853000000000000001"),)
    assert post.get_reference("replied_to") == "1853000000000000001"
    assert post.get_reference("quoted") is None
    assert post.in_reply_to_user_id == ANA["id"]
    assert post.mentions[1] == MentionEntity(ANA["id"], "ana_team", 28, 37)
    assert post.urls[0].expanded_url == "https://example.com/opening"
    assert post.display_text_range == (10, 68)
    assert post.edit_history_ids == (post.id,)
    assert post.raw == post_body(vocabulary)
    assert page.referenced["1853000000000000001"].text == "We moved!"
    assert set(page.users) == {ANA["id"], CARLA["id"]}
    assert (page.newest_id, page.oldest_id) == (post.id, post.id)
    assert (page.next_token, page.result_count) == ("next-page-token-0001", 1)


def test_a_page_is_empty_when_a_poll_finds_nothing() -> None:
    page = parse_post_page({"meta": {"result_count": 0}}, rate=RateLimits())
    assert (page.posts, page.newest_id, page.next_token) == ((), None, None)


@pytest.mark.parametrize("note", ["note_post", "note_tweet"])
def test_the_long_form_is_the_text_when_a_post_is_long(note: str) -> None:
    long_text = "@ana_team " + "word " * 100 + "@bo"
    span = {"start": len(long_text) - 3, "end": len(long_text), "id": "2002", "username": "bo"}
    again = {"start": 0, "end": 9, "id": ANA["id"], "username": "ana_team"}
    post = parse_post(
        post_body(**{note: {"text": long_text, "entities": {"mentions": [again, span]}}})
    )
    assert post.text == long_text
    assert post.display_text_range == (10, len(long_text))
    assert [(m.username, m.start) for m in post.mentions] == [
        ("ana_team", 0),
        ("ana_team", 28),
        ("bo", len(long_text) - 3),
    ]


def test_a_repost_is_recognised_when_x_uses_its_new_word() -> None:
    body = post_body(referenced_posts=[{"type": "reposted", "id": "5"}])
    assert parse_post(body).references == (Reference("retweeted", "5"),)


def test_the_newest_version_is_last_when_a_post_was_edited() -> None:
    assert parse_post(post_body(edit_history_post_ids=["1", "2"])).edit_history_ids == ("1", "2")


@pytest.mark.parametrize("field", ["id", "text", "author_id", "created_at", "conversation_id"])
@pytest.mark.parametrize("wrong", [None, 12, [], {}], ids=["absent", "number", "list", "object"])
def test_the_missing_field_is_named_when_a_mention_lacks(field: str, wrong: Any) -> None:
    odd = post_body(**{field: wrong})
    with pytest.raises(ContractError) as caught:
        parse_post_page(page_body(data=[odd, odd]), rate=RateLimits())
    assert caught.value.field == f"data[0].{field}"
    assert f"data[0].{field}" in caught.value.sentence
    assert (caught.value.code, caught.value.retryable) == ("missing_field", False)


@pytest.mark.parametrize("field", ["id", "text", "author_id", "created_at", "conversation_id"])
def test_one_odd_post_is_left_out_and_named(field: str) -> None:
    good, odd = post_body(), post_body(**{"id": "77", field: None})
    page = parse_post_page(page_body(data=[odd, good, None]), rate=RateLimits())
    assert [post.id for post in page.posts] == [good["id"]]
    assert page.unreadable_ids == ("" if field == "id" else "77", "")


@pytest.mark.parametrize("odd", [{"id": "1"}, {}, None, "x"])
def test_an_odd_person_or_parent_beside_a_post_is_left_out(odd: Any) -> None:
    for kind in ("users", "posts", "tweets"):
        page = parse_post_page(page_body(includes={kind: [odd]}), rate=RateLimits())
        assert len(page.posts) == 1
        assert page.unreadable_ids == ()


@pytest.mark.parametrize("field", ["id", "name", "username"])
def test_the_missing_field_is_named_when_a_user_lacks(field: str) -> None:
    with pytest.raises(ContractError, match=rf"data\.{field}"):
        parse_user({key: value for key, value in ANA.items() if key != field})


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-20T10:00:00", "", "9999-99-99T00:00:00Z"])
def test_the_field_is_named_when_a_time_cannot_be_read(moment: str) -> None:
    with pytest.raises(ContractError, match=r"data\.created_at"):
        parse_post(post_body(created_at=moment))


def test_an_included_post_is_kept_when_its_author_did_not_come_along() -> None:
    parent = {"id": "7", "text": "hi", "created_at": "2026-11-20T09:00:00Z"}
    page = parse_post_page(page_body(includes={"posts": [parent]}), rate=RateLimits())
    assert page.referenced["7"].author_id == ""
    assert page.posts[0].author is None


def test_the_known_author_is_used_when_the_request_left_it_out() -> None:
    body = page_body(data=[post_body(author_id=None)])
    page = parse_post_page(body, rate=RateLimits(), known_author_id=ANA["id"])
    assert page.posts[0].author_id == ANA["id"]


def test_partial_errors_are_kept_when_a_parent_was_deleted() -> None:
    problem = {
        "title": "Not Found Error",
        "type": "https://api.twitter.com/2/problems/resource-not-found",
        "detail": "Could not find tweet with referenced_tweets.id: [7].",
        "resource_id": "7",
        "resource_type": "tweet",
        "parameter": "referenced_tweets.id",
        "value": "7",
    }
    page = parse_post_page(page_body(errors=[problem]), rate=RateLimits())
    (error,) = page.partial_errors
    assert (error.kind, error.resource_id) == ("resource-not-found", "7")
    assert len(page.posts) == 1


@pytest.mark.parametrize("body", [{}, [], None, "", 5, {"data": {}}, {"data": "x"}, {"ok": True}])
def test_an_answer_does_not_pass_for_nothing_new_when_it_is_no_page(body: Any) -> None:
    with pytest.raises(ContractError):
        parse_post_page(body, rate=RateLimits())
    with pytest.raises(ContractError):
        parse_message_page(body, rate=RateLimits())


_SUSPENDED = {
    "title": "Forbidden",
    "detail": "User has been suspended: [1].",
    "type": "https://api.x.com/2/problems/resource-not-found",
}


@pytest.mark.parametrize("parse", [parse_post_page, parse_message_page])
@pytest.mark.parametrize("more", [{}, {"meta": {"result_count": 0}}])
def test_errors_do_not_pass_for_nothing_new(parse: Any, more: dict[str, Any]) -> None:
    with pytest.raises(ErrorsOnlyError) as caught:
        parse({"errors": [_SUSPENDED], **more}, rate=RateLimits())
    assert caught.value.code == "errors_only"
    assert "User has been suspended" in str(caught.value)


@pytest.mark.parametrize("parse", [parse_post_page, parse_message_page])
def test_a_count_without_posts_does_not_pass_for_nothing_new(parse: Any) -> None:
    with pytest.raises(ContractError, match="data"):
        parse({"meta": {"result_count": 100}}, rate=RateLimits())
    assert parse({"meta": {"result_count": 0}}, rate=RateLimits()).next_token is None


def test_errors_are_the_answer_when_posts_were_looked_up() -> None:
    page = parse_post_page({"errors": [_SUSPENDED]}, rate=RateLimits(), is_lookup=True)
    assert page.posts == ()
    assert len(page.partial_errors) == 1


def test_unknown_keys_are_ignored_when_x_adds_some() -> None:
    body = page_body(data=[post_body(new_thing={"a": 1})], more="yes")
    assert parse_post_page(body, rate=RateLimits()).posts[0].raw["new_thing"] == {"a": 1}


@pytest.mark.parametrize(
    ("parse", "body"),
    [
        (parse_created_post, {"data": {"text": "no id"}}),
        (parse_created_post, {"errors": [{}]}),
        (parse_sent_message, {"data": {"dm_event_id": "1"}}),
        (parse_deleted, {"data": {"deleted": False}}),
        (parse_deleted, {"data": {}}),
    ],
)
def test_a_write_is_not_believed_when_its_answer_lacks_the_proof(parse: Any, body: Any) -> None:
    with pytest.raises(ContractError):
        parse(body)


def _event(**changes: Any) -> dict[str, Any]:
    body = {
        "id": "900",
        "event_type": "MessageCreate",
        "text": "hello https://t.co/a",
        "sender_id": ANA["id"],
        "created_at": "2026-11-20T10:00:00.000Z",
        "dm_conversation_id": "1001-3003",
    }
    return {key: value for key, value in (body | changes).items() if value is not None}


@pytest.mark.parametrize("holder", ["entities", ""])
def test_messages_are_read_when_links_stand_in_either_place(holder: str) -> None:
    links = {
        "urls": [{"start": 6, "end": 20, "url": "https://t.co/a", "expanded_url": "https://b.c"}]
    }
    event = _event(**({holder: links} if holder else links))
    page = parse_message_page({"data": [event], "meta": {"result_count": 1}}, rate=RateLimits())
    assert page.events[0].urls[0].expanded_url == "https://b.c"
    assert page.events[0].sender_id == ANA["id"]


def test_the_sender_is_asked_for_when_an_event_is_a_message() -> None:
    with pytest.raises(ContractError, match="sender_id"):
        parse_message_page({"data": [_event(sender_id=None)]}, rate=RateLimits())
    joined = _event(sender_id=None, text=None, event_type="ParticipantsJoin")
    assert parse_message_page({"data": [joined]}, rate=RateLimits()).events[0].text == ""


def test_what_came_beside_the_posts_is_read_only_when_it_is_asked_for() -> None:
    class Unread(list[Any]):
        def __iter__(self) -> Any:
            raise AssertionError("It was read.")

    page = parse_post_page(page_body(includes={"users": Unread([CARLA])}), rate=RateLimits())
    assert [post.text for post in page.posts]
    with pytest.raises(AssertionError, match="It was read"):
        _ = page.posts[0].author
