"""Characters a reader cannot see, and text folded so that disguises fall away.

Pure. Sources: Unicode categories (Cf, Cc, Co, Cs, Cn), UTS #51 for emoji sequences, UTS #39 for
lookalikes (the letters that pass for ASCII ones).
"""

import re
import unicodedata
from dataclasses import dataclass

_JOINERS = "\u200c\u200d"
_LINE_SEPARATORS = "\u2028\u2029\x85\x0b\x0c"
# Letters and marks by category, yet blank on every screen.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# The three flags that are spelled with tag characters; any other run of tags hides text.
_TAG_FLAG = re.compile(
    "\U0001f3f4(?:"
    + "|".join(
        "".join(chr(0xE0000 + ord(c)) for c in region) for region in ("gbeng", "gbsct", "gbwls")
    )
    + ")\U000e007f"
)
_FIRST_JOINING_SCRIPT = 0x0590  # Hebrew; scripts before it (Latin, Greek, Cyrillic) never join

# Lookalikes of ASCII letters that NFKC leaves alone, from UTS #39's confusables table.
_LOOKALIKES = {
    ord(lookalike): plain
    for plain, lookalikes in {
        "a": "аαɑ",
        "b": "ЬвʙВΒ",
        "c": "сϲⅽС",
        "d": "ԁɗ",
        "e": "еєεёЕΕ",
        "f": "ƒғ",
        "g": "ɡցԍ",
        "h": "һհнНΗ",
        "i": "іιıɩїІΙ",
        "j": "јϳЈ",
        "k": "кκКΚ",
        "l": "ӏƖⅼ",
        "m": "мМΜ",
        "n": "ոпηΝ",
        "o": "оοօσОΟ",
        "p": "рρРΡ",
        "q": "ԛգ",
        "r": "гᴦ",
        "s": "ѕЅ",
        "t": "тτТΤ",
        "u": "սυц",
        "v": "νѵ",
        "w": "ԝωшѡ",
        "x": "хχХΧ",
        "y": "уγүУΥ",
        "z": "ᴢΖ",
    }.items()
    for lookalike in lookalikes
}


@dataclass(frozen=True, slots=True)
class FoldedText:
    """Text made comparable; `origins[i]` is where the i-th folded character stood."""

    text: str
    origins: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original text that the folded slice came from."""
        if start >= end:
            return (0, 0)
        return (self.origins[start], self.origins[end - 1] + 1)


def find_hidden(text: str) -> list[tuple[int, int]]:
    """Return the spans of characters that no reader sees or that turn the writing direction.

    Line feeds and tabs are not hidden. Joiners are, unless they shape the letters of a script
    that joins or the parts of an emoji; so are variation selectors that follow nothing they vary.
    """
    flags = [m.span() for m in _TAG_FLAG.finditer(text)]
    spans: list[tuple[int, int]] = []
    for index in range(len(text)):
        if not _is_hidden(text, index) or any(a <= index < b for a, b in flags):
            continue
        if spans and spans[-1][1] == index:
            spans[-1] = (spans[-1][0], index + 1)
        else:
            spans.append((index, index + 1))
    return spans


def show_visible_text(text: str) -> str:
    """Return the text as a reader sees it: nothing hidden, every line separator a line feed.

    Orders can hide in such characters from the moderator, but not from a model.
    """
    for separator in _LINE_SEPARATORS:
        text = text.replace(separator, "\n")
    # Taking one hidden character out can leave its neighbour with nothing to vary or to join.
    while spans := find_hidden(text):
        starts = [0, *(end for _, end in spans)]
        ends = [*(start for start, _ in spans), len(text)]
        text = "".join(text[a:b] for a, b in zip(starts, ends, strict=True))
    return text


def fold_text(text: str) -> FoldedText:
    """Fold for matching: compatibility forms, case, accents, hidden characters and digits.

    Each character is folded by itself, so that every match can be shown in the original.
    """
    folded: list[str] = []
    origins: list[int] = []
    hidden = {i for start, end in find_hidden(text) for i in range(start, end)}
    for index, char in enumerate(text):
        if index in hidden or char in _JOINERS:
            continue
        for part in unicodedata.normalize("NFKD", char).casefold():
            # Marks of scripts after Hebrew are letters in all but name.
            if unicodedata.category(part) == "Mn" and ord(part) < 0x0590:
                continue
            folded.append(_fold_digit(part))
            origins.append(index)
    return FoldedText("".join(folded), tuple(origins))


def replace_lookalikes(text: str) -> str:
    """Return folded text of the same length, lookalikes replaced in words of mixed script.

    A word that is all Cyrillic or all Greek is a word of its language and stays.
    """

    def replace(match: re.Match[str]) -> str:
        word = match.group()
        return word.translate(_LOOKALIKES) if re.search("[a-z]", word) else word

    return re.sub(r"[^\s]+", replace, text)


def fold_pattern(source: str) -> str:
    """Fold the words inside a regular expression as fold_text folds the text it will meet.

    ASCII is left alone, so that `\\W` stays `\\W`.
    """
    return "".join(c if c.isascii() else fold_text(c).text or c for c in source)


def _is_hidden(text: str, index: int) -> bool:
    char = text[index]
    code = ord(char)
    if char in "\n\t":
        return False
    if char in _JOINERS:
        return not _is_joining(text, index)
    if char in "\ufe0e\ufe0f":
        before = text[index - 1] if index else ""
        return not before or not (
            before in "#*0123456789"
            or unicodedata.category(before) == "So"
            or unicodedata.category(before) in ("Sm", "Po", "Lo", "Sk")
        )
    if 0xFE00 <= code <= 0xFE0D or 0xE0100 <= code <= 0xE01EF or 0x180B <= code <= 0x180F:
        return True
    return char in _BLANK_LETTERS or unicodedata.category(char) in (
        "Cc",
        "Cf",
        "Co",
        "Cs",
        "Cn",
        "Zl",
        "Zp",
    )


def _is_joining(text: str, index: int) -> bool:
    before, after = text[index - 1 : index] if index else "", text[index + 1 : index + 2]
    if not before or before in _JOINERS or ord(before) < _FIRST_JOINING_SCRIPT:
        return False
    if unicodedata.category(before) in ("Mn", "Mc") and before not in "\ufe0e\ufe0f":
        return True
    if not after or ord(after) < _FIRST_JOINING_SCRIPT or after in _JOINERS:
        return False
    return unicodedata.category(before)[0] in "LMS" and unicodedata.category(after)[0] in "LMS"


def _fold_digit(char: str) -> str:
    value = unicodedata.decimal(char, None)
    return char if value is None else str(value)
