"""A post of X, in one shape for both field vocabularies. Pure.

What Autores depends on is read when the page is: an absent field must be told at once. The rest is
read from the post's own JSON when somebody asks, as most posts of a page are stored already, and
nobody does. Odd values of such fields become None or are dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from autores.x.fields import as_list, as_object, optional_id, optional_text
from autores.x.ids import is_post_id
from autores.x.types import (
    MentionEntity,
    PartialError,
    RateLimits,
    Reference,
    ReferenceKind,
    UrlEntity,
    User,
)

_REFERENCE_KINDS: dict[str, ReferenceKind] = {
    "replied_to": "replied_to",
    "quoted": "quoted",
    "retweeted": "retweeted",
    "reposted": "retweeted",
}
_NO_NOTE: Mapping[str, Any] = {}


# Nobody changes one, though it is not frozen: five times the cost, and a page has hundreds.
@dataclass(slots=True)
class Post:
    """A post, read from its JSON (``raw``, which nobody changes).

    text                the whole text: the long form (note_post / note_tweet) where there is one
    author_id           "" only for a referenced post that X included without its author
    users               whom X included beside the posts of the page
    conversation_id     "" only for a referenced post that X included without it
    edit_history_ids    oldest first; the last is the newest version. Empty when not answered.
    note                the JSON of the long form; empty where there is none
    """

    id: str
    text: str
    author_id: str
    created_at: datetime
    conversation_id: str
    edit_history_ids: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    note: Mapping[str, Any] = field(default_factory=dict, repr=False)
    users: Mapping[str, User] = field(default_factory=dict, repr=False, compare=False)
    _references: tuple[Reference, ...] | None = field(
        default=None, init=False, repr=False, compare=False
    )

    @property
    def author(self) -> User | None:
        """None unless authors were expanded."""
        return self.users.get(self.author_id)

    @property
    def lang(self) -> str | None:
        return optional_text(self.raw, "lang")

    @property
    def reply_settings(self) -> str | None:
        return optional_text(self.raw, "reply_settings")

    @property
    def in_reply_to_user_id(self) -> str | None:
        return optional_id(self.raw, "in_reply_to_user_id")

    @property
    def references(self) -> tuple[Reference, ...]:
        # Read once: what a post refers to is asked for five times until it is stored.
        if self._references is None:
            entries = self.raw.get("referenced_posts", self.raw.get("referenced_tweets"))
            self._references = _read_references(entries) if entries else ()
        return self._references

    @property
    def has_references(self) -> bool:
        """Whether X says that it points at other posts; what it says may be odd."""
        return "referenced_posts" in self.raw or "referenced_tweets" in self.raw

    @property
    def mentions(self) -> tuple[MentionEntity, ...]:
        return _merge_mentions(self._entities, as_object(self.note.get("entities")))

    def is_plainly_to(self, user_id: str) -> bool:
        """Whether it is what most mentions are: no other post is referred to, everyone may reply,
        and the author typed a handle that is this user's by its id.

        One look at each of the fields, in a third of the time that the properties take. False may
        mean that the properties have to tell.
        """
        raw = self.raw
        if self.note or self.has_references or raw.get("reply_settings", "everyone") != "everyone":
            return False
        span = _read_range(raw.get("display_text_range"), end=None)
        since = span[0] if span else 0
        entities = raw.get("entities")
        for entry in as_list(entities.get("mentions")) if isinstance(entities, dict) else ():
            if isinstance(entry, dict) and entry.get("id") == user_id:
                start, end = entry.get("start"), entry.get("end")
                if type(start) is int and type(end) is int and since <= start <= end:
                    return True
        return False

    @property
    def urls(self) -> tuple[UrlEntity, ...]:
        return read_urls(as_object(self.note.get("entities"))) or read_urls(self._entities)

    @property
    def display_text_range(self) -> tuple[int, int] | None:
        """The part of ``text`` the author typed: handles carried along in a thread lie before its
        start. Runs to the end of ``text`` for long posts.
        """
        end = len(self.text) if self.note else None
        return _read_range(self.raw.get("display_text_range"), end=end)

    def get_reference(self, kind: ReferenceKind) -> str | None:
        """The id of the post this one replies to, quotes or reposts; None when it does not."""
        for reference in self.references:
            if reference.kind == kind:
                return reference.post_id
        return None

    @property
    def _entities(self) -> Mapping[str, Any]:
        return as_object(self.raw.get("entities"))


@dataclass(frozen=True, slots=True)
class PostPage:
    """One page of posts, newest first, with what X included beside them.

    unreadable_ids  of posts that lack something Autores depends on ("": their id, too); never of
                    all, unless X gave a single one
    """

    posts: tuple[Post, ...]
    newest_id: str | None
    oldest_id: str | None
    next_token: str | None
    result_count: int
    partial_errors: tuple[PartialError, ...]
    referenced: Mapping[str, Post]
    users: Mapping[str, User]
    rate: RateLimits
    unreadable_ids: tuple[str, ...] = ()


def find_note(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON of a post's long form; empty where ``text`` is all there is."""
    note = raw.get("note_post") or raw.get("note_tweet")
    return note if isinstance(note, dict) and isinstance(note.get("text"), str) else _NO_NOTE


def _read_references(entries: object) -> tuple[Reference, ...]:
    found = []
    # A call for each field is most of reading an entry, and a page has hundreds of them.
    for entry in as_list(entries):
        if isinstance(entry, dict) and is_post_id(post_id := entry.get("id")):
            kind = _REFERENCE_KINDS.get(optional_text(entry, "type") or "")
            if kind is not None:
                found.append(Reference(kind, post_id))
    return tuple(found)


def _merge_mentions(
    entities: Mapping[str, Any], note_entities: Mapping[str, Any]
) -> tuple[MentionEntity, ...]:
    # Entities of the cut text stop at the cut; those of the long text may miss the handles
    # that a thread carries along. A handle counts once, where the cut text has it.
    found = _read_mentions(entities)
    if not note_entities:
        return found
    seen = {mention.user_id or mention.username.lower() for mention in found}
    return found + tuple(
        mention
        for mention in _read_mentions(note_entities)
        if (mention.user_id or mention.username.lower()) not in seen
    )


def _read_mentions(entities: Mapping[str, Any]) -> tuple[MentionEntity, ...]:
    found = []
    for entry in as_list(entities.get("mentions")):
        if not isinstance(entry, dict):
            continue
        start, end = entry.get("start"), entry.get("end")
        user_id, username = entry.get("id"), entry.get("username")
        if not is_post_id(user_id):
            user_id = None
        if not isinstance(username, str):
            username = ""
        if type(start) is int and type(end) is int and 0 <= start <= end and (user_id or username):
            found.append(MentionEntity(user_id, username, start, end))
    return tuple(found)


def read_urls(entities: Mapping[str, Any]) -> tuple[UrlEntity, ...]:
    """The links of a text; those without a place in it are dropped."""
    found = []
    for entry in as_list(entities.get("urls")):
        raw = as_object(entry)
        span = _as_span(raw.get("start"), raw.get("end"))
        url = optional_text(raw, "url")
        if span is not None and url:
            found.append(
                UrlEntity(
                    url=url,
                    expanded_url=optional_text(raw, "expanded_url"),
                    display_url=optional_text(raw, "display_url"),
                    start=span[0],
                    end=span[1],
                )
            )
    return tuple(found)


def _as_span(start: object, end: object) -> tuple[int, int] | None:
    if type(start) is int and type(end) is int and 0 <= start <= end:
        return start, end
    return None


def _read_range(value: object, *, end: int | None) -> tuple[int, int] | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    span = _as_span(*value)
    if span is None or end is None:
        return span
    return min(span[0], end), end
