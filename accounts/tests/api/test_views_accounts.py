"""Accounts over the API: visible to members, changed by managers, never with a token."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import AppPause, Role, TwitterAccount, User
from accounts.stored_tokens import token_cipher
from accounts.tests.conftest import client_of, count_calls, expire_access
from autores.tests.cast import give_role

pytestmark = pytest.mark.django_db(transaction=True)


def secrets_of(account: TwitterAccount) -> list[str]:
    row = TwitterAccount.objects.get(pk=account.pk)
    stored = [row.access_token, row.refresh_token]
    return [*stored, *(token_cipher().decrypt(value) for value in stored)]


@pytest.mark.parametrize("path", ["/api/v1/accounts/", "/api/v1/accounts"])
def test_members_see_their_accounts_and_strangers_none(
    acme: TwitterAccount, ana: User, bruno: User, carla: User, admin: User, path: str
) -> None:
    give_role(bruno, acme, Role.RESPONDER)
    roles = {}
    for person in (ana, bruno, carla, admin):
        listed = client_of(person).get(path).json()
        roles[person.username] = [(item["twitter_username"], item["role"]) for item in listed]

    assert roles == {
        "ana": [("acme", "manager")],
        "bruno": [("acme", "responder")],
        "carla": [],
        "root": [("acme", "manager")],
    }


def test_no_token_is_answered_when_an_account_is_read(acme: TwitterAccount, ana: User) -> None:
    client = client_of(ana)

    for path in ("/api/v1/accounts/", f"/api/v1/accounts/{acme.pk}", "/api/v1/auth/me"):
        text = client.get(path).content.decode()
        assert not [secret for secret in secrets_of(acme) if secret in text]
    body = client.get(f"/api/v1/accounts/{acme.pk}").json()
    assert body["missing_scopes"] == []
    assert "tweet.write" in body["scopes"]


def test_account_does_not_exist_when_the_person_is_a_stranger(
    acme: TwitterAccount, carla: User
) -> None:
    client = client_of(carla)

    refused = client.get(f"/api/v1/accounts/{acme.pk}")
    assert (refused.status_code, refused.json()["code"]) == (404, "account_not_found")
    assert client.patch(f"/api/v1/accounts/{acme.pk}", {"status": "paused"}).status_code == 404
    assert client.post("/api/v1/auth/refresh", {"account_id": acme.pk}).status_code == 404


def test_change_is_refused_when_the_role_is_below_manager(
    acme: TwitterAccount, bruno: User
) -> None:
    give_role(bruno, acme, Role.APPROVER)
    client = client_of(bruno)

    for answer in (
        client.patch(f"/api/v1/accounts/{acme.pk}", {"status": "paused"}),
        client.post("/api/v1/auth/refresh", {"account_id": acme.pk}),
    ):
        assert answer.status_code == 403
        assert answer.json()["code"] == "role_too_low"


def test_token_is_not_renewed_while_all_calls_are_paused(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    AppPause.objects.create(code="operator", reason="Maintenance.")
    sandbox.control.clear_calls()
    answer = client_of(ana).post("/api/v1/auth/refresh", {"account_id": acme.pk})
    assert (answer.status_code, answer.json()["code"]) == (503, "app_paused")
    assert sandbox.control.list_calls() == []


def test_account_is_paused_and_resumed_when_a_manager_says_so(
    acme: TwitterAccount, ana: User
) -> None:
    client = client_of(ana)

    paused = client.patch(f"/api/v1/accounts/{acme.pk}", {"status": "paused"}).json()
    assert (paused["status"], paused["is_active"]) == ("paused", False)
    assert paused["status_reason"] == "Paused by ana."
    resumed = client.patch(f"/api/v1/accounts/{acme.pk}/", {"status": "active"}).json()
    assert (resumed["status"], resumed["status_reason"]) == ("active", "")


def test_voice_is_kept_when_a_manager_writes_it(acme: TwitterAccount, ana: User) -> None:
    body = (
        client_of(ana)
        .patch(f"/api/v1/accounts/{acme.pk}", {"voice": "Warm.", "drafts_automatically": False})
        .json()
    )

    assert (body["voice"], body["drafts_automatically"]) == ("Warm.", False)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"status": "token_expired"},
        {"access_token": "x"},
        {"twitter_id": "1"},
        [],
    ],
)
def test_change_is_refused_when_it_makes_no_sense(
    acme: TwitterAccount, ana: User, change: Any
) -> None:
    answer = client_of(ana).patch(f"/api/v1/accounts/{acme.pk}", change, format="json")

    assert answer.status_code == 400
    assert TwitterAccount.objects.get().access_token == acme.access_token


def test_field_is_refused_by_name_when_its_name_is_no_text(acme: TwitterAccount, ana: User) -> None:
    answer = client_of(ana).patch(
        f"/api/v1/accounts/{acme.pk}", r'{"\ud800": 1}', content_type="application/json"
    )

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == r"\ud800"


def test_resuming_is_refused_when_only_reconnecting_helps(acme: TwitterAccount, ana: User) -> None:
    TwitterAccount.objects.filter(pk=acme.pk).update(status="token_expired")

    answer = client_of(ana).patch(f"/api/v1/accounts/{acme.pk}", {"status": "active"})

    assert answer.status_code == 409
    assert answer.json()["code"] == "account_token_expired"


@pytest.mark.parametrize("by_query", [True, False])
def test_token_is_renewed_when_a_manager_asks(
    sandbox: Any, acme: TwitterAccount, ana: User, by_query: bool
) -> None:
    client = client_of(ana)
    if by_query:
        answer = client.post(f"/api/v1/auth/refresh?account_id={acme.pk}")
    else:
        answer = client.post("/api/v1/auth/refresh/", {"account_id": acme.pk})

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"message", "expires_at", "account_username"}
    assert body["account_username"] == "acme"
    assert TwitterAccount.objects.get().access_token != acme.access_token
    assert not [secret for secret in secrets_of(acme) if secret in answer.content.decode()]


def test_reason_is_given_when_a_renewal_is_refused(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    expire_access(acme, sandbox)
    sandbox.control.revoke_tokens(acme.twitter_id)

    answer = client_of(ana).post("/api/v1/auth/refresh", {"account_id": acme.pk})

    assert answer.status_code == 409
    assert answer.json()["code"] == "reconnect_needed"
    assert answer.json()["retryable"] is False


def test_renewal_asks_for_the_account_when_none_is_named(acme: TwitterAccount, ana: User) -> None:
    answer = client_of(ana).post("/api/v1/auth/refresh")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "account_id"


def test_limit_does_not_lift_when_a_manager_resumes(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    opens_at = timezone.now() + timedelta(minutes=5)
    TwitterAccount.objects.filter(pk=acme.pk).update(
        status="rate_limited",
        blocked_until=opens_at,
        closed_endpoints=[["get_mentions", opens_at.isoformat()]],
    )

    answer = client_of(ana).patch(f"/api/v1/accounts/{acme.pk}", {"status": "active"})

    assert answer.json()["code"] == "account_rate_limited"
    assert count_calls(sandbox, "mentions") == 0
