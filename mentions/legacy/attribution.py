"""Whose a legacy message is, by rules a person wrote: the table itself does not say.

A message is decided by its id, or by the accounts' @names in its text. What neither decides stays
without an account and is listed; nothing is guessed. Pure, but for reading the rules' file.
"""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mentions.legacy.errors import LegacyImportError

_NAME = re.compile(r"[A-Za-z0-9_]{1,15}")
# A mention as X finds it: not inside a word, an address or another mention.
_MENTION = re.compile(r"(?<![A-Za-z0-9_@＠/&$#!%*])[@＠]([A-Za-z0-9_]{1,15})(?![A-Za-z0-9_@＠])")
_LEADING = re.compile(r"\s*\.?(?:[@＠][A-Za-z0-9_]{1,15}[\s,:]*)+")
_LISTED = 5
_FORM = (
    'JSON: {"handles": {"acme": "ACCOUNT"}, "messages": {"ID": "ACCOUNT"}}, or CSV with the '
    "header handle,account or message,account; ACCOUNT is a legacy id or an X user id"
)


class AttributionError(LegacyImportError):
    """It is not clear which account the messages belong to."""


@dataclass(frozen=True)
class Ambiguous:
    """A message that no rule decides: ``candidates`` are the accounts it may belong to."""

    key: str
    reason: str
    candidates: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {"id": self.key, "reason": self.reason, "candidates": list(self.candidates)}


@dataclass(frozen=True)
class AttributionRules:
    """Account ids by lower-case @name, and by message id."""

    handles: Mapping[str, str] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)

    def choose(self, key: str, text: str) -> str | Ambiguous:
        """The account of a message, or why there is none.

        A message's own rule comes first; then the one account that is named among the mentions
        the text begins with; then, if none is, the one that is named anywhere.
        """
        decided = self.messages.get(key)
        if decided is not None:
            return decided
        leading = _LEADING.match(text)
        named = self._find_named(leading[0]) if leading else ()
        named = named or self._find_named(text)
        if len(named) == 1:
            return named[0]
        if named:
            return Ambiguous(key, "names more than one of the accounts", named)
        return Ambiguous(key, "names none of the accounts", ())

    def resolve(self, find: Callable[[str], str | None]) -> "AttributionRules":
        """The same rules with ``find`` applied to every account; those it has none for go."""
        found = {name: find(name) for name in self.accounts}
        return AttributionRules(
            *(
                {key: account for key, name in rules.items() if (account := found[name])}
                for rules in (self.handles, self.messages)
            )
        )

    @property
    def accounts(self) -> list[str]:
        return sorted({*self.handles.values(), *self.messages.values()})

    @property
    def digest(self) -> str:
        """The same for rules that decide the same."""
        said = json.dumps([dict(self.handles), dict(self.messages)], sort_keys=True)
        return hashlib.sha256(said.encode()).hexdigest()

    def _find_named(self, text: str) -> tuple[str, ...]:
        names = (found[1].lower() for found in _MENTION.finditer(text))
        return tuple(dict.fromkeys(self.handles[name] for name in names if name in self.handles))


def read_rules(paths: Iterable[str]) -> AttributionRules:
    """The rules of one or more files. Raises AttributionError, naming file and line."""
    handles: dict[str, str] = {}
    messages: dict[str, str] = {}
    for path in paths:
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "it is no UTF-8 text"
            raise AttributionError(f"The rules in {path} cannot be read: {why}.") from None
        pairs = _read_json(text, path) if text.lstrip()[:1] == "{" else _read_csv(text, path)
        for kind, name, account, where in pairs:
            if kind == "handle":
                name = name.lstrip("@＠").lower()
                if not _NAME.fullmatch(name):
                    raise AttributionError(f"{where}: {name!r} is no @name.")
            if not name or not account:
                raise AttributionError(f"{where}: the {kind} or the account is empty.")
            rules = handles if kind == "handle" else messages
            if rules.setdefault(name, account) != account:
                raise AttributionError(
                    f"{where}: {kind} {name!r} is given to {rules[name]!r} and to {account!r}."
                )
    return AttributionRules(handles, messages)


def _read_json(text: str, path: str) -> Iterable[tuple[str, str, str, str]]:
    try:
        found = json.loads(text, object_pairs_hook=partial(_refuse_twice, path))
    except json.JSONDecodeError as error:
        raise AttributionError(f"{path}, line {error.lineno}: {error.msg}. {_FORM}.") from None
    unknown = set(found) - {"handles", "messages"}
    sections = {name: found.get(name, {}) for name in ("handles", "messages")}
    is_plain = all(
        isinstance(section, dict) and all(isinstance(item, str) for item in section.values())
        for section in sections.values()
    )
    if unknown or not is_plain:
        raise AttributionError(f"{path} is not of the form {_FORM}.")
    for kind, section in sections.items():
        for name, account in section.items():
            yield kind[:-1], name, account.strip(), f"{path}, {kind}"


def _refuse_twice(path: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON takes the last of two equal names; here each decides about a message."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise AttributionError(f"{path}: {name!r} is there twice, with different values.")
    return found


def warn_of_unused(messages: Collection[str], existing: Collection[str]) -> list[str]:
    """A warning about ids that no row has, as a spreadsheet leaves them; none if all are there."""
    unused = sorted(set(messages) - set(existing))
    if not unused:
        return []
    shown = ", ".join(repr(key) for key in unused[:_LISTED]) + (", …" if unused[_LISTED:] else "")
    return [
        f"{len(unused)} of the {len(messages)} message ids in the rules are in no row, and decide "
        f"nothing: {shown}. See that no program has rounded or cut them."
    ]


def _read_csv(text: str, path: str) -> Iterable[tuple[str, str, str, str]]:
    rows = csv.reader(text.splitlines())
    header = [name.strip().lower() for name in next(rows, [])]
    if header not in (["handle", "account"], ["message", "account"]):
        raise AttributionError(f"{path} is not of the form {_FORM}.")
    for row in rows:
        if not row:
            continue
        where = f"{path}, line {rows.line_num}"
        if len(row) != 2:
            raise AttributionError(f"{where}: {len(row)} values instead of 2.")
        yield header[0], row[0].strip(), row[1].strip(), where
