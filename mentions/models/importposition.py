"""What a following of the legacy server's binary log keeps: its place, and what is open."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class ImportPosition(models.Model):
    """How far one legacy database's log was applied; ``id`` names the database.

    ``phase``: loading until every table was read once, then following. See
    ``mentions.legacy.position`` for the times.
    """

    id = models.CharField(primary_key=True, max_length=300, db_column="_id", editable=False)
    file = models.CharField(max_length=300, editable=False)
    offset = models.BigIntegerField(editable=False)
    made_at = models.BigIntegerField(null=True, editable=False)
    run_id = models.CharField(max_length=64, editable=False)
    phase = models.CharField(max_length=16, editable=False)
    account_id = models.CharField(max_length=64, null=True, editable=False)
    rules_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    changed_at = models.DateTimeField(null=True, editable=False)
    frozen_at = models.DateTimeField(null=True, editable=False)
    writable_at = models.DateTimeField(null=True, editable=False)
    marked_at = models.DateTimeField(null=True, editable=False)
    row_count = models.BigIntegerField(default=0, editable=False)
    counts = models.JSONField(default=dict, editable=False)
    saved_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "import_positions"

    def __str__(self) -> str:
        return f"{self.id}: {self.file}, {self.offset}"


class ImportConflict(models.Model):
    """A row, or its deletion, that could not be taken over, for it was changed here, too.

    Keyed ``<table>:<id>``. It vanishes with the first later run or change that settles the row.
    ``differing``: for each field that differs, the value there (``legacy``) and ``here``, secrets
    as digests.
    """

    id = models.CharField(primary_key=True, max_length=700, db_column="_id", editable=False)
    table = models.CharField(max_length=32, editable=False)
    legacy_id = models.TextField(blank=True, default="", editable=False)
    reason = models.TextField(blank=True, default="", editable=False)
    differing = models.JSONField(null=True, editable=False)
    run_id = models.CharField(max_length=64, editable=False)

    class Meta:
        db_table = "import_follow_conflicts"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["run_id", "table"], name="import_conflict_run_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.legacy_id}: {self.reason}"
