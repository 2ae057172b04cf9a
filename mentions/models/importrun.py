"""Runs of the MySQL import, kept as evidence."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import StringKeyModel


class ImportRun(StringKeyModel):
    """One run of ``migrate_from_mysql``: what it was asked, and what it counted."""

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
