"""Connecting an account over the API: the contract, the refusals, and the attacks."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import Membership, OAuthState, Role, TwitterAccount, User
from accounts.stored_tokens import token_cipher
from accounts.tests.conftest import Browser, client_of, count_calls

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _acme_at_x(sandbox: Any) -> None:
    sandbox.control.create_user("acme", name="Acme Coffee")


def test_account_and_access_token_are_given_when_consent_is_granted(
    sandbox: Any, ana: User
) -> None:
    answer = Browser(sandbox, ana).connect("acme")

    assert answer.status_code == 200
    body = answer.json()
    account = TwitterAccount.objects.get()
    assert body["account"] == {
        "id": account.pk,
        "twitter_id": account.twitter_id,
        "twitter_username": "acme",
        "display_name": "Acme Coffee",
        "is_active": True,
    }
    assert body["token_type"] == "bearer"
    assert body["expires_in"] == 7200
    assert "no-store" in answer["Cache-Control"]
    me = client_of()
    me.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access_token']}")
    assert me.get("/api/v1/auth/me").json()["roles"] == [
        {"account_id": account.pk, "role": "manager"}
    ]
    assert set(account.scopes) >= {"tweet.read", "tweet.write", "users.read", "offline.access"}


def test_tokens_are_stored_encrypted_when_an_account_is_connected(sandbox: Any, ana: User) -> None:
    from django.db import connection

    Browser(sandbox, ana).connect("acme")

    row = connection.get_collection("users").find_one()
    access = token_cipher().decrypt(row["access_token"])
    refresh = token_cipher().decrypt(row["refresh_token"])
    assert len(access) > 20
    assert len(refresh) > 20
    stored = repr(row)
    assert access not in stored
    assert refresh not in stored


@pytest.mark.parametrize("path", ["authorize", "authorize/"])
def test_no_redirect_is_answered_when_the_slash_differs(sandbox: Any, path: str) -> None:
    answer = client_of().post(f"/api/v1/auth/twitter/{path}")

    assert answer.status_code == 200
    assert answer.json()["authorization_url"].startswith(sandbox.url)


def test_cookie_is_out_of_reach_of_scripts_and_other_sites_when_a_flow_begins(
    transactional_db: None, settings: Any
) -> None:
    settings.IS_PRODUCTION = True
    settings.X_API_BASE_URL = "https://api.x.com"
    settings.X_AUTHORIZE_URL = "https://x.com/i/oauth2/authorize"
    answer = client_of().post("/api/v1/auth/twitter/authorize", secure=True)

    cookie = answer.cookies["__Host-autores_connect"]
    assert cookie["httponly"]
    assert cookie["secure"]
    assert cookie["samesite"] == "Lax"
    assert cookie["path"] == "/"


def test_flow_is_refused_when_its_state_is_replayed(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    assert browser.finish(query).status_code == 200
    exchanges = count_calls(sandbox, "token")

    answer = browser.finish(query)

    assert answer.status_code == 400
    assert answer.json()["code"] == "state_unknown"
    assert count_calls(sandbox, "token") == exchanges


def test_one_callback_wins_when_two_race_with_one_state(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    barrier, statuses = threading.Barrier(4), []

    def finish() -> None:
        client = client_of(ana)
        barrier.wait()
        statuses.append(client.get("/api/v1/auth/twitter/callback", query).status_code)
        connections.close_all()

    threads = [threading.Thread(target=finish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [200, 400, 400, 400]
    assert TwitterAccount.objects.count() == 1


@pytest.mark.parametrize("begun_by_person", [True, False])
def test_flow_is_refused_when_another_browser_ends_it(
    sandbox: Any, ana: User, begun_by_person: bool
) -> None:
    begun = Browser(sandbox, ana if begun_by_person else None)
    query = begun.consent(begun.begin(), "acme")

    answer = Browser(sandbox).finish(query)

    assert answer.status_code == 403
    assert answer.json()["code"] == "other_browser"
    assert not TwitterAccount.objects.exists()
    assert count_calls(sandbox, "token") == 0


def test_flow_is_refused_when_another_person_ends_it(sandbox: Any, ana: User, carla: User) -> None:
    # Carla begins, and lures ana, who is signed in here and at X, to the callback.
    begun = Browser(sandbox, carla)
    query = begun.consent(begun.begin(), "acme")

    answer = Browser(sandbox, ana).finish(query)

    assert answer.status_code == 403
    assert answer.json()["code"] == "other_person"
    assert not Membership.objects.exists()


def test_flow_goes_on_when_the_same_person_ends_it_without_the_cookie(
    sandbox: Any, ana: User
) -> None:
    begun = Browser(sandbox, ana)
    query = begun.consent(begun.begin(), "acme")

    assert Browser(sandbox, ana).finish(query).status_code == 200


def test_flow_goes_on_for_its_person_when_only_the_cookie_is_there(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    browser.client.credentials()

    assert browser.finish(query).status_code == 200
    assert Membership.objects.get().user_id == ana.pk


def test_flow_is_refused_when_it_is_ten_minutes_old(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    flow = OAuthState.objects.get()
    lifetime = flow.expires_at - flow.created_at
    assert timedelta(seconds=599) < lifetime < timedelta(seconds=601)
    OAuthState.objects.filter(pk=flow.pk).update(expires_at=timezone.now())

    answer = browser.finish(query)

    assert answer.status_code == 400
    assert answer.json()["code"] == "state_expired"


def test_state_is_of_no_use_when_read_from_the_database(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")

    answer = browser.finish({**query, "state": OAuthState.objects.get().pk})

    assert answer.json()["code"] == "state_unknown"


@pytest.mark.parametrize(
    ("query", "code"),
    [({}, "state_missing"), ({"state": "x" * 43, "code": "y"}, "state_unknown")],
)
def test_callback_is_refused_when_no_flow_belongs_to_it(
    sandbox: Any, transactional_db: None, query: dict[str, str], code: str
) -> None:
    answer = client_of().get("/api/v1/auth/twitter/callback", query)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == code


def test_refusal_is_named_when_the_person_says_no(sandbox: Any, ana: User) -> None:
    answer = Browser(sandbox, ana).connect("acme", decision="deny")

    assert answer.status_code == 403
    assert answer.json()["code"] == "access_denied"
    assert not OAuthState.objects.exists()


def test_refusal_is_named_when_the_code_was_used(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")

    answer = browser.finish({**query, "code": "not-a-code-of-x"})

    assert answer.status_code == 400
    assert answer.json()["code"] == "code_expired"


def test_refusal_is_named_when_the_redirect_differs(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    flow = OAuthState.objects.get()
    flow.redirect_uri = "http://127.0.0.1:8000/elsewhere"
    flow.save()

    answer = browser.finish(query)

    assert answer.status_code == 502
    assert answer.json()["code"] == "redirect_mismatch"
    assert "TWITTER_CALLBACK_URL" in answer.json()["detail"]


def test_refusal_is_named_when_x_is_down(sandbox: Any, ana: User) -> None:
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    sandbox.control.add_fault("token", "server_error")

    answer = browser.finish(query)

    assert answer.status_code == 502
    assert answer.json()["code"] == "server_error"


def test_tokens_are_revoked_when_a_needed_scope_is_missing(sandbox: Any, ana: User) -> None:
    answer = Browser(sandbox, ana).connect(
        "acme", scopes=["tweet.read", "users.read", "offline.access"]
    )

    assert answer.status_code == 403
    assert answer.json()["code"] == "scope_missing"
    assert "tweet.write" in answer.json()["detail"]
    assert not TwitterAccount.objects.exists()
    assert count_calls(sandbox, "revoke") == 2


def test_stranger_is_refused_and_his_tokens_revoked_when_sign_up_is_closed(
    sandbox: Any, transactional_db: None
) -> None:
    answer = Browser(sandbox).connect("acme")

    assert answer.status_code == 403
    assert answer.json()["code"] == "sign_up_closed"
    assert not TwitterAccount.objects.exists()
    assert not User.objects.exists()
    assert count_calls(sandbox, "revoke") == 2


def test_stranger_is_taken_in_when_sign_up_is_open(sandbox: Any, settings: Any) -> None:
    settings.X_OPEN_SIGN_UP = True

    answer = Browser(sandbox).connect("acme")

    assert answer.status_code == 200
    person = User.objects.get()
    assert person.username == "@acme"
    assert not person.has_usable_password()
    assert not person.is_staff


def test_owner_is_signed_in_as_manager_when_nobody_manages_the_account(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    Membership.objects.all().delete()
    body = Browser(sandbox).connect("acme").json()

    assert body["account"]["id"] == acme.pk
    owner = User.objects.get(x_user_id=acme.twitter_id)
    assert owner.pk != ana.pk
    assert Membership.objects.get(user=owner).role == Role.MANAGER
    # The second time it is the same person.
    Browser(sandbox).connect("acme")
    assert User.objects.count() == 2


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_nobody_gets_a_role_by_consent_when_somebody_manages_the_account(
    sandbox: Any, acme: TwitterAccount, bruno: User, role: Role | None
) -> None:
    """Else whoever lost his role would have it back by the X login that he still knows."""
    if role is not None:
        Membership.objects.create(user=bruno, account=acme, role=role)
    before = list(Membership.objects.order_by("pk").values_list("user_id", "role"))
    TwitterAccount.objects.update(status="token_expired")
    for browser in (Browser(sandbox, bruno), Browser(sandbox)):
        assert browser.connect("acme").status_code == 200
    assert list(Membership.objects.order_by("pk").values_list("user_id", "role")) == before
    # The consent itself is taken.
    assert TwitterAccount.objects.get().status == "active"


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_who_connects_an_account_manages_it_when_its_manager_has_left(
    sandbox: Any, acme: TwitterAccount, ana: User, bruno: User, role: Role | None
) -> None:
    User.objects.filter(pk=ana.pk).update(is_active=False)
    if role is not None:
        Membership.objects.create(user=bruno, account=acme, role=role)
    assert Browser(sandbox, bruno).connect("acme").status_code == 200
    assert Membership.objects.get(user=bruno).role == Role.MANAGER


def test_owner_is_refused_when_deactivated(sandbox: Any, acme: TwitterAccount) -> None:
    Browser(sandbox).connect("acme")
    User.objects.filter(x_user_id=acme.twitter_id).update(is_active=False)

    answer = Browser(sandbox).connect("acme")

    assert answer.status_code == 403
    assert answer.json()["code"] == "person_inactive"


def test_record_is_the_same_when_an_account_reconnects(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    TwitterAccount.objects.filter(pk=acme.pk).update(
        status="token_expired", status_reason="X said no.", voice="Friendly."
    )

    assert Browser(sandbox, ana).connect("acme").status_code == 200

    again = TwitterAccount.objects.get()
    assert again.pk == acme.pk
    assert again.status == "active"
    assert again.status_reason == ""
    assert again.voice == "Friendly."
    assert again.access_token != acme.access_token


def test_pause_outlives_a_reconnection_when_a_person_set_it(
    sandbox: Any, acme: TwitterAccount, ana: User
) -> None:
    TwitterAccount.objects.filter(pk=acme.pk).update(status="paused")

    Browser(sandbox, ana).connect("acme")

    assert TwitterAccount.objects.get().status == "paused"


def test_role_is_kept_when_a_member_reconnects(
    sandbox: Any, acme: TwitterAccount, bruno: User
) -> None:
    Membership.objects.create(user=bruno, account=acme, role=Role.RESPONDER)

    Browser(sandbox, bruno).connect("acme")

    assert Membership.objects.get(user=bruno).role == Role.RESPONDER


def test_refusal_is_named_when_the_app_is_not_configured(settings: Any, ana: User) -> None:
    settings.TWITTER_CLIENT_ID = ""

    answer = client_of(ana).post("/api/v1/auth/twitter/authorize")

    assert answer.status_code == 502
    assert answer.json()["code"] == "invalid_client"
    assert "TWITTER_CLIENT_ID" in answer.json()["detail"]
