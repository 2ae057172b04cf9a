"""The limit of requests a minute: whose it is, behind proxies, and without Redis."""

from typing import Any

import pytest
from django.test import override_settings

from accounts import counting
from accounts.models import User
from accounts.personal import create_personal_token
from accounts.tests.conftest import client_of
from autores.tests.cast import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/auth/me"
BEGIN = "/api/v1/auth/twitter/callback"


@pytest.fixture(autouse=True)
def _one_window(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    # A minute that ends in the middle of a test would let one request more through.
    monkeypatch.setattr(counting.time, "time", lambda: 1_800_000_000.0)
    settings.RATE_LIMIT_PER_MINUTE = 3


def statuses(client: Any, path: str, *, times: int, **extra: Any) -> list[int]:
    return [client.get(path, **extra).status_code for _ in range(times)]


def test_request_is_refused_when_the_minute_is_spent(ana: User, carla: User) -> None:
    assert statuses(client_of(ana), ME, times=4) == [200, 200, 200, 429]
    refused = client_of(ana).get(ME)
    assert refused.json()["code"] == "throttled"
    assert 0 < int(refused["Retry-After"]) <= 60
    # Somebody else's minute, and the script's own.
    assert client_of(carla).get(ME).status_code == 200
    _, value = create_personal_token(ana, name="x")
    assert client_of().get(ME, headers={"Authorization": f"Bearer {value}"}).status_code == 200


def test_address_counts_when_nobody_is_signed_in(transactional_db: None) -> None:
    assert statuses(client_of(), BEGIN, times=4) == [400, 400, 400, 429]
    assert client_of().get(BEGIN, REMOTE_ADDR="203.0.113.5").status_code == 400


def test_forged_address_is_ignored_when_no_proxy_is_trusted(transactional_db: None) -> None:
    found = [
        client_of().get(BEGIN, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(4)
    ]

    assert found[-1] == 429


def test_proxys_address_counts_when_one_is_trusted(transactional_db: None, settings: Any) -> None:
    framework = {**settings.REST_FRAMEWORK, "NUM_PROXIES": 1}
    with override_settings(REST_FRAMEWORK=framework):
        forged = [
            client_of()
            .get(BEGIN, headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.7"})
            .status_code
            for n in range(4)
        ]
        other = client_of().get(BEGIN, headers={"X-Forwarded-For": "203.0.113.8"})

    assert forged[-1] == 429
    assert other.status_code == 400


def test_network_counts_when_the_address_is_ipv6(transactional_db: None) -> None:
    found = [client_of().get(BEGIN, REMOTE_ADDR=f"2001:db8::{n}").status_code for n in range(1, 5)]

    assert found == [400, 400, 400, 429]
    assert client_of().get(BEGIN, REMOTE_ADDR="2001:db8:0:1::1").status_code == 400


def test_api_goes_on_when_redis_is_down(ana: User, settings: Any) -> None:
    broken = {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    with override_settings(CACHES={"default": broken}):
        assert statuses(client_of(ana), ME, times=5) == [200] * 5
        signed_in = client_of().post(
            "/api/v1/auth/token", {"username": "ana", "password": PASSWORD}
        )
        assert signed_in.status_code == 200
