"""Going through the list: by cursor, by skip, and what the Link header says."""

import re
from typing import Any

import pytest

from accounts.models import Role, TwitterAccount, User
from autores.mongo.plans import assert_index_scan
from autores.mongo.reads import build_find
from autores.tests.cast import give_role
from mentions.api import queries
from mentions.api.cursors import Cursor, read_cursor, write_cursor
from mentions.api.queries import MessageQuery
from mentions.models import Message
from mentions.tallies import reconcile_counters
from mentions.tests.api.conftest import FIRST_POST_AT, Client, store_message

MESSAGES = "/api/v1/messages/"


@pytest.fixture
def acme(db: None) -> TwitterAccount:
    return TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")


@pytest.fixture
def stored(acme: TwitterAccount) -> list[str]:
    """Ids of 23 messages, newest first; each three have the same time."""
    rows = [store_message(acme, number // 3 * 400, id=str(10**18 + number)) for number in range(23)]
    return [row.pk for row in reversed(rows)]


def read(client: Any, address: str) -> tuple[list[str], dict[str, str]]:
    """Ids, and addresses by rel."""
    answer = client.get(address)
    assert answer.status_code == 200, answer.content
    links = re.findall(r'<([^>]+)>; rel="(\w+)"', answer.get("Link", ""))
    return [row["id"] for row in answer.json()], {rel: url for url, rel in links}


def test_every_message_is_met_once_when_links_are_followed(
    bruno: User, stored: list[str], client_of: Client
) -> None:
    client = client_of(bruno)
    ids, links = read(client, f"{MESSAGES}?limit=5&status=pending")
    pages = [ids]
    assert "prev" not in links
    while "next" in links:
        ids, links = read(client, links["next"])
        pages.append(ids)
    assert [id_ for page in pages for id_ in page] == stored
    back = []
    while "prev" in links:
        ids, links = read(client, links["prev"])
        back.append(ids)
    assert [page for page in back if page] == pages[-2::-1]


def test_nothing_is_missed_or_shown_twice_when_others_come_in(
    bruno: User, acme: TwitterAccount, stored: list[str], client_of: Client
) -> None:
    client = client_of(bruno)
    first, links = read(client, f"{MESSAGES}?limit=10")
    store_message(acme, 99_999)
    Message.objects.get(pk=first[3]).delete()

    second, links = read(client, links["next"])

    assert second == stored[10:20]
    assert read(client, links["prev"])[0] == [id_ for id_ in stored[:10] if id_ != first[3]] or (
        len(read(client, links["prev"])[0]) == 10
    )


def test_cursor_goes_with_filters(bruno: User, stored: list[str], client_of: Client) -> None:
    client = client_of(bruno)
    Message.objects.filter(pk__in=stored[::2]).update(kind="quote")
    until = FIRST_POST_AT.isoformat().replace("+00:00", "Z").replace("-03-01", "-03-03")
    expected, _ = read(client, f"{MESSAGES}?kind=quote&until={until}")

    ids, links = read(client, f"{MESSAGES}?kind=quote&until={until}&limit=3")

    assert len(expected) > 4
    assert ids + read(client, links["next"])[0] == expected[:6]


@pytest.mark.parametrize("cursor", ["x", "o1.2~forged", "o~", "x" * 300])
def test_400_names_the_cursor_when_it_is_none_of_ours(
    bruno: User, client_of: Client, cursor: str
) -> None:
    answer = client_of(bruno).get(f"{MESSAGES}?cursor={cursor}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


def test_400_is_answered_when_cursor_and_skip_are_both_given(
    bruno: User, client_of: Client
) -> None:
    cursor = write_cursor(FIRST_POST_AT, "1", is_backward=False)
    answer = client_of(bruno).get(f"{MESSAGES}?cursor={cursor}&skip=2")
    assert answer.status_code == 400
    assert "not both" in answer.json()["detail"]


@pytest.mark.parametrize("is_backward", [True, False])
def test_cursor_is_read_as_it_was_written(is_backward: bool) -> None:
    text = write_cursor(FIRST_POST_AT, "1900:7~x.y", is_backward=is_backward)
    assert read_cursor(text) == Cursor(FIRST_POST_AT, "1900:7~x.y", is_backward)


@pytest.mark.parametrize("is_backward", [True, False])
@pytest.mark.parametrize("account_count", [0, 1, 2])
def test_index_finds_and_orders_where_a_cursor_points(
    acme: TwitterAccount, stored: list[str], account_count: int, is_backward: bool
) -> None:
    ids = [acme.pk, "other"][:account_count] if account_count else None
    middle = Message.objects.get(pk=stored[11])
    cursor = Cursor(middle.timestamp, middle.pk, is_backward)
    page = MessageQuery(account_ids=ids, cursor=cursor).build_page(skip=0, limit=4)
    # Those of the same second are read, too.
    plan = assert_index_scan(build_find(Message, **page), docs_at_most=4 + 3)
    assert plan.returned == 4


def test_deep_skip_shows_what_plain_skip_shows(
    bruno: User,
    acme: TwitterAccount,
    stored: list[str],
    client_of: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    globex = TwitterAccount.objects.create(twitter_id="9009", twitter_username="globex")
    give_role(bruno, globex, Role.VIEWER)
    for number in range(6):
        store_message(globex, number * 900, id=str(2 * 10**18 + number))
    client = client_of(bruno)
    everything, _ = read(client, f"{MESSAGES}?limit=100")
    assert len(everything) == 29
    reconcile_counters()
    Message.objects.filter(pk=everything[2]).update(status="ignored")
    monkeypatch.setattr(queries, "_SHORTEST_DEEP_SKIP", 1)
    found: list[Any] = []
    find_deep = queries._find_deep
    monkeypatch.setattr(
        queries, "_find_deep", lambda *a, **k: found.append(find_deep(*a, **k)) or found[-1]
    )

    for skip in (1, 2, 7, 15, 28):
        assert read(client, f"{MESSAGES}?skip={skip}&limit=4")[0] == everything[skip : skip + 4]
        pending = [id_ for id_ in everything if id_ != everything[2]]
        page, _ = read(client, f"{MESSAGES}?skip={skip}&limit=4&status=pending")
        assert page == pending[skip : skip + 4]
    assert read(client, f"{MESSAGES}?skip=29")[0] == []

    # The plain way was taken only where nothing is left.
    assert [pages is None for pages in found].count(True) == 2
