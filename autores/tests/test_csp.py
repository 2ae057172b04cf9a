"""Which answers carry the policy, and what it says."""

import pytest
from django.http import HttpResponse
from django.test import Client, RequestFactory

from autores.csp import ContentSecurityPolicyMiddleware

HEADER = "Content-Security-Policy"


@pytest.mark.parametrize(
    "path", ["/admin/login/", "/api/v1/auth/session/login/", "/api/v1/docs", "/api/v1/redoc"]
)
@pytest.mark.django_db
def test_policy_is_sent_when_the_answer_is_a_page(path: str) -> None:
    answer = Client().get(path)

    assert answer.status_code == 200
    policy = answer.headers[HEADER]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self' 'unsafe-inline'" not in policy
    assert ("'unsafe-eval'" in policy) is path.startswith("/admin/")


def test_policy_is_left_out_when_the_answer_is_no_page() -> None:
    answer = Client().get("/api/v1/openapi.json")

    assert answer.status_code == 200
    assert HEADER not in answer.headers


def test_policy_is_kept_when_the_page_has_its_own() -> None:
    own = HttpResponse(headers={HEADER: "default-src 'none'"})

    answer = ContentSecurityPolicyMiddleware(lambda _: own)(RequestFactory().get("/"))

    assert answer.headers[HEADER] == "default-src 'none'"
