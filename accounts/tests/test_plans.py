"""The queries of every request and task are answered by an index."""

from typing import Any

import pytest
from django.utils import timezone

from accounts.api.authentication import issue_access_token
from accounts.clients import call_x
from accounts.models import TwitterAccount, User
from accounts.personal import create_personal_token
from accounts.tests.conftest import Browser, client_of, expire_access, refresh_expiring_tokens
from autores.mongo.plans import recorded_plans

pytestmark = pytest.mark.django_db(transaction=True)


def test_signed_in_requests_use_indexes(acme: TwitterAccount, ana: User) -> None:
    _, personal = create_personal_token(ana, name="x")
    with recorded_plans() as plans:
        for token in (issue_access_token(ana), personal):
            headers = {"Authorization": f"Bearer {token}"}
            client_of().get("/api/v1/auth/me", headers=headers)
            client_of().get("/api/v1/accounts/", headers=headers)
            client_of().get("/api/v1/auth/tokens", headers=headers)

    assert plans
    assert [plan.description for plan in plans if not plan.is_index_scan] == []


def test_connecting_calling_and_refreshing_use_indexes(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    with recorded_plans() as plans:
        Browser(sandbox, ana).connect("acme")
        call_x(acme, lambda x: x.get_me())
        expire_access(acme, sandbox)
        refresh_expiring_tokens()

    assert plans
    assert [plan.description for plan in plans if not plan.is_index_scan] == []
    assert TwitterAccount.objects.get().token_expires_at > timezone.now()
