"""How many passwords may be tried: in turn, at once, and by whom."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import RequestFactory

from accounts import counting
from accounts.guessing import GuessGuard, address_of
from accounts.models import User
from accounts.tests.conftest import client_of
from autores.tests.cast import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "/api/v1/auth/token"
HOME, AWAY = "203.0.113.9", "198.51.100.7"


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    # A window that ends in the middle of a test would let more attempts through.
    monkeypatch.setattr(counting.time, "time", lambda: 1_800_000_000.0)
    settings.RATE_LIMIT_PER_MINUTE = 10_000


def sign_in(password: str = "wrong", *, username: str = "ana", address: str = HOME) -> int:
    answer = client_of().post(
        TOKEN, {"username": username, "password": password}, REMOTE_ADDR=address
    )
    return int(answer.status_code)


def lock_name(username: str) -> None:
    """A hundred failures, from so many addresses that none of them is locked itself."""
    for number in range(100):
        request = RequestFactory().get("/", REMOTE_ADDR=f"192.0.2.{number}")
        assert GuessGuard(request, username=username).begin_attempt() == 0


def test_five_passwords_are_tried_when_forty_arrive_at_once(ana: User) -> None:
    def attempt(_: int) -> int:
        try:
            return sign_in()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=40) as pool:
        found = list(pool.map(attempt, range(40)))

    assert (found.count(401), found.count(429)) == (5, 35)


def test_right_password_costs_nothing_when_it_is_repeated(ana: User) -> None:
    assert [sign_in(PASSWORD) for _ in range(8)] == [200] * 8
    assert [sign_in() for _ in range(6)] == [401] * 5 + [429]


def test_refused_attempts_lock_nobody_else_when_one_address_goes_on(ana: User) -> None:
    for _ in range(120):
        sign_in(address=AWAY)

    assert sign_in(PASSWORD, address=HOME) == 200
    # Nor the rest of the office: what was refused is not counted against the address.
    assert sign_in(username="bruno", address=AWAY) == 401


def test_person_signs_in_from_a_known_address_when_the_name_is_locked(ana: User) -> None:
    assert sign_in(PASSWORD, address=HOME) == 200
    lock_name("ana")

    assert sign_in(PASSWORD, address=AWAY) == 429
    assert sign_in(PASSWORD, address=HOME) == 200
    # A known address may guess no more often than any other.
    assert [sign_in(address=HOME) for _ in range(6)] == [401] * 5 + [429]


def test_address_is_known_to_its_person_only_when_a_name_is_locked(ana: User, bruno: User) -> None:
    assert sign_in(PASSWORD, username="bruno", address=HOME) == 200
    lock_name("ana")

    assert sign_in(PASSWORD, username="ana", address=HOME) == 429


@pytest.mark.parametrize(
    ("given", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::FFFF:cb00:7109", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("not an address", "unreadable"),
    ],
)
def test_address_is_counted_as_its_owners_when_written_in_another_way(
    given: str, counted: str
) -> None:
    assert address_of(RequestFactory().get("/", REMOTE_ADDR=given)) == counted
