"""Keys of the rows in an event of the binary log, passing over the other columns unread.

The reader's own way makes a dictionary of every row, before and after: ten times the work. What
is not known here (a decimal column, a part of a JSON document) is left to it.
"""

from collections.abc import Sequence
from typing import Any

from pymysqlreplication.constants import FIELD_TYPE
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

_FIXED = {
    FIELD_TYPE.TINY: 1,
    FIELD_TYPE.SHORT: 2,
    FIELD_TYPE.INT24: 3,
    FIELD_TYPE.LONG: 4,
    FIELD_TYPE.LONGLONG: 8,
    FIELD_TYPE.FLOAT: 4,
    FIELD_TYPE.DOUBLE: 8,
    FIELD_TYPE.YEAR: 1,
    FIELD_TYPE.DATE: 3,
    FIELD_TYPE.TIMESTAMP: 4,
    FIELD_TYPE.DATETIME: 8,
}
# Followed by the fraction of a second, a byte for two digits.
_WITH_FRACTION = {FIELD_TYPE.DATETIME2: 5, FIELD_TYPE.TIMESTAMP2: 4, FIELD_TYPE.TIME2: 3}
_INTEGERS = {FIELD_TYPE.TINY, FIELD_TYPE.SHORT, FIELD_TYPE.INT24, FIELD_TYPE.LONG}
_INTEGERS |= {FIELD_TYPE.LONGLONG}
_TEXTS = {FIELD_TYPE.VARCHAR, FIELD_TYPE.STRING}


def list_keys(event: Any, position: int) -> tuple[int, list[bytes | int]] | None:
    """How many rows changed, and the column at ``position`` (from 0) before and after each change.

    None, and nothing is read, when the event holds something that is not known here.
    """
    if type(event) not in (WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent):
        return None
    columns = event.columns
    if not event.complete or columns[position].type not in _TEXTS | _INTEGERS:
        return None
    widths = [_measure(column) for column in columns]
    if None in widths:
        return None
    images = [_list_present(event.columns_present_bitmap, len(columns))]
    if type(event) is UpdateRowsEvent:
        images.append(_list_present(event.columns_present_bitmap2, len(columns)))
    data = event.packet.read(event.event_size - event.packet.read_bytes)
    key = columns[position]
    found: list[bytes | int] = []
    at = count = 0
    while at < len(data):
        count += 1
        for present in images:
            nulls = at
            at += (len(present) + 7) // 8
            for number, index in enumerate(present):
                if data[nulls + (number >> 3)] >> (number & 7) & 1:
                    continue
                width = widths[index] or 0
                start = at
                if width < 0:
                    start = at - width
                    at = start + int.from_bytes(data[at:start], "little")
                else:
                    at += width
                if index == position:
                    value = data[start:at]
                    if key.type in _TEXTS:
                        found.append(value)
                    else:
                        found.append(int.from_bytes(value, "little", signed=not key.unsigned))
    return count, found


def _measure(column: Any) -> int | None:
    """Bytes of a value; negative: of the length before it."""
    kind = column.type
    if kind in _FIXED:
        return _FIXED[kind]
    if kind in _WITH_FRACTION:
        return _WITH_FRACTION[kind] + (int(column.fsp) + 1) // 2
    if kind in _TEXTS:
        return -2 if column.max_length > 255 else -1
    if kind in (FIELD_TYPE.BLOB, FIELD_TYPE.JSON, FIELD_TYPE.GEOMETRY):
        return -int(column.length_size)
    if kind in (FIELD_TYPE.ENUM, FIELD_TYPE.SET):
        return int(column.size)
    if kind == FIELD_TYPE.BIT:
        return int(column.bytes)
    return None


def _list_present(bitmap: bytes, count: int) -> Sequence[int]:
    return [index for index in range(count) if bitmap[index >> 3] >> (index & 7) & 1]
