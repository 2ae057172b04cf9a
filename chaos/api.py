"""Autores' HTTP API, as a patient client uses it: the same request until there is an answer."""

import time
from typing import Any
from urllib.parse import urljoin

import requests

from autores.sandbox.control import SandboxControl
from chaos.deployment import PASSWORD, USERNAME

TIMEOUT_SECONDS = 30.0
_AWAY = frozenset({500, 503})


class ApiClient:
    """One person's client; not to be shared between threads."""

    def __init__(self, web_url: str) -> None:
        self.web_url = web_url
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business on loopback
        self._session.headers["Accept"] = "application/json"
        answer = self.call("POST", "/auth/token", json={"username": USERNAME, "password": PASSWORD})
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def call(
        self, method: str, path: str, *, patience: float = 90.0, **values: Any
    ) -> requests.Response:
        """The first answer that is one; asked again while the server or its database is away.

        Raises RequestException when patience ends.
        """
        url = f"{self.web_url}/api/v1{path}"
        give_up_at = time.monotonic() + patience
        while True:
            try:
                answer = self._session.request(method, url, timeout=TIMEOUT_SECONDS, **values)
            except requests.RequestException:
                if time.monotonic() > give_up_at:
                    raise
            else:
                if answer.status_code not in _AWAY or time.monotonic() > give_up_at:
                    return answer
            time.sleep(0.5)

    def connect_account(self, username: str, *, on: SandboxControl) -> None:
        """The whole OAuth flow, as its owner goes through it."""
        on.set_consent(username=username)
        started = self.call("POST", "/auth/twitter/authorize")
        started.raise_for_status()
        consent_url = started.json()["authorization_url"]
        with requests.Session() as browser:
            browser.trust_env = False
            consented = browser.get(consent_url, allow_redirects=False, timeout=TIMEOUT_SECONDS)
        callback = urljoin(consent_url, consented.headers["Location"])
        path = callback.removeprefix(f"{self.web_url}/api/v1")
        self.call("GET", path).raise_for_status()

    def list_accounts(self) -> list[dict[str, Any]]:
        answer = self.call("GET", "/accounts/")
        answer.raise_for_status()
        found = answer.json()
        return list(found["results"] if isinstance(found, dict) else found)
