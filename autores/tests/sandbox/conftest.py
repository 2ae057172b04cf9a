"""A sandbox over real HTTP, empty for each test, and people in it."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from autores.sandbox.server import RunningSandbox, start_in_thread
from autores.tests.x_openapi.validator import validate_response

CALLBACK = "http://127.0.0.1:9/api/v1/auth/twitter/callback"
SCOPES = "tweet.read tweet.write users.read offline.access dm.read dm.write"
BASIC = ("sandbox-client", "sandbox-secret")


@dataclass
class Caller:
    """Calls X's API as one account; every answer is checked against X's document."""

    base_url: str
    session: requests.Session
    user_id: str
    username: str

    def call(self, method: str, path: str, *, check: str | None = "post", **values: Any):
        response = self.session.request(method, self.base_url + path, timeout=10, **values)
        if check is not None:
            validate_response(method, path, response.status_code, response.json(), check)
        return response

    def get(self, path: str, params: dict[str, Any] | None = None, *, check: str | None = "post"):
        return self.call("GET", path, params=params, check=check)

    def reply(self, text: str, post_id: str):
        body = {"text": text, "reply": {"in_reply_to_tweet_id": post_id}}
        return self.call("POST", "/2/tweets", json=body)

    def mentions(self, check: str | None = "post", **params: Any) -> dict[str, Any]:
        response = self.get(f"/2/users/{self.user_id}/mentions", params, check=check)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture(scope="module")
def running() -> Iterator[RunningSandbox]:
    with start_in_thread(callbacks=(CALLBACK,)) as running:
        yield running


@pytest.fixture
def sandbox(running: RunningSandbox) -> RunningSandbox:
    """A sandbox with nothing in it."""
    running.control.reset()
    return running


@pytest.fixture
def sign_in(sandbox: RunningSandbox) -> Iterator[Callable[..., Caller]]:
    sessions = []

    def connect(username: str, *, scopes: str | None = None, **user: Any) -> Caller:
        created = sandbox.control.create_user(username, **user)
        grant = sandbox.control.issue_tokens(
            username, scopes=None if scopes is None else scopes.split()
        )
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {grant['access_token']}"
        sessions.append(session)
        return Caller(sandbox.url, session, created["id"], username)

    yield connect
    for session in sessions:
        session.close()


@pytest.fixture
def acme(sign_in: Callable[..., Caller]) -> Caller:
    """The account of the team."""
    return sign_in("acme", name="Acme")


def make_challenge() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorize(sandbox: RunningSandbox, challenge: str, **changes: str) -> requests.Response:
    params = {
        "response_type": "code",
        "client_id": BASIC[0],
        "redirect_uri": CALLBACK,
        "scope": SCOPES,
        "state": "a-state",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    } | changes
    return requests.get(
        f"{sandbox.url}/i/oauth2/authorize", params=params, allow_redirects=False, timeout=10
    )


def sent_back(response: requests.Response) -> dict[str, str]:
    assert response.status_code == 302, response.text
    query = parse_qs(urlsplit(response.headers["location"]).query)
    return {name: values[0] for name, values in query.items()}


def ask_token(sandbox: RunningSandbox, *, auth: Any = BASIC, **form: str) -> requests.Response:
    return requests.post(f"{sandbox.url}/2/oauth2/token", data=form, auth=auth, timeout=10)
