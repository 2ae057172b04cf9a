import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection

from autores.mongo.plans import parse_plan
from autores.mongo.rawpages import find_raw_page
from autores.mongo.reads import Part, explain_find, find_in_turn, find_page
from autores.mongo.transactions import atomic
from autores.tests.mongo.app.models import Order, Shop
from autores.tests.mongo.proxy import connected_through
from autores.tests.other_server import connected_to

FIND = b"\x02find\0"
AGGREGATE = b"\x02aggregate\0"
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def orders(mongo_app: None) -> None:
    Order.objects.bulk_create(
        Order(
            id=f"o{n:02}",
            shop_id="s",
            status="new" if n % 2 else "done",
            amount=n,
            created_at=START + timedelta(minutes=n),
            reference=f"r{n}",
        )
        for n in range(30)
    )


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return [document["_id"] for document in documents]


def test_page_is_the_one_of_the_orm_when_filtered_sorted_and_sliced(orders: None) -> None:
    queryset = Order.objects.filter(status="new").order_by("-created_at")[3:8]

    page = find_page(Order, filter={"status": "new"}, sort={"created_at": -1}, skip=3, limit=5)

    assert ids(page) == [order.pk for order in queryset]
    assert page[0]["created_at"] == queryset[0].created_at


def test_page_has_only_the_projection_when_given(orders: None) -> None:
    page = find_page("mongo_app_order", limit=2, sort=[("_id", 1)], projection={"amount": 1})

    assert page == [{"_id": "o00", "amount": 0}, {"_id": "o01", "amount": 1}]


def test_page_is_short_or_empty_when_there_are_no_more_rows(orders: None) -> None:
    assert len(find_page(Order, skip=28, limit=10)) == 2
    assert find_page(Order, filter={"status": "unheard of"}, limit=10) == []


def test_page_is_complete_when_it_exceeds_one_answer(mongo_app: None) -> None:
    size = 6 * 2**20
    connection.database[Shop._meta.db_table].insert_many(
        {"_id": f"s{n}", "name": str(n) * size, "number": n} for n in range(4)
    )

    page = find_page(Shop, sort={"number": 1}, limit=4)

    assert [len(document["name"]) for document in page] == [size] * 4


def test_page_has_uncommitted_rows_when_read_in_their_transaction(mongo_app: None) -> None:
    with atomic():
        Shop.objects.create(id="a", name="a", number=1)
        inside = find_page(Shop, limit=1)
        outside = connection.database[Shop._meta.db_table].find_one()

    assert ids(inside) == ["a"]
    assert outside is None


def test_plan_uses_the_hinted_index_when_given(orders: None) -> None:
    query: dict[str, Any] = {"filter": {"status": "new"}, "sort": {"created_at": -1}, "limit": 5}

    free = parse_plan(explain_find(Order, **query))
    hinted = parse_plan(explain_find(Order, **query, hint="order_created"))

    assert free.indexes == ("order_status_created",)
    assert hinted.indexes == ("order_created",)
    assert (free.has_sort, free.docs_examined, free.returned) == (False, 5, 5)


@pytest.mark.parametrize(
    ("bounds", "message"), [({"limit": 0}, "limit"), ({"limit": 1, "skip": -1}, "skip")]
)
def test_page_is_refused_when_its_bounds_make_no_sense(
    bounds: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_page("mongo_app_order", **bounds)


def test_error_is_djangos_when_the_server_refuses(orders: None) -> None:
    with pytest.raises(DatabaseError, match="mongo_app_order: code 2 "):
        find_page(Order, filter={"$nonsense": 1}, limit=1)


@pytest.mark.parametrize("is_cut_before", [False, True])
def test_page_is_read_though_its_answer_was_lost_once(orders: None, is_cut_before: bool) -> None:
    with connected_through(FIND) as proxy:
        proxy.is_cut_before = is_cut_before
        for read in (
            lambda: find_page(Order, limit=3),
            lambda: find_raw_page(Order, limit=3).split(),
        ):
            proxy.cuts_left = 1
            assert len(read()) == 3
            assert proxy.cuts_left == 0
        proxy.cuts_left = 2
        with pytest.raises(OperationalError, match="AutoReconnect on collection mongo_app_order"):
            find_page(Order, limit=3)


def test_transaction_whose_read_was_lost_is_over(orders: None) -> None:
    def read_in_transaction() -> None:
        with atomic():
            find_page(Order, limit=1)
            proxy.cuts_left = 1
            find_page(Order, limit=1)

    with connected_through(FIND) as proxy:
        with pytest.raises(OperationalError):
            read_in_transaction()
        assert proxy.cuts_left == 0


def test_reads_of_a_thread_share_a_session_until_one_fails(orders: None) -> None:
    find_page(Order, limit=1)
    kept = connection._kept_session
    assert kept is not None
    find_page(Order, limit=1)
    assert connection._kept_session is kept
    with pytest.raises(DatabaseError):
        find_page(Order, filter={"$nonsense": 1}, limit=1)
    assert connection._kept_session is None
    assert len(find_page(Order, limit=3)) == 3
    assert connection._kept_session not in (None, kept)


def test_transaction_reads_what_it_wrote_though_reads_share_a_session(orders: None) -> None:
    find_page(Order, limit=1)
    with atomic():
        Order.objects.filter(pk="o01").update(status="gone")
        assert ids(find_page(Order, filter={"status": "gone"}, limit=5)) == ["o01"]
    assert ids(find_page(Order, filter={"status": "gone"}, limit=5)) == ["o01"]


def test_threads_read_at_once_each_in_a_session_of_its_own(orders: None) -> None:
    sessions, failures = set(), []
    all_have_read = threading.Barrier(4, timeout=30)

    def read() -> None:
        try:
            for _ in range(50):
                assert len(find_page(Order, limit=30)) == 30
            assert connection._kept_session is not None
            sessions.add(bytes(connection._kept_session.session_id["id"]))
            # A session that is let go is used again.
            all_have_read.wait()
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(sessions) == 4


def test_reads_go_on_at_another_server_when_the_connection_is_led_there(orders: None) -> None:
    assert len(find_page(Order, limit=3)) == 3
    url = connection.settings_dict["HOST"]
    with connected_to(url):
        assert len(find_page(Order, limit=3)) == 3
    assert len(find_page(Order, limit=3)) == 3


def test_several_collections_are_read_in_their_order(orders: None) -> None:
    Shop.objects.create(id="a", name="Ana", number=1)
    new = Part(Order, {"status": "new"}, {"amount": 1})
    shop = Part(Shop, {"_id": {"$gte": "a", "$lte": "b"}})
    found = find_in_turn(new, shop, Part(Order, {"_id": "o02"}, {"_id": 1}))
    assert sorted(document.get("amount") for document in found[:15]) == [*range(1, 30, 2)]
    assert found[15:] == [
        {"_id": "a", "name": "Ana", "number": 1, "nickname": None},
        {"_id": "o02"},
    ]
    assert find_in_turn(shop) == found[15:16]


def test_all_of_several_collections_is_read_when_it_exceeds_one_answer(mongo_app: None) -> None:
    Shop.objects.bulk_create(Shop(id=f"s{n:03}", name=str(n), number=n) for n in range(300))
    both = [Part(Shop, {"number": {"$lt": 150}}), Part(Shop, {"number": {"$gte": 150}})]
    assert sorted(document["number"] for document in find_in_turn(*both)) == [*range(300)]


def test_several_are_read_though_their_answer_was_lost_once(orders: None) -> None:
    with connected_through(AGGREGATE) as proxy:
        proxy.cuts_left = 1
        assert len(find_in_turn(Part(Order, {}), Part(Shop, {}))) == 30
        assert proxy.cuts_left == 0
