"""The two sides of the comparison as streams ordered by the key, one byte order on both.

MongoDB orders ids by their UTF-8 bytes. MySQL orders them by the column's collation, in which
'a' may equal 'A', and trailing blanks may not count. Reading in the order of the index costs
nothing, so it is tried first, and each key is checked to lie above the one before it and inside
its range, byte for byte. Where that fails, the table is read again, sorted by bytes.
"""

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bson import decode_all
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from mentions.legacy.address import SourceUrl
from mentions.legacy.driver import DriverError, PymysqlSession, Session, open_session
from mentions.legacy.errors import SourceError
from mentions.legacy.proof.fields import RawRow, TableRule

_BATCH_ROWS = 500
_FIRST_PAGE_ROWS = 200
_PAGE_BYTES = 4_000_000
_MEASURED_ROWS = 50
_CONNECT_SECONDS = 10
_READ_SECONDS = 300
_SESSION = (
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
# Too many connections, shutting down, aborted, killed: the server may be back soon.
_PASSING_CODES = {1040, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1205, 1213, 1317, 1927}


RowBatches = Generator[list[RawRow], None, None]


class LostConnectionError(Exception):
    """One of the databases went away in the middle; the range can be read on from its last key."""

    retryable = True
    retry_after: float | None = 1.0


@dataclass(frozen=True)
class KeyRange:
    """Keys from ``low`` (excluded when ``is_after``) up to ``high`` (excluded); None: no bound."""

    low: str | None = None
    high: str | None = None
    is_after: bool = False

    def holds(self, key: str) -> bool:
        if self.low is not None and (key < self.low or (self.is_after and key == self.low)):
            return False
        return self.high is None or key < self.high

    def starting_after(self, key: str) -> "KeyRange":
        return KeyRange(key, self.high, is_after=True)


@dataclass(frozen=True)
class DocumentStore:
    """How to reach MongoDB from any process."""

    url: str = field(repr=False)
    database: str
    options: dict[str, Any] = field(default_factory=dict, repr=False)

    def connect(self) -> MongoClient:
        return MongoClient(self.url, **self.options)


class MySqlReader:
    """One connection and its snapshot. Values arrive as the server's bytes.

    asyncmy reads a result as fast as it comes, wanted or not: so it is given pages, whose size
    follows that of the rows, and reads the next one while the last is compared.
    """

    def __init__(self, source: SourceUrl) -> None:
        self._source = source
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="read-mysql")
        self._session: Session | None = None

    def __enter__(self) -> "MySqlReader":
        try:
            self._submit(self._connect).result()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def fetch(self, sql: str) -> list[RawRow]:
        """All rows of a small result."""
        return self._begin(sql).result()

    def read_pages(self, rule: TableRule, key_range: KeyRange) -> RowBatches:
        """The rows of a range in the order of the key's index."""
        position = rule.columns.index(rule.key)
        size = _FIRST_PAGE_ROWS
        query = write_query(rule, key_range)
        coming = self._begin(f"{query} LIMIT {size:d}")
        while True:
            rows = coming.result()
            is_last = len(rows) < size
            if not is_last:
                size = _fit_page(rows)
                query = write_query(rule, key_range, after=rows[-1][position] or b"")
                coming = self._begin(f"{query} LIMIT {size:d}")
            yield rows
            if is_last:
                return

    def _begin(self, sql: str) -> "Future[list[RawRow]]":
        if self._session is None:
            raise LostConnectionError("There is no open connection to MySQL.")
        return self._submit(partial(self._session.fetch, sql))

    def _connect(self) -> None:
        source = self._source
        self._session = open_session(
            host=source.host,
            port=source.port,
            user=source.user,
            password=source.password,
            database=source.database,
            unix_socket=source.unix_socket,
            ssl_ca=source.ssl_ca,
            connect_seconds=_CONNECT_SECONDS,
            read_seconds=_READ_SECONDS,
        )
        for statement in _SESSION:
            self._session.fetch(statement)

    def _submit(self, work: Callable[[], Any]) -> "Future[Any]":
        return self._thread.submit(self._run, work)

    def _run(self, work: Callable[[], Any]) -> Any:
        with _explained(self._source):
            return work()

    def _close(self) -> None:
        if self._session is not None:
            # Its event loop belongs to the thread.
            self._thread.submit(self._session.close).result()
        self._thread.shutdown()


def read_sorted_rows(
    source: SourceUrl, rule: TableRule, key_range: KeyRange, *, key_type: str
) -> RowBatches:
    """The rows of a range sorted by the bytes of their key: one result, as slow as it is taken."""
    parameters = {
        "host": source.host,
        "port": source.port,
        "user": source.user,
        "password": source.password.encode(),
        "database": source.database,
        "unix_socket": source.unix_socket,
        "charset": "utf8mb4",
        "use_unicode": False,
        "connect_timeout": _CONNECT_SECONDS,
        "read_timeout": _READ_SECONDS,
        "autocommit": True,
    }
    with _explained(source):
        session = PymysqlSession(parameters, ssl_ca=source.ssl_ca)
        with contextlib.closing(session):
            for statement in _SESSION:
                session.fetch(statement)
            yield from session.stream(write_query(rule, key_range, sorted_as=key_type))


def write_query(
    rule: TableRule, key_range: KeyRange, *, sorted_as: str = "", after: bytes | None = None
) -> str:
    """The SELECT of one range, behind the key ``after`` if that is given.

    ``sorted_as`` is MySQL's data type of the key's column, to sort by bytes; empty: by the index.
    """
    listed = _list_columns(rule)
    ordered = f"`{rule.key}`"
    if rule.is_key_hashed:
        ordered = f"CAST({write_key(rule)} AS BINARY)"
        sorted_as = sorted_as or "hash"
    elif sorted_as in {"binary", "varbinary"}:
        ordered = f"CAST({ordered} AS BINARY)"
    elif sorted_as:
        # Whatever character set or number the column holds: as the document's id spells it.
        ordered = f"CAST(CONVERT({ordered} USING utf8mb4) AS BINARY)"
    is_bytes = bool(sorted_as)
    conditions = []
    if after is not None:
        conditions.append(f"{ordered} > {_literal(after, is_bytes=is_bytes)}")
    elif key_range.low is not None:
        comparison = ">" if key_range.is_after else ">="
        conditions.append(f"{ordered} {comparison} {_literal(key_range.low, is_bytes=is_bytes)}")
    if key_range.high is not None:
        conditions.append(f"{ordered} < {_literal(key_range.high, is_bytes=is_bytes)}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {listed} FROM `{rule.table}`{where} ORDER BY {ordered}"  # noqa: S608


def write_lookup(rule: TableRule, keys: list[str]) -> str:
    """The SELECT of single rows; it may give more than asked for, as the collation compares."""
    values = ", ".join(_literal(key, is_bytes=False) for key in keys)
    return f"SELECT {_list_columns(rule)} FROM `{rule.table}` WHERE {write_key(rule)} IN ({values})"  # noqa: S608


def can_follow_index(key_type: str) -> bool:
    """Whether the index of such a column may have the order of bytes; that of numbers has not."""
    return key_type in {"char", "varchar", "binary", "varbinary", "text", "tinytext"}


def read_documents(
    store: DocumentStore, client: MongoClient, rule: TableRule, key_range: KeyRange
) -> Generator[list[dict[str, Any]], None, None]:
    """The documents of a range in the order of their ids, in batches, read ahead by a thread."""
    bounds: dict[str, str] = {
        "$gt" if key_range.is_after else "$gte": key_range.low if key_range.low is not None else ""
    }
    if key_range.high is not None:
        bounds["$lt"] = key_range.high
    collection = client[store.database][rule.collection]
    batches: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=1)
    is_over = threading.Event()

    def put(item: bytes | BaseException | None) -> bool:
        while not is_over.is_set():
            with contextlib.suppress(queue.Full):
                batches.put(item, timeout=0.2)
                return True
        return False

    def fill() -> None:
        try:
            found = collection.find_raw_batches(
                {"_id": bounds},
                projection=rule.projection,
                sort=[("_id", 1)],
                batch_size=_BATCH_ROWS,
            )
            with contextlib.closing(found):
                for batch in found:
                    if not put(batch):
                        return
            put(None)
        except BaseException as error:
            put(error)

    reader = threading.Thread(target=fill, name="read-documents", daemon=True)
    reader.start()
    try:
        while True:
            batch = batches.get()
            if batch is None:
                return
            if isinstance(batch, PyMongoError):
                raise LostConnectionError(f"MongoDB: {type(batch).__name__}") from batch
            if isinstance(batch, BaseException):
                raise batch
            yield decode_all(batch)
    finally:
        is_over.set()
        reader.join()


def write_key(rule: TableRule) -> str:
    """SQL for what a row's document is keyed by."""
    if rule.is_key_hashed:
        return f"SHA2(CONVERT(`{rule.key}` USING utf8mb4), 256)"
    return f"`{rule.key}`"


def _list_columns(rule: TableRule) -> str:
    return ", ".join(
        write_key(rule) if column == rule.key else f"`{column}`" for column in rule.columns
    )


def _literal(key: str | bytes, *, is_bytes: bool) -> str:
    # In hexadecimal, because no quoting has to be trusted then.
    data = key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")
    return f"X'{data.hex()}'" if is_bytes else f"_utf8mb4 X'{data.hex()}'"


def _fit_page(rows: list[RawRow]) -> int:
    """Rows of the next page, by the size of this one's."""
    some = rows[:: max(1, len(rows) // _MEASURED_ROWS)]
    size = sum(len(value) for row in some for value in row if value is not None)
    return max(50, min(_BATCH_ROWS, _PAGE_BYTES * len(some) // max(1, size)))


@contextlib.contextmanager
def _explained(source: SourceUrl) -> Iterator[None]:
    """The driver's errors as ours: gone away for now, or refused for good."""
    try:
        yield
    except DriverError as error:
        detail = error.detail
        if source.password:
            detail = detail.replace(source.password, "[redacted]")
        if 1000 < error.code < 2000 and error.code not in _PASSING_CODES:
            raise SourceError(
                f"The legacy database {source.label} refused a query of the comparison "
                f"({error.code}): {detail}."
            ) from None
        raise LostConnectionError(f"The connection to {source.label} was lost: {detail}") from None
    except OSError as error:
        raise LostConnectionError(f"{type(error).__name__} at {source.label}") from None
