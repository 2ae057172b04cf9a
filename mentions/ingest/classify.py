"""What a post in the mentions feed is to us: pure, one post in, one verdict out.

The feed also carries handles dragged along in a thread, quotes, reposts and the account's own
posts. X's self-serve rule (February 2026): an app may reply to a post only if its author
mentioned or quoted the replying account.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from autores.x.posts import Post

_CLOSED_SETTINGS = {
    "following": "Only people whom the author follows can reply to this post.",
    "subscribers": "Only the author's subscribers can reply to this post.",
    "verified": "Only verified accounts can reply to this post.",
    "none": "The author closed replies to this post.",
}


class Classification(NamedTuple):
    """``kind``: direct, implicit, quote or repost; ``code`` and ``reason`` explain the rest.

    ``is_work_item`` is False for the account's own posts, and those that are not to it: they are
    never stored as mentions.
    """

    kind: str
    is_work_item: bool
    is_replyable: bool
    code: str
    reason: str


_DIRECT = Classification("direct", True, True, "mentioned", "The author mentioned the account.")
_QUOTE = Classification("quote", True, True, "quoted", "The author quoted the account.")
_ANSWER_TO_US = Classification(
    "implicit", True, True, "replied_to_us", "The author replied to the account's own post."
)
_CARRIED_ALONG = Classification(
    "implicit",
    True,
    False,
    "not_summoned",
    "The handle was only carried along in the thread: X lets this app reply only to people "
    "who mentioned or quoted the account themselves.",
)
_REPOST = Classification(
    "repost", True, False, "repost", "A repost has no text of its own to reply to."
)

_NOT_OURS = Classification(
    "implicit", False, False, "not_ours", "It names somebody who has the account's former name."
)


def classify_post(
    post: Post,
    *,
    account_x_id: str,
    account_username: str,
    referenced: Mapping[str, Post] = MappingProxyType({}),
    former_username: str = "",
    is_found_by_words: bool = False,
) -> Classification:
    """Tell how ``post`` reaches the account, and whether the account may answer it.

    ``referenced`` holds the posts X included beside it, by id. ``is_found_by_words``: it comes of a
    search for the account's name, which may be another's by now, and not of X's mentions feed.
    """
    if post.author_id != account_x_id and post.is_plainly_to(account_x_id):
        return _DIRECT
    kind = _kind_of(post, account_x_id, account_username)
    if kind == "implicit" and _quotes_us(
        post, account_x_id, referenced, may_guess=not is_found_by_words
    ):
        kind = "quote"
    is_to_us = kind in ("direct", "quote") or post.in_reply_to_user_id == account_x_id
    if is_found_by_words and not is_to_us and not _is_named(post, account_x_id, account_username):
        names = {account_username.casefold(), former_username.casefold()}
        if any(
            mention.user_id not in ("", None, account_x_id) and mention.username.casefold() in names
            for mention in post.mentions
        ):
            return _NOT_OURS
    if post.author_id == account_x_id:
        return Classification(kind, False, False, "own_post", "The account wrote this post itself.")
    if kind == "repost":
        return _REPOST
    settings = post.reply_settings
    if settings and settings != "everyone" and (closed := _CLOSED_SETTINGS.get(settings.lower())):
        return Classification(kind, True, False, "reply_settings", closed)
    if kind == "direct":
        return _DIRECT
    if kind == "quote":
        return _QUOTE
    return _ANSWER_TO_US if post.in_reply_to_user_id == account_x_id else _CARRIED_ALONG


def _kind_of(post: Post, account_x_id: str, account_username: str) -> str:
    """By what the post says itself; an implicit one may quote the account."""
    if post.get_reference("retweeted"):
        return "repost"
    typed = post.display_text_range
    if _is_named(post, account_x_id, account_username, since=typed[0] if typed else 0):
        return "direct"
    return "implicit"


def _is_named(post: Post, account_x_id: str, account_username: str, *, since: int = 0) -> bool:
    """Whether the post names the account, at or behind ``since`` in its text."""
    handle = account_username.casefold()
    for mention in post.mentions:
        is_ours = (
            mention.user_id == account_x_id
            if mention.user_id
            else bool(handle) and mention.username.casefold() == handle
        )
        if is_ours and mention.start >= since:
            return True
    return False


def _quotes_us(
    post: Post, account_x_id: str, referenced: Mapping[str, Post], *, may_guess: bool
) -> bool:
    quoted_id = post.get_reference("quoted")
    if not quoted_id:
        return False
    quoted = referenced.get(quoted_id)
    if quoted is not None:
        return quoted.author_id == account_x_id
    # X does not always include the quoted post. In the mentions feed and without a handle of ours,
    # the quote is then the only thing that can have brought the post here.
    return may_guess and not any(mention.user_id == account_x_id for mention in post.mentions)
