"""OAuth 2.0 with PKCE for confidential clients, as X runs it.

Codes live about 30 seconds and work once. A refresh token works once: using it burns it and makes
the next one. Errors are {"error", "error_description"}, not problem documents.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlencode

from autores.sandbox import problems
from autores.sandbox.clock import Clock
from autores.sandbox.problems import oauth_error
from autores.sandbox.store import Store
from autores.sandbox.users import User, Users

KNOWN_SCOPES = (
    "tweet.read", "tweet.write", "tweet.moderate.write", "users.read", "users.email",
    "follows.read", "follows.write", "offline.access", "space.read", "mute.read", "mute.write",
    "like.read", "like.write", "list.read", "list.write", "block.read", "block.write",
    "bookmark.read", "bookmark.write", "dm.read", "dm.write", "media.write",
)  # fmt: skip
DEFAULT_SCOPES = (
    "tweet.read",
    "tweet.write",
    "users.read",
    "offline.access",
    "dm.read",
    "dm.write",
)
_BAD_TOKEN = "Value passed for the token was invalid."  # noqa: S105 - a message
_BAD_CODE = "Value passed for the authorization code was invalid."


class ConsentRefusedError(Exception):
    """The consent page cannot even ask: shown to the person, never redirected."""


@dataclass(frozen=True)
class AuthorizeRequest:
    client_id: str
    client_name: str
    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    challenge: str
    method: str


@dataclass(frozen=True)
class Bearer:
    """Whose access token a call carries; `user_id` is None for the app-only token."""

    user_id: int | None
    client_id: str
    scopes: frozenset[str]
    is_valid: bool


class OAuth:
    def __init__(self, store: Store, clock: Clock, users: Users, *, app_bearer: str) -> None:
        self._store = store
        self._clock = clock
        self._users = users
        self._app_bearer = app_bearer

    # Registration --------------------------------------------------------------------------

    def register(
        self, client_id: str, client_secret: str, *, name: str, callbacks: list[str]
    ) -> None:
        self._store.run(
            "INSERT OR REPLACE INTO clients VALUES (?, ?, ?, ?)",
            client_id,
            client_secret,
            name,
            json.dumps(callbacks),
        )

    def callbacks_of(self, client_id: str) -> list[str] | None:
        row = self._store.one("SELECT callbacks FROM clients WHERE client_id = ?", client_id)
        return None if row is None else json.loads(row["callbacks"])

    # Consent -------------------------------------------------------------------------------

    def read_authorize(self, args: Mapping[str, str]) -> AuthorizeRequest:
        """Check an authorize URL; ConsentRefusedError says what X would refuse to show."""
        client_id = args.get("client_id", "")
        row = self._store.one("SELECT * FROM clients WHERE client_id = ?", client_id)
        if row is None:
            raise ConsentRefusedError(f"No app has the client id {client_id!r}.")
        redirect_uri = args.get("redirect_uri", "")
        callbacks = json.loads(row["callbacks"])
        if redirect_uri not in callbacks:
            raise ConsentRefusedError(
                f"The callback {redirect_uri!r} is not registered for this app. It must equal one "
                f"of {callbacks} to the letter; register it with --callback."
            )
        if args.get("response_type") != "code":
            raise ConsentRefusedError("response_type must be code.")
        state = args.get("state", "")
        if not state or len(state) > 500:
            raise ConsentRefusedError("state is required, up to 500 characters.")
        method = args.get("code_challenge_method", "plain")
        challenge = args.get("code_challenge", "")
        if method not in ("S256", "plain") or not re.fullmatch(r"[\w.~-]{43,128}", challenge):
            raise ConsentRefusedError(
                "code_challenge must be 43 to 128 characters, code_challenge_method S256 or plain."
            )
        wanted = args.get("scope", "").split()
        # Unknown names are passed over: offline_access, for one, yields no refresh token.
        scopes = tuple(name for name in dict.fromkeys(wanted) if name in KNOWN_SCOPES)
        if not scopes:
            raise ConsentRefusedError("scope names nothing this app could be allowed to do.")
        return AuthorizeRequest(
            client_id, row["name"], redirect_uri, scopes, state, challenge, method
        )

    def set_consent(
        self,
        user: User,
        *,
        decision: str,
        client_id: str | None,
        scopes: list[str] | None,
        is_sticky: bool,
    ) -> None:
        with self._store.transaction() as db:
            if is_sticky:
                db.execute("DELETE FROM consents WHERE is_sticky = 1")
            db.execute(
                "INSERT INTO consents (client_id, user_id, decision, scopes, is_sticky)"
                " VALUES (?, ?, ?, ?, ?)",
                (
                    client_id,
                    user.id,
                    decision,
                    None if scopes is None else " ".join(scopes),
                    is_sticky,
                ),
            )

    def take_consent(self, client_id: str) -> tuple[User, str, list[str] | None] | None:
        """(user, decision, scopes) decided beforehand; one-shot decisions are used up first."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT * FROM consents WHERE client_id IS NULL OR client_id = ?"
                " ORDER BY is_sticky, id LIMIT 1",
                (client_id,),
            ).fetchone()
            if row is None:
                return None
            if not row["is_sticky"]:
                db.execute("DELETE FROM consents WHERE id = ?", (row["id"],))
        user = self._users.find(row["user_id"])
        if user is None:
            return None
        scopes = None if row["scopes"] is None else row["scopes"].split()
        return user, row["decision"], scopes

    def decide(
        self, request: AuthorizeRequest, user: User, *, decision: str, scopes: list[str] | None
    ) -> str:
        """The address the browser is sent back to."""
        if decision != "approve":
            answer = {"error": "access_denied", "state": request.state}
        else:
            granted = [s for s in request.scopes if scopes is None or s in scopes]
            code = secrets.token_urlsafe(48)
            life = round(1000 * float(self._store.settings["code_seconds"]))
            self._store.run(
                "INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                code,
                request.client_id,
                request.redirect_uri,
                user.id,
                " ".join(granted),
                request.challenge,
                request.method,
                self._clock.now_ms() + life,
            )
            answer = {"state": request.state, "code": code}
        joint = "&" if "?" in request.redirect_uri else "?"
        return f"{request.redirect_uri}{joint}{urlencode(answer)}"

    # Token endpoint ------------------------------------------------------------------------

    def authenticate_client(self, authorization: str | None) -> str:
        """The client id of a Basic header; raises the 401 X gives."""
        scheme, _, encoded = (authorization or "").partition(" ")
        if scheme.lower() != "basic":
            raise oauth_error(401, "unauthorized_client", "Missing valid authorization header")
        try:
            pair = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            pair = ""
        client_id, _, secret = (unquote_plus(part) for part in pair.partition(":"))
        row = self._store.one("SELECT * FROM clients WHERE client_id = ?", client_id)
        if row is None or not hmac.compare_digest(row["client_secret"].encode(), secret.encode()):
            raise oauth_error(401, "unauthorized_client", "Missing valid authorization header")
        return client_id

    def token(self, client_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        kind = form.get("grant_type", "")
        with self._store.transaction():
            if kind == "authorization_code":
                return self._exchange(client_id, form)
            if kind == "refresh_token":
                return self._refresh(client_id, form.get("refresh_token", ""))
        raise oauth_error(
            400,
            "unsupported_grant_type" if kind else "invalid_request",
            "grant_type must be authorization_code or refresh_token",
        )

    def _exchange(self, client_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        for name in ("code", "redirect_uri", "code_verifier"):
            if not form.get(name):
                raise oauth_error(400, "invalid_request", f"Missing required parameter [{name}].")
        row = self._store.one("SELECT * FROM codes WHERE code = ?", form["code"])
        if (
            row is None
            or row["is_used"]
            or row["client_id"] != client_id
            or row["expires_ms"] <= self._clock.now_ms()
        ):
            raise oauth_error(400, "invalid_request", _BAD_CODE)
        if row["redirect_uri"] != form["redirect_uri"]:
            raise oauth_error(
                400,
                "invalid_request",
                "Value passed for the redirect uri did not match the uri of the authorization "
                "code.",
            )
        if not _verifier_matches(form["code_verifier"], row["challenge"], row["method"]):
            raise oauth_error(
                400,
                "invalid_request",
                "Value passed for the code verifier did not match the code challenge.",
            )
        self._store.run("UPDATE codes SET is_used = 1 WHERE code = ?", form["code"])
        return self._grant(client_id, row["user_id"], row["scopes"])

    def _grant(self, client_id: str, user_id: int, scopes: str) -> dict[str, Any]:
        with self._store.transaction() as db:
            grant_id = db.execute(
                "INSERT INTO grants (client_id, user_id, scopes) VALUES (?, ?, ?)",
                (client_id, user_id, scopes),
            ).lastrowid
            assert grant_id is not None
            return self._issue(grant_id, scopes)

    def issue_directly(
        self, user_id: int, client_id: str, scopes: list[str] | None
    ) -> dict[str, Any]:
        """A grant as if the person had gone through the consent page."""
        wanted = list(DEFAULT_SCOPES) if scopes is None else scopes
        known = [name for name in wanted if name in KNOWN_SCOPES]
        return self._grant(client_id, user_id, " ".join(known))

    def _refresh(self, client_id: str, token: str) -> dict[str, Any]:
        row = self._store.one(
            "SELECT r.is_burned, g.* FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id"
            " WHERE r.token = ?",
            token,
        )
        if row is None or row["is_burned"] or row["is_revoked"] or row["client_id"] != client_id:
            raise oauth_error(400, "invalid_request", _BAD_TOKEN)
        self._store.run("UPDATE refresh_tokens SET is_burned = 1 WHERE token = ?", token)
        if self._store.settings["refresh_revokes_access"]:
            self._store.run("UPDATE access_tokens SET is_revoked = 1 WHERE grant_id = ?", row["id"])
        return self._issue(row["id"], row["scopes"])

    def _issue(self, grant_id: int, scopes: str) -> dict[str, Any]:
        life = int(self._store.settings["access_token_seconds"])
        access = secrets.token_urlsafe(64)
        answer = {
            "token_type": "bearer",
            "expires_in": life,
            "access_token": access,
            "scope": scopes,
        }
        self._store.run(
            "INSERT INTO access_tokens (token, grant_id, expires_ms) VALUES (?, ?, ?)",
            access,
            grant_id,
            self._clock.now_ms() + life * 1000,
        )
        if "offline.access" in scopes.split():
            refresh = secrets.token_urlsafe(64)
            self._store.run(
                "INSERT INTO refresh_tokens (token, grant_id) VALUES (?, ?)", refresh, grant_id
            )
            answer["refresh_token"] = refresh
        return answer

    def revoke(self, client_id: str, token: str) -> dict[str, Any]:
        """Revoking a refresh token ends the grant; an access token only itself."""
        if not token:
            raise oauth_error(400, "invalid_request", "Missing required parameter [token].")
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT g.id FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id"
                " WHERE r.token = ? AND g.client_id = ?",
                (token, client_id),
            ).fetchone()
            if row is not None:
                db.execute("UPDATE grants SET is_revoked = 1 WHERE id = ?", (row["id"],))
            db.execute("UPDATE access_tokens SET is_revoked = 1 WHERE token = ?", (token,))
        return {"revoked": True}

    # Bearer tokens -------------------------------------------------------------------------

    def read_bearer(self, authorization: str | None) -> Bearer | None:
        """Whose token it is, valid or not; None for a missing or unknown one."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        if self._app_bearer and hmac.compare_digest(token.encode(), self._app_bearer.encode()):
            return Bearer(None, "app", frozenset(), True)
        row = self._store.one(
            "SELECT a.expires_ms, a.is_revoked AS is_dead, g.* FROM access_tokens a"
            " JOIN grants g ON g.id = a.grant_id WHERE a.token = ?",
            token,
        )
        if row is None:
            return None
        is_valid = (
            not row["is_dead"]
            and not row["is_revoked"]
            and row["expires_ms"] > self._clock.now_ms()
        )
        return Bearer(row["user_id"], row["client_id"], frozenset(row["scopes"].split()), is_valid)

    def require(self, bearer: Bearer | None, *, scopes: frozenset[str], allows_app: bool) -> Bearer:
        if bearer is None or not bearer.is_valid:
            raise problems.unauthorized()
        if bearer.user_id is None:
            if not allows_app:
                raise problems.unsupported_authentication()
        elif not scopes <= bearer.scopes:
            raise problems.forbidden()
        return bearer

    def revoke_user(self, user_id: int) -> int:
        """The person revokes the app in X's settings; returns how many grants ended."""
        return self._store.run(
            "UPDATE grants SET is_revoked = 1 WHERE user_id = ? AND is_revoked = 0", user_id
        )

    def expire_user(self, user_id: int) -> int:
        """Access tokens of the user end now; refresh tokens stay good."""
        return self._store.run(
            "UPDATE access_tokens SET expires_ms = ? WHERE expires_ms > ? AND grant_id IN"
            " (SELECT id FROM grants WHERE user_id = ?)",
            self._clock.now_ms(),
            self._clock.now_ms(),
            user_id,
        )

    def connected_users(self) -> list[User]:
        rows = self._store.all("SELECT DISTINCT user_id FROM grants WHERE is_revoked = 0")
        found = self._users.find_many({row["user_id"] for row in rows})
        return sorted(found.values(), key=lambda user: user.id)


def _verifier_matches(verifier: str, challenge: str, method: str) -> bool:
    if method == "S256":
        digest = hashlib.sha256(verifier.encode()).digest()
        verifier = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return hmac.compare_digest(verifier.encode(), challenge.encode())
