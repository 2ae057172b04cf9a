"""Who is let in: access tokens, personal tokens, passwords, and the end of each."""

import logging
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from accounts.api.authentication import issue_access_token
from accounts.models import OAuthState, PersonalToken, User
from accounts.personal import create_personal_token
from accounts.stored_tokens import token_cipher
from accounts.tests.conftest import Browser, client_of, make_person
from accounts.verified import sign_ins
from autores.tests.cast import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/auth/me"


def ask(value: str) -> Any:
    return client_of().get(ME, headers={"Authorization": value})


def forge(**changes: Any) -> str:
    claims = jwt.decode(
        changes.pop("token"), django_settings.SECRET_KEY, algorithms=["HS256"], issuer="autores"
    )
    key = changes.pop("key", django_settings.SECRET_KEY)
    return jwt.encode({**claims, **changes}, key, algorithm=changes.pop("alg", "HS256"))


def test_caller_is_asked_to_sign_in_when_no_token_is_sent(transactional_db: None) -> None:
    answer = client_of().get(ME)

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["code"] == "not_authenticated"


def test_access_token_lasts_as_long_as_the_settings_say(ana: User) -> None:
    token = issue_access_token(ana)
    claims = jwt.decode(token, options={"verify_signature": False})

    assert claims["sub"] == ana.pk
    assert claims["exp"] - claims["iat"] == django_settings.ACCESS_TOKEN_EXPIRE_MINUTES * 60
    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert ask(f"Bearer {token}").json()["username"] == "ana"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_scheme_is_known_in_any_case(ana: User, scheme: str) -> None:
    assert ask(f"{scheme} {issue_access_token(ana)}").json()["username"] == "ana"
    assert ask(f"{scheme} ").status_code == 401
    assert ask(f"{scheme}x {issue_access_token(ana)}").status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_600_000_000},
        {"key": "another-secret-key-that-is-long-enough-for-hs256"},
        {"iss": "somebody else"},
        {"token_type": "refresh"},
        {"epoch": "0" * 24},
    ],
)
def test_access_token_is_refused_when_forged_or_old(ana: User, changes: dict[str, Any]) -> None:
    answer = ask(f"Bearer {forge(token=issue_access_token(ana), **changes)}")

    assert answer.status_code == 401
    assert answer.json()["code"] == "token_not_valid"
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_access_token_is_refused_when_it_is_not_signed(ana: User) -> None:
    claims = jwt.decode(issue_access_token(ana), options={"verify_signature": False})

    assert ask(f"Bearer {jwt.encode(claims, None, algorithm='none')}").status_code == 401


def test_access_token_ends_when_the_password_changes(ana: User) -> None:
    token = issue_access_token(ana)
    ana.set_password("another-good-one-9")
    ana.save()

    answer = ask(f"Bearer {token}")

    assert answer.status_code == 401
    assert "password was changed" in answer.json()["detail"]


@pytest.mark.parametrize("kind", ["access", "personal"])
def test_inactive_person_is_refused_whatever_the_token(ana: User, kind: str) -> None:
    token = issue_access_token(ana) if kind == "access" else create_personal_token(ana, name="x")[1]
    User.objects.filter(pk=ana.pk).update(is_active=False)

    answer = ask(f"Bearer {token}")

    assert answer.status_code == 401
    assert answer.json()["code"] == "person_inactive"


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer a b", "Bearer garbage", "Token garbage", "Bearer atr_" + "x" * 43],
)
def test_caller_is_refused_when_the_header_makes_no_sense(
    transactional_db: None, value: str
) -> None:
    answer = ask(value)

    assert answer.status_code == 401
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("staff", [True, False])
@pytest.mark.parametrize("as_form", [True, False])
def test_access_token_is_given_for_name_and_password(
    transactional_db: None, staff: bool, as_form: bool
) -> None:
    make_person("dora", is_staff=staff)
    credentials = {"username": "dora", "password": PASSWORD}

    answer = client_of().post(
        "/api/v1/auth/token", credentials, format="multipart" if as_form else "json"
    )

    assert answer.status_code == 200
    assert answer.json()["token_type"] == "bearer"
    assert ask(f"Bearer {answer.json()['access_token']}").json()["username"] == "dora"


def test_access_token_is_given_when_the_form_is_urlencoded(ana: User) -> None:
    answer = Client().post(
        "/api/v1/auth/token/",
        f"username=ana&password={PASSWORD}",
        content_type="application/x-www-form-urlencoded",
    )

    assert answer.status_code == 200


def test_same_answer_is_given_when_name_or_password_is_wrong_or_inactive(ana: User) -> None:
    make_person("gone", is_active=False)
    attempts = [("ana", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD)]

    answers = [
        client_of().post("/api/v1/auth/token", {"username": name, "password": password})
        for name, password in attempts
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer.json()["code"] for answer in answers} == {"invalid_credentials"}
    assert all(answer["WWW-Authenticate"].startswith("Bearer") for answer in answers)


def test_guessing_is_stopped_when_five_passwords_were_wrong(ana: User) -> None:
    client = client_of()
    for _ in range(5):
        client.post("/api/v1/auth/token", {"username": "ana", "password": "wrong"})

    answer = client.post("/api/v1/auth/token", {"username": "ANA", "password": PASSWORD})

    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_attempts"
    assert int(answer["Retry-After"]) > 0
    elsewhere = client.post(
        "/api/v1/auth/token",
        {"username": "ana", "password": PASSWORD},
        REMOTE_ADDR="203.0.113.9",
    )
    assert elsewhere.status_code == 200


def test_admin_shares_the_count_when_passwords_are_guessed(transactional_db: None) -> None:
    make_person("root", is_staff=True, is_superuser=True)
    form = {"username": "root", "password": "wrong", "next": "/admin/"}
    for _ in range(5):
        assert Client().post("/admin/login/", form).status_code == 200

    answer = Client().post("/admin/login/", {**form, "password": PASSWORD})
    by_api = client_of().post("/api/v1/auth/token", {"username": "root", "password": PASSWORD})

    assert answer.status_code == 200
    assert by_api.status_code == 429


def test_person_without_staff_rights_signs_in_to_the_browsable_api(ana: User) -> None:
    browser = Client()
    page = browser.get(ME, headers={"Accept": "text/html"})
    assert b"/api/v1/auth/session/login/" in page.content

    browser.post("/api/v1/auth/session/login/", {"username": "ana", "password": PASSWORD})

    assert browser.get(ME).json()["username"] == "ana"


def test_personal_token_is_shown_once_and_stored_hashed(ana: User) -> None:
    from django.db import connection

    client = client_of(ana)
    made = client.post("/api/v1/auth/tokens", {"name": "nightly"})

    assert made.status_code == 201
    value = made.json()["token"]
    assert value.startswith("atr_")
    listed = client.get("/api/v1/auth/tokens").json()
    assert [token["name"] for token in listed] == ["nightly"]
    assert "token" not in listed[0]
    stored = connection.get_collection(PersonalToken._meta.db_table).find_one()
    assert value not in repr(stored)
    for scheme in ("Bearer", "Token"):
        assert ask(f"{scheme} {value}").json()["username"] == "ana"


def test_personal_token_ends_when_revoked(ana: User, carla: User) -> None:
    made = client_of(ana).post("/api/v1/auth/tokens", {"name": "nightly"}).json()

    refused = client_of(carla).delete(f"/api/v1/auth/tokens/{made['id']}")
    assert (refused.status_code, refused.json()["code"]) == (404, "personal_token_not_found")
    assert ask(f"Bearer {made['token']}").status_code == 200
    assert client_of(ana).delete(f"/api/v1/auth/tokens/{made['id']}").status_code == 204
    assert ask(f"Bearer {made['token']}").status_code == 401


def test_personal_token_ends_when_it_expires(ana: User) -> None:
    _, value = create_personal_token(
        ana, name="short", expires_at=timezone.now() - timedelta(seconds=1)
    )

    assert ask(f"Bearer {value}").json()["code"] == "token_expired"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "auth/tokens"),
        ("post", "auth/twitter/authorize"),
        ("get", "auth/twitter/callback?state=a&code=b"),
    ],
)
def test_personal_token_cannot_get_what_outlives_it(ana: User, method: str, path: str) -> None:
    _, value = create_personal_token(ana, name="leaked")

    ask = getattr(client_of(), method)
    answer = ask(f"/api/v1/{path}", {"name": "x"}, headers={"Authorization": f"Bearer {value}"})

    assert answer.status_code == 403
    assert answer.json()["code"] == "sign_in_needed"
    assert not OAuthState.objects.exists()


def test_personal_token_is_refused_when_it_would_never_work(ana: User) -> None:
    past = (timezone.now() - timedelta(days=1)).isoformat()

    answer = client_of(ana).post("/api/v1/auth/tokens", {"name": "x", "expires_at": past})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "expires_at"


def test_last_use_is_written_once_a_minute(ana: User) -> None:
    token, value = create_personal_token(ana, name="busy")
    ask(f"Bearer {value}")
    first = PersonalToken.objects.get().last_used_at
    ask(f"Bearer {value}")
    assert PersonalToken.objects.get().last_used_at == first
    PersonalToken.objects.filter(pk=token.pk).update(last_used_at=first - timedelta(minutes=2))
    sign_ins.forget_all()

    ask(f"Bearer {value}")

    assert PersonalToken.objects.get().last_used_at >= first


def test_session_needs_the_csrf_token_when_it_changes_something(ana: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(ana)

    assert browser.get(ME).status_code == 200
    answer = browser.post("/api/v1/auth/tokens", {"name": "x"}, content_type="application/json")

    assert answer.status_code == 403


def test_no_secret_is_logged_when_an_account_is_connected_and_used(
    sandbox: Any, ana: User, caplog: pytest.LogCaptureFixture
) -> None:
    from accounts.clients import call_x
    from accounts.models import TwitterAccount

    caplog.set_level(logging.DEBUG)
    sandbox.control.create_user("acme")
    browser = Browser(sandbox, ana)
    query = browser.consent(browser.begin(), "acme")
    body = browser.finish(query).json()
    account = TwitterAccount.objects.get()
    client_of().post("/api/v1/auth/token", {"username": "ana", "password": PASSWORD})
    _, personal = create_personal_token(ana, name="x")
    ask(f"Bearer {personal}")
    sandbox.control.expire_tokens(account.twitter_id)
    call_x(account, lambda x: x.get_me())
    cipher = token_cipher()
    secrets = [
        query["code"],
        query["state"],
        body["access_token"],
        PASSWORD,
        personal,
        "sandbox-secret",
        *(cipher.decrypt(value) for value in (account.access_token, account.refresh_token)),
    ]

    from autores.observability.logs import TextFormatter

    formatter = TextFormatter()
    lines = "\n".join(
        formatter.format(record)
        for record in caplog.records
        # The test's own client to the sandbox, and the driver's command log.
        if not record.name.startswith(("urllib3", "pymongo", "werkzeug"))
    )

    assert lines
    for secret in secrets:
        assert secret not in lines
