"""Connect the demo's X accounts as a person would: through the whole OAuth flow, over HTTP."""

from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urljoin

import requests

from autores.embedded.errors import EmbeddedError
from autores.sandbox.control import SandboxControl, SandboxControlError

TIMEOUT_SECONDS = 20.0


@dataclass(frozen=True)
class DemoAccount:
    """An account of the stand-in X which the demo's team looks after."""

    username: str
    name: str


ACCOUNTS = (
    DemoAccount("aurora_coffee", "Aurora Coffee"),
    DemoAccount("nimbus_bikes", "Nimbus Bikes"),
)


def connect_accounts(*, web_url: str, sandbox_url: str, username: str, password: str) -> list[str]:
    """Make the accounts in the sandbox and connect each; return "@handle" of each.

    Raises EmbeddedError with the call that was refused and its answer.
    """
    control = SandboxControl(sandbox_url)
    with requests.Session() as session, closing(control):
        session.trust_env = False  # a proxy has no business on loopback
        token = _sign_in(session, web_url=web_url, username=username, password=password)
        handles = []
        for account in ACCOUNTS:
            try:
                control.create_user(account.username, name=account.name, receives_your_dm=True)
                control.set_consent(username=account.username)
            except SandboxControlError as error:
                raise EmbeddedError(f"The sandbox refused: {error}") from error
            handles.append(_connect(session, account, web_url=web_url, token=token))
        return handles


def _sign_in(session: requests.Session, *, web_url: str, username: str, password: str) -> str:
    answer = _call(
        session,
        "POST",
        f"{web_url}/api/v1/auth/token",
        json={"username": username, "password": password},
    ).json()
    token = answer.get("access_token") or answer.get("access")
    if not isinstance(token, str):
        raise EmbeddedError(f"POST /api/v1/auth/token gave no access token: {list(answer)}")
    return token


def _connect(session: requests.Session, account: DemoAccount, *, web_url: str, token: str) -> str:
    bearer = {"Authorization": f"Bearer {token}"}
    started = _call(session, "POST", f"{web_url}/api/v1/auth/twitter/authorize", headers=bearer)
    consent_url = started.json()["authorization_url"]
    # One hop at a time: the token goes to our own callback, and never to the consent page.
    consented = _call(session, "GET", consent_url, allow_redirects=False)
    callback_url = urljoin(consent_url, consented.headers.get("Location", ""))
    if not callback_url.startswith(f"{web_url}/"):
        raise EmbeddedError(
            f"The consent page for @{account.username} answered {consented.status_code} and did "
            f"not lead back to {web_url}."
        )
    finished = _call(session, "GET", callback_url, headers=bearer)
    return f"@{finished.json()['account']['twitter_username']}"


def _call(
    session: requests.Session,
    method: str,
    url: str,
    *,
    json: object = None,
    headers: dict[str, str] | None = None,
    allow_redirects: bool = True,
) -> requests.Response:
    shown = url.split("?")[0]
    try:
        answer = session.request(
            method,
            url,
            json=json,
            headers={"Accept": "application/json", **(headers or {})},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=allow_redirects,
        )
    except requests.RequestException as error:
        raise EmbeddedError(f"{method} {shown} got no answer: {type(error).__name__}.") from error
    if answer.status_code >= 400:
        raise EmbeddedError(
            f"{method} {shown} was refused with {answer.status_code}: {answer.text[:500]}"
        )
    return answer
