"""Pages: bounds, tokens, the reach of 800, late indexing, search."""

from __future__ import annotations

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autores.sandbox.reading import decode_token, encode_token


def ids_of(page):
    return [post["id"] for post in page.get("data", [])]


def walk(caller, path=None, **params):
    """All pages by next_token, as one list of lists."""
    pages, token = [], None
    for _ in range(60):
        extra = {} if token is None else {"pagination_token": token}
        path_here = path or f"/2/users/{caller.user_id}/mentions"
        page = caller.get(path_here, {**params, **extra}).json()
        pages.append(page)
        token = page["meta"].get("next_token")
        if token is None:
            return pages
    raise AssertionError("the tokens never end")


def test_every_mention_comes_once_newest_first_when_paged_through(sandbox, acme):
    made = sandbox.control.create_mentions(account="acme", count=237)
    pages = walk(acme, max_results=100)
    seen = [post_id for page in pages for post_id in ids_of(page)]
    assert seen == [post["id"] for post in reversed(made)]
    assert [page["meta"]["result_count"] for page in pages] == [100, 100, 37]
    for page in pages:
        assert page["meta"]["newest_id"] == ids_of(page)[0]
        assert page["meta"]["oldest_id"] == ids_of(page)[-1]
    back = acme.mentions(max_results=100, pagination_token=pages[1]["meta"]["previous_token"])
    assert ids_of(back) == ids_of(pages[0])


def test_page_has_no_data_when_there_are_no_mentions(acme):
    assert acme.mentions() == {"meta": {"result_count": 0}}


def test_since_and_until_exclude_their_own_ids_when_given(sandbox, acme):
    made = [post["id"] for post in sandbox.control.create_mentions(account="acme", count=9)]
    page = acme.mentions(since_id=made[2], until_id=made[6])
    assert ids_of(page) == [made[5], made[4], made[3]]
    assert acme.mentions(since_id=made[-1]) == {"meta": {"result_count": 0}}


def test_times_bound_the_page_when_given(sandbox, acme):
    moments = [f"2026-01-0{day}T12:00:00Z" for day in (1, 2, 3)]
    made = [
        sandbox.control.create_mention(account="acme", author="ana", text=at, created_at=at)["id"]
        for at in moments
    ]
    page = acme.mentions(start_time=moments[1], end_time=moments[2])
    assert ids_of(page) == [made[1]]
    shown = acme.mentions(**{"post.fields": "created_at"})["data"]
    assert [post["created_at"] for post in shown] == [
        at.replace("00Z", "00.000Z") for at in reversed(moments)
    ]


def test_only_the_latest_800_are_reachable_when_there_are_more(sandbox, acme):
    made = [post["id"] for post in sandbox.control.create_mentions(account="acme", count=1500)]
    pages = walk(acme, max_results=100)
    seen = [post_id for page in pages for post_id in ids_of(page)]
    assert seen == made[:-801:-1]
    assert pages[-1] == {"meta": {"result_count": 0}}
    assert acme.mentions(until_id=made[600]) == {"meta": {"result_count": 0}}


def test_paging_is_stable_when_new_mentions_arrive_between_pages(sandbox, acme):
    made = [post["id"] for post in sandbox.control.create_mentions(account="acme", count=10)]
    first = acme.mentions(max_results=5)
    sandbox.control.create_mentions(account="acme", count=7)
    second = acme.mentions(max_results=5, pagination_token=first["meta"]["next_token"])
    assert ids_of(first) + ids_of(second) == list(reversed(made))


def test_late_mention_shows_below_newer_ones_when_the_index_catches_up(sandbox, acme):
    late = sandbox.control.create_mention(
        account="acme", author="ana", text="late", index_delay_seconds=60
    )
    newer = sandbox.control.create_mention(account="acme", author="ana", text="newer")
    assert ids_of(acme.mentions()) == [newer["id"]]
    assert acme.get(f"/2/tweets/{late['id']}").json()["data"]["id"] == late["id"]
    sandbox.control.advance_clock(61)
    assert ids_of(acme.mentions()) == [newer["id"], late["id"]]
    assert ids_of(acme.mentions(since_id=newer["id"])) == []


def test_deleted_mentions_leave_the_feed(sandbox, acme):
    made = sandbox.control.create_mentions(account="acme", count=3)
    sandbox.control.delete_post(made[1]["id"])
    assert ids_of(acme.mentions()) == [made[2]["id"], made[0]["id"]]


def test_own_replies_are_in_the_feed_when_the_account_answers(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    own = acme.reply("Hello", mention["id"]).json()["data"]["id"]
    assert ids_of(acme.mentions()) == [own, mention["id"]]
    sandbox.control.change_settings(own_posts_in_mentions=False)
    other = sandbox.control.create_mention(account="acme", author="ana")
    acme.reply("Hello again", other["id"])
    assert ids_of(acme.mentions())[0] == other["id"]


def test_feeds_stay_apart_when_one_post_mentions_two_accounts(sandbox, acme, sign_in):
    zeta = sign_in("zeta")
    both = sandbox.control.create_mention(account="acme", author="ana", text="@acme @zeta hello")
    only = sandbox.control.create_mention(account="zeta", author="ana", text="just you")
    assert ids_of(acme.mentions()) == [both["id"]]
    assert ids_of(zeta.mentions()) == [only["id"], both["id"]]


def test_direct_mention_lies_inside_the_display_range_and_a_carried_one_before_it(sandbox, acme):
    for kind, is_inside in (("direct", True), ("implicit", False), ("reply", False)):
        post = sandbox.control.create_mention(account="acme", author="ana", kind=kind, text="Hi")
        shown = acme.get(
            f"/2/tweets/{post['id']}", {"post.fields": "entities,display_text_range"}
        ).json()["data"]
        start, end = shown["display_text_range"]
        (entity,) = [e for e in shown["entities"]["mentions"] if e["id"] == acme.user_id]
        assert (start <= entity["start"] < end) is is_inside, kind


def test_own_timeline_can_lag_when_the_setting_says_so(sandbox, acme):
    sandbox.control.change_settings(timeline_delay_seconds=30)
    acme.call("POST", "/2/tweets", json={"text": "Good morning"})
    path = f"/2/users/{acme.user_id}/tweets"
    assert ids_of(acme.get(path).json()) == []
    sandbox.control.advance_clock(31)
    assert len(ids_of(acme.get(path).json())) == 1


def test_timeline_leaves_out_replies_when_asked(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    acme.reply("Hello", mention["id"])
    acme.call("POST", "/2/tweets", json={"text": "Good morning"})
    path = f"/2/users/{acme.user_id}/tweets"
    assert len(ids_of(acme.get(path).json())) == 2
    answer = acme.get(path, {"exclude": "replies,retweets"}, check=None)
    assert [post["text"] for post in answer.json()["data"]] == ["Good morning"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("from:acme", ["reply"]),
        ("from:{acme}", ["reply"]),
        ("to:ana", ["reply"]),
        ("@acme", ["mention"]),
        ("conversation_id:{conversation}", ["reply", "mention"]),
        ("from:acme conversation_id:{conversation}", ["reply"]),
        ("conversation_id:{conversation} -from:acme", ["mention"]),
        ("in_reply_to_tweet_id:{conversation}", ["reply"]),
        ('"on my order"', ["mention"]),
        ("is:reply", ["reply"]),
        ("(@acme OR from:acme) -is:reply", ["mention"]),
        ("@nobody OR from:acme lang:xx OR to:ana", ["reply"]),
        ("-(from:acme OR @acme)", []),
        ("100%", []),
    ],
)
def test_search_finds_by_its_operators(sandbox, acme, query, found):
    mention = sandbox.control.create_mention(
        account="acme", author="ana", text="Any news on my order?"
    )
    reply = acme.reply("It left today", mention["id"]).json()["data"]["id"]
    names = {mention["id"]: "mention", reply: "reply"}
    asked = query.format(acme=acme.user_id, conversation=mention["id"])
    page = acme.get("/2/tweets/search/recent", {"query": asked}).json()
    assert [names[post_id] for post_id in ids_of(page)] == found


@pytest.mark.parametrize(
    "query", ["(@acme", "@acme)", "@acme OR", "OR @acme", "()", "@acme OR OR hi"]
)
def test_search_refuses_a_query_that_is_none(sandbox, acme, query):
    answer = acme.get("/2/tweets/search/recent", {"query": query})
    assert answer.status_code == 400


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    count=st.integers(1, 60),
    size=st.integers(5, 30),
    bounds=st.tuples(st.integers(0, 59), st.integers(0, 59)),
)
def test_pages_hold_exactly_the_slice_when_bounds_are_wild(sandbox, acme, count, size, bounds):
    sandbox.control.reset()
    sandbox.control.create_user("acme", id=acme.user_id)
    grant = sandbox.control.issue_tokens("acme")
    acme.session.headers["Authorization"] = f"Bearer {grant['access_token']}"
    made = [post["id"] for post in sandbox.control.create_mentions(account="acme", count=count)]
    low, high = sorted(min(bound, count - 1) for bound in bounds)
    params = {"max_results": size, "since_id": made[low]}
    expected = made[low + 1 :]
    if high > low:
        params["until_id"] = made[high]
        expected = made[low + 1 : high]
    pages = walk(acme, **params)
    assert [post_id for page in pages for post_id in ids_of(page)] == expected[::-1]


@given(post_id=st.integers(0, 2**63 - 1), towards_newer=st.booleans())
def test_token_round_trips_for_any_id(post_id, towards_newer):
    token = encode_token(post_id, towards_newer=towards_newer)
    assert len(token) >= 16
    assert decode_token(token) == (post_id, towards_newer)


@given(text=st.text(max_size=40))
def test_made_up_token_is_refused_or_decodes(text):
    decoded = decode_token(text)
    assert decoded is None or encode_token(decoded[0], towards_newer=decoded[1]) == text.lower()


def test_feed_tells_what_went_out_whole_and_what_never_did(sandbox, acme):
    made = sandbox.control.create_mentions(account="acme", count=900)
    sandbox.control.create_mention(account="acme", kind="repost", author="ana")
    sandbox.control.add_fault("mentions", "reset_mid_body")
    with pytest.raises(requests.RequestException):
        acme.mentions(max_results=100)
    feed = sandbox.control.list_feed("acme")
    assert [entry["post_id"] for entry in feed[:-1]] == [post["id"] for post in made]
    assert feed[-1]["kind"] == "repost"
    assert {entry["shown_at"] for entry in feed} == {None}, "a cut answer shows nothing"

    walk(acme, max_results=100)
    walk(acme, "/2/tweets/search/recent", query="@acme -is:retweet", max_results=100)
    feed = sandbox.control.list_feed("acme")
    assert [entry["shown_at"] is not None for entry in feed] == [False] * 101 + [True] * 800
    assert [entry["found_at"] is not None for entry in feed] == [True] * 900 + [False]
