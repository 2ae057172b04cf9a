"""Takes secrets out of text: by their exact value where we know it, by their shape elsewhere.

The last line of defence. No code of ours logs a secret; what a library, a traceback or a URL
lets through is masked here. Harmless text stays as it is: ``code=404``, ``state=queued``.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

MASK = "[redacted]"
# Shorter ones would mask parts of ordinary words.
_SHORTEST_KNOWN_SECRET = 6

# No pattern may look further than a fixed distance: strangers choose much of what is logged (a
# path, a Host header), and a search that grows with the square of it would stop the server.
_NAMES = (
    r"(?:access[_-]?token|refresh[_-]?token|id[_-]?token|bearer[_-]?token|auth[_-]?token"
    r"|oauth[_-]?token|oauth[_-]?secret|csrf[_-]?token|csrfmiddlewaretoken"
    r"|token_encryption_keys|code[_-]?verifier|client[_-]?secret|api[_-]?key|secret[_-]?key"
    r"|private[_-]?key|signing[_-]?key|password|passwd|sessionid|autores_session|autores_browser"
    r"|set-cookie|cookie)"
)
_NAMED = re.compile(rf"(?i)(?:^|[_-]){_NAMES}$")
# Longer texts are cut before they are searched.
_LONGEST_TEXT = 65_536
_LONGEST_WORD = 512
# A mask that is there already is not masked again, so that redacting twice changes nothing.
_QUOTED = r"(?:\\?\"(?!\[redacted\])(?:[^\"\\]|\\[^\"])+|\\?'(?!\[redacted\])(?:[^'\\]|\\[^'])+)"
# A path's %20 ends in what looks like a part of the word that follows.
_ESCAPED = r"(?<=%[0-9A-Fa-f]{2})"


@dataclass(frozen=True)
class _Shape:
    """What a secret looks like. ``clues``: one of them stands, in lower case, in all that matches;
    without any, it is a long run of letters and digits.
    """

    pattern: str
    replacement: str
    clues: tuple[str, ...] = ()

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Compiled when first needed: all of them take longer than most modules to load."""
        return re.compile(self.pattern)


# One of these is part of each of _NAMES.
_NAME_CLUES = ("token", "secret", "key", "passw", "session", "cookie", "verifier", "browser")
_SHAPES = (
    # Authorization headers, whatever the scheme is called.
    _Shape(
        r"(?i)\b((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:b[\"'])?)"
        r"(?!\[redacted\])(?:[a-z]+\s+)?[^\s\"',;}]{4,}",
        rf"\1{MASK}",
        ("authorization",),
    ),
    _Shape(
        r"\b([Bb]earer|[Bb]asic|BEARER|BASIC|Token)\s+(?=[^\s]{0,200}[\d._~+/=-])"
        r"[A-Za-z0-9._~+/=-]{12,}",
        rf"\1 {MASK}",
        ("bearer", "basic", "token"),
    ),
    # "name": "value" and name='value': all of what is quoted.
    _Shape(rf"(?i)({_NAMES}\\?[\"']?\s*[:=]\s*)({_QUOTED})", rf"\1'{MASK}", _NAME_CLUES),
    # name=value, as in a query, a form or an environment.
    _Shape(rf"(?i)({_NAMES}=)(?!\[redacted\]|[\"'\\])[^\s&,;\"')}}\]]+", rf"\1{MASK}", _NAME_CLUES),
    # name: value, where the value is no word of a sentence.
    _Shape(
        rf"(?i)({_NAMES}:\s{{0,9}})(?=[^\s,;]{{0,200}}[\d_~+/=-])(?!\[redacted\])[^\s,;\"']{{8,}}",
        rf"\1{MASK}",
        _NAME_CLUES,
    ),
    # OAuth's code and state are ordinary words too: masked in a query, or if long and random.
    _Shape(
        r"(?i)([?&](?:code|state|oauth_verifier)=)(?=[^&\s\"']{0,200}(?-i:[A-Z]|\d))"
        r"[^&\s\"'<>)]{8,}",
        rf"\1{MASK}",
        ("code=", "state=", "verifier="),
    ),
    _Shape(
        r"(?i)\b((?:code|state)[\"']?\s*[:=]\s*[\"']?)(?=[\w.~-]{0,200}\d)(?=[\w.~-]{0,200}[a-z])"
        r"[\w.~-]{20,}",
        rf"\1{MASK}",
        ("code", "state"),
    ),
    # user:password@host in a URL.
    _Shape(
        r"(?i)(?<![a-z])([a-z][a-z0-9+.-]{0,30}://[^\s:/@\"']{0,200}:)(?!\[redacted\]@)[^\s/\"']{1,500}@",
        rf"\1{MASK}@",
        ("://",),
    ),
    # Secrets wherever they stand: OpenAI's keys, our tokens, Fernet's texts and keys, JSON web
    # tokens, X's OAuth 2.0 tokens.
    _Shape(rf"(?:\b|{_ESCAPED})sk-[A-Za-z0-9_-]{{8,}}", MASK, ("sk-",)),
    _Shape(rf"(?:\b|{_ESCAPED})atr_[A-Za-z0-9_-]{{8,}}", MASK, ("atr_",)),
    _Shape(rf"(?:\b|{_ESCAPED})gAAAAA[A-Za-z0-9_-]{{20,}}={{0,2}}", MASK, ("gaaaaa",)),
    _Shape(
        rf"(?:(?<![A-Za-z0-9_/+-])|{_ESCAPED})[A-Za-z0-9_-]{{43}}=(?![A-Za-z0-9_=-])",
        MASK,
    ),
    _Shape(
        rf"(?:\b|{_ESCAPED})" r"eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]*",
        MASK,
        ("eyj",),
    ),
    _Shape(
        rf"(?:(?<![A-Za-z0-9_/-])|{_ESCAPED})"
        r"(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Z])"
        r"(?=[A-Za-z0-9_-]*[a-z])[A-Za-z0-9_-]{80,}(?![A-Za-z0-9_-])",
        MASK,
    ),
)
_CLUES = tuple({clue for shape in _SHAPES for clue in shape.clues})
_LONG_RUN = re.compile(r"[A-Za-z0-9_-]{43}")
_known_secrets: tuple[str, ...] = ()


def protect_values(secrets: Iterable[str]) -> None:
    """Mask these exact texts from now on, besides what looks like a secret."""
    global _known_secrets
    worth = {secret for secret in secrets if len(secret) >= _SHORTEST_KNOWN_SECRET}
    # The longest first: one secret may contain another.
    _known_secrets = tuple(sorted(worth, key=len, reverse=True))


def redact(text: str) -> str:
    """``text`` with whatever is or looks like a secret masked."""
    for secret in _known_secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    text = _cut(text)
    for shape in _find_possible(text):
        text = shape.regex.sub(shape.replacement, text)
    return text


def _find_possible(text: str) -> Iterable[_Shape]:
    """The shapes that may be in the text: most lines hold no clue, and searching for all takes
    longer than all else about a line. What masks one brings no clue to another.
    """
    # Ignoring case, a pattern takes four letters beyond ASCII for an i, a k or an s.
    if not text.isascii():
        return _SHAPES
    lower = text.lower()
    clues = {clue for clue in _CLUES if clue in lower}
    has_run = len(text) >= 43 and _LONG_RUN.search(text) is not None
    if not clues and not has_run:
        return ()
    return [
        shape
        for shape in _SHAPES
        if (not clues.isdisjoint(shape.clues) if shape.clues else has_run)
    ]


def _cut(text: str) -> str:
    """The text up to a limit, ended before a word: half a secret would fit no pattern."""
    if len(text) <= _LONGEST_TEXT:
        return text
    end = _LONGEST_TEXT
    space = max(
        text.rfind(" ", end - _LONGEST_WORD, end), text.rfind("\n", end - _LONGEST_WORD, end)
    )
    end = space if space > 0 else end - _LONGEST_WORD
    return f"{text[:end]} … ({len(text) - end} more characters)"


def redact_value(value: Any, *, name: str = "") -> Any:
    """``value`` for a structured log: texts redacted at any depth, those with a secret's name gone.

    Anything JSON does not know becomes its redacted ``str``.
    """
    if name and _NAMED.search(name) and value not in (None, ""):
        return MASK
    if isinstance(value, str):
        return redact(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(key): redact_value(inner, name=str(key)) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact_value(inner) for inner in value]
    return redact(str(value))
