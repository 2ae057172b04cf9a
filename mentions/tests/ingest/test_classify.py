"""What a post in the mentions feed is to the account."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autores.x.parse import parse_post
from autores.x.posts import Post
from mentions.ingest.classify import classify_post

ACME = "100"


def post(**values: Any) -> Post:
    return parse_post(
        {
            "id": "5000",
            "text": "@acme my parcel is late",
            "author_id": "200",
            "created_at": "2026-11-01T00:00:00.000Z",
            "conversation_id": "5000",
            **values,
        }
    )


def naming(*mentions: dict[str, Any]) -> dict[str, Any]:
    return {"mentions": list(mentions)}


def mention_of(user_id: str, username: str, start: int) -> dict[str, Any]:
    return {
        "id": user_id,
        "username": username,
        "start": start,
        "end": start + len(username) + 1,
    }


def reference_to(post_id: str, kind: str) -> list[dict[str, str]]:
    return [{"type": kind, "id": post_id}]


def classify(item: Post, **values: Any) -> Any:
    return classify_post(item, account_x_id=ACME, account_username="acme", **values)


def test_direct_and_replyable_when_the_handle_was_typed() -> None:
    verdict = classify(post(entities=naming(mention_of(ACME, "acme", 0))))
    assert (verdict.kind, verdict.is_replyable, verdict.code) == ("direct", True, "mentioned")


def test_direct_when_only_the_name_identifies_the_account() -> None:
    entity = {"username": "ACME", "start": 0, "end": 5}
    assert classify(post(entities=naming(entity))).kind == "direct"


def test_implicit_when_the_handle_was_carried_along() -> None:
    verdict = classify(
        post(
            text="@bob @acme I agree",
            entities=naming(mention_of("300", "bob", 0), mention_of(ACME, "acme", 5)),
            display_text_range=[11, 18],
            referenced_posts=reference_to("4999", "replied_to"),
            in_reply_to_user_id="300",
        )
    )
    assert (verdict.kind, verdict.is_replyable, verdict.code) == ("implicit", False, "not_summoned")


def test_replyable_when_the_author_answers_our_own_post() -> None:
    verdict = classify(
        post(
            text="@acme thanks!",
            entities=naming(mention_of(ACME, "acme", 0)),
            display_text_range=[6, 13],
            in_reply_to_user_id=ACME,
        )
    )
    assert (verdict.kind, verdict.is_replyable) == ("implicit", True)


def test_direct_when_the_handle_is_carried_and_typed_again() -> None:
    verdict = classify(
        post(
            text="@bob @acme hello @acme",
            entities=naming(mention_of(ACME, "acme", 5), mention_of(ACME, "acme", 17)),
            display_text_range=[11, 22],
        )
    )
    assert verdict.kind == "direct"


def test_quote_when_our_post_is_quoted_without_a_handle() -> None:
    quoted = post(id="4000", author_id=ACME)
    verdict = classify(
        post(text="look", referenced_posts=reference_to("4000", "quoted")),
        referenced={"4000": quoted},
    )
    assert (verdict.kind, verdict.is_replyable, verdict.code) == ("quote", True, "quoted")


def test_not_a_quote_of_ours_when_somebody_else_is_quoted_and_we_are_carried_along() -> None:
    quoted = post(id="4000", author_id="999")
    verdict = classify(
        post(
            text="@acme look",
            entities=naming(mention_of(ACME, "acme", 0)),
            display_text_range=[6, 10],
            referenced_posts=reference_to("4000", "quoted"),
        ),
        referenced={"4000": quoted},
    )
    assert verdict.kind == "implicit"


def test_repost_is_kept_but_not_replyable() -> None:
    verdict = classify(post(referenced_posts=reference_to("4000", "retweeted")))
    assert (verdict.kind, verdict.is_work_item, verdict.is_replyable) == ("repost", True, False)


def test_own_post_is_never_a_work_item() -> None:
    verdict = classify(post(author_id=ACME, entities=naming(mention_of(ACME, "acme", 0))))
    assert not verdict.is_work_item
    assert not verdict.is_replyable


@pytest.mark.parametrize("settings", ["following", "subscribers", "verified"])
def test_not_replyable_when_the_author_closed_replies(settings: str) -> None:
    verdict = classify(post(entities=naming(mention_of(ACME, "acme", 0)), reply_settings=settings))
    assert (verdict.is_replyable, verdict.code) == (False, "reply_settings")


def test_replyable_when_replies_are_for_the_mentioned() -> None:
    verdict = classify(
        post(entities=naming(mention_of(ACME, "acme", 0)), reply_settings="mentionedUsers")
    )
    assert verdict.is_replyable


_ENTRIES = st.one_of(
    st.builds(
        mention_of, st.sampled_from([ACME, "200", "x", ""]), st.just("acme"), st.integers(-2, 30)
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from([ACME, 100, None]),
            "username": st.sampled_from(["acme", 5]),
            "start": st.sampled_from([0, 6, True, "0", None]),
            "end": st.sampled_from([5, 11, 2]),
        },
    ),
    st.sampled_from([None, "acme", 7, []]),
)
_RANGES: list[Any] = [None, [0, 9], [6, 20], [6], ["6", 9], [9, 3], "x", 5]
_NOTE = {"text": "all", "entities": naming(mention_of(ACME, "a", 0))}
_POSTS = st.fixed_dictionaries(
    {},
    optional={
        "entities": st.sampled_from([None, [], "x"])
        | st.fixed_dictionaries({"mentions": st.lists(_ENTRIES, max_size=3) | st.just("x")}),
        "display_text_range": st.sampled_from(
            [None, [0, 9], [6, 20], [6], ["6", 9], [9, 3], "x", 5]
        ),
        "author_id": st.sampled_from([ACME, "200"]),
        "in_reply_to_user_id": st.sampled_from([ACME, "200"]),
        "referenced_posts": st.sampled_from(
            [None, [], reference_to("7", "quoted"), reference_to("7", "replied_to"), "x"]
        ),
        "note_post": st.sampled_from([{}, {"text": "all of it"}, _NOTE]),
    },
)


@given(values=_POSTS, is_found_by_words=st.booleans())
def test_the_look_at_plain_mentions_says_what_the_whole_look_says(
    values: dict[str, Any], is_found_by_words: bool
) -> None:
    # Spelled otherwise, "everyone" is no plain case any more.
    plain, whole = post(**values), post(**values, reply_settings="EVERYONE")
    assert not whole.is_plainly_to(ACME)
    verdicts = [classify(each, is_found_by_words=is_found_by_words) for each in (plain, whole)]
    assert verdicts[0] == verdicts[1]
