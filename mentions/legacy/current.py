"""The legacy database as it is now, outside any snapshot: rows by key, and the server's state.

Values come back as the server's own bytes in UTF-8, exactly as ``source`` reads them.
"""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pymysql

from mentions.legacy.address import SourceUrl
from mentions.legacy.contract import TABLES, WHOLE_TYPES, Table
from mentions.legacy.driver import CONNECT_SECONDS, ENCODERS_ONLY, READ_SECONDS, Connection
from mentions.legacy.errors import SourceError
from mentions.legacy.mapping import RawRow
from mentions.legacy.source import Source

_KEYS_A_QUERY = 1000
# Their bytes are UTF-8 as they are.
_PLAIN_CHARSETS = {"utf8", "utf8mb3", "utf8mb4", "ascii", "binary", ""}
_WIDE_CHARSETS = {"ucs2", "utf16", "utf16le", "utf32"}


@dataclass(frozen=True)
class KeyColumn:
    """Where a table's key is: ``position`` counts the columns from 0."""

    position: int
    column_count: int
    data_type: str
    charset: str


class CurrentSource:
    """An open connection to the legacy database. Use as a context manager.

    Raises SourceError, on entry and from every method; ``retryable`` when the server went away.
    """

    def __init__(self, url: SourceUrl) -> None:
        self.url = url
        self._connection: Any = None
        self.keys: dict[str, KeyColumn] = {}
        self.is_mariadb = False

    def __enter__(self) -> "CurrentSource":
        url = self.url
        try:
            self._connection = Connection(
                **connection_settings(url),
                database=url.database,
                use_unicode=False,
                conv=ENCODERS_ONLY,
                read_timeout=READ_SECONDS,
                autocommit=True,
                sql_mode="",
            )
        except OSError as error:
            raise SourceError(
                f"Connecting to {url.label} failed: {error.strerror}.", retryable=True
            ) from None
        except pymysql.err.MySQLError as error:
            raise explain_error(url, error) from None
        self.fetch("SET SESSION time_zone = '+00:00'")
        self.is_mariadb = b"MariaDB" in self.fetch("SELECT VERSION()")[0][0]
        self.read_keys()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._connection is not None:
            with contextlib.suppress(pymysql.err.MySQLError):
                self._connection.close()

    def read_keys(self) -> None:
        """Look up where the tables' keys are; again after every change of the schema."""
        for table in TABLES:
            rows = self.fetch(
                "SELECT column_name, data_type, character_set_name "
                "FROM information_schema.columns "
                "WHERE table_schema = DATABASE() AND table_name = %s ORDER BY ordinal_position",
                table.name,
            )
            for position, (name, data_type, charset) in enumerate(rows):
                if name.decode() == table.key:
                    self.keys[table.name] = KeyColumn(
                        position, len(rows), data_type.decode().lower(), (charset or b"").decode()
                    )

    def read_rows(self, table: Table, keys: Collection[bytes]) -> Iterator[list[RawRow]]:
        """The rows with these keys as they are now, in pages; keys that are gone give none.

        A row whose key is equal only to the collation (case, trailing blanks) comes along.
        """
        names = [column.name for column in table.columns]
        listed = ", ".join(f"`{name}`" for name in names)
        for page in self._list_pages(keys):
            yield [
                dict(zip(names, row, strict=True))
                for row in self.fetch(
                    f"SELECT {listed} FROM `{table.name}` "  # noqa: S608
                    f"WHERE `{table.key}` IN ({self._write_keys(table, page)})"
                )
            ]

    def read_key_pages(self, table: Table, *, size: int = _KEYS_A_QUERY) -> Iterator[list[bytes]]:
        """All keys, in the order of the column's collation."""
        after = ""
        while True:
            rows = self.fetch(
                f"SELECT `{table.key}` FROM `{table.name}` {after} "  # noqa: S608
                f"ORDER BY `{table.key}` LIMIT {size:d}"
            )
            if rows:
                yield [row[0] for row in rows]
            if len(rows) < size:
                return
            after = f"WHERE `{table.key}` > {self._write_keys(table, [rows[-1][0]])}"

    def find_existing(self, table: Table, keys: Collection[bytes]) -> set[bytes]:
        """Those of the keys that some row has, byte for byte."""
        found: set[bytes] = set()
        for page in self._list_pages(keys):
            rows = self.fetch(
                f"SELECT `{table.key}` FROM `{table.name}` "  # noqa: S608
                f"WHERE `{table.key}` IN ({self._write_keys(table, page)})"
            )
            found.update(row[0] for row in rows)
        return found & set(keys)

    def convert_key(self, raw: bytes, *, charset: str) -> bytes:
        """A key of the binary log, which has the column's own charset, in UTF-8."""
        is_ascii = raw.isascii() and charset not in _WIDE_CHARSETS
        if is_ascii or charset in _PLAIN_CHARSETS:
            return raw
        if not charset.isidentifier():
            raise SourceError(f"The key's character set {charset!r} is unknown: use --delta.")
        return bytes(self.fetch(f"SELECT CONVERT(_{charset} X'{raw.hex()}' USING utf8mb4)")[0][0])

    def read_variables(self, names: Sequence[str]) -> dict[str, str]:
        """Global variables; one the server does not know is missing."""
        listed = ", ".join(f"'{name}'" for name in names)
        rows = self.fetch(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
        return {name.decode().lower(): value.decode() for name, value in rows}

    def is_read_only(self) -> bool:
        variables = self.read_variables(["read_only", "super_read_only"])
        return any(value.upper() not in {"OFF", "0", ""} for value in variables.values())

    def read_time(self) -> datetime:
        """The server's clock, UTC."""
        text = self.fetch("SELECT UTC_TIMESTAMP(3)")[0][0].decode()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def fetch(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, arguments or None)
                return list(cursor.fetchall()) if cursor.description else []
        except pymysql.err.MySQLError as error:
            raise explain_error(self.url, error) from None

    def _list_pages(self, keys: Collection[bytes]) -> Iterator[list[bytes]]:
        ordered = sorted(keys)
        for start in range(0, len(ordered), _KEYS_A_QUERY):
            yield ordered[start : start + _KEYS_A_QUERY]

    def _write_keys(self, table: Table, keys: Sequence[bytes]) -> str:
        kind = self.keys[table.name].data_type
        if kind in WHOLE_TYPES:
            # Compared with a text, long integers would go through a floating-point number.
            return ", ".join(str(int(key)) for key in keys)
        if kind in {"binary", "varbinary"}:
            return ", ".join(f"X'{key.hex()}'" for key in keys)
        return ", ".join(f"_utf8mb4 X'{key.hex()}'" for key in keys)


def connection_settings(url: SourceUrl) -> dict[str, Any]:
    """What every connection to the legacy server needs; the database is not among it."""
    settings: dict[str, Any] = {
        "host": url.host,
        "port": url.port,
        "user": url.user,
        # The driver would encode a text as Latin-1.
        "password": url.password.encode(),
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_SECONDS,
    }
    if url.unix_socket:
        settings["unix_socket"] = url.unix_socket
    if url.ssl_ca:
        settings |= {"ssl_ca": url.ssl_ca, "ssl_verify_cert": True}
    return settings


def explain_error(url: SourceUrl, error: pymysql.err.MySQLError) -> SourceError:
    return Source(url)._explain(error)
