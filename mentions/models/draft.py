"""Proposed replies, and what became of them."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.models import StringKeyModel, TwitterAccount
from autores.choices import TextChoices
from autores.mongo.indexes import UniqueIndex
from mentions.models.message import Message


class DraftState(TextChoices):
    PROPOSED = "proposed", "Proposed"
    EDITED = "edited", "Edited"
    SUBMITTED = "submitted", "Submitted for approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    SUPERSEDED = "superseded", "Superseded"


OPEN_DRAFT_STATES = (DraftState.PROPOSED, DraftState.EDITED, DraftState.SUBMITTED)


class Draft(StringKeyModel):
    """A reply that the model (or a person) wrote. Only ``mentions.review`` turns it into a send.

    ``open_key`` is the message's id while the draft is open and the draft's own id afterwards:
    its unique index lets a message have one open draft at most.
    """

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="drafts", db_index=False
    )
    account = models.ForeignKey(
        TwitterAccount, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    state = models.CharField(max_length=16, choices=DraftState.choices, default=DraftState.PROPOSED)
    open_key = models.CharField(max_length=64, editable=False)
    text = models.TextField()
    original_text = models.TextField(blank=True, default="", editable=False)
    # The version of the mention that its words were made for; "" in drafts of before this was kept.
    target_post_id = models.CharField(max_length=64, blank=True, default="", editable=False)
    # What the model said beside the text: reply, handoff (a person must answer) or no_reply.
    kind = models.CharField(max_length=16, default="reply")
    note = models.TextField(blank=True, default="")
    custom_prompt = models.TextField(blank=True, default="")
    model = models.CharField(max_length=100, blank=True, default="")
    prompt_version = models.CharField(max_length=64, blank=True, default="")
    context_hash = models.CharField(max_length=64, blank=True, default="")
    response_id = models.CharField(max_length=100, blank=True, default="")
    input_tokens = models.IntegerField(default=0)
    output_tokens = models.IntegerField(default=0)
    # The gate's findings: [{"code", "sentence"}]; approval refuses while there are any.
    violations = models.JSONField(default=list, blank=True)
    version = models.IntegerField(default=1, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
    )
    decision_note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[models.Index]] = [
            UniqueIndex(fields=["open_key"], name="draft_open_unq"),
            models.Index(fields=["message", "-created_at"], name="draft_message_idx"),
            models.Index(fields=["account", "state", "-created_at"], name="draft_account_idx"),
            models.Index(fields=["-created_at"], name="draft_time_idx"),
        ]

    def __str__(self) -> str:
        return self.text[:60]
