"""Every endpoint's answers validate against X's own documents, in both vocabularies."""

from __future__ import annotations

import pytest

from autores.tests.x_openapi.validator import ContractViolation, validate_request, validate_response

FIELDS = {
    "tweet": {
        "tweet.fields": "author_id,conversation_id,created_at,display_text_range,entities,"
        "in_reply_to_user_id,lang,note_tweet,public_metrics,referenced_tweets,reply_settings,"
        "edit_controls,possibly_sensitive,source",
        "expansions": "author_id,in_reply_to_user_id,referenced_tweets.id,"
        "referenced_tweets.id.author_id,entities.mentions.username",
    },
    "post": {
        "post.fields": "conversation_id,created_at,display_text_range,entities,lang,note_post,"
        "public_metrics,reply_settings,edit_controls,possibly_sensitive,source",
        "expansions": "author_id,in_reply_to_user_id,referenced_posts,entities.mentions.username",
    },
}
USER_FIELDS = (
    "created_at,description,location,protected,verified,verified_type,profile_image_url,"
    "public_metrics,receives_your_dm,connection_status"
)
VOCABULARIES = ["post", "tweet"]
KINDS = ["direct", "implicit", "quote", "repost", "reply"]


@pytest.fixture(params=VOCABULARIES)
def vocabulary(request, sandbox):
    sandbox.control.change_settings(vocabulary=request.param)
    return request.param


@pytest.fixture
def full_feed(sandbox, acme):
    posts = {
        kind: sandbox.control.create_mention(
            account="acme", author="ana", kind=kind, text=f"{kind} & https://example.com/a #tag $X"
        )
        for kind in KINDS
    }
    long = sandbox.control.create_mention(account="acme", author="ana", text="so long " * 60)
    return posts | {"long": long}


def wanted(vocabulary):
    return FIELDS[vocabulary] | {"user.fields": USER_FIELDS}


def test_mentions_validate_when_every_field_is_asked(acme, full_feed, vocabulary):
    params = wanted(vocabulary) | {"max_results": 100}
    validate_request("GET", f"/2/users/{acme.user_id}/mentions", params, None)
    page = acme.mentions(vocabulary, **params)
    shown = {post["id"]: post for post in page["data"]}
    assert {post["id"] for post in full_feed.values()} == set(shown)
    references, other = f"referenced_{vocabulary}s", "tweet" if vocabulary == "post" else "post"
    kinds = {
        kind: shown[post["id"]][references][0]["type"]
        for kind, post in full_feed.items()
        if references in shown[post["id"]]
    }
    assert kinds == {
        "implicit": "replied_to", "quote": "quoted", "repost": "retweeted", "reply": "replied_to"
    }  # fmt: skip
    assert shown[full_feed["long"]["id"]][f"note_{vocabulary}"]["text"].count("so long") == 60
    assert page["includes"][f"{vocabulary}s"]
    assert {user["username"] for user in page["includes"]["users"]} >= {"ana", "acme"}
    text = str(page)
    assert f"edit_history_{other}_ids" not in text
    assert f"referenced_{other}s" not in text


def test_only_id_text_and_edit_chain_come_when_no_field_is_asked(acme, full_feed, vocabulary):
    page = acme.mentions(vocabulary)
    for post in page["data"]:
        assert set(post) == {"id", "text", f"edit_history_{vocabulary}_ids"}


def test_names_of_the_other_vocabulary_are_dropped_without_a_word(acme, full_feed):
    path = f"/2/users/{acme.user_id}/mentions"
    page = acme.get(path, {"post.fields": "author_id,note_tweet,created_at,nonsense"}).json()
    assert set(page["data"][0]) == {"id", "text", "edit_history_post_ids", "created_at"}
    page = acme.get(path, {"tweet.fields": "author_id,note_post"}, check="tweet").json()
    assert set(page["data"][0]) == {"id", "text", "edit_history_tweet_ids", "author_id"}


@pytest.mark.parametrize(
    "path",
    [
        "/2/users/me",
        "/2/users/{me}",
        "/2/users/404",
        "/2/users/by/username/acme",
        "/2/users/by/username/nobody",
        "/2/users?ids={me},404",
        "/2/tweets?ids={post},404",
        "/2/tweets/{post}",
        "/2/tweets/404",
        "/2/users/{me}/tweets",
        "/2/users/{me}/mentions",
        "/2/users/404/mentions",
        "/2/tweets/search/recent?query=@acme",
        "/2/tweets/search/recent?query=nothing-like-it",
        "/2/dm_conversations/with/{other}/dm_events?dm_event.fields=created_at,dm_conversation_id"
        "&expansions=sender_id",
        "/2/dm_events",
    ],
)
def test_reads_validate_when_called(acme, full_feed, vocabulary, path):
    other = full_feed["direct"]["author_id"]
    acme.call("POST", f"/2/dm_conversations/with/{other}/messages", json={"text": "hello"})
    path = path.format(me=acme.user_id, post=full_feed["quote"]["id"], other=other)
    path, _, query = path.partition("?")
    params = dict(pair.split("=", 1) for pair in query.split("&")) if query else {}
    is_dm = "dm_" in path
    is_users = path.startswith("/2/users") and not path.endswith(("mentions", "tweets"))
    fields = {} if is_dm else {"user.fields": USER_FIELDS} if is_users else wanted(vocabulary)
    answer = acme.get(path, fields | params, check=vocabulary)
    assert answer.status_code == 200, answer.text


def test_a_part_that_is_gone_is_an_error_beside_the_data(sandbox, acme, full_feed, vocabulary):
    parent = full_feed["implicit"]["in_reply_to"]
    sandbox.control.delete_post(parent)
    page = acme.mentions(vocabulary, **wanted(vocabulary))
    assert len(page["data"]) == len(full_feed)
    assert [error["resource_id"] for error in page["errors"]] == [parent]
    ids = ",".join([parent, full_feed["direct"]["id"]])
    lookup = acme.get("/2/tweets", {"ids": ids}, check=vocabulary).json()
    assert [post["id"] for post in lookup["data"]] == [full_feed["direct"]["id"]]
    assert lookup["errors"][0]["type"].endswith("/resource-not-found")


def test_writes_validate_when_they_succeed(acme, full_feed, vocabulary):
    body = {"text": "Thanks!", "reply": {"in_reply_to_tweet_id": full_feed["direct"]["id"]}}
    validate_request("POST", "/2/tweets", {}, body, vocabulary)
    created = acme.call("POST", "/2/tweets", json=body, check=vocabulary)
    assert created.status_code == 201
    post_id = created.json()["data"]["id"]
    gone = acme.call("DELETE", f"/2/tweets/{post_id}", check=vocabulary)
    assert gone.json() == {"data": {"deleted": True}}
    other = full_feed["direct"]["author_id"]
    path = f"/2/dm_conversations/with/{other}/messages"
    sent = acme.call("POST", path, json={"text": "hello"}, check=vocabulary)
    assert sent.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/2/tweets", {"text": "x", "in_reply_to_status_id": "1"}, 400),
        ("POST", "/2/tweets", {"text": ""}, 400),
        ("POST", "/2/tweets", {"text": 5}, 400),
        ("POST", "/2/tweets", ["text"], 400),
        ("POST", "/2/tweets", {"text": "x", "reply": {}}, 400),
        ("POST", "/2/tweets", {"text": "x", "reply": {"in_reply_to_tweet_id": 12}}, 400),
        ("POST", "/2/tweets", {"text": "x", "reply": {"in_reply_to_tweet_id": "404"}}, 400),
        ("POST", "/2/tweets", {"text": "x" * 281}, 403),
        ("DELETE", "/2/tweets/404", None, 404),
        ("POST", "/2/dm_conversations/with/404/messages", {"text": "x"}, 400),
        ("POST", "/2/dm_conversations/with/404/messages", {"text": ""}, 400),
        ("GET", "/2/users/1/mentions?max_results=4", None, 400),
        ("GET", "/2/users/1/mentions?max_results=101", None, 400),
        ("GET", "/2/users/1/mentions?since_id=abc", None, 400),
        ("GET", "/2/users/1/mentions?since_id=9&until_id=9", None, 400),
        ("GET", "/2/users/1/mentions?start_time=yesterday", None, 400),
        ("GET", "/2/users/1/mentions?pagination_token=made-up", None, 400),
        ("GET", "/2/users/1/mentions?exclude=replies", None, 400),
        ("GET", "/2/tweets/search/recent?query=url:x", None, 400),
        ("GET", "/2/tweets", None, 400),
    ],
)
def test_refusals_validate_when_the_request_is_wrong(acme, vocabulary, method, path, body, status):
    path, _, query = path.partition("?")
    params = dict(pair.split("=", 1) for pair in query.split("&")) if query else None
    answer = acme.call(method, path, json=body, params=params, check=vocabulary)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_contract_is_broken_when_a_key_is_not_in_the_document():
    body = {"data": [{"id": "1", "text": "x", "edit_history_tweet_ids": ["1"]}]}
    with pytest.raises(ContractViolation, match="edit_history_tweet_ids"):
        validate_response("GET", "/2/users/1/mentions", 200, body, "post")
    with pytest.raises(ContractViolation, match="author_id"):
        validate_request("GET", "/2/users/1/mentions", {"post.fields": "author_id"}, None)
    with pytest.raises(ContractViolation, match="extra"):
        validate_request("POST", "/2/tweets", None, {"text": "x", "extra": 1})
    with pytest.raises(ContractViolation, match="detail"):
        validate_response("POST", "/2/tweets", 403, {"type": "about:blank", "title": "x"}, "post")
