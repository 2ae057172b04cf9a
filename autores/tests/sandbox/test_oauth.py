"""Consent and tokens behave as X documents and as others observed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from autores.tests.sandbox.conftest import (
    BASIC,
    CALLBACK,
    ask_token,
    authorize,
    make_challenge,
    sent_back,
)


@pytest.fixture
def code(sandbox):
    sandbox.control.create_user("acme")
    sandbox.control.set_consent(username="acme")
    verifier, challenge = make_challenge()
    return {
        "grant_type": "authorization_code",
        "code": sent_back(authorize(sandbox, challenge))["code"],
        "redirect_uri": CALLBACK,
        "code_verifier": verifier,
    }


def assert_refused(response, status=400, error="invalid_request"):
    assert response.status_code == status, response.text
    assert response.json()["error"] == error
    assert "error_description" in response.json()


def test_tokens_are_granted_when_the_whole_flow_is_followed(sandbox, code):
    answer = ask_token(sandbox, **code)
    assert answer.status_code == 200
    grant = answer.json()
    assert grant["token_type"] == "bearer"
    assert grant["expires_in"] == 7200
    assert "offline.access" in grant["scope"].split()
    me = requests.get(
        f"{sandbox.url}/2/users/me",
        headers={"Authorization": f"Bearer {grant['access_token']}"},
        timeout=10,
    )
    assert me.json()["data"]["username"] == "acme"


def test_code_is_refused_when_it_was_used(sandbox, code):
    assert ask_token(sandbox, **code).status_code == 200
    assert_refused(ask_token(sandbox, **code))


def test_code_is_refused_when_half_a_minute_passed(sandbox, code):
    sandbox.control.advance_clock(31)
    assert_refused(ask_token(sandbox, **code))


def test_code_is_refused_when_the_verifier_is_another(sandbox, code):
    assert_refused(ask_token(sandbox, **code | {"code_verifier": make_challenge()[0]}))


def test_code_is_refused_when_the_redirect_differs(sandbox, code):
    assert_refused(ask_token(sandbox, **code | {"redirect_uri": CALLBACK + "/"}))


@pytest.mark.parametrize("auth", [None, ("sandbox-client", "wrong"), ("someone", "sandbox-secret")])
def test_token_is_refused_when_basic_auth_is_missing_or_wrong(sandbox, code, auth):
    extra = {"client_id": BASIC[0], "client_secret": BASIC[1]} if auth is None else {}
    assert_refused(ask_token(sandbox, auth=auth, **code, **extra), 401, "unauthorized_client")
    assert ask_token(sandbox, **code).status_code == 200


def test_refresh_token_burns_when_used(sandbox, code):
    first = ask_token(sandbox, **code).json()["refresh_token"]
    answer = ask_token(sandbox, grant_type="refresh_token", refresh_token=first)
    assert answer.status_code == 200
    assert answer.json()["refresh_token"] != first
    stale = ask_token(sandbox, grant_type="refresh_token", refresh_token=first)
    assert_refused(stale)
    assert stale.json()["error_description"] == "Value passed for the token was invalid."
    second = answer.json()["refresh_token"]
    again = ask_token(sandbox, grant_type="refresh_token", refresh_token=second)
    assert again.status_code == 200


def test_only_one_wins_when_many_refresh_at_once(sandbox, code):
    token = ask_token(sandbox, **code).json()["refresh_token"]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: ask_token(sandbox, grant_type="refresh_token", refresh_token=token),
                range(24),
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 23


def test_access_token_dies_when_two_hours_passed(sandbox, acme):
    assert acme.get("/2/users/me").status_code == 200
    sandbox.control.advance_clock(7201)
    assert acme.get("/2/users/me").status_code == 401


def test_access_token_dies_when_the_person_revokes_the_app(sandbox, acme):
    sandbox.control.revoke_tokens(acme.user_id)
    assert acme.get("/2/users/me").status_code == 401


def test_grant_ends_when_the_refresh_token_is_revoked(sandbox, code):
    grant = ask_token(sandbox, **code).json()
    answer = requests.post(
        f"{sandbox.url}/2/oauth2/revoke",
        data={"token": grant["refresh_token"]},
        auth=BASIC,
        timeout=10,
    )
    assert answer.json() == {"revoked": True}
    assert_refused(
        ask_token(sandbox, grant_type="refresh_token", refresh_token=grant["refresh_token"])
    )


def test_no_refresh_token_comes_when_offline_access_has_an_underscore(sandbox):
    sandbox.control.create_user("acme")
    sandbox.control.set_consent(username="acme")
    verifier, challenge = make_challenge()
    back = sent_back(authorize(sandbox, challenge, scope="tweet.read users.read offline_access"))
    grant = ask_token(
        sandbox,
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=CALLBACK,
        code_verifier=verifier,
    ).json()
    assert "refresh_token" not in grant
    assert grant["scope"] == "tweet.read users.read"


def test_access_denied_comes_back_when_the_person_denies(sandbox):
    sandbox.control.create_user("acme")
    sandbox.control.set_consent(username="acme", decision="deny")
    back = sent_back(authorize(sandbox, make_challenge()[1]))
    assert back == {"error": "access_denied", "state": "a-state"}


def test_scopes_are_narrower_when_consent_says_so(sandbox):
    sandbox.control.create_user("acme")
    sandbox.control.set_consent(username="acme", scopes=["tweet.read", "users.read"])
    verifier, challenge = make_challenge()
    back = sent_back(authorize(sandbox, challenge))
    grant = ask_token(
        sandbox,
        grant_type="authorization_code",
        code=back["code"],
        redirect_uri=CALLBACK,
        code_verifier=verifier,
    ).json()
    assert grant["scope"] == "tweet.read users.read"


@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK.replace("127.0.0.1", "localhost")},
        {"client_id": "someone-else"},
        {"state": "x" * 501},
        {"code_challenge": "short"},
        {"response_type": "token"},
    ],
)
def test_consent_page_refuses_without_redirect_when_the_request_is_wrong(sandbox, changes):
    sandbox.control.create_user("acme")
    sandbox.control.set_consent(username="acme")
    answer = authorize(sandbox, make_challenge()[1], **changes)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_page_asks_and_sends_back_when_nothing_was_decided_before(sandbox):
    user = sandbox.control.create_user("acme", name="Acme <Inc>")
    _, challenge = make_challenge()
    page = authorize(sandbox, challenge)
    assert page.status_code == 200
    assert "Acme &lt;Inc&gt;" in page.text
    for decision, key in (("approve", "code"), ("deny", "error")):
        answer = requests.post(
            page.url,
            data={"user_id": user["id"], "decision": decision},
            allow_redirects=False,
            timeout=10,
        )
        assert key in sent_back(answer)


def test_one_shot_consent_goes_before_the_sticky_one_when_both_are_set(sandbox):
    for name in ("acme", "ana"):
        sandbox.control.create_user(name)
    sandbox.control.set_consent(username="acme", sticky=True)
    sandbox.control.set_consent(username="ana", decision="deny")
    _, challenge = make_challenge()
    assert "error" in sent_back(authorize(sandbox, challenge))
    assert "code" in sent_back(authorize(sandbox, challenge))
    assert "code" in sent_back(authorize(sandbox, challenge))


@pytest.mark.parametrize(
    ("scopes", "method", "path"),
    [
        ("users.read", "GET", "/2/users/1/mentions"),
        ("tweet.read users.read", "POST", "/2/tweets"),
        ("tweet.read users.read", "DELETE", "/2/tweets/1"),
        ("tweet.read users.read dm.read", "POST", "/2/dm_conversations/with/1/messages"),
        ("tweet.read users.read dm.write", "GET", "/2/dm_conversations/with/1/dm_events"),
    ],
)
def test_bare_forbidden_is_answered_when_a_scope_is_missing(sign_in, scopes, method, path):
    caller = sign_in("acme", scopes=scopes)
    answer = caller.call(method, path)
    assert answer.status_code == 403
    assert answer.json()["detail"] == "Forbidden"


def test_app_token_reads_but_never_writes_when_used(sandbox, acme):
    acme.session.headers["Authorization"] = "Bearer sandbox-app-bearer"
    assert acme.get(f"/2/users/{acme.user_id}/mentions").status_code == 200
    answer = acme.call("POST", "/2/tweets", json={"text": "no"})
    assert answer.status_code == 403
    assert answer.json()["title"] == "Unsupported Authentication"
