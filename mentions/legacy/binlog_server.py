"""What the legacy server says of its binary log: whether it can be followed, and where it ends."""

import re
from dataclasses import dataclass
from typing import Any

from mentions.legacy.current import CurrentSource
from mentions.legacy.errors import SourceError


class BinlogError(SourceError):
    """The binary log cannot be followed."""


@dataclass(frozen=True)
class LogPosition:
    """A byte offset in a file of the log. ``made_at`` is when the file was begun (Unix time).

    It tells a file from another of the same name, which the server makes after RESET MASTER.
    """

    file: str
    offset: int
    made_at: int | None = None

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"

    @property
    def order(self) -> tuple[int, int]:
        number = self.file.rpartition(".")[2]
        return (int(number) if number.isdigit() else 0, self.offset)


def check_settings(current: CurrentSource, *, server_id: int) -> list[str]:
    """Refuse a server whose log cannot be followed; returns remarks that do no harm.

    Raises BinlogError with every reason at once, and what to do about each.
    """
    url = current.url
    found = current.read_variables(
        [
            "log_bin",
            "binlog_format",
            "binlog_row_metadata",
            "log_bin_compress",
            "binlog_transaction_compression",
            "server_id",
        ]
    )
    problems = []
    if not _is_on(found.get("log_bin", "OFF")):
        raise BinlogError(
            f"The binary log of {url.label} is off: there is nothing to follow. Start the server "
            "with --log-bin --binlog-format=ROW --server-id=1 (a restart), or use "
            "`migrate_from_mysql --delta`, which compares the tables instead."
        )
    row_format = found.get("binlog_format", "ROW")
    if row_format.upper() != "ROW":
        problems.append(
            f"its binlog_format is {row_format}: rows are needed (SET GLOBAL binlog_format = "
            "'ROW', then reconnect the former system, as sessions keep the format they began with)"
        )
    for name in ("log_bin_compress", "binlog_transaction_compression"):
        if _is_on(found.get(name, "OFF")):
            problems.append(f"{name} is on, which the reader cannot open (SET GLOBAL {name} = OFF)")
    if found.get("server_id") == str(server_id):
        problems.append(f"its own server_id is {server_id}: choose another with --server-id")
    problems += _list_missing_privileges(current)
    if problems:
        raise BinlogError(
            f"The binary log of {url.label} cannot be followed: {'; '.join(problems)}. "
            "Or use `migrate_from_mysql --delta`, which compares the tables instead."
        )
    remarks = []
    metadata = found.get("binlog_row_metadata")
    if (metadata or "").upper() != "FULL":
        remarks.append(
            f"binlog_row_metadata is {metadata or 'unknown to this server'}, so the log has no "
            "column names: the key is found by its place in the table. Do not alter the tables "
            "meanwhile, or SET GLOBAL binlog_row_metadata = 'FULL'."
        )
    return remarks


def read_log_end(current: CurrentSource) -> LogPosition:
    """Where the log ends now."""
    rows: list[tuple[Any, ...]] = []
    try:
        rows = current.fetch("SHOW MASTER STATUS")
    except SourceError:
        # MySQL 8.4 knows only the new name.
        rows = current.fetch("SHOW BINARY LOG STATUS")
    if not rows:
        raise BinlogError(f"The binary log of {current.url.label} is off.")
    return LogPosition(rows[0][0].decode(), int(rows[0][1]))


def read_committed_position(current: CurrentSource) -> LogPosition:
    """A position before which every change is committed, so that any later read sees it.

    MariaDB tells it with a snapshot. MySQL has no such status: its end of the log may be ahead of
    what is committed, unless all writing is held for a moment (FLUSH TABLES WITH READ LOCK).
    """
    if current.is_mariadb:
        current.fetch("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        try:
            rows = current.fetch("SHOW STATUS LIKE 'binlog_snapshot_%'")
        finally:
            current.fetch("COMMIT")
        found = {name.decode().lower(): value.decode() for name, value in rows}
        if found.get("binlog_snapshot_file"):
            return LogPosition(
                found["binlog_snapshot_file"], int(found["binlog_snapshot_position"])
            )
    try:
        current.fetch("FLUSH TABLES WITH READ LOCK")
    except SourceError as error:
        raise BinlogError(
            "The position in the binary log must be taken while no transaction is half written, "
            f"which needs a read lock for a moment, and the server refused it ({error}). GRANT "
            "RELOAD to the user of the import, or use `migrate_from_mysql --delta`."
        ) from None
    try:
        return read_log_end(current)
    finally:
        current.fetch("UNLOCK TABLES")


def _is_on(value: str) -> bool:
    return value.upper() in {"ON", "1"}


def _list_missing_privileges(current: CurrentSource) -> list[str]:
    """REPLICATION CLIENT by trying, REPLICATION SLAVE by the grants: only reading would try it."""
    missing = []
    try:
        read_log_end(current)
    except BinlogError:
        raise
    except SourceError as error:
        if error.retryable:
            raise
        missing.append("REPLICATION CLIENT")
    grants = " ".join(row[0].decode(errors="replace") for row in current.fetch("SHOW GRANTS"))
    # A role's grants are not listed: then the first reading tells.
    has_role = re.search(r"GRANT `?[\w%-]+`?(@\S+)? TO ", grants) is not None
    if not has_role and not re.search(
        r"REPLICATION (SLAVE|REPLICA)\b(?! ADMIN)|ALL PRIVILEGES ON \*\.\*|\bSUPER\b", grants
    ):
        missing.append("REPLICATION SLAVE")
    return [grant_sentence(current, missing)] if missing else []


def grant_sentence(current: CurrentSource, missing: list[str]) -> str:
    """What the user of the import lacks, with the statement that gives it."""
    account = (current.fetch("SELECT CURRENT_USER()")[0][0] or b"").decode(errors="replace")
    name, _, host = account.rpartition("@")
    return (
        f"user {current.url.user!r} lacks {' and '.join(missing)} (GRANT {', '.join(missing)} "
        f"ON *.* TO '{name}'@'{host}')"
    )
