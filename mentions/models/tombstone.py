"""What was deleted and must not come back: the next poll or sweep sees the post again."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


def tombstone_key(*, account_id: str | None, post_id: str) -> str:
    return f"{account_id or ''}:{post_id}"


class Tombstone(models.Model):
    """One deleted message, keyed ``<account id>:<post id>``; ingest and import skip what is here.

    Nothing of the mention itself is kept: the audit entry says who deleted what.
    """

    id = models.CharField(primary_key=True, max_length=130, db_column="_id", editable=False)
    message_id = models.CharField(max_length=64, editable=False)
    deleted_by = models.CharField(max_length=64, editable=False)
    deleted_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-deleted_at"], name="tombstone_time_idx"),
        ]

    def __str__(self) -> str:
        return self.id
