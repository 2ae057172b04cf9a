"""Values of a legacy row as BSON, and their digest: what the import compares, and writes."""

import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_INT32_LE = struct.Struct("<i")
_INT64_LE = struct.Struct("<q")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def digest_values(values: Mapping[str, Any]) -> str:
    """Digest (BLAKE2b, 32 hex digits) of the values, the same for equal values in any order.

    It covers what ``encode_values`` gives, so that the fast path of the import can digest the
    very bytes it stores.
    """
    return hashlib.blake2b(encode_values(values), digest_size=16).hexdigest()


def encode_values(values: Mapping[str, Any]) -> bytes:
    """The values as BSON elements in the order of their names: str, int, bool, datetime or None.

    Integers are 64 bits wide, as Django's fields store them; datetimes are cut to milliseconds.
    """
    return b"".join(encode_value(name, values[name]) for name in sorted(values))


def encode_value(name: str, value: Any) -> bytes:
    """One BSON element. Raises TypeError for a type no legacy column maps to."""
    label = name.encode() + b"\0"
    if value is None:
        return b"\x0a" + label
    if isinstance(value, str):
        text = value.encode()
        return b"\x02" + label + _INT32_LE.pack(len(text) + 1) + text + b"\0"
    if isinstance(value, bool):
        return b"\x08" + label + (b"\x01" if value else b"\0")
    if isinstance(value, int):
        return b"\x12" + label + _INT64_LE.pack(value)
    if isinstance(value, datetime):
        return b"\x09" + label + _INT64_LE.pack((value - _EPOCH) // _MILLISECOND)
    raise TypeError(f"{name} is a {type(value).__name__}")
