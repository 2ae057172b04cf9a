"""Writes of the admin: all or nothing with the mixin, half done without it."""

from typing import Any

import pytest
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.messages import get_messages
from django.db import connection
from django.http import HttpRequest
from django.test import Client, RequestFactory
from django.urls import path

from autores.mongo.admin import TransactionalAdminMixin
from autores.mongo.transactions import is_in_transaction, on_commit
from autores.tests.mongo.app.models import Line, Order, Shop

pytestmark = [
    pytest.mark.urls(__name__),
    pytest.mark.usefixtures("mongo_app"),
    pytest.mark.filterwarnings("ignore:No directory at"),
]


class LineInline(admin.TabularInline):
    model = Line
    extra = 0


class OrderAdmin(admin.ModelAdmin):
    inlines = [LineInline]
    actions = ["double_amounts"]

    @admin.action
    def double_amounts(self, request: HttpRequest, queryset: Any) -> None:
        for order in queryset.order_by("pk"):
            if order.note == "broken":
                raise RuntimeError("interrupted")
            Order.objects.filter(pk=order.pk).update(amount=order.amount * 2)


class TransactionalOrderAdmin(TransactionalAdminMixin, OrderAdmin):
    pass


class ShopAdmin(TransactionalAdminMixin, admin.ModelAdmin):
    """Meets a concurrent write on its first attempt at a save."""

    attempts = 0
    committed: list[str] = []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        type(self).attempts += 1
        messages.info(request, "saving")
        on_commit(lambda: self.committed.append(obj.pk))
        if self.attempts == 1:
            connection.database[Shop._meta.db_table].update_one(
                {"_id": obj.pk}, {"$set": {"number": 77}}
            )
        super().save_model(request, obj, form, change)


plain_site = admin.AdminSite(name="plain")
plain_site.register(Order, OrderAdmin)
real_site = admin.AdminSite(name="real")
real_site.register(Order, TransactionalOrderAdmin)
real_site.register(Shop, ShopAdmin)
urlpatterns = [path("plain/", plain_site.urls), path("real/", real_site.urls)]


@pytest.fixture
def client(mongo_app: None) -> Client:
    ana = get_user_model().objects.create_superuser(username="ana", password="secret")
    client = Client(raise_request_exception=False)
    client.force_login(ana)
    return client


@pytest.fixture
def shop(mongo_app: None) -> Shop:
    return Shop.objects.create(id="s", name="s", number=1)


@pytest.fixture
def _lines_cannot_be_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Line, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("interrupted")

    monkeypatch.setattr(Line, "save", fail)


def form_of(shop: Shop) -> dict[str, Any]:
    return {
        "id": "o1",
        "shop": shop.pk,
        "partner": shop.pk,
        "status": "new",
        "amount": 1,
        "note": "n",
        "reference": "r",
        "created_at_0": "2024-01-01",
        "created_at_1": "00:00:00",
        "expires_at_0": "2030-01-01",
        "expires_at_1": "00:00:00",
        "lines-TOTAL_FORMS": 1,
        "lines-INITIAL_FORMS": 0,
        "lines-0-text": "first",
        "lines-0-position": 1,
    }


def test_object_inline_and_history_are_saved_when_all_goes_well(client: Client, shop: Shop) -> None:
    response = client.post("/real/mongo_app/order/add/", form_of(shop))

    assert response.status_code == 302
    assert Line.objects.get().order_id == "o1"
    assert LogEntry.objects.get().object_id == "o1"


@pytest.mark.usefixtures("_lines_cannot_be_saved")
def test_nothing_is_saved_when_an_inline_fails(client: Client, shop: Shop) -> None:
    response = client.post("/real/mongo_app/order/add/", form_of(shop))

    assert response.status_code == 500
    assert not Order.objects.exists()
    assert not LogEntry.objects.exists()


@pytest.mark.usefixtures("_lines_cannot_be_saved")
def test_object_stays_without_its_inline_when_the_admin_is_the_stock_one(
    client: Client, shop: Shop
) -> None:
    client.post("/plain/mongo_app/order/add/", form_of(shop))

    assert Order.objects.count() == 1
    assert not Line.objects.exists()


def make_orders(shop: Shop) -> None:
    for n, note in enumerate(["fine", "broken"], 1):
        Order.objects.create(
            id=f"o{n}",
            shop=shop,
            status="new",
            amount=n,
            note=note,
            reference=f"r{n}",
            created_at="2024-01-01T00:00:00Z",
        )


@pytest.mark.parametrize(("site", "amount"), [("real", 1), ("plain", 2)])
def test_action_is_undone_when_it_fails_halfway_in_the_mixin_only(
    client: Client, shop: Shop, site: str, amount: int
) -> None:
    make_orders(shop)
    chosen = {"action": "double_amounts", "_selected_action": ["o1", "o2"]}

    response = client.post(f"/{site}/mongo_app/order/", chosen)

    assert response.status_code == 500
    assert Order.objects.get(pk="o1").amount == amount


@pytest.mark.parametrize(("site", "lines"), [("real", 1), ("plain", 0)])
def test_deletion_is_undone_when_it_fails_halfway_in_the_mixin_only(
    client: Client, shop: Shop, site: str, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_orders(shop)
    Line.objects.create(order_id="o1", text="x", position=1)

    def delete_lines_and_fail(self: Order, *args: Any, **kwargs: Any) -> None:
        self.lines.all().delete()
        raise RuntimeError("interrupted")

    monkeypatch.setattr(Order, "delete", delete_lines_and_fail)

    response = client.post(f"/{site}/mongo_app/order/o1/delete/", {"post": "yes"})

    assert response.status_code == 500
    assert Line.objects.count() == lines


def test_request_is_repeated_once_when_another_write_got_in_between(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShopAdmin, "attempts", 0)
    monkeypatch.setattr(ShopAdmin, "committed", [])
    form = {"id": "s", "name": "renamed", "number": 5, "nickname": "nick"}

    response = client.post("/real/mongo_app/shop/s/change/", form)

    assert response.status_code == 302
    assert ShopAdmin.attempts == 2
    assert ShopAdmin.committed == ["s"]
    assert Shop.objects.get().name == "renamed"
    assert LogEntry.objects.count() == 1
    texts = [str(message) for message in get_messages(response.wsgi_request)]
    assert texts.count("saving") == 1


def test_no_transaction_is_begun_when_a_page_is_only_read(
    client: Client, shop: Shop, rf: RequestFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_orders(shop)
    seen: list[bool] = []
    monkeypatch.setattr(OrderAdmin, "get_queryset", lambda self, request: record_transaction(seen))
    request = rf.get("/real/mongo_app/order/")
    request.user = get_user_model().objects.get()
    model_admin = real_site.get_model_admin(Order)

    assert model_admin.changelist_view(request).status_code == 200
    assert model_admin.changeform_view(request, "o1").status_code == 200
    assert model_admin.delete_view(request, "o1").status_code == 200
    assert len(seen) >= 3
    assert not any(seen)


def record_transaction(seen: list[bool]) -> Any:
    seen.append(is_in_transaction())
    return Order.objects.all()
