"""From a message's BSON to the bytes of its JSON, kept for the next reader of the same bytes.

What is kept is found by the bytes that the database just sent: a changed message is other bytes,
so nothing kept can be out of date, and nothing must be forgotten on a change.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import bson

from autores.renderers import render_json
from mentions.api.etags import etag_of
from mentions.api.seen import seen_messages
from mentions.api.serializers import message_json

# Some 2.5 kB each: 10 MB a process.
_MOST_KEPT = 4096
# A longer one (the texts of an answer may be) is not kept.
_LONGEST_KEPT = 8192


class EncodedMessage(NamedTuple):
    """A message as JSON, with what its answer needs beside it; ``digest`` is of the JSON."""

    content: bytes
    digest: bytes
    id: str
    timestamp: datetime
    account_id: str | None
    version: int

    @property
    def etag(self) -> str:
        return etag_of(self.version, self.digest)


def encode_message(stored: bytes) -> EncodedMessage:
    """``stored``: a document of collection ``messages``, with the columns that the JSON shows."""
    return _encode_kept(stored) if len(stored) <= _LONGEST_KEPT else _encode(stored)


def _encode(stored: bytes) -> EncodedMessage:
    document = bson.decode(stored)
    seen_messages.note(document["_id"], stored)
    return encode_document(document)


def encode_document(document: Mapping[str, Any]) -> EncodedMessage:
    """``document``: the same decoded; its times are UTC, aware of it or not."""
    content = render_json(message_json(document))
    return EncodedMessage(
        content,
        blake2b(content, digest_size=12).digest(),
        document["_id"],
        document["timestamp"].replace(tzinfo=UTC),
        document.get("account_id"),
        document.get("version") or 1,
    )


_encode_kept = lru_cache(_MOST_KEPT)(_encode)


def join_messages(messages: list[EncodedMessage]) -> bytes:
    """The JSON of the list."""
    return b"[" + b",".join([message.content for message in messages]) + b"]"


def digest_messages(messages: list[EncodedMessage]) -> str:
    """Equal for equal lists, and for no others."""
    return blake2b(b"".join([message.digest for message in messages]), digest_size=12).hexdigest()
