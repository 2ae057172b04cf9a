"""Everything one running sandbox is made of."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from autores.sandbox.clock import Clock, format_time
from autores.sandbox.dms import DirectMessages
from autores.sandbox.faults import Faults
from autores.sandbox.limits import Limits
from autores.sandbox.mentions import Mentions
from autores.sandbox.oauth import OAuth
from autores.sandbox.posts import Posts
from autores.sandbox.reading import Reading
from autores.sandbox.rendering import Renderer
from autores.sandbox.store import Store
from autores.sandbox.users import Users


@dataclass(frozen=True)
class Options:
    """What the command line decides. `openai_key` None: any key that is not empty is good."""

    client_id: str = "sandbox-client"
    client_secret: str = "sandbox-secret"  # noqa: S105 - of a stand-in, printed in its help
    client_name: str = "Autores"
    callbacks: tuple[str, ...] = (
        "http://127.0.0.1:8000/api/v1/auth/twitter/callback",
        "http://localhost:8000/api/v1/auth/twitter/callback",
    )
    app_bearer: str = "sandbox-app-bearer"
    openai_key: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)


class World:
    def __init__(self, path: str, options: Options) -> None:
        self.options = options
        self.stopping = threading.Event()
        self.store = Store(path)
        self.clock = Clock(self.store)
        self.users = Users(self.store, self.clock)
        self.posts = Posts(self.store, self.clock, self.users)
        self.mentions = Mentions(self.store, self.clock, self.users, self.posts)
        self.reading = Reading(self.store, self.clock, self.users)
        self.renderer = Renderer(self.store, self.users, self.posts)
        self.dms = DirectMessages(self.store, self.clock, self.users)
        self.oauth = OAuth(self.store, self.clock, self.users, app_bearer=options.app_bearer)
        self.limits = Limits(self.store, self.clock)
        self.faults = Faults(self.store)
        self.calls = Calls(self.store, self.clock)
        self._prepare()

    def _prepare(self) -> None:
        for key, value in self.options.settings.items():
            self.store.put_setting(key, value)
        # Callbacks registered while it ran stay: a restart must not cut anyone off.
        known = self.oauth.callbacks_of(self.options.client_id) or []
        self.oauth.register(
            self.options.client_id,
            self.options.client_secret,
            name=self.options.client_name,
            callbacks=list(dict.fromkeys([*self.options.callbacks, *known])),
        )

    def reset(self) -> None:
        """As new: no users, posts, tokens, faults or calls; options given at the start hold."""
        self.store.wipe()
        self.clock.forget_ids()
        for key, value in self.options.settings.items():
            self.store.put_setting(key, value)

    def close(self) -> None:
        self.stopping.set()
        self.store.close()


class Calls:
    """The record of every call made to the stand-ins. Never holds a token or a body."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def record(
        self,
        route: str,
        *,
        method: str,
        path: str,
        query: dict[str, str],
        status: int | None,
        account_id: str | None,
        fault: str | None,
        items: int = 0,
    ) -> None:
        """`status` None: no answer was given. `items`: posts or events in the answer."""
        self._store.run(
            "INSERT INTO calls (at_ms, route, method, path, query, status, account_id, fault,"
            " items) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._clock.now_ms(),
            route,
            method,
            path,
            json.dumps(query),
            status,
            account_id,
            fault,
            items,
        )

    def record_shown(self, route: str, *, account_id: str, post_ids: list[str]) -> None:
        """Keep when each post first went out to the account in a whole answer of mentions or
        search: what a reader cannot have missed by X's fault.
        """
        if route not in ("mentions", "search"):
            return
        now = self._clock.now_ms()
        self._store.run_many(
            "INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?)",
            [(int(account_id), int(post_id), route, now) for post_id in post_ids],
        )

    def all(
        self, *, route: str | None = None, account_id: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Oldest first; with `limit`, the newest so many."""
        rows = self._store.all(
            "SELECT * FROM calls WHERE (? IS NULL OR route = ?)"
            " AND (? IS NULL OR account_id = ?) ORDER BY id DESC LIMIT ?",
            route,
            route,
            account_id,
            account_id,
            -1 if limit is None else limit,
        )
        return [
            {
                "id": row["id"],
                "at": format_time(row["at_ms"]),
                "route": row["route"],
                "method": row["method"],
                "path": row["path"],
                "query": json.loads(row["query"]),
                "status": row["status"],
                "account_id": row["account_id"],
                "fault": row["fault"],
                "items": row["items"],
            }
            for row in reversed(rows)
        ]

    def clear(self) -> int:
        return self._store.run("DELETE FROM calls")
