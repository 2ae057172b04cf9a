"""A client of the sandbox's control API: what tests and the command use."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import requests


class SandboxControlError(RuntimeError):
    """The sandbox refused a control call, or could not be reached; the text says why."""


class SandboxControl:
    """Script a running sandbox. All ids are strings; answers are the API's JSON."""

    def __init__(self, base_url: str, *, timeout: float = 60.0) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy has no business on loopback

    def close(self) -> None:
        self._session.close()

    # People and posts ----------------------------------------------------------------------

    def create_user(self, username: str, **values: Any) -> dict[str, Any]:
        """`values`: name, id, receives_your_dm, reply_settings, verified, blocks, follows …"""
        return self._post("users", {"username": username, **values})

    def list_users(self) -> list[dict[str, Any]]:
        return list(self._get("users")["users"])

    def create_mentions(self, **values: Any) -> list[dict[str, Any]]:
        """`values`: account or account_id, author, text, kind, count, created_at, in_reply_to,
        quote_of, index_delay_seconds, reply_settings. Returns the posts, oldest first."""
        return list(self._post("mentions", values)["posts"])

    def create_mention(self, **values: Any) -> dict[str, Any]:
        return self.create_mentions(**values)[0]

    def list_posts(self, **filters: str) -> list[dict[str, Any]]:
        """Filters: author (name or id), in_reply_to."""
        return list(self._get("posts", **filters)["posts"])

    def list_feed(self, account: str) -> list[dict[str, Any]]:
        """The mentions X has for the account (a username), also those it does not show any more:
        post_id, kind, indexed_at, is_gone, shown_at (timeline) and found_at (search)."""
        return list(self._get("feed", account=account)["mentions"])

    def delete_post(self, post_id: str) -> None:
        self._post(f"posts/{post_id}/delete", {})

    def edit_post(self, post_id: str, text: str) -> dict[str, Any]:
        return self._post(f"posts/{post_id}/edit", {"text": text})

    def list_dms(self) -> list[dict[str, Any]]:
        return list(self._get("dms")["dms"])

    def send_dm(self, *, sender: str, recipient: str, text: str) -> dict[str, Any]:
        """Someone writes to an account, by username."""
        return self._post("dms", {"from": sender, "to": recipient, "text": text})

    def read_timeline(self) -> dict[str, Any]:
        return self._call("GET", urljoin(self.base_url + "/", "timeline.json"))

    # Consent and tokens --------------------------------------------------------------------

    def register_client(
        self, *, callbacks: list[str], client_id: str | None = None, **values: Any
    ) -> dict[str, Any]:
        return self._post("clients", {"client_id": client_id, "callbacks": callbacks, **values})

    def set_consent(
        self, *, decision: str = "approve", sticky: bool = False, **values: Any
    ) -> dict[str, Any]:
        """`values`: user_id or username, client_id, scopes (narrower than asked)."""
        return self._post("consent", {"decision": decision, "sticky": sticky, **values})

    def issue_tokens(self, username: str, *, scopes: list[str] | None = None) -> dict[str, Any]:
        """A token answer (access_token, refresh_token, scope …) without the browser's part."""
        return self._post("tokens/issue", {"username": username, "scopes": scopes})

    def revoke_tokens(self, user_id: str) -> int:
        return int(self._post("tokens/revoke", {"user_id": user_id})["revoked"])

    def expire_tokens(self, user_id: str) -> int:
        return int(self._post("tokens/expire", {"user_id": user_id})["expired"])

    # Faults, limits, calls -----------------------------------------------------------------

    def add_fault(self, route: str, fault: str, **values: Any) -> int:
        """`values`: times (None: until cleared), after, probability, account_id, params."""
        return int(self._post("faults", {"route": route, "fault": fault, **values})["id"])

    def list_faults(self) -> list[dict[str, Any]]:
        return list(self._get("faults")["faults"])

    def clear_fault(self, fault_id: int) -> None:
        self._call("DELETE", self._url(f"faults/{fault_id}"))

    def clear_faults(self) -> None:
        self._call("DELETE", self._url("faults"))

    def set_limits(self, **values: Any) -> dict[str, Any]:
        """preset (pay_per_use, basic, free, unlimited), or route with user_window, app_window,
        user_day, app_day. Starts every window anew."""
        return self._post("limits", values)

    def list_calls(self, **filters: Any) -> list[dict[str, Any]]:
        """Filters: route, account_id, limit."""
        return list(self._get("calls", **filters)["calls"])

    def clear_calls(self) -> None:
        self._call("DELETE", self._url("calls"))

    # Time, settings, autopilot -------------------------------------------------------------

    def advance_clock(self, seconds: float) -> dict[str, Any]:
        return self._post("clock", {"advance_seconds": seconds})

    def set_clock(self, **values: Any) -> dict[str, Any]:
        """`values`: now (RFC 3339), frozen, advance_seconds."""
        return self._post("clock", values)

    def change_settings(self, **values: Any) -> dict[str, Any]:
        return self._post("settings", values)

    def set_autopilot(self, *, enabled: bool = True, every_seconds: float = 20) -> dict[str, Any]:
        return self._post("autopilot", {"enabled": enabled, "every_seconds": every_seconds})

    def reset(self) -> None:
        self._post("reset", {})

    def check_health(self) -> dict[str, Any]:
        return self._get("health")

    # ---------------------------------------------------------------------------------------

    def _url(self, path: str) -> str:
        return f"{self.base_url}/_sandbox/{path}"

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._call("GET", self._url(path), params=query)

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._call("POST", self._url(path), json=body)

    def _call(self, method: str, url: str, **values: Any) -> dict[str, Any]:
        try:
            response = self._session.request(method, url, timeout=self._timeout, **values)
        except requests.RequestException as error:
            raise SandboxControlError(
                f"no sandbox answers at {self.base_url}: start it with "
                f"'python -m autores.sandbox' ({type(error).__name__})"
            ) from error
        if response.status_code >= 400:
            try:
                reason = response.json()["error"]
            except (ValueError, KeyError):
                reason = f"{method} {url} answered {response.status_code}"
            raise SandboxControlError(str(reason))
        found: dict[str, Any] = response.json()
        return found
