"""ETag, If-None-Match and If-Match, made of a row's version."""

from collections.abc import Mapping
from typing import Any

from autores.problems import ApiProblem


def etag_of(version: int) -> str:
    return f'"{version}"'


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
    return header == "*" or etag_of(version) in _list_tags(header)


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
