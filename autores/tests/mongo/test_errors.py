import traceback

import pytest
from django.db import DatabaseError, IntegrityError
from pymongo.errors import DuplicateKeyError

from autores.tests.mongo.app.models import Line, Order, Shop

SECRET = "hunter" + "2"  # in two parts: a traceback shows the lines of this file

pytestmark = pytest.mark.usefixtures("mongo_app")


def assert_tells_all_but_the_value(error: IntegrityError, *, index: str, keys: str) -> None:
    assert f"index {index}" in str(error)
    assert f"({keys})" in str(error)
    assert isinstance(error.__cause__, DuplicateKeyError)
    assert error.__cause__.code == 11000
    assert error.__context__ is None or error.__suppress_context__
    printed = "".join(traceback.format_exception(error))
    assert SECRET not in printed


def test_error_names_index_and_keys_when_an_insert_is_a_duplicate() -> None:
    Shop.objects.create(id="a", name=SECRET, number=1)

    with pytest.raises(
        IntegrityError, match="Duplicate key in collection mongo_app_shop"
    ) as raised:
        Shop.objects.create(id="b", name=SECRET, number=2)

    assert_tells_all_but_the_value(raised.value, index="mongo_app_shop_name", keys="name")


def test_error_names_index_and_keys_when_one_of_many_is_a_duplicate() -> None:
    rows = [Shop(id=f"s{n}", name=SECRET, number=n) for n in range(3)]

    with pytest.raises(IntegrityError) as raised:
        Shop.objects.bulk_create(rows)

    assert_tells_all_but_the_value(raised.value, index="mongo_app_shop_name", keys="name")


def test_error_names_index_and_keys_when_an_update_makes_a_duplicate() -> None:
    Shop.objects.create(id="a", name=SECRET, number=1)
    shop = Shop.objects.create(id="b", name="b", number=2)
    shop.name = SECRET

    with pytest.raises(IntegrityError) as raised:
        shop.save()

    assert_tells_all_but_the_value(raised.value, index="mongo_app_shop_name", keys="name")


def test_error_names_the_primary_key_when_it_is_taken() -> None:
    Shop.objects.create(id=SECRET, name="a", number=1)

    with pytest.raises(IntegrityError) as raised:
        Shop.objects.create(id=SECRET, name="b", number=2)

    assert_tells_all_but_the_value(raised.value, index="_id_", keys="_id")


def test_error_names_every_key_when_the_index_has_several() -> None:
    shop = Shop.objects.create(id="a", name="a", number=1)
    order = Order.objects.create(
        id="o", shop=shop, status="new", amount=1, reference="r", created_at="2024-01-01T00:00:00Z"
    )
    Line.objects.create(order=order, text=SECRET, position=1)

    with pytest.raises(IntegrityError, match="order_id, position"):
        Line.objects.create(order=order, text=SECRET, position=1)


def test_text_of_django_stays_when_a_required_value_is_missing() -> None:
    with pytest.raises(IntegrityError, match="You can't set name"):
        Shop.objects.create(id="a", name=None, number=1)


def test_error_names_the_servers_code_when_it_refuses_a_query() -> None:
    with pytest.raises(DatabaseError, match="on collection mongo_app_shop: code 51091") as raised:
        list(Shop.objects.filter(name__regex=SECRET + "("))

    assert SECRET not in str(raised.value)
