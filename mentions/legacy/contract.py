"""The legacy tables as the former system declared them, and how a deployed database differs.

Pure: the schema's description comes in, sentences go out.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """``column_type`` is MySQL's spelling without the display width of integers."""

    name: str
    column_type: str
    is_nullable: bool
    data_type: str = ""
    charset: str = ""
    collation: str = ""


@dataclass(frozen=True)
class Table:
    name: str
    key: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Difference:
    """What a deployed table has otherwise; ``column`` is empty for the table itself."""

    table: str
    column: str
    what: str

    def __str__(self) -> str:
        name = f"{self.table}.{self.column}" if self.column else self.table
        return f"{name}: {self.what}"


def _required(name: str, column_type: str) -> Column:
    return Column(name, column_type, is_nullable=False)


def _optional(name: str, column_type: str) -> Column:
    return Column(name, column_type, is_nullable=True)


USERS = Table(
    "users",
    "id",
    (
        _required("id", "varchar(36)"),
        _required("twitter_id", "varchar(255)"),
        _required("access_token", "varchar(255)"),
        _required("refresh_token", "varchar(255)"),
        _required("token_expires_at", "datetime"),
        _optional("created_at", "datetime"),
        _optional("updated_at", "datetime"),
    ),
)
MESSAGES = Table(
    "messages",
    "id",
    (
        _required("id", "varchar(36)"),
        _required("timestamp", "datetime"),
        _required("user", "varchar(255)"),
        _required("text", "text"),
        _required("status", "varchar(50)"),
        _optional("public_response", "text"),
        _optional("dm_response", "text"),
        _optional("credits_used", "int"),
        _optional("redirected", "tinyint"),
        _optional("created_at", "datetime"),
        _optional("updated_at", "datetime"),
    ),
)
OAUTH_STATES = Table(
    "oauth_states",
    "state",
    (
        _required("state", "varchar(255)"),
        _required("code_verifier", "varchar(255)"),
        _required("created_at", "datetime"),
    ),
)
# Characters of an id, and bytes of a text: a document holds 16 MB, the legacy TEXT columns 64 KB.
LONGEST_KEY, LONGEST_TEXT = 64, 2_000_000
_CHARSET = "utf8mb4"
_TEXT_TYPES = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_BYTE_TYPES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
WHOLE_TYPES = {"tinyint", "smallint", "mediumint", "int", "bigint"}
# Accounts first: messages refer to them.
TABLES = (USERS, MESSAGES, OAUTH_STATES)


def compare_columns(
    table: Table, found: Mapping[str, Column]
) -> tuple[list[str], list[Difference]]:
    """Names of missing columns, and what else differs (extra, retyped, nullable)."""
    missing = [column.name for column in table.columns if column.name not in found]
    differences = []
    expected = {column.name: column for column in table.columns}
    for name, column in found.items():
        wanted = expected.get(name)
        if wanted is None:
            what = f"extra column ({column.column_type}), not taken over"
            differences.append(Difference(table.name, name, what))
            continue
        if column.column_type != wanted.column_type:
            what = (
                f"is {column.column_type} instead of {wanted.column_type}: "
                f"{_judge_type(wanted, column)}"
            )
            differences.append(Difference(table.name, name, what))
        if column.is_nullable and not wanted.is_nullable:
            what = "may be NULL here; such rows are refused"
            differences.append(Difference(table.name, name, what))
        differences.extend(_judge_charset(table, column))
    return missing, differences


def _judge_type(wanted: Column, column: Column) -> str:
    """What another type than the former system's means for the values."""
    kind = column.column_type.split("(")[0].split()[0]
    is_text = wanted.column_type.startswith(("varchar", "text"))
    if is_text and kind in _TEXT_TYPES:
        if wanted.name == "id":
            return f"a row whose id is longer than {LONGEST_KEY} characters is refused"
        if kind in {"mediumtext", "longtext"}:
            return f"taken over whole; a row with more than {LONGEST_TEXT:,} bytes is refused"
        return "taken over whole, whatever its length"
    if is_text and kind in _BYTE_TYPES:
        return "its bytes are read as UTF-8; a row where they are none is refused"
    if is_text:
        return "taken over as the text MySQL prints for it"
    if wanted.column_type == "datetime":
        if kind == "datetime":
            return "fractions are cut to milliseconds, and noted"
        if kind == "timestamp":
            return "read in UTC, whatever the server's time zone"
        if kind == "date":
            return "taken over as midnight UTC"
        return "a row whose value is no date and time is refused"
    if kind in WHOLE_TYPES:
        return "a row whose number needs more than 32 bits is refused"
    return "a row whose value MySQL does not print as a whole number (as 0.00) is refused"


def _judge_charset(table: Table, column: Column) -> list[Difference]:
    """What another character set or collation than the former system's means for the rows."""
    found = []
    if column.charset and column.charset != _CHARSET:
        what = (
            f"is {column.charset} instead of {_CHARSET}: taken over as the characters it holds, "
            "so what it could not hold (emoji) was lost when it was written"
        )
        found.append(Difference(table.name, column.name, what))
    is_exact = column.collation.endswith(("_bin", "_cs")) or "_as_cs" in column.collation
    if is_exact and column.name in (table.key, "twitter_id"):
        what = (
            f"compares by {column.collation}: values that differ in case alone are different "
            "here as they are there"
        )
        found.append(Difference(table.name, column.name, what))
    return found
