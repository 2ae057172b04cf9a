"""Connecting an account: OAuth 2.0 authorization code with PKCE (S256), as a confidential client.

requests-oauthlib builds and reads the messages. It demands https, which the sandbox on this
machine does not speak; instead of lifting that for the whole process, a connection adapter
mounted for that one loopback address takes the library's https request and sends it as http.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import requests
from oauthlib.oauth2 import OAuth2Error, WebApplicationClient
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from autores.x.classify import CallKind, classify_oauth_error
from autores.x.errors import (
    ContractError,
    InvalidGrantError,
    MissingScopeError,
    OAuthError,
    StateMismatchError,
    XError,
)
from autores.x.transport import (
    Observe,
    Timeouts,
    get_shared_session,
    is_loopback,
    is_write,
    read_answer,
    report,
    send,
)
from autores.x.types import Authorization, Call, RateLimits, TokenGrant

TOKEN_PATH = "/2/oauth2/token"  # noqa: S105 - a path, not a secret
REVOKE_PATH = "/2/oauth2/revoke"
# X's documented lifetime, for an answer that does not state it.
DEFAULT_LIFETIME_SECONDS = 7200
_VERIFIER_LENGTH = 64
_MAX_STATE_LENGTH = 500


class _BelowDebug(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.DEBUG


# At DEBUG this library logs whole token answers and the Basic header.
logging.getLogger("requests_oauthlib.oauth2_session").addFilter(_BelowDebug())


class OAuthClient:
    """The app's side of connecting accounts; holds the client secret, and no account's token.

    base_url                 where the token endpoints are: https://api.x.com
    authorize_url            the consent page: https://x.com/i/oauth2/authorize
    redirect_uri             must equal one registered for the app, letter by letter
    scopes                   what is asked for; offline.access is what yields a refresh token
    allow_insecure_loopback  accept plain http for the two URLs above, on this machine only

    Every method raises XError and nothing else; the constructor raises ValueError.
    """

    def __init__(
        self,
        *,
        base_url: str,
        authorize_url: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        scopes: Iterable[str],
        connect_timeout: float = 5.0,
        read_timeout: float = 15.0,
        allow_insecure_loopback: bool = False,
        observe: Observe | None = None,
    ) -> None:
        for name, url in (("base_url", base_url), ("authorize_url", authorize_url)):
            _check_url(url, name=name, allow_insecure_loopback=allow_insecure_loopback)
        if not client_id or not client_secret:
            raise ValueError("X's client id and client secret are both needed.")
        self._base_url = base_url.rstrip("/")
        self._authorize_url = authorize_url
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._scopes = tuple(dict.fromkeys(scopes))
        self._timeouts = Timeouts(connect_timeout, read_timeout, connect_timeout + read_timeout)
        self._observe = observe

    def __repr__(self) -> str:
        return f"OAuthClient(base_url={self._base_url!r}, client_id={self._client_id!r})"

    def begin(self, state: str) -> Authorization:
        """The consent page's URL for this state, with a fresh code verifier to keep.

        state  unguessable, single-use, at most 500 characters; OAuthError otherwise
        """
        if not 16 <= len(state) <= _MAX_STATE_LENGTH:
            raise OAuthError(
                f"The state must have 16 to {_MAX_STATE_LENGTH} characters.",
                code="invalid_argument",
            )
        pkce = WebApplicationClient(self._client_id)
        verifier = pkce.create_code_verifier(_VERIFIER_LENGTH)
        url, _ = self._open_session().authorization_url(
            _as_https(self._authorize_url),
            state=state,
            code_challenge=pkce.create_code_challenge(verifier, "S256"),
            code_challenge_method="S256",
        )
        scheme = urlsplit(self._authorize_url).scheme
        parts = urlsplit(url)
        # X documents %20 between scopes; the library writes "+", which then can only be a space.
        url = urlunsplit(parts._replace(scheme=scheme, query=parts.query.replace("+", "%20")))
        return Authorization(url=url, state=state, code_verifier=verifier)

    def read_callback(self, params: Mapping[str, str], *, expected_state: str) -> str:
        """The one-time code from the callback's query.

        Raises StateMismatchError, AccessDeniedError (the person said no), or the OAuthError
        that `error` and `error_description` mean.
        """
        state = params.get("state", "")
        is_same = compare_digest(
            state.encode(errors="surrogatepass"), expected_state.encode(errors="surrogatepass")
        )
        if not expected_state or not is_same:
            raise StateMismatchError
        if params.get("error"):
            raise classify_oauth_error(params)
        code = params.get("code", "")
        if not code:
            raise OAuthError("X's callback came without a code. Start again.", code="no_code")
        return code

    def exchange(self, code: str, *, code_verifier: str) -> TokenGrant:
        """Turns the one-time code (it lives about 30 seconds) into tokens. Never repeat it.

        The person may have granted less than was asked: see `check_scopes`.
        """

        def fetch(session: "_XSession", url: str) -> dict[str, Any]:
            return session.fetch_token(
                url, code=code, code_verifier=code_verifier, auth=self._basic_auth()
            )

        try:
            token = self._request_token(fetch, secrets=(code, code_verifier))
        except XError as error:
            # The code is spent or dead after any attempt that may have reached X.
            error.retryable = error.retryable and not error.is_outcome_unknown
            raise
        return self._read_grant(token)

    def refresh(self, refresh_token: str) -> TokenGrant:
        """A new pair for a refresh token, which X burns by answering: store the pair first.

        Raises InvalidGrantError (code refresh_token_rejected) when the account must reconnect.
        """

        def fetch(session: "_XSession", url: str) -> dict[str, Any]:
            return session.refresh_token(url, refresh_token=refresh_token, auth=self._basic_auth())

        try:
            token = self._request_token(fetch, secrets=(refresh_token,))
        except InvalidGrantError as error:
            error.code = "refresh_token_rejected"
            error.sentence = "X no longer accepts this account's sign-in. Reconnect the account."
            error.scope = "account"
            raise
        return self._read_grant(token)

    def revoke(self, token: str) -> None:
        """Makes X forget an access or refresh token. May be repeated."""
        with _Reported("revoke", REVOKE_PATH, observe=self._observe) as reported:
            response, body = send(
                get_shared_session().request,
                "POST",
                self._base_url + REVOKE_PATH,
                call="revoke",
                timeouts=self._timeouts,
                data={"token": token},
                auth=self._basic_auth(),
            )
            reported.status = response.status_code
            if response.status_code >= 400 or not 200 <= response.status_code < 300:
                read_answer(response, body, call="revoke", secrets=(token, self._client_secret))

    def check_scopes(self, grant: TokenGrant) -> None:
        """Raises MissingScopeError naming what was asked for and not granted."""
        missing = frozenset(self._scopes) - grant.scopes
        if missing:
            raise MissingScopeError(missing=missing)

    def _request_token(
        self, fetch: "Callable[[_XSession, str], dict[str, Any]]", *, secrets: tuple[str, ...]
    ) -> dict[str, Any]:
        garbled: ContractError
        with _Reported("token", TOKEN_PATH, observe=self._observe) as reported:
            # Without scopes of its own the session does not reject a narrower grant.
            session = self._open_session(secrets=(*secrets, self._client_secret), ask=False)
            try:
                token = fetch(session, _as_https(self._base_url) + TOKEN_PATH)
            except (OAuth2Error, ValueError, TypeError, AttributeError, Warning) as error:
                garbled = ContractError(
                    "X's token answer is not in the documented form.",
                    code="missing_field",
                    field="access_token",
                    detail=type(error).__name__,
                    is_outcome_unknown=True,
                )
            else:
                reported.status = session.last_status
                return token
            reported.status = session.last_status
            raise garbled

    def _read_grant(self, token: Mapping[str, Any]) -> TokenGrant:
        access_token = token.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise ContractError(
                "X's token answer holds no access token.",
                code="missing_field",
                field="access_token",
                is_outcome_unknown=True,
            )
        refresh_token = token.get("refresh_token")
        lifetime = token.get("expires_in", DEFAULT_LIFETIME_SECONDS)
        scope = token.get("scope")
        return TokenGrant(
            access_token=access_token,
            refresh_token=refresh_token if isinstance(refresh_token, str) else None,
            expires_at=datetime.now(UTC) + timedelta(seconds=lifetime),
            # Left out, it means: as asked for (RFC 6749, 5.1).
            scopes=frozenset(filter(None, scope if scope is not None else self._scopes)),
        )

    def _basic_auth(self) -> HTTPBasicAuth:
        return HTTPBasicAuth(self._client_id, self._client_secret)

    def _open_session(self, *, secrets: tuple[str, ...] = (), ask: bool = True) -> "_XSession":
        session = _XSession(
            client_id=self._client_id,
            redirect_uri=self._redirect_uri,
            scope=list(self._scopes) if ask else None,
            timeouts=self._timeouts,
            secrets=secrets,
        )
        pool = get_shared_session().get_adapter(self._base_url)
        session.mount("https://", pool)
        if self._base_url.startswith("http://"):
            # Only a loopback address gets past the constructor with http.
            session.mount(_as_https(self._base_url) + "/", _PlainLoopbackAdapter(pool))
        return session


class _XSession(OAuth2Session):
    """An OAuth2Session whose requests go through the one transport, and fail typed."""

    def __init__(self, *, timeouts: Timeouts, secrets: tuple[str, ...], **options: Any) -> None:
        super().__init__(**options)
        self._timeouts = timeouts
        self._secrets = secrets
        self.last_status: int | None = None

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        for name in ("timeout", "allow_redirects", "stream"):
            options.pop(name, None)
        call: CallKind = "token"
        response, body = send(
            super().request, method, url, call=call, timeouts=self._timeouts, **options
        )
        self.last_status = response.status_code
        answer = read_answer(response, body, call=call, secrets=self._secrets)
        if not isinstance(answer.body, dict):
            raise ContractError(
                "X's token answer is not in the documented form.",
                code="missing_field",
                field="access_token",
                status=response.status_code,
                is_outcome_unknown=is_write(call),
            )
        # The body was streamed, to bound it; the library reads it from here.
        response._content = orjson.dumps(_keep_readable(answer.body))
        return response


class _PlainLoopbackAdapter(HTTPAdapter):
    """Sends an https request for this machine as plain http, over another adapter's pool."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self._pool = pool

    def send(
        self, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        url = request.url or ""
        if not is_loopback(url):
            raise requests.exceptions.InvalidURL("Plain http is for this machine only.")
        request.url = "http" + url.removeprefix("https")
        return self._pool.send(request, *args, **options)


class _Reported:
    """Times a call to the token endpoints and reports it, however it ends."""

    def __init__(self, call: CallKind, path: str, *, observe: Observe | None) -> None:
        self._path = path
        self._observe = observe
        self.status: int | None = None

    def __enter__(self) -> "_Reported":
        self._started = time.perf_counter()
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        failure = error if isinstance(error, XError) else None
        report(
            self._observe,
            Call(
                method="POST",
                path=self._path,
                status=failure.status if failure and failure.status else self.status,
                seconds=time.perf_counter() - self._started,
                rate=(failure.rate if failure else None) or RateLimits(),
                error_code=failure.code if failure else None,
            ),
        )


def _keep_readable(token: dict[str, Any]) -> dict[str, Any]:
    """Drops a lifetime or scope in a wrong form: the library would refuse the whole answer.

    By then X has burnt the old refresh token, so refusing would cost the account.
    """
    lifetime, scope = token.get("expires_in"), token.get("scope")
    unreadable = set()
    if type(lifetime) is not int or not 0 < lifetime <= 366 * 86400:
        unreadable.add("expires_in")
    if not isinstance(scope, str):
        unreadable.add("scope")
    return {name: value for name, value in token.items() if name not in unreadable}


def _check_url(url: str, *, name: str, allow_insecure_loopback: bool) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and is_loopback(url):
        if allow_insecure_loopback:
            return
        raise ValueError(f"{name} is plain http; that needs allow_insecure_loopback.")
    raise ValueError(f"{name} must be an https URL (plain http only for this machine).")


def _as_https(url: str) -> str:
    return "https" + url.removeprefix("http") if url.startswith("http://") else url
