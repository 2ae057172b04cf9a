"""The cast, and the road from our API over X's consent page back to our callback."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.api.authentication import issue_access_token
from accounts.models import TwitterAccount, User
from accounts.tasks import find_expiring, refresh_account_token
from autores.tests.cast import add_account, create_person


def make_person(username: str, **values: Any) -> User:
    """Here people come by the API: nobody may open the admin unless a test says so."""
    return create_person(username, **{"is_staff": False, **values})


@pytest.fixture
def ana(transactional_db: None) -> User:
    return make_person("ana")


@pytest.fixture
def bruno(transactional_db: None) -> User:
    return make_person("bruno")


@pytest.fixture
def carla(transactional_db: None) -> User:
    return make_person("carla")


@pytest.fixture
def admin(transactional_db: None) -> User:
    return create_person("root", is_superuser=True)


def client_of(user: User | None = None) -> APIClient:
    """A browser of its own: cookies are not shared with other clients."""
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {issue_access_token(user)}")
    return client


class Browser:
    """One browser on its way: our authorize call, X's consent page, our callback."""

    def __init__(self, sandbox: Any, user: User | None = None) -> None:
        self.sandbox = sandbox
        self.client = client_of(user)

    def begin(self) -> str:
        answer = self.client.post("/api/v1/auth/twitter/authorize")
        assert answer.status_code == 200, answer.content
        return str(answer.json()["authorization_url"])

    def consent(self, url: str, username: str, **values: Any) -> dict[str, str]:
        """What X puts into the callback's query."""
        self.sandbox.control.set_consent(username=username, **values)
        answer = requests.get(url, allow_redirects=False, timeout=20)
        assert answer.status_code == 302, answer.text
        return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))

    def finish(self, query: dict[str, str]) -> Any:
        return self.client.get("/api/v1/auth/twitter/callback", query)

    def connect(self, username: str, **values: Any) -> Any:
        return self.finish(self.consent(self.begin(), username, **values))


@pytest.fixture
def browser(sandbox: Any, transactional_db: None) -> Callable[..., Browser]:
    return lambda user=None: Browser(sandbox, user)


@pytest.fixture
def acme(sandbox: Any, ana: User) -> TwitterAccount:
    """@acme, connected and managed by ana; bruno's role is up to the test."""
    return add_account(sandbox, "acme", by=ana, name="Acme")


def expire_access(account: TwitterAccount, sandbox: Any) -> None:
    """The access token is dead at X and known to be."""
    sandbox.control.expire_tokens(account.twitter_id)
    TwitterAccount.objects.filter(pk=account.pk).update(token_expires_at=timezone.now())


def count_calls(sandbox: Any, route: str) -> int:
    return len(sandbox.control.list_calls(route=route, limit=10_000))


def refresh_expiring_tokens() -> None:
    """What beat's task sends, and the workers do."""
    for account_id in find_expiring(now=timezone.now()):
        refresh_account_token(account_id)
