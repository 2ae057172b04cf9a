"""The endpoints of the X API v2 that Autores uses, and the scopes each needs."""

from dataclasses import dataclass

from autores.x.classify import CallKind


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A row of X's API: what is called, what it needs, and what kind of harm a repeat does.

    ``name`` is the stable word for it in what is stored: X counts calls per endpoint.
    """

    name: str
    method: str
    path: str
    call: CallKind
    scopes: frozenset[str]


_READ = frozenset({"tweet.read", "users.read"})
_WRITE = _READ | {"tweet.write"}
GET_ME = Endpoint("get_me", "GET", "/2/users/me", "read", _READ)
GET_USER = Endpoint("get_user", "GET", "/2/users/{id}", "read", _READ)
GET_MENTIONS = Endpoint("get_mentions", "GET", "/2/users/{id}/mentions", "read", _READ)
GET_USER_POSTS = Endpoint("get_user_posts", "GET", "/2/users/{id}/tweets", "read", _READ)
GET_POSTS = Endpoint("get_posts", "GET", "/2/tweets", "read", _READ)
SEARCH_RECENT = Endpoint("search_recent", "GET", "/2/tweets/search/recent", "read", _READ)
CREATE_POST = Endpoint("create_post", "POST", "/2/tweets", "post", _WRITE)
DELETE_POST = Endpoint("delete_post", "DELETE", "/2/tweets/{id}", "delete", _WRITE)
SEND_DM = Endpoint(
    "send_dm",
    "POST",
    "/2/dm_conversations/with/{participant_id}/messages",
    "dm",
    _READ | {"dm.write"},
)
GET_DM_EVENTS = Endpoint(
    "get_dm_events",
    "GET",
    "/2/dm_conversations/with/{participant_id}/dm_events",
    "read",
    _READ | {"dm.read"},
)
READS = frozenset(
    endpoint.name
    for endpoint in (
        *(GET_ME, GET_USER, GET_MENTIONS, GET_USER_POSTS),
        *(GET_POSTS, SEARCH_RECENT, GET_DM_EVENTS),
    )
)
