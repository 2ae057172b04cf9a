import base64
import hashlib
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from autores.tests.scripted_server import ScriptedServer
from autores.x import errors as x_errors
from autores.x.oauth import OAuthClient
from autores.x.types import Call, TokenGrant

STATE = "a-state-nobody-can-guess"
SECRET = "app-client-secret-d4e5f6"
SCOPES = ["tweet.read", "users.read", "tweet.write", "offline.access"]
GRANT = {
    "token_type": "bearer",
    "expires_in": 7200,
    "access_token": "fresh-access-token-1",
    "refresh_token": "fresh-refresh-token-1",
    "scope": "tweet.read users.read tweet.write offline.access",
}


@pytest.fixture
def make_oauth(x: ScriptedServer, calls: list[Call]) -> Callable[..., OAuthClient]:
    def make(**options: Any) -> OAuthClient:
        defaults: dict[str, Any] = {
            "base_url": x.url,
            "authorize_url": f"{x.url}/i/oauth2/authorize",
            "client_id": "app-client-id",
            "client_secret": SECRET,
            "redirect_uri": "http://localhost:8000/api/v1/auth/twitter/callback",
            "scopes": SCOPES,
            "connect_timeout": 1.0,
            "read_timeout": 0.5,
            "allow_insecure_loopback": True,
            "observe": calls.append,
        }
        return OAuthClient(**(defaults | options))

    return make


@pytest.fixture
def oauth(make_oauth: Callable[..., OAuthClient]) -> OAuthClient:
    return make_oauth()


def test_the_consent_page_is_asked_rightly_when_a_flow_begins(oauth: OAuthClient) -> None:
    begun = oauth.begin(STATE)
    split = urlsplit(begun.url)
    query = {name: values[0] for name, values in parse_qs(split.query).items()}
    digest = hashlib.sha256(begun.code_verifier.encode()).digest()
    assert query == {
        "response_type": "code",
        "client_id": "app-client-id",
        "redirect_uri": "http://localhost:8000/api/v1/auth/twitter/callback",
        "scope": "tweet.read users.read tweet.write offline.access",
        "state": STATE,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    assert (split.scheme, split.path) == ("http", "/i/oauth2/authorize")
    assert "tweet.read%20users.read" in split.query
    assert 43 <= len(begun.code_verifier) <= 128
    assert oauth.begin(STATE).code_verifier != begun.code_verifier


def test_the_code_is_exchanged_as_x_documents_when_it_arrives(
    x: ScriptedServer, oauth: OAuthClient, calls: list[Call]
) -> None:
    x.answer(GRANT)
    before = datetime.now(UTC)
    grant = oauth.exchange("one-time-code", code_verifier="v" * 64)
    (request,) = x.received
    assert (request.method, request.path) == ("POST", "/2/oauth2/token")
    assert request.form == {
        "grant_type": "authorization_code",
        "code": "one-time-code",
        "redirect_uri": "http://localhost:8000/api/v1/auth/twitter/callback",
        "code_verifier": "v" * 64,
    }
    basic = base64.b64encode(f"app-client-id:{SECRET}".encode()).decode()
    assert request.headers["authorization"] == f"Basic {basic}"
    assert grant.access_token == "fresh-access-token-1"
    assert grant.refresh_token == "fresh-refresh-token-1"
    assert grant.scopes == set(SCOPES)
    assert abs(grant.expires_at - before - timedelta(hours=2)) < timedelta(seconds=5)
    assert [(call.path, call.status) for call in calls] == [("/2/oauth2/token", 200)]
    oauth.check_scopes(grant)


def test_the_new_pair_is_given_when_a_token_is_refreshed(
    x: ScriptedServer, oauth: OAuthClient
) -> None:
    x.answer(GRANT | {"refresh_token": "fresh-refresh-token-2"})
    assert oauth.refresh("old-refresh").refresh_token == "fresh-refresh-token-2"
    assert x.received[0].form == {"grant_type": "refresh_token", "refresh_token": "old-refresh"}
    assert x.received[0].headers["authorization"].startswith("Basic ")


def test_the_narrower_grant_is_read_when_a_person_allowed_less(
    x: ScriptedServer, oauth: OAuthClient
) -> None:
    x.answer({k: v for k, v in GRANT.items() if k != "refresh_token"} | {"scope": "tweet.read"})
    grant = oauth.exchange("code", code_verifier="v" * 64)
    assert (grant.refresh_token, grant.scopes) == (None, {"tweet.read"})
    with pytest.raises(x_errors.MissingScopeError) as caught:
        oauth.check_scopes(grant)
    assert caught.value.missing == {"users.read", "tweet.write", "offline.access"}


@pytest.mark.parametrize(
    "odd",
    [{"expires_in": "soon"}, {"expires_in": -1}, {"expires_in": None}, {"scope": 5}, {"more": []}],
)
def test_the_new_pair_is_not_lost_when_another_field_is_odd(
    x: ScriptedServer, oauth: OAuthClient, odd: dict[str, Any]
) -> None:
    x.answer(GRANT | odd)
    grant = oauth.refresh("old-refresh")
    assert grant.refresh_token == "fresh-refresh-token-1"
    assert grant.scopes == set(SCOPES)
    assert timedelta(0) < grant.expires_at - datetime.now(UTC) <= timedelta(hours=2)


def test_a_token_is_forgotten_when_revoked(x: ScriptedServer, oauth: OAuthClient) -> None:
    x.answer({"revoked": True})
    oauth.revoke("some-token")
    assert (x.received[0].path, x.received[0].form) == ("/2/oauth2/revoke", {"token": "some-token"})


def test_the_account_must_reconnect_when_its_refresh_token_is_stale(
    x: ScriptedServer, oauth: OAuthClient
) -> None:
    stale = "Value passed for the token was invalid."
    x.answer({"error": "invalid_request", "error_description": stale}, status=400)
    with pytest.raises(x_errors.InvalidGrantError) as caught:
        oauth.refresh("stale")
    assert (caught.value.code, caught.value.scope) == ("refresh_token_rejected", "account")
    assert not caught.value.retryable
    assert "Reconnect" in caught.value.sentence


@pytest.mark.parametrize(
    ("act", "retryable"),
    [
        (lambda o: o.exchange("code", code_verifier="v" * 64), False),
        (lambda o: o.refresh("refresh"), True),
    ],
    ids=["exchange", "refresh"],
)
@pytest.mark.parametrize("step", [{"after": "reset"}, {"after": "hang"}, {"after": "close"}])
def test_the_outcome_is_unknown_when_x_takes_the_request_and_is_silent(
    x: ScriptedServer, oauth: OAuthClient, act: Any, retryable: bool, step: dict[str, str]
) -> None:
    x.act(**step)
    with pytest.raises(x_errors.NoAnswerError) as caught:
        act(oauth)
    assert (caught.value.is_outcome_unknown, caught.value.retryable) == (True, retryable)


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (503, b"<html>down</html>", x_errors.ServerError),
        (401, {"error": "invalid_client"}, x_errors.InvalidClientError),
        (302, b"", x_errors.ContractError),
        (200, b"<html>", x_errors.ContractError),
        (200, b"access_token=abc&token_type=bearer", x_errors.ContractError),
        (200, [], x_errors.ContractError),
        (200, {}, x_errors.ContractError),
        (200, {"error": "invalid_grant"}, x_errors.ContractError),
        (200, {"access_token": 5, "token_type": "bearer"}, x_errors.ContractError),
    ],
)
def test_the_failure_is_typed_when_the_token_endpoint_answers(
    x: ScriptedServer, oauth: OAuthClient, status: int, body: Any, expected: type[x_errors.XError]
) -> None:
    x.answer(body, status=status)
    with pytest.raises(expected):
        oauth.exchange("code", code_verifier="v" * 64)
    assert len(x.received) == 1


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"state": STATE, "error": "access_denied"}, x_errors.AccessDeniedError),
        ({"state": "another-state-altogether", "code": "c"}, x_errors.StateMismatchError),
        ({"code": "c"}, x_errors.StateMismatchError),
        ({"state": "\ud83d", "code": "c"}, x_errors.StateMismatchError),
        ({"state": "ä", "code": "c"}, x_errors.StateMismatchError),
        ({"state": STATE}, x_errors.OAuthError),
        ({"state": STATE, "error": "server_error"}, x_errors.OAuthError),
    ],
)
def test_the_refusal_is_typed_when_the_callback_brings(
    oauth: OAuthClient, params: dict[str, str], expected: type[x_errors.XError]
) -> None:
    with pytest.raises(expected):
        oauth.read_callback(params, expected_state=STATE)


def test_the_code_is_read_when_the_callback_is_ours(oauth: OAuthClient) -> None:
    assert oauth.read_callback({"state": STATE, "code": "c"}, expected_state=STATE) == "c"


@pytest.mark.parametrize(
    "options",
    [
        {"allow_insecure_loopback": False},
        {"base_url": "http://api.x.com"},
        {"authorize_url": "http://x.com/i/oauth2/authorize"},
        {"base_url": "http://127.0.0.1.evil.example"},
        {"base_url": "http://localhost@evil.example"},
        {"base_url": "//api.x.com"},
        {"client_secret": ""},
    ],
)
def test_no_client_is_made_when_a_secret_could_leave_in_the_clear(
    make_oauth: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r".+\."):
        make_oauth(**options)


@pytest.mark.parametrize("state", ["short", "s" * 501])
def test_no_flow_begins_when_the_state_is_unfit(oauth: OAuthClient, state: str) -> None:
    with pytest.raises(x_errors.OAuthError, match="16 to 500"):
        oauth.begin(state)


def test_the_process_still_demands_https_when_the_loopback_was_used(
    x: ScriptedServer, oauth: OAuthClient
) -> None:
    from oauthlib.oauth2 import is_secure_transport

    x.answer(GRANT)
    oauth.refresh("refresh")
    assert "OAUTHLIB_INSECURE_TRANSPORT" not in os.environ
    assert not is_secure_transport(x.url)


def test_no_secret_is_shown_when_the_flow_runs_and_fails(
    x: ScriptedServer, oauth: OAuthClient, calls: list[Call], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("requests_oauthlib.oauth2_session").setLevel(logging.DEBUG)
    begun = oauth.begin(STATE)
    x.answer(GRANT)
    grant = oauth.exchange("one-time-code", code_verifier=begun.code_verifier)
    x.answer(GRANT)
    again = oauth.refresh("old-refresh-token")
    x.answer({"error": "odd", "error_description": f"{SECRET} one-time-code"}, status=400)
    with pytest.raises(x_errors.OAuthError) as caught:
        oauth.exchange("one-time-code", code_verifier=begun.code_verifier)
    shown = repr([oauth, begun.code_verifier and begun, grant, again, calls, caught.value])
    shown += str(caught.value) + caplog.text
    for secret in (
        SECRET, begun.code_verifier, grant.access_token, str(grant.refresh_token),
        "one-time-code", "old-refresh-token", STATE.encode().hex(), "Basic ",
    ):  # fmt: skip
        assert secret not in shown


def test_tokens_are_hidden_when_a_grant_is_printed() -> None:
    grant = TokenGrant("secret-a", "secret-b", datetime(2026, 1, 1, tzinfo=UTC), frozenset())
    assert "secret" not in repr(grant)
