"""The outbox: one row per public reply or DM that a person decided to send."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import StringKeyModel, TwitterAccount
from autores.choices import TextChoices
from autores.mongo.indexes import UniqueIndex
from mentions.models.draft import Draft
from mentions.models.message import Message


class ReplyKind(TextChoices):
    PUBLIC = "public", "Public reply"
    DM = "dm", "Direct message"


class ReplyState(TextChoices):
    QUEUED = "queued", "Queued"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"
    UNKNOWN = "unknown", "Outcome unknown"


UNSETTLED_STATES = (ReplyState.QUEUED, ReplyState.SENDING, ReplyState.UNKNOWN)


class Reply(StringKeyModel):
    """What is to be sent, and how far it came. The row is the queue; a task is only a nudge.

    ``live_key`` is ``<message id>:<kind>`` until the row has failed, and the row's own id then:
    its unique index lets a message have one reply of a kind, whoever clicks how often.
    A row in ``unknown`` left for X and was not answered: it is never sent again before
    reconciliation has proved that X does not have it.
    """

    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, related_name="replies", db_index=False
    )
    account = models.ForeignKey(
        TwitterAccount, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    draft = models.ForeignKey(
        Draft,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    kind = models.CharField(max_length=8, choices=ReplyKind.choices)
    live_key = models.CharField(max_length=80, editable=False)
    # Equal to the row's id unless the caller gave an Idempotency-Key.
    idempotency_key = models.CharField(max_length=200, editable=False)
    text = models.TextField()
    # The version of the mention that these words answer; "" in rows of before this was kept.
    target_post_id = models.CharField(max_length=64, blank=True, default="", editable=False)
    state = models.CharField(max_length=8, choices=ReplyState.choices, default=ReplyState.QUEUED)
    not_before = models.DateTimeField(default=timezone.now)
    # When it was to go out at first: what its age is counted from.
    due_at = models.DateTimeField(null=True, blank=True, editable=False)
    attempts = models.IntegerField(default=0)
    # Requests that may have reached X: those it certainly did not count are taken off again.
    departures = models.IntegerField(default=0, editable=False)
    # Whether this attempt's request may have left; None in rows of before this was kept.
    has_departed = models.BooleanField(null=True, default=None, editable=False)
    lease = models.CharField(max_length=64, blank=True, default="", editable=False)
    lease_until = models.DateTimeField(null=True, blank=True, editable=False)
    # When the last attempt left for X, and the first: reconciliation reads the timeline from there.
    sending_at = models.DateTimeField(null=True, blank=True)
    first_sending_at = models.DateTimeField(null=True, blank=True, editable=False)
    sent_at = models.DateTimeField(null=True, blank=True)
    # The public reply's post id, or the DM's event id.
    x_post_id = models.CharField("post or DM event id", max_length=64, blank=True, default="")
    reason_code = models.CharField(max_length=64, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    reconcile_attempts = models.IntegerField(default=0, editable=False)
    # How an unknown outcome was settled: what was read from X, and when.
    proof = models.JSONField(default=dict, blank=True, editable=False)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "reply"
        verbose_name_plural = "replies"
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[models.Index]] = [
            UniqueIndex(fields=["live_key"], name="reply_live_unq"),
            UniqueIndex(fields=["idempotency_key"], name="reply_idempotency_unq"),
            # One post on X stands for one row.
            UniqueIndex(
                fields=["account", "x_post_id"],
                condition=models.Q(x_post_id__gt=""),
                name="reply_x_post_unq",
            ),
            models.Index(fields=["state", "not_before"], name="reply_due_idx"),
            models.Index(fields=["state", "account", "not_before"], name="reply_lane_idx"),
            models.Index(fields=["sending_at"], name="reply_sending_idx"),
            models.Index(fields=["state", "lease_until"], name="reply_lease_idx"),
            models.Index(fields=["message", "-created_at"], name="reply_message_idx"),
            models.Index(fields=["account", "state", "-created_at"], name="reply_account_idx"),
            models.Index(fields=["-created_at"], name="reply_time_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.state}: {self.text[:40]}"
