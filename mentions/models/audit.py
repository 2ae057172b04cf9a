"""Who did what, when. Rows are only ever added."""

from typing import Any, ClassVar

from django.db import connection, models
from django.utils import timezone

from accounts.models import StringKeyModel, new_id
from autores.mongo.backend.errors import described_errors


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


def record_audit(
    action: str,
    *,
    actor: str,
    object_type: str,
    object_id: str,
    account_id: str | None = None,
    message_id: str | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    note: str = "",
) -> None:
    """Add one entry; inside ``autores.mongo.transactions.atomic`` it joins the transaction.

    Below the ORM, in a third of its time: each change of anything comes by here.
    """
    entry = {
        "_id": new_id(),
        "at": timezone.now(),
        "actor": actor,
        "action": action,
        "object_type": object_type,
        "object_id": object_id,
        "account_id": account_id or "",
        "message_id": message_id or "",
        "before": before or {},
        "after": after or {},
        "note": note,
    }
    name = AuditEntry._meta.db_table
    with described_errors(name):
        connection.get_collection(name).insert_one(entry, session=connection.session)


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
