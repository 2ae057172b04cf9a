"""Faults scripted by the control API: which call is hit, and what happens to it."""

from __future__ import annotations

import json
import random
import textwrap
from dataclasses import dataclass
from typing import Any

from autores.sandbox.store import Store
from autores.sandbox.users import SandboxInputError

ROUTES = (
    "mentions", "create_post", "delete_post", "dm", "token", "revoke", "authorize", "me",
    "timeline", "lookup", "users", "search", "dm_events", "responses", "models", "*",
)  # fmt: skip
# Answered at once; the call has no effect.
REFUSALS = (
    "rate_limit_window", "rate_limit_user_day", "rate_limit_app_day", "usage_cap",
    "credits_depleted", "credits_payment_required", "server_error", "unauthorized", "forbidden",
    "duplicate",
)  # fmt: skip
# No answer comes; "after" means the call took effect.
SILENCES = ("timeout_before", "timeout_after", "reset_before", "reset_after", "reset_mid_body")
# The call works, the answer is late or damaged.
DAMAGES = ("slow", "malformed_json", "missing_fields", "refuse_output", "invalid_output")
NAMES = REFUSALS + SILENCES + DAMAGES
_RATE_LIMIT = {
    "reset_in_seconds": "until X counts anew (X's whole window)",
    "shape": "problem or legacy: how the 429 looks (problem)",
    "retry_after": "route responses only: seconds (20)",
}
_SILENT_SECONDS = {"seconds": "how long the connection is held (60)"}
# What a fault can be told besides its name, each with its default.
PARAMETERS: dict[str, dict[str, str]] = {
    "rate_limit_window": _RATE_LIMIT,
    "rate_limit_user_day": _RATE_LIMIT,
    "rate_limit_app_day": _RATE_LIMIT,
    "server_error": {
        "status": "5xx, or 408 as a gateway says it (503; route responses 500)",
        "applied": "true: the call took effect all the same (false)",
    },
    "forbidden": {"detail": "X's sentence (Forbidden)"},
    "timeout_before": _SILENT_SECONDS,
    "timeout_after": {
        **_SILENT_SECONDS,
        "effect_after": "seconds until the call takes effect, whoever still waits for it (0)",
    },
    "slow": {"seconds": "before the answer (2)"},
    "missing_fields": {"fields": 'a JSON list of names to leave out (["id"])'},
    "refuse_output": {"text": "the model's refusal"},
    "invalid_output": {"text": 'what the model writes ({"unexpected": true)'},
}


def describe_faults() -> str:
    """The routes, and the faults with their parameters, for a terminal."""
    lines = ["routes:", *_wrap(" ".join(ROUTES))]
    for title, names in (
        ("faults answered at once, without effect:", REFUSALS),
        ('faults without an answer ("after": the call took effect):', SILENCES),
        ("faults of the answer:", DAMAGES),
    ):
        lines += ["", title]
        for name in names:
            lines.append(f"  {name}")
            lines += [f"      {key}=…  {text}" for key, text in PARAMETERS.get(name, {}).items()]
    return "\n".join(lines)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, width=78, initial_indent="  ", subsequent_indent="  ")


@dataclass(frozen=True)
class Fault:
    id: int
    route: str
    name: str
    params: dict[str, Any]


class Faults:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._random = random.Random()  # noqa: S311 - chance of a scripted fault

    def add(
        self,
        route: str,
        name: str,
        *,
        times: int | None = 1,
        after: int = 0,
        probability: float = 1.0,
        account_id: str | None = None,
        params: dict[str, Any] | None = None,
    ) -> int:
        """Arm a fault. `times` None: until removed; `after`: calls let through first."""
        if route not in ROUTES:
            raise SandboxInputError(f"route {route!r}: use one of {', '.join(ROUTES)}")
        if name not in NAMES:
            raise SandboxInputError(f"fault {name!r}: use one of {', '.join(NAMES)}")
        if times is not None and times < 1:
            raise SandboxInputError("times: use a number from 1 up, or null for every time")
        if not 0 <= probability <= 1:
            raise SandboxInputError("probability: use 0 to 1")
        with self._store.transaction() as db:
            fault_id = db.execute(
                "INSERT INTO faults (route, name, times, skip, probability, account_id, params)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (route, name, times, after, probability, account_id, json.dumps(params or {})),
            ).lastrowid
        assert fault_id is not None
        return fault_id

    def pick(self, route: str, *, account_id: str | None) -> Fault | None:
        """The first armed fault that hits this call; counts it down."""
        if self._store.one("SELECT 1 FROM faults LIMIT 1") is None:
            return None
        with self._store.transaction() as db:
            for row in db.execute("SELECT * FROM faults ORDER BY id").fetchall():
                if row["route"] not in (route, "*"):
                    continue
                if row["account_id"] is not None and row["account_id"] != account_id:
                    continue
                if row["times"] is not None and row["fired"] >= row["times"]:
                    continue
                if row["skip"] > 0:
                    db.execute("UPDATE faults SET skip = skip - 1 WHERE id = ?", (row["id"],))
                    continue
                if self._random.random() >= row["probability"]:
                    continue
                db.execute("UPDATE faults SET fired = fired + 1 WHERE id = ?", (row["id"],))
                return Fault(row["id"], row["route"], row["name"], json.loads(row["params"]))
        return None

    def all(self) -> list[dict[str, Any]]:
        rows = self._store.all("SELECT * FROM faults ORDER BY id")
        return [
            {
                "id": row["id"],
                "route": row["route"],
                "fault": row["name"],
                "times": row["times"],
                "after": row["skip"],
                "probability": row["probability"],
                "account_id": row["account_id"],
                "params": json.loads(row["params"]),
                "fired": row["fired"],
            }
            for row in rows
        ]

    def clear(self, fault_id: int | None = None) -> int:
        if fault_id is None:
            removed = self._store.run("DELETE FROM faults")
        else:
            removed = self._store.run("DELETE FROM faults WHERE id = ?", fault_id)
        return removed
