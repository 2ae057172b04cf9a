"""The X API v2, one method per endpoint Autores uses, for one account's access token."""

import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from typing import Any, TypeVar

import requests
from requests.auth import AuthBase

from autores.x import parse
from autores.x.arguments import check_id, ids_param, invalid, page_params, range_params
from autores.x.classify import CallKind
from autores.x.endpoints import (
    CREATE_POST,
    DELETE_POST,
    GET_DM_EVENTS,
    GET_ME,
    GET_MENTIONS,
    GET_POSTS,
    GET_USER,
    GET_USER_POSTS,
    SEARCH_RECENT,
    SEND_DM,
    Endpoint,
)
from autores.x.errors import (
    KnownLimitError,
    MissingScopeError,
    NotFoundError,
    XError,
)
from autores.x.fields import as_list
from autores.x.posts import PostPage
from autores.x.transport import (
    Answer,
    Observe,
    Timeouts,
    get_shared_session,
    is_loopback,
    is_write,
    read_answer,
    report,
    send,
)
from autores.x.types import (
    Call,
    CreatedPost,
    MessageEventPage,
    PostLookup,
    RateLimits,
    SentMessage,
    User,
)
from autores.x.vocabulary import (
    DM_USER_FIELDS,
    USER_FIELDS,
    check_vocabulary,
    message_params,
    own_post_params,
    post_params,
)

Parsed = TypeVar("Parsed")


class BearerAuth(AuthBase):
    """Sets the header as requests' auth, which also keeps a .netrc from replacing it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class XClient:
    """Calls X as one account. Cheap to make; connections are shared by the process.

    base_url        https://api.x.com; plain http only for this machine (the sandbox)
    vocabulary      "post" or "tweet": the field names requests are made in
    granted_scopes  when given, a call whose scope is missing raises MissingScopeError unsent
    closed          names of endpoints whose window is closed: they raise KnownLimitError unsent
    observe         told about every request made (metrics, cost ledger); never sees a secret

    Every method raises XError and nothing else, for whatever X, the network or the arguments do.
    No method repeats a request.
    """

    def __init__(
        self,
        *,
        base_url: str,
        access_token: str,
        vocabulary: str = "post",
        connect_timeout: float = 5.0,
        read_timeout: float = 15.0,
        session: requests.Session | None = None,
        observe: Observe | None = None,
        granted_scopes: frozenset[str] | None = None,
        closed: Collection[str] = (),
    ) -> None:
        if not base_url.startswith("https://") and not (
            base_url.startswith("http://") and is_loopback(base_url)
        ):
            raise ValueError("X's base URL must be https (http only for 127.0.0.1 or localhost).")
        if not access_token or not access_token.isascii() or not access_token.isprintable():
            raise ValueError("The access token is empty or not a token.")
        self._base_url = base_url.rstrip("/")
        self._token = access_token
        self._vocabulary = check_vocabulary(vocabulary)
        self._timeouts = Timeouts(connect_timeout, read_timeout, connect_timeout + read_timeout)
        self._session = session
        self._observe = observe
        self._granted_scopes = granted_scopes
        self._closed = closed

    def __repr__(self) -> str:
        return f"XClient(base_url={self._base_url!r}, vocabulary={self._vocabulary!r})"

    # ---- people ------------------------------------------------------------------------------

    def get_me(self) -> User:
        """The connected account itself."""
        params = {"user.fields": ",".join(USER_FIELDS)}
        return self._call(GET_ME, _read_user, params=params)

    def get_user(self, user_id: str) -> User:
        """One person, with `receives_your_dm`. NotFoundError when gone or suspended."""
        params = {"user.fields": ",".join(DM_USER_FIELDS)}
        ids = {"id": check_id(user_id, name="user_id")}
        return self._call(GET_USER, _read_user, ids=ids, params=params)

    def get_users(self, ids: Iterable[str]) -> list[User]:
        """As `get_user`, one call each, in the given order; those X does not have are left out."""
        found = []
        for user_id in ids:
            try:
                found.append(self.get_user(user_id))
            except NotFoundError:
                continue
        return found

    # ---- reading posts -----------------------------------------------------------------------

    def get_mentions(
        self,
        user_id: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
        expand_authors: bool = True,
        expand_references: bool = True,
    ) -> PostPage:
        """A page of the account's mentions, newest first; the bounds are exclusive.

        Only the 800 newest can be reached: beyond them X gives an empty page.
        The two expansions cost a read per distinct author and post; in the "post" vocabulary
        they cannot be left out.
        """
        params = post_params(
            self._vocabulary, expand_authors=expand_authors, expand_references=expand_references
        )
        params |= range_params(since_id, until_id, start_time, end_time)
        params |= page_params(max_results, pagination_token, low=5)
        ids = {"id": check_id(user_id, name="user_id")}
        return self._call(GET_MENTIONS, _read_post_page, ids=ids, params=params)

    def get_posts(
        self, ids: Iterable[str], *, expand_authors: bool = True, expand_references: bool = False
    ) -> PostPage:
        """1 to 100 posts by id; deleted or hidden ones are named in `partial_errors`."""
        params = post_params(
            self._vocabulary, expand_authors=expand_authors, expand_references=expand_references
        )

        def read(answer: Answer) -> PostPage:
            return parse.parse_post_page(answer.body, rate=answer.rate, is_lookup=True)

        return self._call(GET_POSTS, read, params=params | ids_param(ids))

    def look_up_posts(self, ids: Iterable[str]) -> PostLookup:
        """Which of 1 to 100 posts X still shows: a read per post, and none per author."""
        return self._call(
            GET_POSTS, lambda answer: parse.parse_lookup(answer.body), params=ids_param(ids)
        )

    def get_user_posts(
        self,
        user_id: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
    ) -> PostPage:
        """A page of what the account posted, newest first: how an unknown outcome is settled."""
        params = own_post_params(self._vocabulary)
        params |= range_params(since_id, until_id, None, None)
        params |= page_params(max_results, pagination_token, low=5)
        ids = {"id": check_id(user_id, name="user_id")}

        def read(answer: Answer) -> PostPage:
            return parse.parse_post_page(answer.body, rate=answer.rate, known_author_id=user_id)

        return self._call(GET_USER_POSTS, read, ids=ids, params=params)

    def search_recent(
        self,
        query: str,
        *,
        since_id: str | None = None,
        until_id: str | None = None,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        max_results: int = 100,
        pagination_token: str | None = None,
        expand_authors: bool = False,
        expand_references: bool = False,
    ) -> PostPage:
        """Posts of the last seven days that match; X's search index lags behind timelines."""
        if not 1 <= len(query) <= 4096:
            raise invalid("query", "must have 1 to 4096 characters")
        params = post_params(
            self._vocabulary, expand_authors=expand_authors, expand_references=expand_references
        )
        params |= range_params(since_id, until_id, start_time, end_time)
        params |= page_params(max_results, pagination_token, low=10)
        return self._call(SEARCH_RECENT, _read_post_page, params=params | {"query": query})

    # ---- writing posts -----------------------------------------------------------------------

    def create_reply(self, text: str, *, in_reply_to_post_id: str) -> CreatedPost:
        """Posts a reply. X adds the thread's handles itself: `text` is what was typed."""
        if not text.strip():
            raise invalid("text", "is empty")
        target = check_id(in_reply_to_post_id, name="in_reply_to_post_id")
        body = {"text": text, "reply": {"in_reply_to_tweet_id": target}}
        return self._call(CREATE_POST, lambda a: parse.parse_created_post(a.body), json=body)

    def delete_post(self, post_id: str) -> None:
        """Deletes an own post. May be repeated: a post that is gone gives NotFoundError."""
        ids = {"id": check_id(post_id, name="post_id")}
        self._call(DELETE_POST, lambda answer: parse.parse_deleted(answer.body), ids=ids)

    # ---- direct messages ---------------------------------------------------------------------

    def send_dm(self, text: str, *, participant_id: str) -> SentMessage:
        """Sends a direct message to a person."""
        if not text.strip():
            raise invalid("text", "is empty")
        ids = {"participant_id": check_id(participant_id, name="participant_id")}
        return self._call(
            SEND_DM, lambda a: parse.parse_sent_message(a.body), ids=ids, json={"text": text}
        )

    def get_dm_events(
        self, participant_id: str, *, max_results: int = 100, pagination_token: str | None = None
    ) -> MessageEventPage:
        """Messages with a person in the last 30 days, newest first. Mind 15 calls per 15 min."""
        params = message_params(self._vocabulary)
        params |= page_params(max_results, pagination_token, low=1)
        ids = {"participant_id": check_id(participant_id, name="participant_id")}

        def read(answer: Answer) -> MessageEventPage:
            return parse.parse_message_page(answer.body, rate=answer.rate)

        return self._call(GET_DM_EVENTS, read, ids=ids, params=params)

    # ---- the one road to X -------------------------------------------------------------------

    def _call(
        self,
        endpoint: Endpoint,
        read: Callable[[Answer], Parsed],
        *,
        ids: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        json: dict[str, Any] | None = None,
    ) -> Parsed:
        if self._granted_scopes is not None and (missing := endpoint.scopes - self._granted_scopes):
            raise MissingScopeError(missing=missing)
        if endpoint.name in self._closed:
            known = KnownLimitError()
            known.endpoint = endpoint.name
            raise known
        session = self._session or get_shared_session()
        started = time.perf_counter()
        answer: Answer | None = None
        failure: XError | None = None
        try:
            response, body = send(
                session.request,
                endpoint.method,
                self._base_url + endpoint.path.format(**(ids or {})),
                call=endpoint.call,
                timeouts=self._timeouts,
                auth=BearerAuth(self._token),
                params=params,
                json=json,
            )
            answer = read_answer(response, body, call=endpoint.call, secrets=(self._token,))
            return read(answer)
        except XError as error:
            failure = error
            error.endpoint = endpoint.name
            if answer is not None:
                _mark_accepted(error, answer, call=endpoint.call)
            raise
        finally:
            report(
                self._observe,
                _describe(endpoint, answer, failure, seconds=time.perf_counter() - started),
            )


def _mark_accepted(error: XError, answer: Answer, *, call: CallKind) -> None:
    """A 2xx whose body cannot be read: X did accept the write."""
    error.status = error.status or answer.status
    error.rate = answer.rate
    error.is_outcome_unknown = is_write(call)


def _describe(
    endpoint: Endpoint, answer: Answer | None, failure: XError | None, *, seconds: float
) -> Call:
    rate = answer.rate if answer else failure.rate if failure else None
    body = answer.body if answer and isinstance(answer.body, dict) else {}
    includes = body.get("includes")
    included = includes if isinstance(includes, dict) else {}
    posts, users = _ids_in(included, "posts", "tweets"), _ids_in(included, "users")
    messages = 0
    if endpoint is GET_DM_EVENTS:
        messages = len(_ids_in(body, "data"))
    elif endpoint in (GET_MENTIONS, GET_POSTS, GET_USER_POSTS, SEARCH_RECENT):
        posts |= _ids_in(body, "data")
    elif endpoint in (GET_ME, GET_USER):
        users |= _ids_in({"data": [body.get("data")]}, "data")
    return Call(
        method=endpoint.method,
        path=endpoint.path,
        status=answer.status if answer else failure.status if failure else None,
        seconds=seconds,
        rate=rate or RateLimits(),
        error_code=failure.code if failure else None,
        posts_read=len(posts),
        users_read=len(users),
        messages_read=messages,
        endpoint=endpoint.name,
    )


def _ids_in(container: dict[str, Any], *keys: str) -> set[str]:
    entries = (entry for key in keys for entry in as_list(container.get(key)))
    found = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return {value for value in found if isinstance(value, str)}


def _read_user(answer: Answer) -> User:
    body = answer.body if isinstance(answer.body, dict) else {}
    if body.get("data") is None and (problems := parse.parse_partial_errors(body)):
        # Lookups often report "not found" inside a 200.
        raise NotFoundError(
            "X has no such account, or it is suspended.",
            status=answer.status,
            detail=problems[0].detail[:300],
        )
    return parse.parse_user(body.get("data"))


def _read_post_page(answer: Answer) -> PostPage:
    return parse.parse_post_page(answer.body, rate=answer.rate)
