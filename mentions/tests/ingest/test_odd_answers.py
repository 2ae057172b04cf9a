"""Answers of X that are none of its usual ones: nothing is missed behind them without a note."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.cache import cache
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.scripted_server import ScriptedServer, serve_script
from autores.tests.x.bodies import post_body
from autores.x.errors import (
    ContractError,
    EndlessPagesError,
    ErrorsOnlyError,
    RateLimitedError,
)
from mentions.ingest.sweep import search_account, sweep_account
from mentions.models import Cursor, Gap, Message
from mentions.tests.ingest.reading import complete_until, poll, reopen, stored_ids

pytestmark = pytest.mark.django_db(transaction=True)
SUSPENDED = {
    "errors": [
        {
            "title": "Forbidden",
            "detail": "User has been suspended: [1].",
            "type": "https://api.x.com/2/problems/resource-not-found",
            "parameter": "id",
            "resource_id": "1",
        }
    ]
}
EMPTY = {"meta": {"result_count": 0}}


@pytest.fixture
def x(baselined: TwitterAccount, settings: LazySettings) -> Iterator[ScriptedServer]:
    """From here on X is a server that answers what it is told to."""
    with serve_script() as script:
        settings.X_API_BASE_URL = script.url
        yield script


def say_name(x: ScriptedServer, account: TwitterAccount) -> None:
    """What a search asks first."""
    profile = {"id": account.twitter_id, "username": "acme", "name": "Acme Support"}
    x.answer({"data": profile})


def write_post(account: TwitterAccount, number: int, **changes: Any) -> dict[str, Any]:
    """A mention, newer than the baseline; of two numbers the higher one's is the newer."""
    post_id = str(int(Cursor.objects.get().newest_post_id) + (number << 22))
    mention = {"start": 0, "end": 5, "username": "acme", "id": account.twitter_id}
    body = {
        "id": post_id,
        "text": f"@acme number {number}",
        "author_id": "77",
        "created_at": timezone.now().isoformat(),
        "conversation_id": post_id,
        "edit_history_post_ids": [post_id],
        "entities": {"mentions": [mention]},
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


def make_page(*posts: dict[str, Any], token: str = "") -> dict[str, Any]:
    meta = {"result_count": len(posts)} | ({"next_token": token} if token else {})
    return {"data": list(posts), "meta": meta}


def open_gap(account: TwitterAccount) -> Gap:
    low = int(Cursor.objects.get().newest_post_id)
    return Gap.objects.create(
        pk=f"{account.pk}:{low}",
        account=account,
        from_post_id=str(low),
        to_post_id=str(low + (50 << 22)).zfill(19),
        from_at=timezone.now() - timedelta(hours=1),
        to_at=timezone.now(),
    )


# -- errors instead of posts ------------------------------------------------------------------


@pytest.mark.parametrize("body", [SUSPENDED, {"meta": {"result_count": 100}}])
def test_no_data_does_not_pass_for_nothing_new(
    baselined: TwitterAccount, x: ScriptedServer, body: dict[str, Any]
) -> None:
    before = complete_until(baselined)
    x.answer(body)
    with pytest.raises(ContractError) as caught:
        poll(baselined, minutes=5)
    account = TwitterAccount.objects.get()
    assert complete_until(baselined) == before
    assert account.last_error_code == caught.value.code
    if body is SUSPENDED:
        assert "User has been suspended" in account.last_error


def test_a_gap_is_not_closed_by_errors(baselined: TwitterAccount, x: ScriptedServer) -> None:
    gap = open_gap(baselined)
    say_name(x, baselined)
    for _ in range(2):
        x.answer(SUSPENDED)
    with pytest.raises(ErrorsOnlyError):
        search_account(baselined, now=timezone.now())
    gap.refresh_from_db()
    assert gap.state == "open"


# -- a post that cannot be read ---------------------------------------------------------------


def test_one_odd_post_keeps_no_other_out_and_is_a_gap_until_it_can_be_read(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    newer, older = write_post(baselined, 3), write_post(baselined, 1)
    odd = write_post(baselined, 2, conversation_id=None)
    for minutes in (1, 2):
        x.answer(make_page(newer, odd, older))
        poll(baselined, minutes=minutes)
    assert {newer["id"], older["id"]} <= stored_ids()
    assert odd["id"] not in stored_ids()
    (gap,) = Gap.objects.all()
    assert int(gap.from_post_id) + 1 == int(odd["id"]) == int(gap.to_post_id) - 1
    assert complete_until(baselined) == gap.from_at

    # Looked up by its id it is the same, and nothing else is kept waiting for that.
    now = timezone.now().replace(microsecond=0) + timedelta(minutes=3)
    say_name(x, baselined)
    x.answer(make_page(odd))
    x.answer(make_page(newer, odd, older))
    x.answer(make_page(newer, odd, older))
    search_account(baselined, now=now)
    cursor = Cursor.objects.get()
    assert (Gap.objects.get().state, cursor.searched_until) == ("open", now)
    assert cursor.search_due_at == now + timedelta(hours=1)
    assert x.received[3].path == "/2/tweets"
    assert x.received[3].query["ids"] == odd["id"]

    # And then as it should be.
    x.answer(make_page({**odd, "conversation_id": odd["id"]}))
    x.answer(EMPTY)
    x.answer(EMPTY)
    search_account(baselined, now=now + timedelta(hours=1))
    assert (Gap.objects.get().state, Gap.objects.get().found) == ("closed", 1)
    assert odd["id"] in stored_ids()
    assert complete_until(baselined) == Cursor.objects.get().complete_until


@pytest.fixture
def odd_gap(baselined: TwitterAccount, x: ScriptedServer) -> Gap:
    """Of one post, which X showed in a form that could not be read."""
    odd = write_post(baselined, 2, conversation_id=None)
    x.answer(make_page(write_post(baselined, 3), odd))
    poll(baselined)
    return Gap.objects.get()


def look(account: TwitterAccount, x: ScriptedServer, body: dict[str, Any], **later: float) -> str:
    """What becomes of the gap when X answers so."""
    say_name(x, account)
    x.answer(body)
    x.answer(EMPTY)
    x.answer(EMPTY)
    cache.clear()
    search_account(account, now=timezone.now() + timedelta(**later))
    return str(Gap.objects.get().state)


def test_an_odd_post_that_was_deleted_on_x_is_no_gap_any_more(
    baselined: TwitterAccount, x: ScriptedServer, odd_gap: Gap
) -> None:
    post_id = str(int(odd_gap.from_post_id) + 1)
    gone = {
        "title": "Not Found Error",
        "type": "https://api.x.com/2/problems/resource-not-found",
        "detail": "Could not find it.",
        "parameter": "ids",
        "resource_id": post_id,
    }
    assert look(baselined, x, {"errors": [gone]}) == "closed"


def test_an_odd_post_that_x_says_nothing_of_is_lost_after_a_week(
    baselined: TwitterAccount, x: ScriptedServer, odd_gap: Gap
) -> None:
    assert look(baselined, x, EMPTY, hours=1) == "open"
    assert look(baselined, x, EMPTY, days=8) == "expired"


def test_odd_posts_of_a_gap_have_gaps_of_their_own_and_keep_it_from_nothing(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    gap = open_gap(baselined)
    newer, odd = write_post(baselined, 9), write_post(baselined, 5, author_id=None)
    say_name(x, baselined)
    x.answer(make_page(newer, odd, token="more"))
    x.answer({}, status=429, headers={"x-rate-limit-reset": "99999999999"})
    with pytest.raises(RateLimitedError):
        search_account(baselined, now=timezone.now())
    reopen(baselined)
    say_name(x, baselined)
    cache.clear()
    for body in (make_page(write_post(baselined, 1)), EMPTY, EMPTY, EMPTY):
        x.answer(body)
    search_account(baselined, now=timezone.now() + timedelta(minutes=20))
    gap.refresh_from_db()
    assert (gap.state, gap.found) == ("closed", 2)
    single = Gap.objects.exclude(pk=gap.pk).get()
    assert (single.state, int(single.from_post_id) + 1) == ("open", int(odd["id"]))


def test_a_first_poll_keeps_its_floor_when_one_of_its_posts_is_odd(
    acme: TwitterAccount, settings: LazySettings
) -> None:
    settings.X_BASELINE_COUNT = 5
    odd = {"id": "1853000000000000100", "text": "@acme?"}
    posts = [post_body(id=str(1853000000000000101 + number)) for number in range(4)]
    with serve_script() as x:
        settings.X_API_BASE_URL = x.url
        x.answer(make_page(*reversed(posts), odd))
        poll(acme)
    assert int(Cursor.objects.get().floor_post_id) == int(odd["id"]) - 1


def test_a_poll_goes_on_when_the_only_post_it_is_shown_is_odd(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    odd = write_post(baselined, 2, conversation_id=None)
    x.answer(make_page(odd))
    poll(baselined)
    assert int(Gap.objects.get().from_post_id) + 1 == int(odd["id"])
    account = TwitterAccount.objects.get()
    assert account.complete_until == Gap.objects.get().from_at


def test_newer_mentions_are_read_when_x_cannot_give_what_lies_below(
    baselined: TwitterAccount, sandbox: RunningSandbox
) -> None:
    sandbox.control.create_mentions(account="acme", count=150)
    sandbox.control.add_fault("mentions", "server_error", after=1)
    with pytest.raises(Exception, match="server_error"):
        poll(baselined)
    newest = sandbox.control.create_mention(account="acme", author="dora", text="@acme urgent")
    # Below the first page it fails for as long as it likes.
    for _ in range(2):
        sandbox.control.add_fault("mentions", "server_error")
        sandbox.control.add_fault("mentions", "server_error", after=1)
        with pytest.raises(Exception, match="server_error"):
            poll(baselined)
        sandbox.control.clear_faults()
    assert newest["id"] in stored_ids()
    assert poll(baselined).new == 50
    assert Message.objects.count() == 152


# -- pages without end ------------------------------------------------------------------------


def test_empty_pages_without_end_are_no_complete_reading(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    before = complete_until(baselined)
    for number in range(20):
        x.answer({"meta": {"result_count": 0, "next_token": f"t{number}"}})
    with pytest.raises(EndlessPagesError):
        poll(baselined, minutes=5)
    assert complete_until(baselined) == before
    assert TwitterAccount.objects.get().last_error_code == "endless_pages"
    assert len(x.received) < 15


def test_a_search_that_ends_in_an_empty_page_has_read_all(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    gap = open_gap(baselined)
    say_name(x, baselined)
    for _ in range(2):
        x.answer({"meta": {"result_count": 0, "next_token": "t"}})
        x.answer(EMPTY)
    x.answer(EMPTY)
    now = timezone.now()
    search_account(baselined, now=now)
    gap.refresh_from_db()
    assert gap.state == "closed"
    assert abs(Cursor.objects.get().searched_until - now) < timedelta(milliseconds=1)


def test_a_sweep_that_went_round_in_a_circle_has_not_come_through(
    baselined: TwitterAccount, x: ScriptedServer
) -> None:
    page = make_page(write_post(baselined, 1), token="again")
    for _ in range(2):
        x.answer(page)
    sweep_account(baselined, now=timezone.now())
    assert Cursor.objects.get().swept_until is None
