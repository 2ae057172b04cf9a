"""The OpenAPI document and its pages."""

from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def document() -> dict[str, Any]:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return dict(answer.json())


def test_endpoints_are_documented_once(document: dict[str, Any]) -> None:
    paths = set(document["paths"])

    assert paths >= {
        "/api/v1/auth/twitter/authorize",
        "/api/v1/auth/twitter/callback",
        "/api/v1/auth/refresh",
        "/api/v1/auth/token",
        "/api/v1/auth/tokens",
        "/api/v1/auth/tokens/{id}",
        "/api/v1/auth/me",
        "/api/v1/accounts/",
        "/api/v1/accounts/{id}",
    }
    assert len({path.rstrip("/") for path in paths}) == len(paths)


def test_ways_to_sign_in_are_documented(document: dict[str, Any]) -> None:
    assert {"accessToken", "personalToken"} <= set(document["components"]["securitySchemes"])


def test_no_answer_has_a_field_for_a_stored_token(document: dict[str, Any]) -> None:
    account = document["components"]["schemas"]["Account"]["properties"]

    assert not {"access_token", "refresh_token", "refresh_lease"} & set(account)


@pytest.mark.parametrize("path", ["/api/v1/docs", "/api/v1/docs/", "/api/v1/redoc"])
def test_page_opens_without_foreign_scripts(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 200
    assert "cdn." not in answer.content.decode()
