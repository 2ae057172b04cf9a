"""Runs of the MySQL import, and what they had to leave behind."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import StringKeyModel


class ImportRun(StringKeyModel):
    """One run of ``migrate_from_mysql``: what it was asked, and what it counted.

    ``state``: running (or killed), done, incomplete (rejects, conflicts, differing counts), failed.
    """

    started_at = models.DateTimeField(default=timezone.now, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)
    is_dry_run = models.BooleanField(default=False)
    state = models.CharField(max_length=16, default="running")
    source = models.CharField(max_length=200, blank=True, default="")
    report = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-started_at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["-started_at"], name="import_run_time_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {self.state}"


class ImportReject(models.Model):
    """A legacy row that cannot be taken over, keyed ``<table>:<legacy id>``; secrets are masked.

    The row vanishes with the first run that reads its table to the end without refusing it.
    """

    id = models.CharField(primary_key=True, max_length=700, db_column="_id", editable=False)
    run_id = models.CharField(max_length=64, editable=False)
    table = models.CharField(max_length=32, editable=False)
    legacy_id = models.TextField(blank=True, default="", editable=False)
    reasons = models.JSONField(default=list, editable=False)
    rules = models.JSONField(default=list, editable=False)
    hints = models.JSONField(default=list, editable=False)
    row = models.JSONField(default=dict, editable=False)
    rejected_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "import_rejects"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["table", "run_id"], name="import_reject_table_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.legacy_id}: {'; '.join(self.reasons)}"
