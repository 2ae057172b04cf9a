"""Pages of documents as the server sent them: BSON, cut apart but not decoded.

Decoding a hundred documents takes longer than finding them. Who keeps what he made of the same
bytes before, which can never be out of date, need not decode them again.
"""

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Any, NamedTuple

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from pymongo.client_session import ClientSession

from autores.mongo.backend.errors import described_errors
from autores.mongo.reads import Sort, build_find, collection_name

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_size_at = Struct("<i").unpack_from
_long_at = Struct("<q").unpack_from
# https://bsonspec.org: the sizes of values that have no length of their own, by type.
_FIXED_SIZES = {0x01: 8, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8}
_STRING, _DOCUMENT, _ARRAY = 0x02, 0x03, 0x04
_BATCHES = (b"firstBatch", b"nextBatch")


class RawPage(NamedTuple):
    """What ``find`` answered: equal pages have equal documents, in the same order.

    ``batches`` are arrays in BSON; a second one is rare, of a page of more than 16 MB.
    """

    batches: tuple[bytes, ...]

    def split(self) -> list[bytes]:
        """Each document as its BSON."""
        return [document for batch in self.batches for document in _split_array(batch)]


def find_raw_page(
    source: type[Model] | str,
    *,
    filter: Mapping[str, Any] | None = None,
    sort: Sort = (),
    skip: int = 0,
    limit: int,
    projection: Mapping[str, Any] | None = None,
    hint: str | Mapping[str, int] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    session: ClientSession | None = None,
) -> RawPage:
    """As ``autores.mongo.reads.find_page``, in BSON.

    Args:
        session: instead of the connection's own; one with ``snapshot=True`` reads its moment.

    Raises:
        ValueError, OperationalError, DatabaseError: as ``find_page``.
    """
    command = build_find(
        source, filter=filter, sort=sort, skip=skip, limit=limit, projection=projection, hint=hint
    )
    return _run(command, collection=command["find"], using=using, session=session)


def aggregate_raw(
    source: type[Model] | str,
    pipeline: Sequence[Mapping[str, Any]],
    *,
    batch_size: int = 1000,
    using: str = DEFAULT_DB_ALIAS,
    session: ClientSession | None = None,
) -> list[bytes]:
    """What the pipeline yields, each document as its BSON. Raises what ``find_raw_page`` raises."""
    name = collection_name(source)
    command = {
        "aggregate": name,
        "pipeline": list(pipeline),
        "cursor": {"batchSize": batch_size},
    }
    return _run(command, collection=name, using=using, session=session).split()


def _run(
    command: dict[str, Any], *, collection: str, using: str, session: ClientSession | None
) -> RawPage:
    read = connections[using].read_command
    with described_errors(collection):
        answer = read(command, session=session, codec_options=RAW)
        batch, cursor_id = read_reply(bytes(answer["cursor"].raw))
        batches = [batch]
        # An answer holds 16 MB at most: a page of larger documents comes in several.
        while cursor_id:
            more = {"getMore": cursor_id, "collection": collection}
            answer = read(more, session=session, codec_options=RAW)
            batch, cursor_id = read_reply(bytes(answer["cursor"].raw))
            batches.append(batch)
    return RawPage(tuple(batches))


def read_reply(cursor: bytes) -> tuple[bytes, int]:
    """The array of documents in ``cursor``, a reply's part of that name, and the cursor's id (0:
    no more).

    Raises ValueError if it is not what a ``find`` or ``getMore`` answers.
    """
    batch: bytes | None = None
    cursor_id, at = 0, 4
    while kind := cursor[at]:
        value = cursor.index(0, at) + 1
        name = cursor[at + 1 : value - 1]
        if kind in (_DOCUMENT, _ARRAY):
            size = _size_at(cursor, value)[0]
            if name in _BATCHES:
                batch = cursor[value : value + size]
        elif kind == _STRING:
            size = 4 + _size_at(cursor, value)[0]
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
            if name == b"id":
                cursor_id = _long_at(cursor, value)[0]
        else:
            raise ValueError(f"A cursor with a value of type {kind:#x} is not understood.")
        at = value + size
    if batch is None:
        raise ValueError("A cursor without a batch is not understood.")
    return batch, cursor_id


def read_id(document: bytes) -> str:
    """The ``_id`` of a document as it is stored: its first field, a text. ValueError if not."""
    if document[4:9] != b"\x02_id\0":
        raise ValueError("A document whose first field is no text named _id.")
    return document[13 : 12 + _size_at(document, 9)[0]].decode()


def _split_array(data: bytes) -> list[bytes]:
    documents: list[bytes] = []
    # The elements' names are their positions in decimal: "0", "1" ... "10" ...
    at, name_length, next_length = 4, 1, 10
    while at < len(data) - 1:
        if len(documents) == next_length:
            name_length, next_length = name_length + 1, next_length * 10
        value = at + name_length + 2
        after = value + _size_at(data, value)[0]
        documents.append(data[value:after])
        at = after
    return documents
