"""The JSON of drafts, and of what a person decides about one."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from autores.parsers import refuse_unknown_fields
from autores.texts import TextField
from mentions.api.serializers import (
    MAX_UNDO_SECONDS,
    FindingSerializer,
    ReplySerializer,
    SecondsField,
)
from mentions.models import Draft

# A reply that waits holds its mention; one that comes later than this answers nobody any more.
MAX_POSTPONED = timedelta(days=30)


class DraftSerializer(serializers.ModelSerializer[Draft]):
    message_id = serializers.CharField(read_only=True)
    account_id = serializers.CharField(read_only=True)
    created_by = serializers.CharField(read_only=True, allow_null=True, source="created_by_id")
    decided_by = serializers.CharField(read_only=True, allow_null=True, source="decided_by_id")
    violations = FindingSerializer(many=True, read_only=True)

    class Meta:
        model = Draft
        fields = [
            "id",
            "message_id",
            "account_id",
            "state",
            "kind",
            "text",
            "original_text",
            "note",
            "violations",
            "custom_prompt",
            "model",
            "version",
            "created_by",
            "decided_by",
            "decision_note",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class DraftEditSerializer(serializers.Serializer[Any]):
    text = TextField(style={"base_template": "textarea.html", "rows": 4})

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_unknown_fields(self, read_only=set(DraftSerializer.Meta.fields))
        return attrs


class DraftApprovalSerializer(serializers.Serializer[Any]):
    text = TextField(
        required=False,
        help_text="Send this instead of the draft's text.",
        style={"base_template": "textarea.html", "rows": 4},
    )
    not_before = serializers.DateTimeField(
        required=False,
        allow_null=True,
        help_text=f"Send it at this time, not at once: at most {MAX_POSTPONED.days} days from now.",
    )
    undo_seconds = SecondsField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_UNDO_SECONDS,
        help_text="Wait so long before it is sent, so that it can be undone.",
    )

    def validate_not_before(self, value: datetime | None) -> datetime | None:
        if value is not None and value > timezone.now() + MAX_POSTPONED:
            raise serializers.ValidationError(
                f"Give a time at most {MAX_POSTPONED.days} days from now.", code="max_value"
            )
        return value


class DraftRejectionSerializer(serializers.Serializer[Any]):
    note = TextField(required=False, allow_blank=True, default="", max_length=2000)


class ApprovedSerializer(serializers.Serializer[Any]):
    draft = DraftSerializer()
    reply = ReplySerializer()
