"""Reading the bodies of writes as strictly as X does: a key it does not know is a 400."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from autores.sandbox.problems import ApiProblem, invalid_request

_KEYS = {
    "card_uri", "community_id", "direct_message_deep_link", "edit_options",
    "for_super_followers_only", "geo", "made_with_ai", "media", "nullcast", "paid_partnership",
    "poll", "quote_tweet_id", "reply", "reply_settings", "share_with_followers", "text",
}  # fmt: skip
_REPLY_KEYS = {"auto_populate_reply_metadata", "exclude_reply_user_ids", "in_reply_to_tweet_id"}
_REPLY_SETTINGS = ("following", "mentionedUsers", "subscribers", "verified")
# Valid for X, but the sandbox has no media, polls, places or communities.
_ABSENT = ("media", "poll", "geo", "community_id", "card_uri", "edit_options")
_ID = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True)
class CreateOrder:
    text: str
    in_reply_to: str | None
    quote_of: str | None
    exclude_user_ids: list[str]
    reply_settings: str | None


def read_create_post(body: dict[str, Any], *, vocabulary: str) -> CreateOrder:
    """The body of POST /2/tweets; ApiProblem 400 names the key that is wrong."""

    def refuse(path: str, message: str, value: Any = "") -> ApiProblem:
        return invalid_request(
            f"$.{path}: {message}", parameter=path, value=str(value), vocabulary=vocabulary
        )

    for key in body:
        if key not in _KEYS:
            raise refuse(
                key,
                "is not defined in the schema and the schema does not allow additional properties",
            )
    for key in _ABSENT:
        if key in body:
            raise refuse(key, "the sandbox holds nothing this could refer to", body[key])
    text = body.get("text", "")
    if not isinstance(text, str):
        raise refuse("text", "string expected", text)
    settings = body.get("reply_settings")
    if settings is not None and settings not in _REPLY_SETTINGS:
        raise refuse("reply_settings", f"not one of {', '.join(_REPLY_SETTINGS)}", settings)
    quote_of = body.get("quote_tweet_id")
    if quote_of is not None and not _is_id(quote_of):
        raise refuse("quote_tweet_id", "does not match the regex pattern ^[0-9]{1,19}$", quote_of)
    target, excluded = None, []
    if "reply" in body:
        reply = body["reply"]
        if not isinstance(reply, dict):
            raise refuse("reply", "object expected", reply)
        for key in reply:
            if key not in _REPLY_KEYS:
                raise refuse(
                    f"reply.{key}",
                    "is not defined in the schema and the schema does not allow additional "
                    "properties",
                )
        target = reply.get("in_reply_to_tweet_id")
        if not _is_id(target):
            raise refuse(
                "reply.in_reply_to_tweet_id",
                "is missing or does not match the regex pattern ^[0-9]{1,19}$",
                target,
            )
        excluded = reply.get("exclude_reply_user_ids", [])
        if not isinstance(excluded, list) or not all(_is_id(value) for value in excluded):
            raise refuse("reply.exclude_reply_user_ids", "array of ids expected", excluded)
    return CreateOrder(text, target, quote_of, excluded, settings)


def read_send_message(body: dict[str, Any], *, vocabulary: str) -> str:
    """The text of POST /2/dm_conversations/.../messages."""
    for key in body:
        if key not in ("text", "attachments"):
            raise invalid_request(
                f"$.{key}: is not defined in the schema", parameter=key, vocabulary=vocabulary
            )
    if "attachments" in body:
        raise invalid_request(
            "$.attachments: the sandbox holds no media",
            parameter="attachments",
            vocabulary=vocabulary,
        )
    text = body.get("text")
    if not isinstance(text, str) or not text:
        raise invalid_request(
            "$.text: is missing or empty", parameter="text", vocabulary=vocabulary
        )
    return text


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None
