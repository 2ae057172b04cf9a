import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client

from autores.tests.other_server import connected_to

NOWHERE = "mongodb://ana:hunter2-secret@127.0.0.1:1/?directConnection=true"


@pytest.fixture
def _no_mongodb(db: None) -> Iterator[None]:
    with connected_to(NOWHERE):
        yield


@pytest.fixture
def _no_redis(settings: Any) -> None:
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://:hunter2-secret@127.0.0.1:1"}
    }
    caches.close_all()


@pytest.mark.django_db
def test_both_are_fine_when_mongodb_and_redis_answer(client: Client) -> None:
    live, ready = client.get("/healthz"), client.get("/readyz")

    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert ready.status_code == 200
    assert ready.json() == {"status": "ok", "mongodb": "ok", "redis": "ok"}
    for answer in (live, ready):
        assert "no-store" in answer["Cache-Control"]
        assert answer["X-Request-ID"]


@pytest.mark.usefixtures("_no_mongodb")
def test_ready_names_mongodb_when_it_does_not_answer(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    begun = time.monotonic()

    ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json() == {"status": "unavailable", "mongodb": "unreachable", "redis": "ok"}
    assert time.monotonic() - begun < 4, "a probe gives up sooner"
    assert "127.0.0.1:1" in caplog.text
    assert "hunter2" not in caplog.text + ready.content.decode()
    assert client.get("/healthz").status_code == 200


@pytest.mark.django_db
@pytest.mark.usefixtures("_no_redis")
def test_ready_names_redis_when_it_does_not_answer(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    ready = client.get("/readyz")

    assert ready.status_code == 503
    assert ready.json() == {"status": "unavailable", "mongodb": "ok", "redis": "unreachable"}
    assert "hunter2" not in caplog.text + ready.content.decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_is_answered_when_health_is_asked(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def test_plain_http_is_answered_when_production_redirects(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]

    assert client.get("/healthz").status_code == 200
    assert client.get("/admin/").status_code == 301
