"""What an account may post, and how X stores it."""

from __future__ import annotations

import html

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autores.sandbox.text import compose, cut_long_text, weighted_length

ALL_FIELDS = {
    "tweet.fields": "author_id,conversation_id,in_reply_to_user_id,referenced_tweets,entities,"
    "display_text_range"
}


def detail(answer):
    assert answer.status_code == 403, answer.text
    return answer.json()["detail"]


def read_post(caller, post_id):
    return caller.get(f"/2/tweets/{post_id}", ALL_FIELDS, check="tweet").json()["data"]


def test_reply_is_linked_to_its_parent_when_created(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana", text="Hi @bob2 & all")
    sandbox.control.create_user("bob2")
    answer = acme.reply("See https://example.com/a & <b>", mention["id"])
    assert answer.status_code == 201
    post = read_post(acme, answer.json()["data"]["id"])
    assert post["referenced_tweets"] == [{"type": "replied_to", "id": mention["id"]}]
    assert post["conversation_id"] == mention["conversation_id"]
    assert post["in_reply_to_user_id"] == mention["author_id"]
    assert post["text"].startswith("@ana See https://t.co/")
    assert post["text"].endswith("&amp; &lt;b&gt;")
    start, end = post["display_text_range"]
    assert post["text"][start:end].startswith("See")
    (url,) = post["entities"]["urls"]
    assert post["text"][url["start"] : url["end"]] == url["url"]
    assert url["expanded_url"] == "https://example.com/a"
    (entity,) = post["entities"]["mentions"]
    assert (entity["username"], entity["id"]) == ("ana", mention["author_id"])


def test_reply_carries_everyone_in_the_thread_but_those_excluded(sandbox, acme):
    for name in ("bob2", "dora"):
        sandbox.control.create_user(name)
    dora = sandbox.control.create_user("dora")
    mention = sandbox.control.create_mention(
        account="acme", author="ana", text="@acme with @bob2 and @dora"
    )
    body = {
        "text": "Hello",
        "reply": {"in_reply_to_tweet_id": mention["id"], "exclude_reply_user_ids": [dora["id"]]},
    }
    answer = acme.call("POST", "/2/tweets", json=body)
    assert answer.json()["data"]["text"] == "@ana @bob2 Hello"


def test_same_text_is_refused_when_sent_again(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    assert acme.reply("Thanks", mention["id"]).status_code == 201
    assert "duplicate content" in detail(acme.reply("  thanks ", mention["id"]))
    assert len(sandbox.control.list_posts(in_reply_to=mention["id"])) == 1


def test_same_text_is_taken_when_it_goes_to_someone_else_or_the_window_passed(sandbox, acme):
    first = sandbox.control.create_mention(account="acme", author="ana")
    other = sandbox.control.create_mention(account="acme", author="carla")
    assert acme.reply("Thanks", first["id"]).status_code == 201
    assert acme.reply("Thanks", other["id"]).status_code == 201
    sandbox.control.change_settings(access_token_seconds=10**6, duplicate_window_seconds=60)
    sandbox.control.advance_clock(61)
    assert acme.reply("Thanks", first["id"]).status_code == 201


def test_same_text_is_taken_when_the_first_was_deleted(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    post_id = acme.reply("Thanks", mention["id"]).json()["data"]["id"]
    acme.call("DELETE", f"/2/tweets/{post_id}")
    assert acme.reply("Thanks", mention["id"]).status_code == 201


@pytest.mark.parametrize(
    ("kind", "status"),
    [("direct", 201), ("quote", 201), ("reply", 201), ("implicit", 403), ("repost", 403)],
)
def test_reply_is_allowed_only_when_that_author_summoned_the_account(sandbox, acme, kind, status):
    mention = sandbox.control.create_mention(account="acme", author="ana", kind=kind, text="Well")
    answer = acme.reply("Hello there", mention["id"])
    assert answer.status_code == status, answer.text
    if status == 403:
        assert "not been mentioned or otherwise engaged" in detail(answer)


def test_stranger_is_refused_when_the_mention_was_of_another_account(sandbox, acme, sign_in):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    carla = sign_in("carla")
    assert "not been mentioned" in detail(carla.reply("Let me answer", mention["id"]))


def test_carried_mention_counts_when_the_setting_says_so(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana", kind="implicit")
    sandbox.control.change_settings(carried_mention_is_summons=True)
    assert acme.reply("Hello there", mention["id"]).status_code == 201


@pytest.mark.parametrize(
    ("reply_settings", "kind", "status"),
    [
        ("mentionedUsers", "direct", 201),
        ("following", "quote", 403),
        ("subscribers", "quote", 403),
        ("verified", "quote", 403),
        ("mentionedUsers", "quote", 403),
        ("everyone", "quote", 201),
    ],
)
def test_reply_settings_hold_when_replying(sandbox, acme, reply_settings, kind, status):
    mention = sandbox.control.create_mention(
        account="acme", author="ana", kind=kind, text="Look", reply_settings=reply_settings
    )
    answer = acme.reply("Hello", mention["id"])
    assert answer.status_code == status, answer.text
    if status == 403:
        assert "restricted who can reply" in detail(answer)


def test_reply_is_allowed_when_the_author_follows_the_account(sandbox, acme):
    sandbox.control.create_user("ana", follows=[acme.user_id])
    mention = sandbox.control.create_mention(
        account="acme", author="ana", kind="quote", text="Look", reply_settings="following"
    )
    assert acme.reply("Hello", mention["id"]).status_code == 201


def test_reply_is_refused_when_the_author_blocked_or_the_account_is_suspended(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    sandbox.control.create_user("ana", blocks=[acme.user_id])
    assert "blocked" in detail(acme.reply("Hello", mention["id"]))
    sandbox.control.create_user("acme", suspended=True)
    assert "suspended" in detail(acme.reply("Hello", mention["id"]))


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("a" * 280, 201),
        ("a" * 281, 403),
        ("字" * 140, 201),
        ("字" * 141, 403),
        ("https://example.com/" + "a" * 300, 201),
        ("👨‍👩‍👧‍👦" * 140, 201),
        ("👨‍👩‍👧‍👦" * 141, 403),
    ],
)
def test_length_counts_in_weighted_units_when_posting(acme, text, status):
    answer = acme.call("POST", "/2/tweets", json={"text": text})
    assert answer.status_code == status, answer.text


def test_leading_handles_are_free_when_the_reply_is_as_long_as_it_may_be(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="a_long_username")
    answer = acme.reply("a" * 280, mention["id"])
    assert answer.status_code == 201
    assert len(answer.json()["data"]["text"]) == 280 + len("@a_long_username ")


def test_only_the_author_may_delete_when_asked(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    assert "not authorized to delete" in detail(acme.call("DELETE", f"/2/tweets/{mention['id']}"))


def test_target_that_is_gone_is_a_bad_request_when_replied_to(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    sandbox.control.delete_post(mention["id"])
    answer = acme.reply("Hello", mention["id"])
    assert answer.status_code == 400
    assert "deleted or not visible" in answer.json()["errors"][0]["message"]


def test_edit_makes_a_new_id_in_the_same_chain(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana", text="Frist")
    edited = sandbox.control.edit_post(mention["id"], "@acme First")
    page = acme.mentions()
    assert [post["id"] for post in page["data"]] == [edited["id"]]
    assert page["data"][0]["edit_history_post_ids"] == [mention["id"], edited["id"]]
    old = acme.get(f"/2/tweets/{mention['id']}").json()["data"]
    assert old["edit_history_post_ids"] == [mention["id"], edited["id"]]


# Texts in the wild ---------------------------------------------------------------------------

wild_texts = st.lists(
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["https://example.com/a?b=c&d", "example.org", "@ana", "@nobody", "#día", "$ABC",
             "&amp;", "<script>", "👩🏽‍🚀", "日本語", "http://", "a@b.co", "\u202e", "ﷺ"]
        ),
    ),
    max_size=8,
).map(" ".join)  # fmt: skip


def find_user(handle):
    return (7, "ana") if handle.lower() == "ana" else None


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(text=wild_texts, leading=st.lists(st.sampled_from(["ana", "bob_2"]), max_size=2))
def test_entities_point_at_what_they_name_when_the_text_is_wild(text, leading):
    composed = compose(text, leading=leading, find_user=find_user)
    for entity in composed.entities.get("urls", []):
        assert composed.text[entity["start"] : entity["end"]] == entity["url"]
    for entity in composed.entities.get("mentions", []):
        shown = composed.text[entity["start"] : entity["end"]]
        assert shown.lower() == f"@{entity['username']}".lower()
    for entity in composed.entities.get("hashtags", []):
        assert composed.text[entity["start"] : entity["end"]] == f"#{entity['tag']}"
    start, end = composed.display
    assert composed.text[:start] == "".join(f"@{name} " for name in leading)
    assert 0 <= start <= end <= len(composed.text)
    visible = composed.text[start:end]
    assert "<" not in visible
    assert html.escape(html.unescape(visible), quote=False).count("&") >= 0


@settings(deadline=None)
@given(text=st.text(min_size=1, max_size=600))
def test_a_cut_text_fits_when_the_whole_did_not(text):
    shown, note = cut_long_text(text)
    assert weighted_length(shown) <= 280
    if note is None:
        assert shown == text
    else:
        assert note == text
