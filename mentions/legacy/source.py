"""Reads the legacy MySQL or MariaDB: one consistent snapshot, pages in the order of the key.

Values come back as the server's own bytes, in UTF-8.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pymysql.constants import CR, ER

from mentions.legacy.address import SourceUrl
from mentions.legacy.contract import TABLES, WHOLE_TYPES, Difference, Table, compare_columns
from mentions.legacy.driver import (
    CONNECT_SECONDS,
    READ_SECONDS,
    DriverError,
    Row,
    Session,
    open_session,
)
from mentions.legacy.errors import SchemaError, SourceError
from mentions.legacy.schema import (
    check_engine,
    check_foreign_keys,
    is_key_unique,
    read_columns,
    read_engine,
)

# A page holds about so much: asyncmy reads a result as fast as it comes, wanted or not, so only
# its end bounds what is held while MongoDB is slow.
_PAGE_BYTES = 2 * 1024 * 1024
_FIRST_PAGE_ROWS = 100
_GROWTH = 4
_SESSION = (
    # Zero dates and backslashes are read alike, whatever the server's default.
    "SET SESSION sql_mode = ''",
    "SET SESSION time_zone = '+00:00'",
    # A page may wait while MongoDB is slow.
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION wait_timeout = 86400",
    # MariaDB's own limits of a transaction that waits; MySQL reads a comment.
    "SET SESSION net_read_timeout = 3600 /*M!100300 , SESSION idle_transaction_timeout = 0, "
    "SESSION idle_readonly_transaction_timeout = 0 */",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
    "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
)
_LOOKED_UP = 500
# MariaDB's "Connection was killed", which PyMySQL does not name.
_CONNECTION_KILLED = 1927
# 0 stands for an end in the middle of an answer.
_LOST = {
    0,
    CR.CR_SERVER_LOST,
    CR.CR_SERVER_GONE_ERROR,
    ER.SERVER_SHUTDOWN,
    ER.QUERY_INTERRUPTED,
    _CONNECTION_KILLED,
}
_THEN_AGAIN = "then run the import again; it goes on from what is stored."


@dataclass(frozen=True)
class Chunk:
    """Rows in the order of the table's columns, following the key ``after`` (None: the first)."""

    after: bytes | None
    rows: list[Row]


class Source:
    """An open snapshot of the legacy database. Use as a context manager.

    Raises SourceError, on entry and from every method, with what to do.
    """

    def __init__(self, url: SourceUrl) -> None:
        self.url = url
        self._session: Session | None = None
        self._key_types: dict[str, str] = {}

    def __enter__(self) -> "Source":
        url = self.url
        try:
            self._session = open_session(
                host=url.host,
                port=url.port,
                user=url.user,
                password=url.password,
                database=url.database,
                unix_socket=url.unix_socket,
                ssl_ca=url.ssl_ca,
                connect_seconds=CONNECT_SECONDS,
                read_seconds=READ_SECONDS,
            )
            for statement in _SESSION:
                self._fetch(statement)
        except OSError as error:
            # A CA file that is missing, a socket that may not be opened.
            said = error.strerror or type(error).__name__
            raise SourceError(f"Connecting to {url.label} failed: {said}.") from None
        except DriverError as error:
            raise self._explain(error) from None
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._session is not None:
            self._session.close()

    def check_schema(self) -> list[Difference]:
        """Compare every table with the contract; what differs but does no harm is returned.

        Raises SchemaError naming every missing table and column at once.
        """
        differences: list[Difference] = []
        missing: list[str] = []
        for table in TABLES:
            found = read_columns(self._fetch, table.name)
            if not found:
                missing.append(f"table {table.name}")
                continue
            lacking, differs = compare_columns(table, found)
            spelled = {name.lower(): name for name in found}
            missing.extend(
                f"column {table.name}.{name}"
                + (f" (it is spelled {spelled[name]} there)" if name in spelled else "")
                for name in lacking
            )
            differences.extend(differs)
            key = found.get(table.key)
            if key is None:
                continue
            self._key_types[table.name] = key.data_type
            if read_engine(self._fetch, table) == "view":
                missing.append(f"table {table.name} (it is a view)")
            elif not is_key_unique(self._fetch, table):
                missing.append(f"primary or unique key on {table.name}.{table.key}")
            differences.extend(check_engine(self._fetch, table))
            differences.extend(check_foreign_keys(self._fetch, table))
        if missing:
            raise SchemaError(
                f"The legacy database {self.url.label} lacks what the import needs: "
                f"{', '.join(missing)}. Point MYSQL_DATABASE_URL at the database of the former "
                "system, with a user who may SELECT from these tables."
            )
        return differences

    def count_rows(self, table: Table) -> int:
        rows = self._fetch(f"SELECT COUNT(*) FROM {_quote(table.name)}")  # noqa: S608
        return int(rows[0][0] or 0)

    def read_chunks(self, table: Table, *, size: int) -> Iterator["Chunk"]:
        """Up to ``size`` rows at a time, fewer where the rows are large, ordered by the key.

        The next page begins after the last key, compared as the column itself compares: its
        unique index lets no two keys be equal there, so nothing is skipped, and serves both the
        condition and the order.
        """
        names = [column.name for column in table.columns]
        listed = ", ".join(_quote(name) for name in names)
        yield from self._read_keyset(
            table, listed=listed, position=names.index(table.key), size=size
        )

    def read_pages(self, table: Table, *, size: int) -> Iterator[list[dict[str, bytes | None]]]:
        """What ``read_chunks`` gives, each row by the names of its columns."""
        names = [column.name for column in table.columns]
        for chunk in self.read_chunks(table, size=size):
            yield [dict(zip(names, row, strict=True)) for row in chunk.rows]

    def read_by_keys(self, table: Table, keys: Sequence[str]) -> Iterator[list[Row]]:
        """The rows with exactly these keys, where there are any, a few hundred at a time."""
        names = [column.name for column in table.columns]
        yield from self._read_exact(table, keys, names)

    def find_existing(self, table: Table, keys: Sequence[str]) -> set[str]:
        """Those of the keys that a row has, byte for byte."""
        pages = self._read_exact(table, keys, [table.key])
        return {(row[0] or b"").decode() for page in pages for row in page}

    def _read_exact(
        self, table: Table, keys: Sequence[str], names: Sequence[str]
    ) -> Iterator[list[Row]]:
        listed = ", ".join(_quote(name) for name in names)
        position = names.index(table.key)
        for start in range(0, len(keys), _LOOKED_UP):
            wanted = {key.encode() for key in keys[start : start + _LOOKED_UP]}
            if self._key_types.get(table.name) in WHOLE_TYPES:
                wanted = {key for key in wanted if key.lstrip(b"-").isdigit()}
            if not wanted:
                continue
            spelled = ", ".join(self._write_key(table, key) for key in sorted(wanted))
            for rows, _ in self._stream(
                f"SELECT {listed} FROM {_quote(table.name)} "  # noqa: S608
                f"WHERE {_quote(table.key)} IN ({spelled})"
            ):
                # The collation may call other keys equal.
                exact = [row for row in rows if row[position] in wanted]
                if exact:
                    yield exact

    def read_keys(self, table: Table, *, size: int) -> Iterator[list[bytes | None]]:
        """The keys alone, in pages."""
        for chunk in self._read_keyset(table, listed=_quote(table.key), position=0, size=size):
            yield [row[0] for row in chunk.rows]

    def read_accounts(self) -> list[tuple[bytes, bytes]]:
        """Key and X user id of each legacy account."""
        return [
            (key or b"", x_id or b"")
            for key, x_id in self._fetch("SELECT `id`, `twitter_id` FROM `users` ORDER BY `id`")
        ]

    def read_repeated_x_ids(self) -> set[bytes]:
        """X user ids that more than one row of ``users`` has, less blanks at their end."""
        # Only a table without the contract's unique key has any.
        rows = self._fetch(
            "SELECT MIN(`twitter_id`) FROM `users` "
            "GROUP BY CAST(TRIM(TRAILING ' ' FROM `twitter_id`) AS BINARY) HAVING COUNT(*) > 1"
        )
        return {(x_id or b"").rstrip(b" ") for (x_id,) in rows}

    def _read_keyset(
        self, table: Table, *, listed: str, position: int, size: int
    ) -> Iterator["Chunk"]:
        key = _quote(table.key)
        after: bytes | None = None
        left = self.count_rows(table)
        limit = min(size, _FIRST_PAGE_ROWS)
        while True:
            condition = (
                f"WHERE {key} > {self._write_key(table, after)}" if after is not None else ""
            )
            read = weight = 0
            for rows, part_bytes in self._stream(
                f"SELECT {listed} FROM {_quote(table.name)} {condition} "  # noqa: S608
                f"ORDER BY {key} LIMIT {limit:d}"
            ):
                read += len(rows)
                weight += part_bytes
                left -= len(rows)
                if left < 0:
                    raise SourceError(
                        f"Reading {table.name} gave more rows than it has: its key is not read "
                        "in order. Run CHECK TABLE on it; nothing was lost."
                    )
                last = rows[-1][position]
                if last is None:
                    raise SourceError(
                        f"{table.name}.{table.key} holds NULL, so pages cannot follow it."
                    )
                yield Chunk(after, rows)
                after = last
            if read < limit:
                break
            limit = _choose_limit(size, limit, row_bytes=weight / read)
        if left:
            raise SourceError(
                f"Reading {table.name} stopped {left} rows before its end: its key is not read "
                "in order. Run CHECK TABLE on it, then run the import again."
            )

    def _stream(self, sql: str) -> Iterator[tuple[list[Row], int]]:
        """The rows of one page and their bytes; in parts, if larger than those of the last page."""
        assert self._session is not None
        held: list[Row] = []
        weight = 0
        try:
            for rows in self._session.stream(sql):
                held += rows
                weight += sum(map(len, filter(None, chain.from_iterable(rows))))
                if weight >= 2 * _PAGE_BYTES:
                    yield held, weight
                    held, weight = [], 0
        except DriverError as error:
            raise self._explain(error) from None
        if held:
            yield held, weight

    def _write_key(self, table: Table, key: bytes) -> str:
        kind = self._key_types.get(table.name, "")
        if kind in WHOLE_TYPES:
            # Compared with a text, long integers would go through a floating-point number.
            return str(int(key))
        if kind in {"binary", "varbinary"}:
            return f"X'{key.hex()}'"
        # The column's collation decides: a literal yields to it. Spelled in hexadecimal,
        # because bytes that are not UTF-8 must find their way back unchanged.
        return f"_utf8mb4 X'{key.hex()}'"

    def _fetch(self, sql: str) -> list[tuple[Any, ...]]:
        assert self._session is not None
        try:
            return self._session.fetch(sql)
        except DriverError as error:
            raise self._explain(error) from None

    def _explain(self, error: Exception) -> SourceError:
        """For errors of any driver: their arguments are a code and a sentence."""
        code = error.args[0] if error.args else 0
        detail = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
        if self.url.password:
            detail = detail.replace(self.url.password, "[redacted]")
        label = self.url.label
        if code in (ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR):
            return SourceError(
                f"The server at {label} refused user {self.url.user!r}: check the user, the "
                "password and the grants in MYSQL_DATABASE_URL."
            )
        if code == ER.BAD_DB_ERROR:
            return SourceError(f"The server has no database {self.url.database!r} ({label}).")
        if code in (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR):
            return SourceError(f"User {self.url.user!r} may not SELECT from {label}: {detail}.")
        if code in (CR.CR_CONN_HOST_ERROR, CR.CR_CONNECTION_ERROR, CR.CR_UNKNOWN_HOST):
            return SourceError(
                f"No MySQL server answers at {label}: check the host, the port and that the "
                f"server runs, {_THEN_AGAIN}",
                retryable=True,
            )
        if code in _LOST:
            return SourceError(
                f"The connection to {label} was lost: check that the server runs, {_THEN_AGAIN}",
                retryable=True,
            )
        if code in (ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS):
            return SourceError(
                f"The server at {label} has no connection left: close others there, or raise "
                f"max_connections, {_THEN_AGAIN}",
                retryable=True,
            )
        return SourceError(f"The legacy database {label} refused a query ({code}): {detail}.")


def _quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _choose_limit(size: int, last: int, *, row_bytes: float) -> int:
    """Rows of the next page, by what those of the last weighed.

    The same for the same table, so that a later run cuts it alike; in halves of ``size``, so that
    a changed row seldom moves the cuts behind it.
    """
    while size > 1 and size * row_bytes > _PAGE_BYTES:
        size //= 2
    return min(size, last * _GROWTH)
