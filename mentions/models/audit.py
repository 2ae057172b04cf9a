"""Who did what, when. Rows are only ever added.

An entry is written with the change it tells of, or not at all. Mostly in one transaction; a change
that is a single command takes its entry along on the row it changes (``leave_on_row``), from where
``file_entries`` moves it here, seconds later or before somebody reads.
"""

import contextlib
from collections.abc import Mapping
from typing import Any, ClassVar, Required, TypedDict, Unpack

from django.db import connection, models
from django.utils import timezone

from accounts.models import StringKeyModel, new_id
from autores.mongo.backend.errors import described_errors
from autores.mongo.errors import TransactionConflictError
from autores.mongo.reads import find_page
from autores.mongo.transactions import run_in_transaction
from mentions.models.message import EPOCH, Message

# The array of entries on a message, which only the functions of this module know.
_UNFILED = "unfiled"
# Nobody files, or somebody writes to one message all the time: it must not grow without an end.
MOST_UNFILED = 50
# The author's own words, before and after; they go with the mention's.
MESSAGE_EDITED = "message.edited_on_x"
# Characters; an entry of more is written in a transaction.
_LONGEST_LEFT = 2000
FILED_AT_ONCE = 200
MOST_ENTRIES = 500
_ROUNDS_BEFORE_READING = 5


class AuditEntry(StringKeyModel):
    """One change of one object. ``actor`` is a person's id, or "system:<stage>".

    ``before`` and ``after`` hold the changed fields only, and never a secret.
    """

    at = models.DateTimeField(default=timezone.now, editable=False)
    actor = models.CharField(max_length=64)
    action = models.CharField(max_length=64)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=80)
    account_id = models.CharField(max_length=64, blank=True, default="")
    message_id = models.CharField(max_length=64, blank=True, default="")
    before = models.JSONField(default=dict, blank=True)
    after = models.JSONField(default=dict, blank=True)
    note = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "audit entries"
        ordering: ClassVar[list[str]] = ["-at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-at"], name="audit_time_idx"),
            models.Index(fields=["message_id", "-at"], name="audit_message_idx"),
            models.Index(fields=["account_id", "-at"], name="audit_account_idx"),
            models.Index(fields=["object_type", "object_id", "-at"], name="audit_object_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.object_id}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit entries are only added, never changed.")
        super().save(*args, **kwargs)


class Told(TypedDict, total=False):
    """What an entry says, beside the action; as the fields of ``AuditEntry``."""

    actor: Required[str]
    object_type: Required[str]
    object_id: Required[str]
    account_id: str | None
    message_id: str | None
    before: dict[str, Any]
    after: dict[str, Any]
    note: str


def build_entry(action: str, **told: Unpack[Told]) -> dict[str, Any]:
    """An entry as it is stored."""
    return {
        "_id": new_id(),
        "at": timezone.now(),
        "actor": told["actor"],
        "action": action,
        "object_type": told["object_type"],
        "object_id": told["object_id"],
        "account_id": told.get("account_id") or "",
        "message_id": told.get("message_id") or "",
        "before": told.get("before") or {},
        "after": told.get("after") or {},
        "note": told.get("note") or "",
    }


def record_audit(action: str, **told: Unpack[Told]) -> None:
    """Add one entry; inside ``autores.mongo.transactions.atomic`` it joins the transaction.

    Below the ORM, in a third of its time: each change of anything comes by here.
    """
    entry = build_entry(action, **told)
    name = AuditEntry._meta.db_table
    with described_errors(name):
        connection.get_collection(name).insert_one(entry, session=connection.session)


def leave_on_row(entry: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What an update of a message does so that the row has the entry."""
    return {"$push": {_UNFILED: entry}, "$set": {"unfiled_at": entry["at"]}}


def is_for_row(*parts: Mapping[str, Any]) -> bool:
    """Whether an entry of these fields and values is small enough: long texts must not make a row
    grow.
    """
    values = (value for part in parts for value in part.values())
    return sum(len(value) for value in values if isinstance(value, str)) <= _LONGEST_LEFT


def has_room_on_row() -> dict[str, Any]:
    """The filter of messages that can take one more entry along."""
    return {f"{_UNFILED}.{MOST_UNFILED - 1}": {"$exists": False}}


def make_room_on_row(message_id: str) -> None:
    """File what is left on the message, if it is full."""
    full = {"_id": message_id, f"{_UNFILED}.{MOST_UNFILED - 1}": {"$exists": True}}
    if find_page(Message, filter=full, projection={"_id": 1}, limit=1):
        file_before_reading(message_id=message_id)


def is_kept(entry: Mapping[str, Any]) -> bool:
    """Whether an entry left on a row is there, or in the audit already: its change was made."""
    on_row = {"_id": entry["object_id"], f"{_UNFILED}._id": entry["_id"]}
    # In the order in which it moves.
    return bool(
        find_page(Message, filter=on_row, projection={"_id": 1}, limit=1)
        or find_page(AuditEntry, filter={"_id": entry["_id"]}, projection={"_id": 1}, limit=1)
    )


def file_entries(*, message_id: str | None = None, newest_first: bool = False) -> int:
    """Move the entries that wait on messages (or on this one) to the audit; of how many messages.

    One transaction of bounded size: what is more is left for the next call. Joins the transaction
    that runs. Raises TransactionConflictError where others write to the same messages all the time.
    """
    waiting: dict[str, Any] = {"unfiled_at": {"$gt": EPOCH}}
    if message_id is not None:
        waiting["_id"] = message_id

    def move() -> int:
        session = connection.session
        messages = connection.get_collection(Message._meta.db_table)
        ids: list[str] = []
        entries: list[dict[str, Any]] = []
        with (
            described_errors(Message._meta.db_table),
            messages.find(waiting, {_UNFILED: 1}, session=session, batch_size=50)
            .sort("unfiled_at", -1 if newest_first else 1)
            .limit(FILED_AT_ONCE) as rows,
        ):
            for row in rows:
                ids.append(row["_id"])
                entries += row.get(_UNFILED) or ()
                if len(entries) >= MOST_ENTRIES:
                    break
        name = AuditEntry._meta.db_table
        with described_errors(name):
            if entries:
                audit = connection.get_collection(name)
                audit.insert_many(entries, ordered=False, session=session)
            if ids:
                # Another's change of one of them in the meantime makes all of this start again.
                messages.update_many(
                    {"_id": {"$in": ids}},
                    {"$unset": {_UNFILED: ""}, "$set": {"unfiled_at": None}},
                    session=session,
                )
        return len(ids)

    filed: int = run_in_transaction(move)
    return filed


def file_before_reading(*, message_id: str | None = None) -> None:
    """So that a reader sees what was just done. What others write to right now comes later, and
    so does the oldest of what nobody filed for long.
    """
    with contextlib.suppress(TransactionConflictError):
        for _ in range(1 if message_id else _ROUNDS_BEFORE_READING):
            if not file_entries(message_id=message_id, newest_first=True):
                break


def record_account_change(
    sender: Any,
    *,
    account_id: str,
    action: str,
    actor: str,
    before: dict[str, Any],
    after: dict[str, Any],
    note: str,
    **kwargs: Any,
) -> None:
    """Receiver of ``accounts.signals.account_changed``: keeps an account's history."""
    record_audit(
        action,
        actor=actor,
        object_type="account" if account_id else "app",
        object_id=account_id or "x",
        account_id=account_id,
        before=before,
        after=after,
        note=note,
    )
