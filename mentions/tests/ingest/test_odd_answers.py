"""Answers of X that are none of its usual ones: nothing is missed behind them without a note."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.sandbox.server import RunningSandbox
from autores.tests.scripted_server import ScriptedServer, serve_script
from autores.x.errors import ContractError, EndlessPagesError, ErrorsOnlyError
from mentions.ingest.sweep import search_account, sweep_account
from mentions.models import Cursor, Gap, Message
from mentions.tests.ingest.reading import complete_until, poll, stored_ids

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

    # X gives it in the same form, and nothing else is kept waiting for that.
    now = timezone.now().replace(microsecond=0) + timedelta(minutes=3)
    say_name(x, baselined)
    x.answer(make_page(odd))
    x.answer(make_page(newer, odd, older))
    x.answer(make_page(newer, odd, older))
    search_account(baselined, now=now)
    cursor = Cursor.objects.get()
    assert (Gap.objects.get().state, cursor.searched_until) == ("open", now)
    assert cursor.search_due_at == now + timedelta(hours=1)

    # And then as it should be.
    say_name(x, baselined)
    x.answer(make_page({**odd, "conversation_id": odd["id"]}))
    x.answer(EMPTY)
    x.answer(EMPTY)
    search_account(baselined, now=now + timedelta(hours=1))
    assert (Gap.objects.get().state, Gap.objects.get().found) == ("closed", 1)
    assert odd["id"] in stored_ids()
    assert complete_until(baselined) == Cursor.objects.get().complete_until


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
