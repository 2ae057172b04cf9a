"""Reads the variables of the table, from the process environment and the ``.env`` file."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dotenv import dotenv_values

from autores.env.table import VARIABLES
from autores.env.values import string_list
from autores.env.variable import Variable

_BASE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Problem:
    """A variable whose value cannot be used. ``message`` never quotes the value of a secret."""

    name: str
    message: str
    hint: str


@dataclass(frozen=True)
class Typo:
    """A name in the ``.env`` file that is nearly one of ours, and the name that was meant."""

    name: str
    meant: str


@dataclass
class Environment:
    """Parsed values by name, and the problems met on the way (the default stands in then).

    Its ``repr`` shows no value, as some are secrets. ``given`` holds the names that had a text,
    good or bad; ``secret_texts`` what a log line must never show.
    """

    values: dict[str, Any] = field(repr=False)
    problems: list[Problem] = field(default_factory=list)
    typos: list[Typo] = field(default_factory=list)
    given: frozenset[str] = frozenset()
    secret_texts: frozenset[str] = field(default=frozenset(), repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def load(
    environ: Mapping[str, str],
    *,
    dotenv_path: Path | None = None,
    is_dotenv_required: bool = False,
    variables: tuple[Variable, ...] = VARIABLES,
) -> Environment:
    """Read every variable from ``environ``, then from the ``.env`` file, then its default.

    An empty value counts as not given. Never raises for a bad value: the default stands in and
    the problem is kept, for ``manage.py check`` and for the servers' start to refuse.
    """
    loaded = Environment(values={})
    sources: list[Mapping[str, str]] = [environ]
    if dotenv_path is not None:
        from_file = _read_dotenv(dotenv_path, is_required=is_dotenv_required, loaded=loaded)
        sources.append(from_file)
        loaded.typos = _find_typos(from_file, variables)
    given, secret_texts = set(), set()
    for variable in variables:
        loaded.values[variable.name] = variable.default
        raw = _find_text(variable, sources, loaded)
        if raw is None:
            continue
        given.add(variable.name)
        if variable.is_secret:
            secret_texts.update(_split_secret(raw))
        try:
            loaded.values[variable.name] = variable.parse(raw)
        except ValueError as error:
            shown = "" if variable.is_secret else f" (it is {_abridge(raw)})"
            loaded.problems.append(
                Problem(variable.name, f"{variable.name} {error}{shown}.", variable.help)
            )
    has_problem = {problem.name for problem in loaded.problems}
    if loaded["ENVIRONMENT"] == "production":
        loaded.problems += [
            Problem(variable.name, f"{variable.name} must be set in production.", variable.help)
            for variable in variables
            if variable.is_required_in_production and variable.name not in given | has_problem
        ]
    loaded.given, loaded.secret_texts = frozenset(given), frozenset(secret_texts)
    return loaded


def load_own(environ: Mapping[str, str]) -> Environment:
    """What every process of Autores runs by: ``environ``, then ``.env`` beside ``manage.py``.

    AUTORES_DOTENV names another file; set to nothing, none is read.
    """
    named = environ.get("AUTORES_DOTENV")
    path = _BASE / ".env" if named is None else Path(named) if named else None
    return load(environ, dotenv_path=path, is_dotenv_required=bool(named))


def _read_dotenv(path: Path, *, is_required: bool, loaded: Environment) -> dict[str, str]:
    try:
        # Without interpolation: a secret may hold "${". The BOM is what Windows editors leave.
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        hint = "Make the file readable for this user."
    else:
        if path.is_file() or not is_required:
            return {name: value for name, value in values.items() if value}
        reason = "it is no file" if path.exists() else "there is no such file"
        hint = "AUTORES_DOTENV names it: correct or unset that."
    loaded.problems.append(
        Problem("AUTORES_DOTENV", f"The settings in {path} cannot be read: {reason}.", hint)
    )
    return {}


def _find_text(
    variable: Variable, sources: list[Mapping[str, str]], loaded: Environment
) -> str | None:
    """The variable's text from the first source that has one, or None; a problem is recorded."""
    for source in sources:
        raw = source.get(variable.name, "").strip()
        path = source.get(f"{variable.name}_FILE", "").strip()
        if raw and path:
            message = f"{variable.name} and {variable.name}_FILE are both set."
            loaded.problems.append(Problem(variable.name, message, "Keep one of them."))
            return None
        if raw:
            return raw
        if path:
            return _read_secret_file(variable, Path(path), loaded)
    return None


def _read_secret_file(variable: Variable, path: Path, loaded: Environment) -> str | None:
    try:
        if raw := path.read_text(encoding="utf-8-sig").strip():
            return raw
        reason = "it is empty"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "it is not UTF-8 text"
    loaded.problems.append(
        Problem(
            variable.name,
            f"{variable.name}_FILE names {path}, which cannot be used: {reason}.",
            "Mount the secret, or make the file readable for this user.",
        )
    )
    return None


def _find_typos(from_file: Mapping[str, str], variables: tuple[Variable, ...]) -> list[Typo]:
    known = [variable.name for variable in variables]
    known += [f"{name}_FILE" for name in known]
    return [
        Typo(name, close[0])
        for name in from_file
        if name not in known and (close := difflib.get_close_matches(name, known, cutoff=0.9))
    ]


# A shorter one is a word of other texts, too.
_SECRET_PATH = 12


def _split_secret(raw: str) -> set[str]:
    """What must not be shown of a secret: the password of a URL, or the whole of an address that is
    the secret itself, each key of a list, the text.
    """
    try:
        parts = urlsplit(raw)
        password = parts.password
    except ValueError:
        return {raw}
    if parts.scheme in {"http", "https"}:
        path = urlunsplit(("", "", parts.path, parts.query, "")).rstrip("/")
        return {raw, path} if len(path) >= _SECRET_PATH else {raw}
    if "://" in raw:
        return {password} if password else set()
    try:
        return set(string_list(raw)) | {raw}
    except ValueError:
        return {raw}


def _abridge(raw: str) -> str:
    without_password = re.sub(r"//[^/@\s]*@", "//…@", raw)
    return repr(without_password if len(without_password) <= 80 else f"{without_password[:80]}…")
