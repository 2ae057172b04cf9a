"""What a post in the mentions feed is to us: pure, one post in, one verdict out.

The feed also carries handles dragged along in a thread, quotes, reposts and the account's own
posts. X's self-serve rule (February 2026): an app may reply to a post only if its author
mentioned or quoted the replying account.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autores.x.posts import Post

_CLOSED_SETTINGS = {
    "following": "Only people whom the author follows can reply to this post.",
    "subscribers": "Only the author's subscribers can reply to this post.",
    "verified": "Only verified accounts can reply to this post.",
    "none": "The author closed replies to this post.",
}


@dataclass(frozen=True, slots=True)
class Classification:
    """``kind``: direct, implicit, quote or repost; ``code`` and ``reason`` explain the rest.

    ``is_work_item`` is False for the account's own posts, which are never stored as mentions.
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


def classify_post(
    post: Post,
    *,
    account_x_id: str,
    account_username: str,
    referenced: Mapping[str, Post] | None = None,
) -> Classification:
    """Tell how ``post`` reaches the account, and whether the account may answer it.

    ``referenced`` holds the posts X included beside it, by id.
    """
    kind = _kind_of(post, account_x_id, account_username, referenced or {})
    if post.author_id == account_x_id:
        return Classification(kind, False, False, "own_post", "The account wrote this post itself.")
    if kind == "repost":
        return _REPOST
    settings = (post.reply_settings or "everyone").lower()
    if settings in _CLOSED_SETTINGS:
        return Classification(kind, True, False, "reply_settings", _CLOSED_SETTINGS[settings])
    if kind == "direct":
        return _DIRECT
    if kind == "quote":
        return _QUOTE
    return _ANSWER_TO_US if post.in_reply_to_user_id == account_x_id else _CARRIED_ALONG


def _kind_of(
    post: Post, account_x_id: str, account_username: str, referenced: Mapping[str, Post]
) -> str:
    if post.get_reference("retweeted"):
        return "repost"
    typed = post.display_text_range
    typed_from = typed[0] if typed else 0
    handle = account_username.casefold()
    mentions = post.mentions
    for mention in mentions:
        is_ours = (
            mention.user_id == account_x_id
            if mention.user_id
            else bool(handle) and mention.username.casefold() == handle
        )
        if is_ours and mention.start >= typed_from:
            return "direct"
    quoted_id = post.get_reference("quoted")
    if quoted_id:
        quoted = referenced.get(quoted_id)
        # X does not always include the quoted post. In the mentions feed and without a handle
        # of ours, the quote is then the only thing that can have brought the post here.
        carried_along = any(m.user_id == account_x_id for m in mentions)
        if (quoted is not None and quoted.author_id == account_x_id) or (
            quoted is None and not carried_along
        ):
            return "quote"
    return "implicit"
