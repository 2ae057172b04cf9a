import pytest
from django.db import connection
from django.db.models import Count

from autores.mongo.plans import assert_index_scan, plan_of, recorded_plans
from autores.mongo.reads import find_page
from autores.tests.mongo.app.models import Line, Shop

pytestmark = pytest.mark.usefixtures("rows")


@pytest.fixture
def rows(mongo_app: None) -> None:
    Shop.objects.bulk_create(Shop(id=f"s{n}", name=f"{n}", number=n) for n in range(20))
    Line.objects.bulk_create(Line(order_id="o", text="t", position=n) for n in range(20))


def test_assertion_fails_when_the_collection_is_scanned() -> None:
    with pytest.raises(AssertionError, match=r"does not use an index.*COLLSCAN"):
        assert_index_scan(Line.objects.filter(text="x"))


def test_assertion_fails_when_the_order_needs_a_sort() -> None:
    queryset = Shop.objects.filter(name__gt="1").order_by("nickname")

    with pytest.raises(AssertionError, match="sorts in memory"):
        assert_index_scan(queryset)
    assert assert_index_scan(queryset, is_sort_allowed=True).has_sort


def test_assertion_fails_when_another_index_is_used() -> None:
    with pytest.raises(AssertionError, match="does not use the index elsewhere"):
        assert_index_scan(Shop.objects.filter(name="1"), index="elsewhere")


def test_assertion_fails_when_too_much_is_read() -> None:
    with pytest.raises(AssertionError, match="reads more than 3 documents"):
        assert_index_scan(Shop.objects.filter(number__gt=2), docs_at_most=3)


def test_plan_counts_what_is_read_when_an_index_is_used() -> None:
    plan = assert_index_scan(Shop.objects.filter(number__lt=5))

    assert (plan.keys_examined, plan.docs_examined, plan.returned) == (5, 5, 5)


def test_plan_is_no_index_scan_when_a_join_scans_a_collection() -> None:
    joined = [
        {"$match": {"_id": "s1"}},
        {
            "$lookup": {
                "from": "mongo_app_line",
                "localField": "name",
                "foreignField": "text",
                "as": "lines",
            }
        },
    ]

    plan = plan_of({"aggregate": "mongo_app_shop", "pipeline": joined, "cursor": {}})

    assert not plan.is_index_scan


def test_plan_is_an_index_scan_when_the_key_is_id() -> None:
    assert_index_scan(Shop.objects.filter(pk="s1"), docs_at_most=1)


def test_every_command_is_recorded_when_the_orm_is_used() -> None:
    with recorded_plans() as plans:
        Shop.objects.get(name="1")
        Shop.objects.filter(number=2).update(nickname="two")
        Shop.objects.filter(name__gt="1").count()
        Line.objects.filter(text="t").delete()
        Line.objects.aggregate(n=Count("id"))

    found = [(plan.description.split("'")[1], plan.is_index_scan) for plan in plans]
    assert found[:3] == [("aggregate", True), ("update", True), ("aggregate", True)]
    assert ("delete", False) in found or ("aggregate", False) in found
    assert Shop.objects.get(number=2).nickname == "two"


def test_page_is_recorded_when_read_below_the_orm() -> None:
    with recorded_plans() as plans:
        page = find_page(Shop, filter={"name": "1"}, limit=5)

    assert [plan.is_index_scan for plan in plans] == [True]
    assert plans[0].returned == len(page) == 1
    assert connection.database.name.startswith("test_")


def test_nothing_is_written_when_a_write_is_explained() -> None:
    plan = plan_of({"delete": "mongo_app_shop", "deletes": [{"q": {"name": "1"}, "limit": 0}]})

    assert plan.is_index_scan
    assert Shop.objects.count() == 20
