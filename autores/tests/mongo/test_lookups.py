"""Lookups that take a text take it as it is written."""

import pytest

from autores.tests.mongo.app.models import Shop

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mongo_app")]

NAMES = [
    "Ana's shop :(",
    "ana's SHOP :(",
    ".*",
    "a|b",
    "Straße",
    "two\n",
    "Nimbus_bikes",
    "5 % \\o/",
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ANA'S SHOP :(", {0, 1}),
        (".*", {2}),
        ("a|b", {3}),
        ("straße", {4}),
        ("two", set()),
        ("a", set()),
        ("(", set()),
        ("", set()),
        ("nimbus_BIKES", {6}),
        ("nimbusxbikes", set()),
        ("5 % \\O/", {7}),
    ],
)
def test_iexact_finds_the_same_text_in_any_case(text: str, found: set[int]) -> None:
    Shop.objects.bulk_create(
        Shop(id=f"s{number}", name=name, number=number) for number, name in enumerate(NAMES)
    )
    shops = Shop.objects.filter(name__iexact=text)
    assert set(shops.values_list("number", flat=True)) == found
