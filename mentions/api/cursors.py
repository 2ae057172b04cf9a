"""Cursors: where a page ends, as an opaque, signed string. The next page is read from there on.

However deep the page, it costs the same, and no message is shown twice or left out because others
were added or deleted meanwhile.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from django.core.signing import BadSignature, Signer
from rest_framework.exceptions import ValidationError

from mentions.api.encoding import EncodedMessage

_OLDER, _NEWER = "o", "n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Cursor:
    """The messages after this one in the list (or, ``is_backward``, before it)."""

    timestamp: datetime
    message_id: str
    is_backward: bool = False


@lru_cache(4096)
def write_cursor(timestamp: datetime, message_id: str, *, is_backward: bool) -> str:
    way = _NEWER if is_backward else _OLDER
    return _signer().sign(f"{way}{(timestamp - _EPOCH) // _MILLISECOND}.{message_id}")


def cursor_after(message: EncodedMessage) -> str:
    return write_cursor(message.timestamp, message.id, is_backward=False)


def cursor_before(message: EncodedMessage) -> str:
    return write_cursor(message.timestamp, message.id, is_backward=True)


def read_cursor(text: str) -> Cursor:
    """Raises ValidationError (``cursor``) if it is none of ours."""
    try:
        value = _signer().unsign(text[:_LONGEST])
    except BadSignature:
        raise ValidationError(
            {"cursor": ["Not a cursor of this list: take it from a Link header, unchanged."]}
        ) from None
    way, (milliseconds, _, message_id) = value[0], value[1:].partition(".")
    return Cursor(_EPOCH + int(milliseconds) * _MILLISECOND, message_id, way == _NEWER)


@lru_cache(1)
def _signer() -> Signer:
    # The key is read once: the settings do not change while a process runs.
    return Signer(sep="~", salt="mentions.api.cursors")
