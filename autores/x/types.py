"""What X's answers become: frozen values, ids as strings, datetimes in UTC.

Secrets (access and refresh tokens, the PKCE verifier) are kept out of every repr.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

Vocabulary = Literal["post", "tweet"]
ReferenceKind = Literal["replied_to", "quoted", "retweeted"]


@dataclass(frozen=True, slots=True)
class RateWindow:
    """One budget as X last reported it: `remaining` of `limit` calls until `reset_at` (UTC)."""

    limit: int | None
    remaining: int
    reset_at: datetime

    @property
    def is_spent(self) -> bool:
        return self.remaining <= 0


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The three header families: the 15-minute window, the user's day, the app's day.

    A family that the answer did not carry (or carried unreadable) is None.
    """

    window: RateWindow | None = None
    user_day: RateWindow | None = None
    app_day: RateWindow | None = None


# Nobody changes one, though it is not frozen: a page has a hundred.
@dataclass(slots=True)
class User:
    """An X account, with its JSON as X gave it (``raw``)."""

    id: str
    username: str
    name: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def receives_your_dm(self) -> bool | None:
        """None unless it was asked for and answered."""
        value = self.raw.get("receives_your_dm")
        return value if isinstance(value, bool) else None


class Reference(NamedTuple):
    """How a post points at another one."""

    kind: ReferenceKind
    post_id: str


class MentionEntity(NamedTuple):
    """A handle in `Post.text`; `start` and `end` count code points, end exclusive."""

    user_id: str | None
    username: str
    start: int
    end: int


class UrlEntity(NamedTuple):
    """A link in a text: `url` is what stands there (t.co), `expanded_url` what was typed."""

    url: str
    expanded_url: str | None
    display_url: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class PartialError:
    """One entry of `errors` beside `data` on a 200: something asked for is missing.

    `kind` is the last path segment of the problem's type: "resource-not-found",
    "not-authorized-for-resource", …; `resource_id` is "" when X does not name one.
    """

    kind: str
    title: str
    detail: str
    resource_id: str
    resource_type: str
    parameter: str


@dataclass(frozen=True, slots=True)
class PostLookup:
    """Which of the posts asked for X showed, and what it said of the others, if anything."""

    shown_ids: frozenset[str]
    partial_errors: tuple[PartialError, ...]


@dataclass(frozen=True, slots=True)
class CreatedPost:
    """A post X confirmed; `text` is X's version of it (links become t.co)."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A direct message X confirmed."""

    conversation_id: str
    event_id: str


@dataclass(frozen=True, slots=True)
class MessageEvent:
    """One event of a direct-message conversation.

    `text` is "" and `sender_id` may be "" for events that are not messages (joins, leaves).
    """

    id: str
    event_type: str
    text: str
    sender_id: str
    created_at: datetime
    conversation_id: str | None
    urls: tuple[UrlEntity, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class MessageEventPage:
    """One page of direct-message events, newest first."""

    events: tuple[MessageEvent, ...]
    next_token: str | None
    result_count: int
    partial_errors: tuple[PartialError, ...]
    rate: RateLimits


@dataclass(frozen=True, slots=True)
class Authorization:
    """The consent page to send a browser to, and what its callback must be checked against."""

    url: str
    state: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """A pair of tokens. `refresh_token` is None when offline.access was not granted."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    expires_at: datetime
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Call:
    """What `observe` is told after every request. Holds no secret and no text of a post.

    path           the template ("/2/users/{id}/mentions"), so that it can label a metric
    status         None when no answer came
    seconds        from the first byte sent to the last byte read
    error_code     `XError.code`, None on success
    posts_read, users_read, messages_read
                   distinct objects in the answer: what X bills a read by
    """

    method: str
    path: str
    status: int | None
    seconds: float
    rate: RateLimits
    error_code: str | None = None
    posts_read: int = 0
    users_read: int = 0
    messages_read: int = 0
    # Name in autores.x.endpoints; "" for what is none, such as tokens.
    endpoint: str = ""
