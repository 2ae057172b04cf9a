"""What X does to a text: normalises, shortens links, escapes, finds entities, counts."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twitter_text import extract_urls_with_indices, parse_tweet

MAX_WEIGHTED_LENGTH = 280
_HANDLE = re.compile(r"(?<![\w@/&])@([A-Za-z0-9_]{1,15})(?![\w@])")
_HASHTAG = re.compile(r"(?<![\w&#/])#(\w*[^\W\d]\w*)")
_CASHTAG = re.compile(r"(?<![\w$])\$([A-Za-z]{1,6})(?!\w)")
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Composed:
    """A text as X stores it. Offsets count code points; `display` is the visible range."""

    text: str
    entities: dict[str, list[dict[str, Any]]]
    display: tuple[int, int]


def weighted_length(text: str) -> int:
    """Length in X's units (a link costs 23, a CJK character 2); 280 is the limit."""
    return int(parse_tweet(unicodedata.normalize("NFC", text)).weightedLength)


def find_handles(text: str) -> list[str]:
    """Usernames typed in a text, without the @, in order, each once whatever its case."""
    found: dict[str, str] = {}
    for match in _HANDLE.finditer(text):
        found.setdefault(match[1].lower(), match[1])
    return list(found.values())


def compose(
    body: str,
    *,
    leading: Sequence[str] = (),
    find_user: Callable[[str], tuple[int, str] | None],
    trailing_url: str | None = None,
) -> Composed:
    """Make X's version of `body`.

    `leading` are the handles a reply carries in front; they lie before the display range.
    `find_user` gives (id, username) for a handle that exists. `trailing_url` is appended as a
    link outside the display range, as X does for a quoted post.
    """
    prefix = "".join(f"@{name} " for name in leading)
    body = unicodedata.normalize("NFC", body).strip()
    parts: list[str] = [prefix]
    length = len(prefix)
    urls: list[dict[str, Any]] = []

    def append(piece: str) -> None:
        nonlocal length
        parts.append(piece)
        length += len(piece)

    def append_url(expanded: str) -> None:
        short = shorten(expanded)
        urls.append(
            {
                "start": length,
                "end": length + len(short),
                "url": short,
                "expanded_url": expanded,
                "display_url": display_url(expanded),
            }
        )
        append(short)

    position = 0
    found = extract_urls_with_indices(body) if "." in body else []
    for match in found:
        start, end = match["indices"]
        append(html.escape(body[position:start], quote=False))
        url = match["url"]
        append_url(url if "://" in url else f"http://{url}")
        position = end
    append(html.escape(body[position:], quote=False))
    display = (len(prefix), length)
    if trailing_url:
        append(" " if length else "")
        append_url(trailing_url)
    text = "".join(parts)
    entities: dict[str, list[dict[str, Any]]] = {}
    mentions = []
    if "@" in text:
        for at in _HANDLE.finditer(text):
            user = find_user(at[1])
            if user is not None:
                mentions.append(
                    {"start": at.start(), "end": at.end(), "username": user[1], "id": str(user[0])}
                )
    if mentions:
        entities["mentions"] = mentions
    if urls:
        entities["urls"] = urls
    for name, pattern, sign in (("hashtags", _HASHTAG, "#"), ("cashtags", _CASHTAG, "$")):
        if sign in text:
            tags = [
                {"start": m.start(), "end": m.end(), "tag": m[1]} for m in pattern.finditer(text)
            ]
            if tags:
                entities[name] = tags
    return Composed(text, entities, display)


def shorten(url: str) -> str:
    """The t.co address of a link; the same link gets the same one."""
    number = int.from_bytes(hashlib.sha256(url.encode()).digest()[:8], "big")
    token = ""
    for _ in range(10):
        number, digit = divmod(number, 62)
        token += _BASE62[digit]
    return f"https://t.co/{token}"


def display_url(url: str) -> str:
    shown = re.sub(r"^https?://(www\.)?", "", url).rstrip("/")
    return shown if len(shown) <= 30 else shown[:29] + "…"


def cut_long_text(text: str) -> tuple[str, str | None]:
    """(text, None) when it fits; else (its beginning with an ellipsis, the whole)."""
    if len(text) * 2 <= MAX_WEIGHTED_LENGTH or weighted_length(text) <= MAX_WEIGHTED_LENGTH:
        return text, None
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if weighted_length(text[:middle]) <= MAX_WEIGHTED_LENGTH - 2:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…", text
