"""What people do, over HTTP: a client of the API, and a person at the admin's desk."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from autores.sandbox.control import SandboxControl

TIMEOUT_SECONDS = 60.0


def _new_session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy has no business on loopback
    return session


class ApiPerson:
    """Someone with an access token. ``call`` gives the response whatever its status."""

    def __init__(self, web_url: str, *, username: str, password: str) -> None:
        self.web_url = web_url
        self._session = _new_session()
        self._session.headers["Accept"] = "application/json"
        signed_in = self.get_json(
            "POST", "/auth/token", json={"username": username, "password": password}
        )
        self._bearer = {"Authorization": f"Bearer {signed_in['access_token']}"}
        self._session.headers.update(self._bearer)

    def __enter__(self) -> "ApiPerson":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    def call(self, method: str, path: str, **values: Any) -> requests.Response:
        url = f"{self.web_url}/api/v1{path}"
        return self._session.request(method, url, timeout=TIMEOUT_SECONDS, **values)

    def get_json(self, method: str, path: str, **values: Any) -> Any:
        """The body of an answer that has to be a good one."""
        answer = self.call(method, path, **values)
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def connect_account(self, username: str, *, on: SandboxControl) -> dict[str, Any]:
        """Connect ``username`` of X: authorize here, consent there, and back to the callback."""
        on.set_consent(username=username, decision="approve")
        started = self.get_json("POST", "/auth/twitter/authorize")
        with _new_session() as browser:
            consented = browser.get(
                started["authorization_url"], allow_redirects=False, timeout=TIMEOUT_SECONDS
            )
        callback_url = consented.headers["Location"]
        assert callback_url.startswith(f"{self.web_url}/"), callback_url
        finished = self._session.get(callback_url, timeout=TIMEOUT_SECONDS)
        assert finished.status_code == 200, finished.text
        account: dict[str, Any] = finished.json()["account"]
        return account

    def list_messages(self, **query: Any) -> list[dict[str, Any]]:
        return list(self.get_json("GET", "/messages/", params=query))

    def find_message(self, post: dict[str, Any]) -> dict[str, Any] | None:
        """The message of a post on X, once it is in the list."""
        found = [row for row in self.list_messages() if row["post_id"] == post["id"]]
        assert len(found) <= 1, found
        return found[0] if found else None

    def list_drafts(self, message_id: str) -> list[dict[str, Any]]:
        return list(self.get_json("GET", f"/messages/{message_id}/drafts"))


class AdminPerson:
    """Someone signed in to the admin, who reads pages and presses their buttons."""

    def __init__(self, web_url: str, *, username: str, password: str) -> None:
        self._web_url = web_url
        self._session = _new_session()
        login = self.open("/admin/login/")
        answer = self._post(
            login, {**login.fields, "username": username, "password": password, "next": "/admin/"}
        )
        assert answer.url.endswith("/admin/"), f"not signed in: {answer.url}"

    def __enter__(self) -> "AdminPerson":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._session.close()

    def open(self, path: str) -> "Page":
        return self._read(self._session.get(f"{self._web_url}{path}", timeout=TIMEOUT_SECONDS))

    def press(self, page: "Page", button: str, **changed: str) -> "Page":
        """Post the page's form as a browser does, by the button with this value."""
        assert button in page.buttons, f"no button {button!r} on {page.url}: {page.buttons}"
        return self._post(page, {**page.fields, **changed, "act": button})

    def _post(self, page: "Page", fields: dict[str, str]) -> "Page":
        answer = self._session.post(
            page.url, data=fields, headers={"Referer": page.url}, timeout=TIMEOUT_SECONDS
        )
        return self._read(answer)

    def _read(self, answer: requests.Response) -> "Page":
        assert answer.status_code == 200, f"{answer.url}: {answer.status_code}"
        return Page(answer.url, answer.text)


class Page(HTMLParser):
    """A page: its text, and what its POST form would send."""

    def __init__(self, url: str, html: str) -> None:
        super().__init__()
        self.url = url
        self.html = html
        self.fields: dict[str, str] = {}
        self.buttons: list[str] = []
        self._is_in_form = False
        self._textarea: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._is_in_form = given.get("method", "").lower() == "post" and not urljoin(
                self.url, given.get("action", "")
            ).endswith(("/logout/", "/i18n/setlang/"))
        name = given.get("name")
        if not self._is_in_form or not name or "disabled" in given:
            return
        if tag == "button":
            self.buttons.append(given.get("value", ""))
        elif tag == "textarea":
            self._textarea = name
            self.fields[name] = ""
        elif tag == "input" and given.get("type") not in {"submit", "checkbox", "radio"}:
            self.fields[name] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self._textarea is not None:
            self.fields[self._textarea] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._textarea = None
        elif tag == "form":
            self._is_in_form = False
