"""A post, a user or a page as X prints it, in the vocabulary the caller asked in.

`tweet.fields` and `post.fields` both answer, each with its own key names; a name of the other
vocabulary, or an unknown one, is dropped without a word. What is not asked for is not there:
only id, text and the edit chain come by default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autores.sandbox.clock import format_time
from autores.sandbox.posts import Post, Posts
from autores.sandbox.problems import not_found_entry
from autores.sandbox.store import Store
from autores.sandbox.users import User, Users

_SHARED_FIELDS = {
    "conversation_id", "created_at", "display_text_range", "edit_controls", "entities", "lang",
    "possibly_sensitive", "public_metrics", "reply_settings", "source",
}  # fmt: skip
_TWEET_FIELDS = _SHARED_FIELDS | {
    "author_id", "in_reply_to_user_id", "note_tweet", "referenced_tweets",
}  # fmt: skip
_POST_FIELDS = _SHARED_FIELDS | {"note_post"}
_TWEET_EXPANSIONS = {
    "author_id", "in_reply_to_user_id", "referenced_tweets.id", "referenced_tweets.id.author_id",
    "entities.mentions.username", "edit_history_tweet_ids",
}  # fmt: skip
_POST_EXPANSIONS = {
    "author_id", "in_reply_to_user_id", "referenced_posts", "entities.mentions.username",
    "edit_history_post_ids",
}  # fmt: skip
_USER_FIELDS = {
    "created_at", "description", "location", "protected", "verified", "verified_type",
    "profile_image_url", "public_metrics", "receives_your_dm", "connection_status", "url",
}  # fmt: skip


@dataclass(frozen=True)
class Selection:
    """What a request asked to see. `vocabularies` holds "tweet", "post", or both."""

    vocabularies: tuple[str, ...]
    fields: frozenset[str]
    expansions: frozenset[str]
    user_fields: frozenset[str]

    @property
    def vocabulary(self) -> str:
        return self.vocabularies[0]


def read_selection(args: Mapping[str, str], *, default_vocabulary: str) -> Selection:
    def names(key: str) -> set[str]:
        return {name.strip() for name in args.get(key, "").split(",") if name.strip()}

    expansions = names("expansions")
    is_tweet = "tweet.fields" in args or bool(expansions & (_TWEET_EXPANSIONS - _POST_EXPANSIONS))
    is_post = "post.fields" in args or bool(expansions & (_POST_EXPANSIONS - _TWEET_EXPANSIONS))
    if not is_tweet and not is_post:
        is_tweet, is_post = default_vocabulary == "tweet", default_vocabulary != "tweet"
    vocabularies = (("post",) if is_post else ()) + (("tweet",) if is_tweet else ())
    fields: set[str] = set()
    allowed: set[str] = set()
    if is_tweet:
        fields |= names("tweet.fields") & _TWEET_FIELDS
        allowed |= _TWEET_EXPANSIONS
    if is_post:
        fields |= names("post.fields") & _POST_FIELDS
        allowed |= _POST_EXPANSIONS
    expansions &= allowed
    # An expansion shows the id it follows.
    fields |= expansions & {"author_id", "in_reply_to_user_id"}
    if expansions & {"referenced_tweets.id", "referenced_tweets.id.author_id"}:
        fields.add("referenced_tweets")
    if "referenced_posts" in expansions:
        fields.add("referenced_posts")
    if "entities.mentions.username" in expansions:
        fields.add("entities")
    return Selection(
        vocabularies=vocabularies,
        fields=frozenset(fields),
        expansions=frozenset(expansions),
        user_fields=frozenset(names("user.fields") & _USER_FIELDS),
    )


class Renderer:
    def __init__(self, store: Store, users: Users, posts: Posts) -> None:
        self._store = store
        self._users = users
        self._posts = posts

    def posts_with_includes(
        self, posts: Sequence[Post], selection: Selection, *, viewer_id: int | None
    ) -> dict[str, Any]:
        """{"data": [...], "includes": ..., "errors": ...}; keys without content are absent."""
        answer: dict[str, Any] = {}
        counts = self._metrics(posts) if "public_metrics" in selection.fields else {}
        if posts:
            answer["data"] = [self.post(p, selection, counts.get(p.id)) for p in posts]
        includes, errors = self._includes(posts, selection, viewer_id=viewer_id)
        if includes:
            answer["includes"] = includes
        if errors:
            answer["errors"] = errors
        return answer

    def post(
        self, post: Post, selection: Selection, counts: dict[str, int] | None = None
    ) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": str(post.id), "text": post.text}
        for vocabulary in selection.vocabularies:
            shown[f"edit_history_{vocabulary}_ids"] = post.edit_history
        for name in selection.fields:
            value = self._value(name, post, selection, counts or {})
            if value is not None:
                shown[name] = value
        return shown

    def user(self, user: User, selection: Selection, *, viewer_id: int | None) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": str(user.id),
            "name": user.name,
            "username": user.username,
        }
        simple: dict[str, Any] = {
            "created_at": format_time(user.created_ms),
            "description": user.profile.get("description", ""),
            "location": user.profile.get("location"),
            "protected": bool(user.profile.get("protected", False)),
            "verified": bool(user.profile.get("verified", False)),
            "verified_type": "blue" if user.profile.get("verified") else "none",
            "profile_image_url": "https://abs.twimg.com/sticky/default_profile_images/"
            "default_profile_normal.png",
            "url": "",
        }
        for name in selection.user_fields:
            if simple.get(name) is not None:
                shown[name] = simple[name]
        if "receives_your_dm" in selection.user_fields and viewer_id is not None:
            shown["receives_your_dm"] = can_receive_dm(self._store, viewer_id, user)
        if "connection_status" in selection.user_fields and viewer_id is not None:
            shown["connection_status"] = ["followed_by"] if user.follows(viewer_id) else []
        if "public_metrics" in selection.user_fields:
            row = self._store.one(
                "SELECT count(*) FROM posts WHERE author_id = ? AND deleted_ms IS NULL", user.id
            )
            shown["public_metrics"] = {
                "followers_count": 0,
                "following_count": len(user.profile.get("follows", [])),
                f"{selection.vocabulary}_count": int(row[0]) if row else 0,
                "listed_count": 0,
                "like_count": 0,
            }
        return shown

    def _value(self, name: str, post: Post, selection: Selection, counts: dict[str, int]) -> Any:
        match name:
            case "author_id":
                return str(post.author_id)
            case "conversation_id":
                return str(post.conversation_id)
            case "created_at":
                return format_time(post.created_ms)
            case "display_text_range":
                return [post.display_start, post.display_end]
            case "edit_controls":
                return {
                    "edits_remaining": 6 - len(post.edit_history),
                    "is_edit_eligible": post.in_reply_to is None,
                    "editable_until": format_time(post.created_ms + 3_600_000),
                }
            case "entities":
                return post.entities or None
            case "in_reply_to_user_id":
                return None if post.in_reply_to_user is None else str(post.in_reply_to_user)
            case "lang":
                return post.lang
            case "note_tweet" | "note_post":
                return None if post.note_text is None else {"text": post.note_text}
            case "possibly_sensitive":
                return False
            case "public_metrics":
                repost_key = "repost_count" if selection.vocabulary == "post" else "retweet_count"
                return {
                    repost_key: counts.get("reposts", 0),
                    "reply_count": counts.get("replies", 0),
                    "like_count": 0,
                    "quote_count": counts.get("quotes", 0),
                    "bookmark_count": 0,
                    "impression_count": 0,
                }
            case "referenced_tweets" | "referenced_posts":
                return _references(post) or None
            case "reply_settings":
                return post.reply_settings
            case "source":
                return "Autores sandbox"
        return None

    def _metrics(self, posts: Sequence[Post]) -> dict[int, dict[str, int]]:
        counts: dict[int, dict[str, int]] = {}
        for column, name in (
            ("in_reply_to", "replies"), ("quote_of", "quotes"), ("repost_of", "reposts"),
        ):  # fmt: skip
            rows = self._store.all_in(
                f"SELECT {column} AS target, count(*) AS n FROM posts"  # noqa: S608 - fixed names
                f" WHERE {column} IN ({{}}) AND deleted_ms IS NULL GROUP BY {column}",
                [post.id for post in posts],
            )
            for row in rows:
                counts.setdefault(row["target"], {})[name] = row["n"]
        return counts

    def _includes(
        self, posts: Sequence[Post], selection: Selection, *, viewer_id: int | None
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        expansions = selection.expansions
        includes: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        user_ids: dict[int, None] = {}

        def want(ids: Iterable[int | None]) -> None:
            user_ids.update((user_id, None) for user_id in ids if user_id is not None)

        referenced: dict[int, Post] = {}
        wants_posts = expansions & {
            "referenced_posts", "referenced_tweets.id", "referenced_tweets.id.author_id",
        }  # fmt: skip
        if wants_posts:
            ids = dict.fromkeys(int(ref["id"]) for post in posts for ref in _references(post))
            referenced = self._posts.find_many(ids)
            parameter = (
                "referenced_posts" if "referenced_posts" in expansions else "referenced_tweets.id"
            )
            for post_id in ids:
                if post_id not in referenced:
                    errors.append(
                        not_found_entry(
                            "tweet",
                            value=str(post_id),
                            parameter=parameter,
                            vocabulary=selection.vocabulary,
                        )
                    )
            shown = [self.post(post, selection) for post in referenced.values()]
            for vocabulary in selection.vocabularies:
                if shown:
                    includes[f"{vocabulary}s"] = shown
        if "author_id" in expansions:
            want(post.author_id for post in posts)
            if "referenced_posts" in expansions:
                want(post.author_id for post in referenced.values())
        if "referenced_tweets.id.author_id" in expansions:
            want(post.author_id for post in referenced.values())
        if "in_reply_to_user_id" in expansions:
            want(post.in_reply_to_user for post in posts)
        if "entities.mentions.username" in expansions:
            want(user_id for post in posts for user_id in post.mentioned_ids())
        if user_ids:
            found = self._users.find_many(set(user_ids))
            users = [
                self.user(found[user_id], selection, viewer_id=viewer_id)
                for user_id in user_ids
                if user_id in found
            ]
            if users:
                includes["users"] = users
        return includes, errors


def _references(post: Post) -> list[dict[str, str]]:
    pairs = (
        ("retweeted", post.repost_of),
        ("quoted", post.quote_of),
        ("replied_to", post.in_reply_to),
    )
    return [{"type": kind, "id": str(target)} for kind, target in pairs if target is not None]


def can_receive_dm(store: Store, sender_id: int, recipient: User) -> bool:
    """Open inbox, or the recipient wrote to the sender first."""
    if recipient.blocks(sender_id) or recipient.is_suspended:
        return False
    if recipient.receives_your_dm:
        return True
    row = store.one(
        "SELECT 1 FROM dm_events WHERE sender_id = ? AND recipient_id = ? LIMIT 1",
        recipient.id,
        sender_id,
    )
    return row is not None
