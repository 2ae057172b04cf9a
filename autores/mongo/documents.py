"""Documents in BSON: of which most fields are alike, and of JSON that BSON cannot hold."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument

try:
    from autores.mongo import _fastbson
except ImportError:
    # Nobody has compiled it; see autores.mongo.accelerator.
    HAS_ACCELERATOR = False
else:
    HAS_ACCELERATOR = True

_LENGTH = struct.Struct("<i")
_LEAST, _MOST = -(2**63), 2**63 - 1
# MongoDB takes 180 levels in all, of which the document that it becomes a part of has some.
_DEEPEST = 100


class SharedFields:
    """The fields that many documents have in common: they are encoded once, not for each.

    Raises bson.errors.InvalidDocument and OverflowError for what BSON cannot hold, as a write does.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._names = frozenset(fields)
        self._encoded = bson.encode(fields)[4:-1]

    def complete(self, own: dict[str, Any]) -> RawBSONDocument:
        """A document of ``own`` and the shared fields; ValueError when a field is in both."""
        if not self._names.isdisjoint(own):
            twice = ", ".join(sorted(self._names & own.keys()))
            raise ValueError(f"The document has fields of its own that are shared: {twice}")
        return RawBSONDocument(encode_fields(own, self._encoded))


def encode_fields(fields: dict[str, Any], tail: bytes = b"") -> bytes:
    """A document of the fields, and of those that ``tail`` has in BSON. Raises what a write raises.

    By the accelerator where it is compiled; it leaves what it does not know to the driver.
    """
    if HAS_ACCELERATOR:
        try:
            return _fastbson.encode(fields, tail)
        except _fastbson.Refused:
            pass
    return encode_plainly(fields, tail)


def encode_plainly(fields: Mapping[str, Any], tail: bytes = b"") -> bytes:
    """As ``encode_fields``, by the driver."""
    encoded = bson.encode(fields)
    length = _LENGTH.pack(len(encoded) + len(tail))
    return b"".join((length, encoded[4:-1], tail, b"\0"))


def make_storable(value: Any, *, levels: int = _DEEPEST) -> Any:
    """JSON as BSON can hold it: integers of more than 64 bits as text, NUL in names spelled out,
    what is nested deeper than so many ``levels`` as the text of its JSON.
    """
    if isinstance(value, (Mapping, list)) and not levels:
        return _write_text(value)
    if isinstance(value, Mapping):
        return {
            name.replace("\0", "\\u0000"): make_storable(inner, levels=levels - 1)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [make_storable(inner, levels=levels - 1) for inner in value]
    # Not ``in range``: of what is no plain int, such as bson's Int64, that looks at each number.
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        return str(value)
    return value


def _write_text(value: Any) -> str:
    try:
        # What was read as BSON is a mapping and no dict.
        return json.dumps(value, ensure_ascii=False, default=dict)
    except RecursionError:
        return "JSON that is nested too deeply to be kept"
