"""Posts that are here by another version's id: X gives each edit of a post a new one."""

import time
from collections.abc import Collection

from django.db import connection

from mentions.models import Message, list_versions

# Polls store edits while the import runs.
_FRESH_SECONDS = 30.0
_READ = (
    "account_id",
    "post_id",
    "latest_post_id",
    "raw.edit_history_post_ids",
    "raw.edit_history_tweet_ids",
)


class Versions:
    """The versions of all mentions that were edited on X: those are few."""

    def __init__(self) -> None:
        self._holders: dict[str, list[tuple[str | None, str]]] = {}
        self._read_at = float("-inf")

    @property
    def is_empty(self) -> bool:
        self._refresh()
        return not self._holders

    def find(self, keys: Collection[str]) -> set[str]:
        """Those of the keys that are a version of some mention, under another id than its own."""
        self._refresh()
        return self._holders.keys() & keys if self._holders else set()

    def find_holder(self, key: str, *, account_id: str | None) -> str | None:
        """The id of the mention that is the same post for the same account; any, without one."""
        self._refresh()
        for holder_account, holder in self._holders.get(key, ()):
            if account_id in (None, holder_account):
                return holder
        return None

    def _refresh(self) -> None:
        if time.monotonic() - self._read_at < _FRESH_SECONDS:
            return
        holders: dict[str, list[tuple[str | None, str]]] = {}
        edited = connection.get_collection(Message._meta.db_table).find(
            {"latest_post_id": {"$gt": ""}}, dict.fromkeys(_READ, 1)
        )
        for row in edited:
            raw = row.get("raw")
            versions = {row["latest_post_id"], *list_versions(raw if isinstance(raw, dict) else {})}
            for version in versions - {row["post_id"]}:
                holder = (row.get("account_id"), row["_id"])
                holders.setdefault(version, []).append(holder)
        self._holders, self._read_at = holders, time.monotonic()
