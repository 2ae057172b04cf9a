"""Takes out of a text what it quotes of another: pure.

Words are not compared, characters are: languages without spaces are quoted, too.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

MARK = "[deleted]"
# Shorter runs are everybody's words; a source shorter than this is looked for as a whole.
_SHORTEST_QUOTE = 16
_SHORTEST_SOURCE = 4
_SHORTEST_NAME = 3
_NUMBERED = re.compile(r"(?=[\w./-]*\d)\w[\w./-]{2,}\w")


class QuoteCutter:
    """Cuts what ``sources`` say, and ``names``, out of any text."""

    def __init__(self, sources: Sequence[str], names: Iterable[str] = ()) -> None:
        self._pieces: dict[int, set[str]] = {}
        for source in sources:
            folded = "".join(character for character, _ in _fold(source)).strip()
            size = min(len(folded), _SHORTEST_QUOTE)
            if size < _SHORTEST_SOURCE:
                continue
            pieces = self._pieces.setdefault(size, set())
            pieces.update(folded[i : i + size] for i in range(len(folded) - size + 1))
        # Numbers of phones, orders and houses tell of a person by themselves.
        telling = (word for source in sources for word in _NUMBERED.findall(source))
        named = {name for name in names if len(name) >= _SHORTEST_NAME}
        wanted = sorted({*named, *telling}, key=len, reverse=True)
        self._names = (
            re.compile("|".join(rf"(?<!\w)@?{re.escape(name)}(?!\w)" for name in wanted), re.I)
            if wanted
            else None
        )

    def cut(self, text: str) -> str:
        """``text`` with a mark in place of each quotation and name; the same if there is none."""
        folded = _fold(text)
        characters = "".join(character for character, _ in folded)
        quoted = bytearray(len(text))
        for size, pieces in self._pieces.items():
            for start in range(len(characters) - size + 1):
                piece = characters[start : start + size]
                if piece in pieces:
                    # The space around a quotation is not quoted.
                    first = folded[start + (piece[0] == " ")][1]
                    last = folded[start + size - 1 - (piece[-1] == " ")][1]
                    quoted[first : last + 1] = b"\1" * (last + 1 - first)
        if any(quoted):
            text = _replace(text, quoted)
        return self._names.sub(MARK, text) if self._names else text

    def cut_all(self, value: Any, *, emptied: Sequence[str] = ()) -> Any:
        """Every text inside a JSON value; keys named in ``emptied`` lose theirs altogether."""
        if isinstance(value, str):
            return self.cut(value)
        if isinstance(value, list):
            return [self.cut_all(item, emptied=emptied) for item in value]
        if isinstance(value, dict):
            return {
                key: ""
                if key in emptied and isinstance(item, str)
                else self.cut_all(item, emptied=emptied)
                for key, item in value.items()
            }
        return value


def _fold(text: str) -> list[tuple[str, int]]:
    """Small letters, one space for any white space; each with its place in ``text``."""
    folded: list[tuple[str, int]] = []
    for place, character in enumerate(text):
        if character.isspace():
            if folded and folded[-1][0] != " ":
                folded.append((" ", place))
        else:
            folded.extend((small, place) for small in character.casefold())
    return folded


def _replace(text: str, quoted: bytearray) -> str:
    parts: list[str] = []
    for place, character in enumerate(text):
        if not quoted[place]:
            parts.append(character)
        elif place == 0 or not quoted[place - 1]:
            parts.append(MARK)
    return "".join(parts)
