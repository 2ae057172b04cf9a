"""From a page to stored mentions, where X's JSON is odd."""

from typing import Any

import orjson
import pytest
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
def test_a_page_is_stored_when_a_post_is_nested_as_deeply_as_no_document_can_be(
    acme: TwitterAccount, levels: int
) -> None:
    odd = post_body(id="1853000000000000005", edit_history_post_ids=["1853000000000000005"])
    deep = orjson.loads(b"[" * levels + b"7" + b"]" * levels)
    for known in (0, 2):
        stored = store(acme, post_body(), {**odd, "odd": deep})
        assert (len(stored.new_ids), stored.known) == (2 - known, known)
    raw = Message.objects.get(pk="1853000000000000005").raw
    assert raw["text"] == odd["text"]
    inner = raw["odd"]
    while isinstance(inner, list):
        inner = inner[0]
    assert inner == 7 or inner.strip("[]") in ("7", "JSON that is nested too deeply to be kept")


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
