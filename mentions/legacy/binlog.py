"""The legacy server's binary log: which rows changed.

The log is read for the keys of the rows that changed; the rows themselves are then read from
their tables. So zero dates, broken UTF-8 and every character set arrive exactly as they do in the
first load, a row image without all columns suffices, reading a stretch of the log twice does no
harm, and a position a little too early is as good as the exact one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.event import (
    FormatDescriptionEvent,
    NotImplementedEvent,
    QueryEvent,
    RotateEvent,
    XidEvent,
)
from pymysqlreplication.row_event import (
    DeleteRowsEvent,
    PartialUpdateRowsEvent,
    UpdateRowsEvent,
    WriteRowsEvent,
)

from mentions.legacy.binlog_server import BinlogError, LogPosition, grant_sentence
from mentions.legacy.contract import TABLES
from mentions.legacy.current import CurrentSource, connection_settings, explain_error
from mentions.legacy.driver import Connection
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.rowimages import list_keys

_ROWS_EVENTS = (WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent, PartialUpdateRowsEvent)
# Events that carry rows in a form the reader cannot open: MySQL's compressed transactions, and
# MariaDB's compressed queries and rows.
_SEALED_EVENTS = {40, *range(165, 172)}
# No character set has this name, so the reader leaves every text as the bytes it found.
_RAW = "bytes-as-they-are"
_SERVER_SAYS_NO = {1227, 1045, 1044}
_ER_REPLICATION = 1236
_CONTROL = {"BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA", "FLUSH", "ANALYZE"}
_DEFINES = {"CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "OPTIMIZE", "REPAIR", "GRANT"}
_DEFINES |= {"REVOKE", "SET"}
_COMMENT = re.compile(
    r"\A(?:\s+|/\*(?!!|M!).*?\*/|--[^\n]*\n|#[^\n]*\n)*(?:/\*M?!\d*\s*)?", re.DOTALL
)

_START_OVER = (
    "Start over with `manage.py migrate_from_mysql --follow --start-over`: it takes a new "
    "position, reads every table again and goes on from there. What is here already stays."
)


class PositionLostError(BinlogError):
    """The log no longer has the position the import stands at."""


@dataclass
class Batch:
    """What a stretch of the log says, up to ``position``, where a later reading may begin.

    ``keys`` holds, by table, the keys before and after each change, in UTF-8. ``unclear`` names
    tables whose changes the log does not spell out (TRUNCATE, ALTER, statements instead of rows),
    with the reason: only reading the whole table tells. ``marked_at``: the marker was met.
    """

    position: LogPosition
    keys: dict[str, set[bytes]] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    row_count: int = 0
    changed_at: datetime | None = None
    marked_at: datetime | None = None
    is_at_end: bool = False

    @property
    def key_count(self) -> int:
        return sum(len(keys) for keys in self.keys.values())


class ChangeLog:
    """Reads the log from ``position`` on, up to its end each time.

    Raises PositionLostError, and BinlogError (``retryable`` when the connection was lost).
    """

    def __init__(
        self,
        current: CurrentSource,
        *,
        position: LogPosition,
        server_id: int,
        marker: str | None = None,
    ) -> None:
        self._current = current
        self._position = position
        self._server_id = server_id
        database = re.escape(current.url.database)
        self._marker = marker and re.compile(
            rf"CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(?:`?{database}`?\s*\.\s*)?"
            rf"`?{re.escape(marker)}`?(?![\w$])",
            re.IGNORECASE,
        )
        self._names = {
            # By itself, or with the name of our database before it; not another database's.
            table.name: re.compile(
                rf"(?:(?<![\w$])`?{database}`?\s*\.\s*|(?<![\w$.`]))`?{table.name}(?![\w$])",
                re.IGNORECASE,
            )
            for table in TABLES
        }
        self._database = re.compile(rf"(?<![\w$]){database}(?![\w$])", re.IGNORECASE)

    def read_batches(self, *, limit: int) -> Iterator[Batch]:
        """Batches of about ``limit`` keys; the last has ``is_at_end``.

        A batch in the middle of a transaction keeps the position before that transaction.
        """
        reader = self._open()
        batch = Batch(self._position)
        # Rows since the last position at which the log can be taken up again.
        is_inside = False
        try:
            for event in self._list_events(reader):
                here = LogPosition(reader.log_file, reader.log_pos, self._position.made_at)
                if isinstance(event, FormatDescriptionEvent):
                    self._check_file(event)
                    continue
                if isinstance(event, RotateEvent):
                    is_inside = False
                    # A restarted server gives out its ids anew, and always in another file.
                    reader.table_map.clear()
                    # The first one of each reading only repeats where it began.
                    if event.next_binlog != self._position.file:
                        self._position = LogPosition(event.next_binlog, event.position)
                elif isinstance(event, _ROWS_EVENTS):
                    is_inside = True
                    self._take_rows(event, batch)
                elif isinstance(event, XidEvent):
                    is_inside = False
                    self._position = here
                elif isinstance(event, QueryEvent):
                    self._take_statement(event, batch)
                    is_inside = False
                    self._position = here
                elif event.event_type in _SEALED_EVENTS:
                    raise BinlogError(
                        f"The binary log holds compressed rows at {here}, which the reader cannot "
                        "open. SET GLOBAL log_bin_compress = OFF (MySQL: "
                        f"binlog_transaction_compression), then: {_START_OVER}"
                    )
                if batch.marked_at or batch.key_count >= limit:
                    batch.position = self._position
                    yield batch
                    if batch.marked_at:
                        return
                    batch = Batch(self._position)
            if not is_inside and reader.log_file and reader.log_pos:
                self._position = LogPosition(
                    reader.log_file, reader.log_pos, self._position.made_at
                )
            batch.position = self._position
            batch.is_at_end = True
            yield batch
        finally:
            reader.close()

    def _open(self) -> Any:
        # The flag is_mariadb would make the reader forget the position and begin at the first
        # file; it tells the two servers apart by itself.
        return BinLogStreamReader(
            connection_settings(self._current.url),
            server_id=self._server_id,
            log_file=self._position.file,
            log_pos=self._position.offset,
            resume_stream=True,
            blocking=False,
            only_schemas=[self._current.url.database],
            only_events=[
                *_ROWS_EVENTS,
                FormatDescriptionEvent,
                NotImplementedEvent,
                QueryEvent,
                RotateEvent,
                XidEvent,
            ],
            filter_non_implemented_events=False,
            enable_logging=False,
            # A table's description is read once for each id, which every ALTER TABLE changes.
            freeze_schema=True,
            pymysql_wrapper=_connect,
        )

    def _list_events(self, reader: Any) -> Iterator[Any]:
        while True:
            try:
                event = reader.fetchone()
            except pymysql.err.MySQLError as error:
                raise self._explain(error) from None
            except OSError as error:
                raise BinlogError(
                    f"The connection to {self._current.url.label} was lost ({error}).",
                    retryable=True,
                ) from None
            if event is None:
                return
            yield event

    def _check_file(self, event: Any) -> None:
        """Tell a log that was begun anew from the one the position is of."""
        # An event the server makes up for the reader has no time of its own.
        if not event.timestamp:
            return
        known = self._position.made_at
        if known is not None and known != event.timestamp:
            raise PositionLostError(
                f"The binary log {self._position.file} of {self._current.url.label} is not the one "
                "that was followed: the log was reset, or the address leads to another server now. "
                f"{_START_OVER}"
            )
        self._position = LogPosition(self._position.file, self._position.offset, event.timestamp)

    def _take_rows(self, event: Any, batch: Batch) -> None:
        batch.changed_at = datetime.fromtimestamp(event.timestamp, UTC)
        # Some servers log names in lower case, others as they were created.
        name = str(event.table)
        if name not in self._current.keys:
            return
        key = self._current.keys[name]
        names = [column.name for column in event.columns]
        table_key = next(table.key for table in TABLES if table.name == name)
        position = names.index(table_key) if table_key in names else key.position
        charset = str(event.columns[position].collation_name or key.charset).split("_")[0]
        if not any(names) and len(names) != key.column_count:
            batch.unclear[name] = "rows with another number of columns than the table has now"
            return
        changed = list_keys(event, position)
        if changed is not None:
            count, values = changed
            batch.row_count += count
            batch.keys.setdefault(name, set()).update(
                self._spell_key(value, charset=charset) for value in values
            )
            return
        for column in event.columns:
            column.character_set_name = _RAW
        try:
            rows = event.rows
        except Exception as error:
            # An extra column of a kind the reader does not know, for instance.
            batch.unclear[name] = f"rows the reader cannot open ({type(error).__name__})"
            return
        found = batch.keys.setdefault(name, set())
        for row in rows:
            batch.row_count += 1
            for image in ("values", "before_values", "after_values"):
                values = row.get(image)
                if values is None:
                    continue
                value = list(values.values())[position]
                if value is not None:
                    found.add(self._spell_key(value, charset=charset))

    def _spell_key(self, value: Any, *, charset: str) -> bytes:
        if isinstance(value, bytes):
            return self._current.convert_key(value, charset=charset)
        return str(value).encode()

    def _take_statement(self, event: Any, batch: Batch) -> None:
        statement = _COMMENT.sub("", event.query, count=1)
        verb = statement.split(None, 1)[0].upper().rstrip(";") if statement.strip() else ""
        if verb in _CONTROL or not verb:
            return
        is_ours = event.schema.decode(errors="replace") == self._current.url.database
        if not is_ours and not self._database.search(statement):
            return
        at = datetime.fromtimestamp(event.timestamp, UTC)
        if self._marker and self._marker.match(statement):
            batch.marked_at = at
            return
        named = [name for name, pattern in self._names.items() if pattern.search(statement)]
        if verb not in _DEFINES and not named:
            # It may reach the tables through a view or a trigger.
            named = list(self._names)
        for name in named:
            batch.unclear[name] = f"{' '.join(statement.split()[:2]).upper()} in the binary log"
        if named:
            batch.changed_at = at

    def _explain(self, error: pymysql.err.MySQLError) -> LegacyImportError:
        code = error.args[0] if error.args else 0
        detail = str(error.args[1]) if len(error.args) > 1 else ""
        if code == _ER_REPLICATION:
            if "same server" in detail:
                return BinlogError(
                    f"Another reader of the binary log has the server_id {self._server_id}: give "
                    "this one its own with --server-id."
                )
            return PositionLostError(
                f"The binary log of {self._current.url.label} no longer has {self._position} "
                f"({detail.split(';')[0]}): it was purged or reset, and what changed since then "
                f"cannot be told from it. {_START_OVER} To keep the log longer: SET GLOBAL "
                "expire_logs_days = 7 (MySQL 8: binlog_expire_logs_seconds)."
            )
        if code in _SERVER_SAYS_NO:
            return BinlogError(grant_sentence(self._current, ["REPLICATION SLAVE"]))
        return explain_error(self._current.url, error)


def _connect(*, db: str | None = None, **settings: Any) -> Any:
    # The reader gives the database by a name that the driver no longer likes.
    if db:
        settings["database"] = db
    return Connection(**settings)
