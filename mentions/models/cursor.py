"""How far each account's mentions were read."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import TwitterAccount


class Cursor(models.Model):
    """The ingest position of one account, keyed by the account's id.

    ``newest_post_id`` is the highest id up to which every page was stored; it moves only after
    the last page of a poll is durable, and never backwards.
    """

    id = models.CharField(primary_key=True, max_length=64, db_column="_id")
    account = models.ForeignKey(
        TwitterAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    newest_post_id = models.CharField(max_length=32, blank=True, default="")
    baseline_at = models.DateTimeField(null=True, blank=True)
    # Nothing older is taken over, whatever a sweep or a search shows (exclusive).
    floor_post_id = models.CharField(max_length=32, blank=True, default="", editable=False)
    # A poll that was cut short: everything from ``unfinished_lowest_id`` to
    # ``unfinished_newest_id`` is stored, and the next poll goes on below it.
    unfinished_newest_id = models.CharField(max_length=32, blank=True, default="", editable=False)
    unfinished_lowest_id = models.CharField(max_length=32, blank=True, default="", editable=False)
    unfinished_seen = models.IntegerField(default=0, editable=False)
    unfinished_begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Up to when the search index was read, when that was, and how far a cut search came.
    searched_until = models.DateTimeField(null=True, blank=True)
    search_due_at = models.DateTimeField(null=True, blank=True, editable=False)
    search_lowest_id = models.CharField(max_length=32, blank=True, default="", editable=False)
    search_begun_at = models.DateTimeField(null=True, blank=True, editable=False)
    # When the last sweep began that X let come through.
    swept_until = models.DateTimeField(null=True, blank=True, editable=False)
    # Every mention X showed up to this time is stored.
    complete_until = models.DateTimeField(null=True, blank=True)
    last_poll_seen = models.IntegerField(default=0)
    last_poll_new = models.IntegerField(default=0)
    late_count = models.IntegerField(default=0)
    possible_gap_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account"], name="cursor_account_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} up to {self.newest_post_id or 'nothing yet'}"
