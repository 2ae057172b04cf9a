"""How X counts a text, and how to recognise one's own text in what X gives back."""

import re
import unicodedata
from collections.abc import Iterable

from autores.x.types import UrlEntity

MAX_WEIGHTED_LENGTH = 280

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_LEADING_HANDLES = re.compile(r"\A(?:\s*[@＠][A-Za-z0-9_]{1,20}(?![A-Za-z0-9_]))+")
_SPACE = re.compile(r"\s+")
_GAP = re.compile(r"([ \t\r\n\u3000]+)")
# twitter-text's link pattern takes time cubic in the dots of a host name, and a text without
# gaps is one name to it. No real host has this many labels, no real bare link this length.
_TOO_MANY_DOTS = re.compile(r"(?:[^./]*\.){24}")
_LONGEST_BARE_LINK = 600
_LONGEST_LINK = 4096
# Undone to the end, on both sides of a comparison: someone may have typed "&amp;" itself.
_ESCAPED_AMPERSAND = re.compile("&(?:amp;)+")


def weighted_length(text: str) -> int:
    """X's length of a text (twitter-text configuration 3): most letters 1, CJK and emoji 2.

    Every link counts 23, a bare domain too; an emoji sequence counts 2 as a whole. The text is
    normalised (NFC) first. Handles X adds to a reply by itself are free: do not pass them.
    """
    # Half a surrogate pair cannot be sent; counted as the replacement sign X would show.
    text = unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", text))
    # Links and emoji never span a gap, so the pieces add up.
    return sum(_weigh_piece(piece) for piece in _GAP.split(text) if piece)


def count_links(text: str) -> int:
    """How many links X would see in the text, bare domains too."""
    from twitter_text import extract_urls_with_indices

    pieces = (piece for piece in _GAP.split(text) if "." in piece and not _is_no_link(piece))
    return sum(len(extract_urls_with_indices(piece)) for piece in pieces)


def unescape_text(text: str) -> str:
    """What the author typed: X hands out ``&``, ``<`` and ``>`` of a text as HTML escapes."""
    if "&" not in text:
        return text
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def normalise_for_match(text: str, urls: Iterable[UrlEntity] = ()) -> str:
    """A form in which a text we sent and the same text as X returns it are equal.

    t.co links are expanded by `urls`, X's three HTML escapes undone, the handles X puts in
    front dropped, links stripped of what X adds (scheme, trailing slash), white space folded.
    For comparing only, never for showing.
    """
    for entity in urls:
        if entity.expanded_url:
            text = text.replace(entity.url, entity.expanded_url)
    text = _ESCAPED_AMPERSAND.sub("&", text).replace("&lt;", "<").replace("&gt;", ">")
    text = unicodedata.normalize("NFC", _LONE_SURROGATE.sub("\ufffd", text))
    text = _LEADING_HANDLES.sub("", text)
    return _SPACE.sub(" ", _shorten_links(text)).strip()


def _weigh_piece(piece: str) -> int:
    # Here, because the package takes 12 MiB, and half of the processes weigh nothing.
    from twitter_text import parse_tweet

    if _is_no_link(piece):
        # Without dots there is no link to look for, and a comma weighs the same.
        piece = piece.replace(".", ",")
    return int(parse_tweet(piece).weightedLength)


def _is_no_link(piece: str) -> bool:
    longest = _LONGEST_LINK if "://" in piece else _LONGEST_BARE_LINK
    return len(piece) > longest or _TOO_MANY_DOTS.search(piece) is not None


def _shorten_links(text: str) -> str:
    return "".join(
        piece if _is_no_link(piece) else _shorten_links_of(piece) for piece in _GAP.split(text)
    )


def _shorten_links_of(text: str) -> str:
    from twitter_text import extract_urls_with_indices

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
