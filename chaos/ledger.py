"""What the run did and was promised, kept beside the database for the checker."""

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient

from chaos.deployment import DATABASE

LEDGER = f"{DATABASE}_ledger"


class Ledger:
    """Written by many threads while the run goes on, stored once at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accepted: list[dict[str, Any]] = []
        self._troubles: list[dict[str, Any]] = []
        self._ended: list[str] = []
        self.injected: Counter[str] = Counter()

    def accept(self, *, key: str, message_id: str, kind: str, text: str) -> None:
        """The API took this reply: from now on it must not be lost."""
        with self._lock:
            self._accepted.append(
                {"key": key, "message_id": message_id, "kind": kind, "text": text}
            )

    def count_accepted(self) -> int:
        with self._lock:
            return len(self._accepted)

    def trouble(self, account_x_id: str, *, begun_at: datetime, what: str) -> None:
        """One account failed from then until now, and no other was meant to suffer."""
        with self._lock:
            self._troubles.append(
                {
                    "account_x_id": account_x_id,
                    "begun_at": begun_at,
                    "ended_at": datetime.now(UTC),
                    "what": what,
                }
            )

    def end(self, sentence: str) -> None:
        """A process ended, or did nothing any more, which nobody had killed."""
        with self._lock:
            self._ended.append(sentence)

    def inject(self, what: str, times: int = 1) -> None:
        with self._lock:
            self.injected[what] += times

    def store(self, mongodb_url: str, **facts: Any) -> None:
        with MongoClient[dict[str, Any]](mongodb_url) as client:
            database = client[LEDGER]
            for name, rows in (("accepted", self._accepted), ("troubles", self._troubles)):
                database.drop_collection(name)
                if rows:
                    database[name].insert_many(rows)
            database.drop_collection("run")
            database["run"].insert_one(
                {**facts, "injected": dict(self.injected), "ended": self._ended}
            )
