"""Ranges of ids that X did not show: what may have been lost, and what a search found of it."""

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.choices import TextChoices


class GapState(TextChoices):
    OPEN = "open", "Open: the search has not read it to its end"
    CLOSED = "closed", "Closed: the search read all of it"
    EXPIRED = "expired", "Lost: older than what the search shows"


def gap_key(*, account_id: str, from_post_id: str) -> str:
    return f"{account_id}:{from_post_id}"


class Gap(models.Model):
    """One range that a poll could not read, keyed ``<account id>:<from_post_id>``.

    Mentions with ids between ``from_post_id`` (the cursor when the poll began) and ``to_post_id``
    (the oldest one X still showed), both exclusive, were out of X's reach. ``from_at`` and
    ``to_at`` are the times in these ids. ``found`` counts what is stored of the range by now.
    """

    id = models.CharField(primary_key=True, max_length=130, db_column="_id", editable=False)
    account = models.ForeignKey(
        TwitterAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    from_post_id = models.CharField("after post", max_length=32, editable=False)
    to_post_id = models.CharField("before post", max_length=32, editable=False)
    from_at = models.DateTimeField("after")
    to_at = models.DateTimeField("before")
    state = models.CharField(max_length=8, choices=GapState.choices, default=GapState.OPEN)
    found = models.IntegerField("found by search", default=0)
    # How far down a search that was cut short came.
    search_lowest_id = models.CharField(max_length=32, blank=True, default="", editable=False)
    searched_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField("noticed", default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["account", "state", "from_at"], name="gap_account_idx"),
            models.Index(fields=["-created_at"], name="gap_time_idx"),
        ]

    def __str__(self) -> str:
        return (
            f"{self.account_id} {self.from_at:%Y-%m-%d %H:%M} to {self.to_at:%H:%M}: {self.state}"
        )
