"""How the text of a variable becomes a value. Every parser raises ValueError with what is wanted:
"must be …", to be read after the variable's name.
"""

import json
import math
import re
from collections.abc import Callable
from email.utils import parseaddr
from typing import Any
from urllib.parse import SplitResult, urlsplit

Parser = Callable[[str], Any]


def text(value: str) -> str:
    return value


def token(value: str) -> str:
    """A key, a secret or a name: copied from elsewhere, and no part of a sentence."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be without spaces and in plain ASCII: copy it again")
    return value


def integer(*, at_least: int = 0, at_most: int = 1_000_000) -> Parser:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not at_least <= number <= at_most:
            raise ValueError(f"must be from {at_least} to {at_most}")
        return number

    return parse


def decimal(*, above: float = 0.0, or_equal: bool = False, at_most: float = 1_000_000) -> Parser:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        is_in_range = number > above or (or_equal and number == above)
        # Not a number compares as False; a huge one would overflow a timedelta later.
        if not is_in_range or math.isinf(number) or number > at_most:
            least = f"at least {above:g}" if or_equal else f"more than {above:g}"
            raise ValueError(f"must be {least} and at most {at_most:.0f}")
        return number

    return parse


def boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def choice(*options: str) -> Parser:
    """One of ``options``, in capitals or not."""
    by_lowered = {option.lower(): option for option in options}

    def parse(value: str) -> str:
        try:
            return by_lowered[value.lower()]
        except KeyError:
            raise ValueError(f"must be one of: {', '.join(options)}") from None

    return parse


def url(*schemes: str, is_base: bool = False) -> Parser:
    expected = " or ".join(f"{scheme}://" for scheme in schemes)

    def parse(value: str) -> str:
        try:
            parts = urlsplit(value)
            has_host = bool(parts.netloc.rpartition("@")[2].partition("/")[0].lstrip(":"))
        except ValueError:
            # Its message quotes the part before the path, password included.
            raise ValueError(
                "is not a URL; write special characters of a password as %XX"
            ) from None
        if parts.scheme not in schemes or not has_host:
            raise ValueError(f"must start with {expected} and name a host")
        if parts.scheme in {"redis", "rediss"} and not re.fullmatch(r"/?[0-9]*/?", parts.path):
            raise ValueError("must end with the number of a database, such as /0")
        # MongoDB's has several hosts; its driver checks it.
        if not parts.scheme.startswith("mongodb"):
            _check_port(parts)
        if not parts.scheme.startswith("http"):
            return value
        if is_base and (parts.path.rstrip("/").endswith("/2") or parts.query or parts.fragment):
            raise ValueError("must end before the version: /2 and the paths are added to it")
        if "@" in parts.netloc:
            raise ValueError("must not hold a user name or password")
        return value.rstrip("/")

    return parse


def _check_port(parts: SplitResult) -> None:
    try:
        # Asking for the port is what checks it.
        assert parts.port != 0
    except (ValueError, AssertionError):
        raise ValueError(
            "has a port that is not a number from 1 to 65535, or a password with special "
            "characters: write those as %XX"
        ) from None


def string_list(value: str) -> list[str]:
    """A JSON array of strings (the legacy form) or a comma-separated list."""
    if value.lstrip().startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            raise ValueError('must be a JSON array such as ["one", "two"]') from None
        if not all(isinstance(item, str) for item in items):
            raise ValueError("must be a JSON array of strings")
        return [item.strip() for item in items if item.strip()]
    return [item.strip() for item in value.split(",") if item.strip()]


def addresses(value: str) -> list[str]:
    """A list of mail addresses."""
    found = string_list(value)
    if not all(re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(item)[1]) for item in found):
        raise ValueError("must list mail addresses such as ops@example.com")
    return found


def origins(*, allows_any: bool = False) -> Parser:
    """A list of origins, ``https://host[:port]``; with ``allows_any`` also ``*``."""

    def parse(value: str) -> list[str]:
        found = []
        for item in string_list(value):
            if item == "*" and allows_any:
                found.append(item)
                continue
            try:
                parts = urlsplit(item)
            except ValueError:
                parts = urlsplit("")
            has_more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
            if parts.scheme not in {"http", "https"} or not parts.netloc or has_more:
                raise ValueError(
                    "must list origins such as https://app.example.com, without a path"
                    + (', or "*"' if allows_any else "")
                )
            found.append(item.rstrip("/"))
        return found

    return parse


def host_names(value: str) -> list[str]:
    """A list of host names, without scheme, port or path; ``.example.com`` means all below it."""
    names = string_list(value)
    if any(re.search(r"[/\s@]|[^:\]]:\d+$", name) for name in names):
        raise ValueError(
            "must list host names such as autores.example.com, without https:// or port"
        )
    return names


def database_name(value: str) -> str:
    # MongoDB's own limits, less the "test_" that tests put before the name.
    if re.search(r"[/\\. \"$*<>:|?\x00]", value) or len(value.encode()) > 58:
        raise ValueError('must be at most 58 bytes, without / \\ . " $ * < > : | ? or a space')
    return value
