"""How X counts a text, and how to recognise one's own text in what X gives back."""

import re
import unicodedata
from collections.abc import Iterable

from twitter_text import extract_urls_with_indices, parse_tweet

from autores.x.types import UrlEntity

MAX_WEIGHTED_LENGTH = 280

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LEADING_HANDLES = re.compile(r"\A(?:\s*[@＠][A-Za-z0-9_]{1,20}(?![A-Za-z0-9_]))+")
_SPACE = re.compile(r"\s+")
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


def weighted_length(text: str) -> int:
    """X's length of a text (twitter-text configuration 3): most letters 1, CJK and emoji 2.

    Every link counts 23, a bare domain too; an emoji sequence counts 2 as a whole. The text is
    normalised (NFC) first. Handles X adds to a reply by itself are free: do not pass them.
    """
    # Half a surrogate pair cannot be sent; counted as the replacement sign X would show.
    return int(parse_tweet(_LONE_SURROGATE.sub("\ufffd", text)).weightedLength)


def normalise_for_match(text: str, urls: Iterable[UrlEntity] = ()) -> str:
    """A form in which a text we sent and the same text as X returns it are equal.

    t.co links are expanded by `urls`, X's three HTML escapes undone, the handles X puts in
    front dropped, links stripped of what X adds (scheme, trailing slash), white space folded.
    For comparing only, never for showing.
    """
    for entity in urls:
        if entity.expanded_url:
            text = text.replace(entity.url, entity.expanded_url)
    for escaped, plain in _ESCAPES:
        text = text.replace(escaped, plain)
    text = unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", text))
    text = _LEADING_HANDLES.sub("", text)
    return _SPACE.sub(" ", _shorten_links(text)).strip()


def _shorten_links(text: str) -> str:
    parts, end = [], 0
    for found in extract_urls_with_indices(text):
        start, stop = found["indices"]
        parts += [text[end:start], _shorten_link(text[start:stop])]
        end = stop
    return "".join([*parts, text[end:]])


def _shorten_link(url: str) -> str:
    bare = re.sub(r"\Ahttps?://", "", url, flags=re.IGNORECASE)
    host, slash, rest = bare.partition("/")
    return (host.lower() + slash + rest).rstrip("/")
