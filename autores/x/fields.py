"""Reads single fields of X's JSON. Pure.

``require_…`` raises ContractError naming the field: X drops unknown field names with a 200, so an
absent field must never pass for an empty one. ``optional_…`` gives None for an odd value.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from autores.x.errors import ContractError
from autores.x.ids import is_post_id


def missing(path: str) -> ContractError:
    return ContractError(
        f"X's answer lacks the field {path}, or has it in another form. Check that "
        "X_FIELD_VOCABULARY is the one X speaks now.",
        code="missing_field",
        field=path,
    )


def require_object(value: object, *, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise missing(at)
    return value


def require_text(raw: Mapping[str, Any], key: str, *, at: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str):
        raise missing(f"{at}.{key}")
    return value


def require_id(raw: Mapping[str, Any], key: str, *, at: str) -> str:
    value = optional_id(raw, key)
    if value is None:
        raise missing(f"{at}.{key}")
    return value


def require_time(raw: Mapping[str, Any], key: str, *, at: str) -> datetime:
    try:
        moment = datetime.fromisoformat(require_text(raw, key, at=at))
        if moment.tzinfo is UTC:
            return moment
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise missing(f"{at}.{key}")


def optional_text(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if isinstance(value, str) else None


def optional_id(raw: Mapping[str, Any], key: str) -> str | None:
    value = raw.get(key)
    return value if is_post_id(value) else None


def optional_count(raw: Mapping[str, Any], key: str, *, default: int) -> int:
    value = raw.get(key)
    return value if type(value) is int and value >= 0 else default


def as_object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """The value when it is a list, else an empty one."""
    return value if isinstance(value, list) else []
