"""What X has for an account, and what of it ever went out: the truth a reader is measured by."""

from __future__ import annotations

from typing import Any

from autores.sandbox.clock import format_time
from autores.sandbox.world import World


def list_feed(world: World, account_id: int) -> list[dict[str, Any]]:
    """Every mention of the account, oldest first, whether X still shows it or not.

    ``shown_at`` and ``found_at`` tell when it first went out in a whole answer of the timeline
    and of search; None: never.
    """
    rows = world.store.all(
        "SELECT f.*, t.at_ms AS timeline_ms, s.at_ms AS search_ms FROM feed f"
        " LEFT JOIN shown t"
        " ON t.user_id = f.user_id AND t.post_id = f.post_id AND t.route = 'mentions'"
        " LEFT JOIN shown s"
        " ON s.user_id = f.user_id AND s.post_id = f.post_id AND s.route = 'search'"
        " WHERE f.user_id = ? ORDER BY f.post_id",
        account_id,
    )
    return [
        {
            "post_id": str(row["post_id"]),
            "kind": row["kind"],
            "indexed_at": format_time(row["indexed_ms"]),
            "is_gone": bool(row["is_gone"]),
            "shown_at": _format(row["timeline_ms"]),
            "found_at": _format(row["search_ms"]),
        }
        for row in rows
    ]


def _format(at_ms: int | None) -> str | None:
    return None if at_ms is None else format_time(at_ms)
