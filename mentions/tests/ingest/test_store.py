"""From a page to stored mentions, where X's JSON is odd."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.tests.x.bodies import page_body, post_body
from autores.x.errors import ContractError
from autores.x.parse import parse_post_page
from autores.x.types import RateLimits
from mentions.ingest.finding import Finding
from mentions.ingest.pages import store_page
from mentions.ingest.store import Stored
from mentions.models import FoundBy, Message

pytestmark = pytest.mark.django_db(transaction=True)


def store(account: TwitterAccount, *posts: dict[str, Any]) -> Stored:
    body = page_body(data=list(posts))
    page = parse_post_page(body, rate=RateLimits())
    return store_page(account, page, finding=Finding(FoundBy.POLL), now=timezone.now())


def test_a_page_is_stored_when_a_post_has_a_number_that_mongodb_cannot_hold(
    acme: TwitterAccount,
) -> None:
    odd = post_body(id="1853000000000000005", edit_history_post_ids=["1853000000000000005"])
    odd["public_metrics"] = {"impression_count": 2**63, "like\0count": 1}
    assert len(store(acme, post_body(), odd).new_ids) == 2
    message = Message.objects.get(pk="1853000000000000005")
    assert message.raw["public_metrics"] == {"impression_count": str(2**63), "like\\u0000count": 1}
    assert message.raw["entities"] == odd["entities"]


@pytest.mark.parametrize("levels", [90, 170, 250, 900, 1010])
@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_a_page_is_stored_when_a_post_is_nested_as_deeply_as_no_document_can_be(
    acme: TwitterAccount, levels: int, kind: str
) -> None:
    odd = post_body(id="1853000000000000005", edit_history_post_ids=["1853000000000000005"])
    before, after = (b"[", b"]") if kind == "lists" else (b'{"a":', b"}")
    deep = orjson.loads(before * levels + b"7" + after * levels)
    # Beside it, a number that comes back from BSON as another kind of int.
    seen = post_body(public_metrics={"impression_count": 3_000_000_000})
    for known in (0, 2):
        stored = store(acme, seen, {**odd, "odd": deep})
        assert (len(stored.new_ids), stored.known) == (2 - known, known)
    metrics = Message.objects.get(pk=seen["id"]).raw["public_metrics"]
    assert metrics == {"impression_count": 3_000_000_000}
    raw = Message.objects.get(pk="1853000000000000005").raw
    assert raw["text"] == odd["text"]
    inner = raw["odd"]
    while isinstance(inner, list | dict):
        inner = inner[0] if isinstance(inner, list) else inner["a"]
    kept = inner if isinstance(inner, int) else inner.strip('[]{}"a: ')
    assert kept in (7, "7", "JSON that is nested too deeply to be kept")


def test_an_edit_is_stored_when_the_edited_post_has_such_a_number(acme: TwitterAccount) -> None:
    store(acme, post_body())
    edited = post_body(
        id="1853000000000000009",
        text="@ana_team better so",
        edit_history_post_ids=["1853000000000000002", "1853000000000000009"],
    )
    assert store(acme, {**edited, "odd": 2**63}) == Stored((), 1)
    message = Message.objects.get()
    assert (message.text, message.latest_post_id) == ("@ana_team better so", "1853000000000000009")
    assert message.raw["odd"] == str(2**63)


def test_one_post_that_lacks_a_field_keeps_no_other_out(acme: TwitterAccount) -> None:
    good = post_body()
    store(acme, good, post_body(id="1853000000000000005", text=None))
    assert [message.pk for message in Message.objects.all()] == [good["id"]]


def test_a_page_changes_nothing_when_none_of_its_posts_can_be_read(acme: TwitterAccount) -> None:
    with pytest.raises(ContractError, match=r"data\[0\]\.text"):
        store(acme, post_body(text=None), post_body(id="1853000000000000005", text=None))
    assert not Message.objects.exists()


PARENT = "1853000000000000001"


def make_mixed_posts(account: TwitterAccount) -> dict[str, dict[str, Any]]:
    """One post of each kind, as X shows them on one page."""
    ours = {"start": 0, "end": 5, "username": "acme", "id": account.twitter_id}
    alone = {"referenced_posts": None, "in_reply_to_user_id": None, "display_text_range": None}
    named = {**alone, "text": "@acme &lt;hello&gt;", "entities": {"mentions": [ours]}}

    def refer(kind: str, post_id: str = PARENT) -> dict[str, Any]:
        return {"referenced_posts": [{"type": kind, "id": post_id}]}

    changes: dict[str, dict[str, Any]] = {
        "direct": {**named, "lang": "de"},
        "answer": {**named, **refer("replied_to"), "conversation_id": "77"},
        "carried": {"in_reply_to_user_id": "5"},
        "quote": {**alone, **refer("quoted", "88"), "entities": None},
        "repost": {**named, **refer("retweeted")},
        "edited": {**named, "edit_history_post_ids": ["90", "1853000000000000105"]},
        "closed": {**named, "reply_settings": "following"},
        "long": {**named, "note_post": {"text": "@acme and so on"}},
    }
    posts = {}
    for number, (kind, change) in enumerate(changes.items()):
        id_ = str(1853000000000000100 + number)
        posts[kind] = post_body(**{"id": id_, "edit_history_post_ids": [id_], **change})
    return posts


def test_each_mention_of_a_mixed_page_is_stored_with_its_own_columns(acme: TwitterAccount) -> None:
    posts = make_mixed_posts(acme)
    page = parse_post_page(page_body(data=list(posts.values())), rate=RateLimits())
    late = int(posts["carried"]["id"])
    finding = Finding(FoundBy.SWEEP, is_late=lambda post_id: post_id == late)
    now = timezone.now().replace(microsecond=0)
    assert len(store_page(acme, page, finding=finding, now=now).new_ids) == len(posts)

    direct = {
        "account_id": acme.pk,
        "kind": "direct",
        "is_replyable": True,
        "replyable_code": "mentioned",
        "status": "pending",
        "draft_state": "wanted",
        "draft_not_before": now,
        "text": "@acme <hello>",
        "lang": "en",
        "in_reply_to_post_id": "",
        "quoted_post_id": "",
        "latest_post_id": "",
        "conversation_id": PARENT,
        "user": "3003",
        "author_username": "carla",
        "author_name": "Carla",
        "timestamp": datetime(2026, 11, 20, 10, tzinfo=UTC),
        "created_at": now,
        "updated_at": now,
        "seen_at": now,
        "found_by": "sweep",
        "is_late": False,
        "version": 1,
        "draft_attempts": 0,
        "credits_used": 0,
        "redirected": False,
        "claimed_by": "",
        "x_state": "",
    }
    closed = {"is_replyable": False, "draft_state": "none", "draft_not_before": None}
    cut = {"text": post_body()["text"].replace("&amp;", "&")}
    expected = {
        "direct": {"lang": "de"},
        "answer": {"in_reply_to_post_id": PARENT, "conversation_id": "77"},
        "carried": {
            "kind": "implicit",
            "replyable_code": "not_summoned",
            "is_late": True,
            "in_reply_to_post_id": PARENT,
            **closed,
            **cut,
        },
        "quote": {"kind": "quote", "replyable_code": "quoted", "quoted_post_id": "88", **cut},
        "repost": {"kind": "repost", "replyable_code": "repost", "status": "ignored", **closed},
        "edited": {"latest_post_id": posts["edited"]["id"]},
        "closed": {"replyable_code": "reply_settings", **closed},
        "long": {"text": "@acme and so on"},
    }
    for kind, post in posts.items():
        row = Message.objects.get(pk=post["edit_history_post_ids"][0])
        assert {name: getattr(row, name) for name in direct} == direct | expected[kind]
        assert row.raw == post
        assert row.post_id == row.pk
        assert row.recheck_at is not None
        assert row.replyable_reason
    # All columns are there, as a missing one would be read as None.
    document = connection.get_collection("messages").find_one({"_id": posts["direct"]["id"]})
    assert set(document) == {field.column for field in Message._meta.concrete_fields}
