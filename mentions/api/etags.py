"""ETag, If-None-Match and If-Match, made of a row's version.

Autores itself writes down some things about a message that are no change to it: when X was asked
about it last, how far its draft is. They must not make a person's change fail, but be seen by
whoever asks again. So a message's tag is its version and a digest of what is shown: If-None-Match
compares all of it, If-Match the version alone.
"""

import re
from collections.abc import Mapping
from typing import Any

from autores.problems import ApiProblem

_DIGEST_BYTES = 4
# The version, and the digest where there is one.
_TAG = re.compile(r'"([0-9]+)(?:-[0-9a-f]+)?"')


def etag_of(version: int, digest: bytes = b"") -> str:
    """``digest``: of all that is shown, where that can change without another version."""
    return f'"{version}-{digest[:_DIGEST_BYTES].hex()}"' if digest else f'"{version}"'


def _list_tags(header: str) -> list[str]:
    # A proxy that compresses marks the tag as weak; the version it stands for is the same.
    return [tag.strip().removeprefix("W/") for tag in header.split(",")]


def is_unchanged(meta: Mapping[str, Any], etag: str) -> bool:
    """Whether If-None-Match says that the caller has what this (strong) tag stands for."""
    header = meta.get("HTTP_IF_NONE_MATCH", "")
    return bool(header) and (header.strip() == "*" or etag in _list_tags(header))


def is_match(meta: Mapping[str, Any], version: int) -> bool:
    """Whether the caller wants to change this version: he names it by If-Match, or does not care.

    An empty header, which is also what the web server makes of one that is not ASCII, matches none.
    """
    header = _read_match(meta)
    tags = [_TAG.fullmatch(tag) for tag in _list_tags(header)]
    return header == "*" or any(tag and tag[1] == str(version) for tag in tags)


def _read_match(meta: Mapping[str, Any]) -> str:
    return str(meta.get("HTTP_IF_MATCH", "*")).strip()


def require_match(meta: Mapping[str, Any], version: int) -> int | None:
    """The version If-Match names, None if the caller does not care; 412 if it is another one."""
    if not is_match(meta, version):
        raise changed_meanwhile(version)
    return None if _read_match(meta) == "*" else version


def changed_meanwhile(version: int | None) -> ApiProblem:
    """412; ``version`` is the one that stands now, None when that is not known."""
    members: dict[str, Any] = {} if version is None else {"current_etag": etag_of(version)}
    return ApiProblem(
        "changed_meanwhile",
        "Somebody changed it since you read it. Read it again, then repeat your change.",
        status_code=412,
        **members,
    )
