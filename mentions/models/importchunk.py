"""How far the MySQL import came: one row for each chunk it finished."""

from typing import ClassVar

from django.db import models
from django.utils import timezone


class ImportChunk(models.Model):
    """A stretch of a legacy table, in the order of its key, that was taken over completely.

    Keyed by table and the key the chunk begins after. ``checksum`` covers the raw rows and what
    their conversion depends on; ``keys`` are those that have a document, so that one which is
    gone later is known to have been deleted here; ``lowest`` and ``highest`` bound them.
    ``is_clean``: every row was written or found the same.
    """

    id = models.CharField(primary_key=True, max_length=96, db_column="_id", editable=False)
    table = models.CharField(max_length=32, editable=False)
    run_id = models.CharField(max_length=64, editable=False)
    row_count = models.IntegerField(default=0, editable=False)
    checksum = models.CharField(max_length=32, editable=False)
    is_clean = models.BooleanField(default=False, editable=False)
    notes = models.JSONField(default=dict, editable=False)
    lowest = models.TextField(blank=True, default="", editable=False)
    highest = models.TextField(blank=True, default="", editable=False)
    keys = models.JSONField(default=list, editable=False)
    finished_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        db_table = "import_chunks"
        indexes: ClassVar[list[models.Index]] = [
            # Which chunks may hold a key is read from the index alone: their lists are long.
            models.Index(fields=["table", "lowest", "highest"], name="import_chunk_bounds_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.table} {self.lowest} to {self.highest}: {self.row_count} rows"
