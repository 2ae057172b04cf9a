"""What the legacy server says of its tables: columns, keys, engines, by its catalogue alone.

The names in these queries are the contract's own constants, nothing that anybody gave: S608 does
not apply. ``Fetch`` binds no parameters.
"""

import re
from collections.abc import Callable
from typing import Any

from mentions.legacy.contract import Column, Difference, Table

Fetch = Callable[[str], list[tuple[Any, ...]]]


def read_columns(fetch: Fetch, table: str) -> dict[str, Column]:
    rows = fetch(
        "SELECT column_name, data_type, column_type, is_nullable, "  # noqa: S608
        "character_set_name, collation_name "
        "FROM information_schema.columns "
        f"WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY ordinal_position"
    )
    return {
        name.decode(): Column(
            name=name.decode(),
            data_type=data_type.decode().lower(),
            column_type=re.sub(r"(?<=int)\(\d+\)", "", column_type.decode().lower()),
            is_nullable=nullable == b"YES",
            charset=(charset or b"").decode(),
            collation=(collation or b"").decode(),
        )
        for name, data_type, column_type, nullable, charset, collation in rows
    }


def is_key_unique(fetch: Fetch, table: Table) -> bool:
    rows = fetch(
        "SELECT index_name, MIN(non_unique), COUNT(*), MAX(column_name), MAX(nullable), "  # noqa: S608
        "MAX(sub_part) FROM information_schema.statistics "
        f"WHERE table_schema = DATABASE() AND table_name = '{table.name}' GROUP BY index_name"
    )
    return any(
        int(non_unique) == 0
        and int(count) == 1
        and column.decode() == table.key
        and nullable != b"YES"
        and prefix is None
        for _, non_unique, count, column, nullable, prefix in rows
    )


def read_engine(fetch: Fetch, table: Table) -> str:
    """``view`` for a view."""
    rows = fetch(
        "SELECT engine FROM information_schema.tables "  # noqa: S608
        f"WHERE table_schema = DATABASE() AND table_name = '{table.name}'"
    )
    return (rows[0][0] or b"view").decode() if rows else "unknown"


def check_engine(fetch: Fetch, table: Table) -> list[Difference]:
    engine = read_engine(fetch, table)
    if engine.lower() == "innodb":
        return []
    return [
        Difference(
            table.name,
            "",
            f"engine {engine} has no snapshot: stop the former system while the import runs",
        )
    ]


def check_foreign_keys(fetch: Fetch, table: Table) -> list[Difference]:
    """Those by which MySQL changes rows itself."""
    rows = fetch(
        "SELECT table_name, constraint_name, delete_rule, update_rule "
        "FROM information_schema.referential_constraints "
        "WHERE constraint_schema = DATABASE() ORDER BY constraint_name"
    )
    still = {b"RESTRICT", b"NO ACTION"}
    return [
        Difference(
            table.name,
            "",
            f"the foreign key {name.decode()} changes rows by itself, which MySQL leaves out "
            "of its binary log: --follow does not see it, --delta does",
        )
        for owner, name, *rules in rows
        if owner.decode() == table.name and not still.issuperset(rules)
    ]
