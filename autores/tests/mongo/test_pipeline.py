"""Rows of the index-ordered pipelines against the stock ones, and the plans of both."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Upper
from django_mongodb_backend.query import MongoQuery as StockMongoQuery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autores.mongo.backend.compiler import SQLCompiler
from autores.mongo.backend.pipeline import mentions_any
from autores.mongo.plans import assert_index_scan, plan_of
from autores.tests.mongo.app.models import Line, Order, Shop

START = datetime(2024, 1, 1, tzinfo=UTC)
STATUSES = ["new", "paid", "done"]


@pytest.fixture
def orders(mongo_app: None) -> None:
    shops = [
        Shop(id=f"s{n}", name=f"shop {n}", number=n, nickname=None if n % 2 else f"nick {n}")
        for n in range(5)
    ]
    Shop.objects.bulk_create(shops)
    Order.objects.bulk_create(
        Order(
            id=f"o{n:03}",
            # s9 exists nowhere: MongoDB does not stop a key from dangling.
            shop_id="s9" if n % 7 == 3 else f"s{n % 5}",
            partner_id=None if n % 3 == 0 else "s8" if n % 11 == 5 else f"s{(n + 1) % 5}",
            status=STATUSES[n % 3],
            amount=n,
            note=None if n % 4 == 0 else f"note {n}",
            created_at=START + timedelta(minutes=n // 2),
            reference=f"r{n}",
        )
        for n in range(60)
    )
    Line.objects.bulk_create(
        Line(order_id=f"o{n:03}", text=f"line {n}", position=p) for n in range(20) for p in range(2)
    )


def read(queryset: QuerySet) -> list[Any]:
    """What a queryset yields, with the related rows that came along."""
    rows = []
    for row in queryset:
        if not hasattr(row, "_meta"):
            rows.append(row)
            continue
        related = {
            name: None if value is None else value.__dict__ | {"_state": None}
            for name, value in row._state.fields_cache.items()
        }
        rows.append({**row.__dict__, "_state": None, "related": related})
    return rows


def read_stock(queryset: QuerySet) -> list[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SQLCompiler, "query_class", StockMongoQuery)
        return read(queryset.all())


SHAPES = {
    "plain": lambda q: q.order_by("-created_at", "-id"),
    "slice": lambda q: q.order_by("-created_at", "-id")[10:25],
    "filtered": lambda q: q.filter(status="paid").order_by("created_at", "id")[:7],
    "or": lambda q: q.filter(Q(status="new") | ~Q(amount__gt=30)).order_by("id")[3:20],
    "nullable": lambda q: q.order_by("note", "-id")[5:30],
    "nulls last": lambda q: q.order_by(F("note").desc(nulls_last=True), "id")[:30],
    "only": lambda q: q.only("status").order_by("amount")[:5],
    "defer": lambda q: q.defer("status").order_by("-amount")[:5],
    "values": lambda q: q.values("status", "shop__name").order_by("amount")[:9],
    "values without the key": lambda q: q.values_list("status", flat=True).order_by("-amount")[:9],
    "values of the key": lambda q: q.values_list("amount", "id").order_by("-amount")[2:9],
    "values of a renamed key": lambda q: q.values(x=F("amount")).order_by("x")[:9],
    "annotation": lambda q: q.annotate(double=F("amount") * 2).order_by("id")[:9],
    "ordered by annotation": lambda q: q.annotate(m=F("amount") % 7).order_by("m", "id")[:9],
    "filtered by annotation": lambda q: (
        q.annotate(m=F("amount") % 7).filter(m__gt=3).order_by("-id")[:9]
    ),
    "ordered by expression": lambda q: q.order_by(Upper("status"), "-id")[:9],
    "case": lambda q: q.order_by(Case(When(status="new", then=Value(0)), default=1), "id")[:9],
    "inner join": lambda q: q.select_related("shop").order_by("-created_at", "-id")[5:15],
    "outer join": lambda q: q.select_related("partner").order_by("-created_at", "-id")[5:15],
    "both joins": lambda q: q.select_related("shop", "partner").order_by("-id")[5:15],
    "join and filter": lambda q: (
        q.select_related("partner").filter(status="new").order_by("created_at", "id")[:4]
    ),
    "filter across": lambda q: q.filter(shop__name="shop 2").order_by("-created_at", "-id")[1:6],
    "filter across outer": lambda q: q.filter(
        Q(partner__number__gt=2) | Q(partner__isnull=True)
    ).order_by("id")[2:30],
    "exclude across": lambda q: q.exclude(partner__name="shop 1").order_by("id")[:30],
    "filter across many": lambda q: q.filter(lines__position=1).order_by("-id")[:10],
    "many, doubled": lambda q: q.filter(lines__position__gte=0).order_by("-id")[:10],
    "many, distinct": lambda q: q.filter(lines__position__gte=0).distinct().order_by("-id")[:10],
    "ordered across": lambda q: q.order_by("shop__number", "-id")[:10],
    "ordered across outer": lambda q: q.order_by("partner__name", "id")[:10],
    "distinct": lambda q: q.values("status").distinct().order_by("status")[:2],
    "grouped": lambda q: q.values("status").annotate(n=Count("id")).order_by("status"),
    "grouped and joined": lambda q: q.annotate(n=Count("lines")).order_by("-id")[:25],
    "subquery": lambda q: q.filter(shop__in=Shop.objects.filter(number__gt=2)).order_by(
        "-created_at", "-id"
    )[:9],
    "exists": lambda q: q.filter(
        Exists(Line.objects.filter(order=OuterRef("pk"), position=1))
    ).order_by("-id")[:9],
    "in a slice": lambda q: Line.objects.filter(order__in=list(q.order_by("id")[:3])).order_by(
        "order", "position"
    ),
    "union": lambda q: q.filter(status="new").union(q.filter(status="paid")).order_by("-id")[:9],
    "reverse": lambda q: q.order_by("created_at", "id").reverse()[:9],
    "twice the same key": lambda q: q.order_by("id", "-id")[:9],
    "deep join": lambda q: Line.objects.select_related("order__shop").order_by("id")[:30],
    "deep outer join": lambda q: Line.objects.select_related("order__partner").order_by(
        "order_id", "position"
    )[5:30],
    "empty": lambda q: q.none().order_by("id"),
    "date": lambda q: q.filter(
        created_at__gte=START, created_at__lt=START + timedelta(minutes=9)
    ).order_by("id"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_rows_are_those_of_the_stock_pipeline_when_queried(orders: None, shape: str) -> None:
    queryset = SHAPES[shape](Order.objects.all())

    rows = read(queryset)

    assert rows == read_stock(queryset)
    assert rows or shape == "empty"


ORDER_KEYS = ["amount", "status", "note", "created_at", "shop_id", "partner_id", "shop__number"]
CONDITIONS = st.sampled_from(
    [
        Q(status="new"),
        Q(status__in=["paid", "done"]),
        Q(amount__gt=20),
        Q(amount__range=(5, 40)),
        Q(note__isnull=True),
        Q(note__startswith="note 1"),
        Q(partner__isnull=True),
        Q(partner__number=3),
        Q(shop__name__contains="2"),
        Q(shop__number__lt=F("amount")),
        Q(created_at__lt=START + timedelta(minutes=20)),
    ]
)
FILTERS = st.recursive(
    CONDITIONS,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(lambda a: ~a, inner),
    ),
    max_leaves=4,
)


@given(
    condition=st.none() | FILTERS,
    keys=st.lists(
        st.builds(str.__add__, st.sampled_from(["", "-"]), st.sampled_from(ORDER_KEYS)), max_size=2
    ),
    start=st.integers(0, 15),
    length=st.none() | st.integers(1, 30),
    related=st.sets(st.sampled_from(["shop", "partner"])),
    columns=st.sets(st.sampled_from(["id", "status", "shop__name", "partner__number"])),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rows_are_those_of_the_stock_pipeline_when_filtered_ordered_and_sliced(
    orders: None,
    condition: Q | None,
    keys: list[str],
    start: int,
    length: int | None,
    related: set[str],
    columns: set[str],
) -> None:
    queryset = Order.objects.order_by(*keys, "id")  # id last: ties have no order of their own
    if condition is not None:
        queryset = queryset.filter(condition)
    if columns:
        queryset = queryset.values(*sorted(columns))
    elif related:
        queryset = queryset.select_related(*sorted(related))
    queryset = queryset[start : None if length is None else start + length]

    assert read(queryset) == read_stock(queryset)


INDEXED = {
    "list": lambda: Order.objects.order_by("-created_at", "-id")[:5],
    "filtered list": lambda: Order.objects.filter(status="new").order_by("-created_at")[:5],
    "values": lambda: Order.objects.values("amount").order_by("-created_at", "-id")[:5],
    "annotated": lambda: Order.objects.annotate(d=F("amount") + 1).order_by("-created_at")[:5],
    "outer join": lambda: Order.objects.select_related("partner").order_by("-created_at")[:5],
    "inner join": lambda: Order.objects.select_related("shop").order_by("-created_at")[:5],
}


@pytest.mark.parametrize("name", INDEXED)
def test_index_gives_the_order_when_listed(orders: None, name: str) -> None:
    assert_index_scan(INDEXED[name]())


@pytest.mark.parametrize("name", ["list", "filtered list", "values", "annotated", "outer join"])
def test_only_the_page_is_read_when_listed(orders: None, name: str) -> None:
    assert plan_of(INDEXED[name]()).docs_examined <= 10  # a page of 5, and its joined rows


@pytest.mark.parametrize("name", INDEXED)
def test_stock_backend_sorts_in_memory_when_listed(
    orders: None, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SQLCompiler, "query_class", StockMongoQuery)

    assert plan_of(INDEXED[name]()).has_sort


def test_joins_come_after_the_limit_when_they_keep_every_row(orders: None) -> None:
    queryset = Order.objects.select_related("partner").order_by("-created_at")[:5]

    names = [next(iter(stage)) for stage in pipeline_of(queryset)]

    assert names.index("$limit") < names.index("$lookup")


def test_joins_come_before_the_limit_when_they_may_drop_rows(orders: None) -> None:
    queryset = Order.objects.select_related("shop").order_by("-created_at")[:5]

    names = [next(iter(stage)) for stage in pipeline_of(queryset)]

    assert names.index("$sort") < names.index("$lookup") < names.index("$limit")


def pipeline_of(queryset: QuerySet) -> list[dict[str, Any]]:
    compiler = queryset.query.get_compiler(connection=connection)
    compiler.pre_sql_setup()
    return compiler.build_query(None).get_pipeline()


@pytest.mark.parametrize(
    ("mql", "expected"),
    [
        ({"T1.name": 1}, True),
        ({"$expr": {"$eq": ["$T1.name", 3]}}, True),
        ({"$and": [{"a": 1}, {"$or": ({"T1": None},)}]}, True),
        ({"name": {"$in": ["T1"]}}, True),  # a value may well be a path: the careful answer
        ({"T10.name": 1, "a.T": 2, "b": "xT1"}, False),
        ({}, False),
    ],
)
def test_mention_is_found_when_a_path_has_the_name(mql: dict[str, Any], expected: bool) -> None:
    assert mentions_any(mql, ["T1"]) is expected
