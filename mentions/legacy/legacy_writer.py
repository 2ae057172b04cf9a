"""The legacy database as the export writes to it: single rows, each only if it is what was read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysql.constants import CLIENT, ER

from mentions.legacy.address import SourceUrl
from mentions.legacy.driver import CONNECT_SECONDS, READ_SECONDS, Connection
from mentions.legacy.errors import SourceError
from mentions.legacy.proof.fields import MESSAGES, USERS, TableRule

_WRITTEN = (USERS, MESSAGES)


class LegacyWriter:
    """MySQL, open for writing, in strict mode: nothing is cut to fit.

    A context manager; what was not committed when it ends is gone. Raises SourceError where MySQL
    cannot be reached or forbids writing; what it says about a row goes on as pymysql raises it.
    """

    def __init__(self, target: SourceUrl) -> None:
        self._target = target
        self.label = target.label
        self._connection: Any = None

    def __enter__(self) -> "LegacyWriter":
        target = self._target
        try:
            self._connection = Connection(
                host=target.host,
                port=target.port,
                user=target.user,
                password=target.password.encode(),
                database=target.database,
                unix_socket=target.unix_socket,
                ssl_ca=target.ssl_ca,
                ssl_verify_cert=True if target.ssl_ca else None,
                charset="utf8mb4",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                autocommit=False,
                # Rows that were found count, also where the new value is stored like the old.
                client_flag=CLIENT.FOUND_ROWS,
                sql_mode="STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
                init_command="SET SESSION time_zone = '+00:00'",
            )
        except pymysql.err.MySQLError as error:
            raise self.explain(error) from None
        except OSError as error:
            raise SourceError(f"Connecting to {target.label} failed: {error.strerror}.") from None
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if self._connection is not None:
            # What is not committed is written by the next export.
            self._connection.close()
        if isinstance(error, pymysql.err.MySQLError):
            raise self.explain(error) from None

    def commit(self) -> None:
        self._connection.commit()

    def take_back(self) -> None:
        """Undo what was written since the last commit."""
        self._connection.rollback()

    def require_writable(self) -> None:
        """Ask MySQL whether it would write, with statements that touch no row.

        Raises SourceError where it is read-only or the user may not.
        """
        try:
            for rule in _WRITTEN:
                names = ", ".join(f"`{name}`" for name in dict.fromkeys(rule.columns))
                table, key = f"`{rule.table}`", f"`{rule.key}`"
                self._execute(f"UPDATE {table} SET {key} = {key} WHERE 1 = 0", [])  # noqa: S608
                self._execute(
                    f"INSERT INTO {table} ({names}) SELECT {names} FROM {table} WHERE 1 = 0",  # noqa: S608
                    [],
                )
        except pymysql.err.MySQLError as error:
            if error.args and error.args[0] == ER.NO_DEFAULT_FOR_FIELD:
                # A column that the former system does not have: each new row says so itself.
                return
            raise self.explain(error) from None

    def find_obstacle(self) -> str:
        """Why nothing may be written in order to be taken back; empty if it may."""
        tables = [rule.table for rule in _WRITTEN]
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT table_name, engine FROM information_schema.tables "
                "WHERE table_schema = DATABASE() AND table_name IN (%s, %s)",
                tables,
            )
            for name, engine in cursor.fetchall():
                if str(engine).lower() != "innodb":
                    return f"{name} is a table of {engine}, which takes nothing back"
            cursor.execute(
                "SELECT trigger_name FROM information_schema.triggers "
                "WHERE trigger_schema = DATABASE() AND event_object_table IN (%s, %s)",
                tables,
            )
            if found := cursor.fetchall():
                return f"the trigger {found[0][0]} might do what is not taken back"
        try:
            self.require_writable()
        except SourceError as error:
            return str(error).rstrip(".")
        return ""

    def look_up(self, rule: TableRule, keys: Sequence[str]) -> dict[str, dict[str, bytes | None]]:
        """Rows by key, as the server spells them; only those whose key is the same byte by byte."""
        if not keys:
            return {}
        names = list(dict.fromkeys(rule.columns))
        listed = ", ".join(
            f"CAST(CONVERT(`{name}` USING utf8mb4) AS BINARY) AS `{name}`" for name in names
        )
        marks = ", ".join(["%s"] * len(keys))
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {listed} FROM `{rule.table}` WHERE `{rule.key}` IN ({marks})",  # noqa: S608
                list(keys),
            )
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        wanted = {key.encode(): key for key in keys}
        return {wanted[row[rule.key]]: row for row in rows if row[rule.key] in wanted}

    def count_present(self, rule: TableRule, keys: Sequence[str]) -> int:
        """How many of the keys a row has, byte for byte."""
        if not keys:
            return 0
        with self._connection.cursor() as cursor:
            cursor.execute(
                f"SELECT CAST(CONVERT(`{rule.key}` USING utf8mb4) AS BINARY) FROM `{rule.table}` "  # noqa: S608
                f"WHERE `{rule.key}` IN ({', '.join(['%s'] * len(keys))})",
                list(keys),
            )
            found = {row[0] for row in cursor.fetchall()}
        return len(found & {key.encode() for key in keys})

    def insert(self, rule: TableRule, values: Mapping[str, Any]) -> bool:
        names = ", ".join(f"`{name}`" for name in values)
        marks = ", ".join(["%s"] * len(values))
        return self._execute(
            f"INSERT INTO `{rule.table}` ({names}) VALUES ({marks})",  # noqa: S608
            list(values.values()),
        )

    def update(
        self,
        rule: TableRule,
        changed: Mapping[str, Any],
        *,
        row: Mapping[str, bytes | None],
        kept: Iterable[str] = (),
    ) -> bool:
        """Change the row if it still is what was read. ``kept`` stay, also those columns that MySQL
        would set by itself (ON UPDATE).
        """
        sets = ", ".join(
            [f"`{name}` = %s" for name in changed]
            + [f"`{name}` = `{name}`" for name in kept if name not in changed]
        )
        same = " AND ".join(
            f"CAST(CONVERT(`{name}` USING utf8mb4) AS BINARY) <=> %s" for name in row
        )
        return self._execute(
            f"UPDATE `{rule.table}` SET {sets} WHERE `{rule.key}` = %s AND {same}",  # noqa: S608
            [*changed.values(), (row[rule.key] or b"").decode(), *row.values()],
        )

    def read_precision(self, table: str) -> dict[str, int]:
        """Digits of a second each DATETIME of the table keeps."""
        with self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name, datetime_precision FROM information_schema.columns "
                "WHERE table_schema = DATABASE() AND table_name = %s "
                "AND datetime_precision IS NOT NULL",
                [table],
            )
            return {str(name): int(digits) for name, digits in cursor.fetchall()}

    def _execute(self, sql: str, arguments: list[Any]) -> bool:
        with self._connection.cursor() as cursor:
            return bool(cursor.execute(sql, arguments))

    def explain(self, error: pymysql.err.MySQLError) -> SourceError:
        code = error.args[0] if error.args else 0
        detail = str(error.args[1]) if len(error.args) > 1 else type(error).__name__
        if self._target.password:
            detail = detail.replace(self._target.password, "[redacted]")
        if code in (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR):
            return SourceError(
                f"User {self._target.user!r} may not write to {self._target.label}: an export "
                "needs SELECT, INSERT and UPDATE on users and messages."
            )
        if code == ER.OPTION_PREVENTS_STATEMENT:
            return SourceError(
                f"The server at {self._target.label} is read-only: say SET GLOBAL read_only = 0 "
                "there, then export again."
            )
        return SourceError(f"Writing to {self._target.label} failed ({code}): {detail}.")


def cut_time(moment: datetime, *, digits: int) -> datetime:
    """As a column with so many digits of a second holds it, in UTC without a zone."""
    unit = 10 ** (6 - min(digits, 6))
    naive = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return naive.replace(microsecond=naive.microsecond // unit * unit)


def spell_value(value: Any) -> bytes | None:
    """A value as the server spells it in the columns of the contract."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat(sep=" ").encode()
    return str(value).encode()
