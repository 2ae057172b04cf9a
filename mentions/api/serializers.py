"""The JSON of the message endpoints: the legacy fields in their order, then what is new."""

import math
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from autores.parsers import refuse_unknown_fields
from autores.texts import TextField
from mentions.models import MentionKind, MessageStatus, Reply, ReplyState

MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_UNDO_SECONDS = 600
_LONGEST_RESPONSE = 25_000


def post_url(post_id: str, *, username: str = "") -> str:
    """Where a person reads the post; X redirects ``i`` to the author."""
    return f"https://x.com/{username or 'i'}/status/{post_id}" if post_id else ""


class MessageSerializer(serializers.Serializer[Any]):
    """A message as it is stored (a document of collection ``messages``), out to JSON."""

    id = serializers.CharField(help_text="The post's id; `<post id>:<account's X id>` if taken.")
    timestamp = serializers.DateTimeField(help_text="When the post was made.")
    user = serializers.CharField(help_text="The author's X user id.")
    text = serializers.CharField()
    status = serializers.CharField(
        help_text="pending, processing, replied, ignored or error; imported rows may have others."
    )
    public_response = serializers.CharField(allow_null=True)
    dm_response = serializers.CharField(allow_null=True)
    credits_used = serializers.IntegerField(allow_null=True)
    redirected = serializers.BooleanField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)

    account_id = serializers.CharField(allow_null=True)
    post_id = serializers.CharField()
    post_url = serializers.CharField()
    author_username = serializers.CharField()
    author_name = serializers.CharField()
    lang = serializers.CharField()
    kind = serializers.CharField(help_text="direct, implicit, quote, repost or legacy.")
    conversation_id = serializers.CharField()
    in_reply_to_post_id = serializers.CharField()
    quoted_post_id = serializers.CharField()
    is_replyable = serializers.BooleanField()
    replyable_code = serializers.CharField()
    replyable_reason = serializers.CharField()
    draft_state = serializers.CharField()
    claimed_by = serializers.CharField()
    claimed_at = serializers.DateTimeField(allow_null=True)
    seen_at = serializers.DateTimeField(allow_null=True, help_text="When X showed it first.")
    found_by = serializers.CharField(help_text="baseline, poll, sweep or search; or empty.")
    is_late = serializers.BooleanField(help_text="X showed it after the polls had passed it.")
    x_state = serializers.CharField(
        help_text="Empty while X shows the post; hidden, missing (looked up again), deleted (its "
        "text is being removed) or redacted (only ids and times are left)."
    )
    x_checked_at = serializers.DateTimeField(allow_null=True, help_text="When it was looked up.")
    deleted_found_at = serializers.DateTimeField(allow_null=True)
    version = serializers.IntegerField(help_text="Counts the changes; the ETag begins with it.")

    def to_representation(self, instance: Mapping[str, Any]) -> dict[str, Any]:
        get = instance.get
        post_id, username = get("post_id") or "", get("author_username") or ""
        return {
            "id": instance["_id"],
            "timestamp": get("timestamp"),
            "user": get("user"),
            "text": get("text"),
            "status": get("status"),
            "public_response": get("public_response"),
            "dm_response": get("dm_response"),
            "credits_used": get("credits_used"),
            "redirected": get("redirected"),
            "created_at": get("created_at"),
            "updated_at": get("updated_at"),
            "account_id": get("account_id"),
            "post_id": post_id,
            "post_url": post_url(post_id, username=username),
            "author_username": username,
            "author_name": get("author_name") or "",
            "lang": get("lang") or "",
            "kind": get("kind") or "",
            "conversation_id": get("conversation_id") or "",
            "in_reply_to_post_id": get("in_reply_to_post_id") or "",
            "quoted_post_id": get("quoted_post_id") or "",
            "is_replyable": bool(get("is_replyable")),
            "replyable_code": get("replyable_code") or "",
            "replyable_reason": get("replyable_reason") or "",
            "draft_state": get("draft_state") or "",
            "claimed_by": get("claimed_by") or "",
            "claimed_at": get("claimed_at"),
            "seen_at": get("seen_at"),
            "found_by": get("found_by") or "",
            "is_late": bool(get("is_late")),
            "x_state": get("x_state") or "",
            "x_checked_at": get("x_checked_at"),
            "deleted_found_at": get("deleted_found_at"),
            "version": get("version") or 1,
        }


_message = MessageSerializer()
# The columns that the JSON is made of, beside ``_id``; ``post_url`` is no column.
STORED_FIELDS = tuple(name for name in _message.fields if name not in ("id", "post_url"))


def message_json(document: Mapping[str, Any]) -> dict[str, Any]:
    return _message.to_representation(document)


class SecondsField(serializers.FloatField):
    """A finite number: true is none, and neither is nan."""

    def to_internal_value(self, data: Any) -> float:
        seconds = float(super().to_internal_value(data))
        if isinstance(data, bool) or not math.isfinite(seconds):
            self.fail("invalid")
        return seconds


class MessageUpdateSerializer(serializers.Serializer[Any]):
    """What a PATCH may change. Anything else in the body is refused by name."""

    status = serializers.ChoiceField(choices=MessageStatus.choices, required=False)
    # What was said elsewhere is recorded as it was said, blanks included.
    public_response = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        trim_whitespace=False,
        max_length=_LONGEST_RESPONSE,
    )
    dm_response = TextField(
        required=False,
        allow_null=True,
        allow_blank=True,
        trim_whitespace=False,
        max_length=_LONGEST_RESPONSE,
    )
    credits_used = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=2**31 - 1
    )
    redirected = serializers.BooleanField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        refuse_unknown_fields(self, read_only=set(_message.fields))
        return attrs


_TIME_ERRORS = {
    "invalid": "Give a date, or a time with its offset: 2026-11-27T10:00:00Z. In an address, the + "
    "of an offset is written %2B."
}


class MessageListSerializer(serializers.Serializer[Any]):
    """Query parameters of the list. A blank one counts as not given, as HTML forms send it."""

    skip = serializers.IntegerField(required=False, default=0, min_value=0, max_value=10**9)
    limit = serializers.IntegerField(
        required=False,
        default=DEFAULT_LIMIT,
        min_value=0,
        max_value=MAX_LIMIT,
        help_text=f"At most {MAX_LIMIT}; for more, page with skip or follow the Link header.",
    )
    cursor = serializers.CharField(
        required=False,
        default="",
        help_text="Instead of skip: from a Link header. Any page costs the same, and none is "
        "missed or shown twice while others come in.",
    )
    account_id = serializers.CharField(required=False, default="")
    # Imported rows have whatever the former system left there, "pending " for instance.
    status = serializers.CharField(
        required=False,
        default="",
        trim_whitespace=False,
        help_text="pending, processing, replied, ignored or error.",
    )
    kind = serializers.ChoiceField(choices=MentionKind.choices, required=False, default="")
    author = serializers.CharField(
        required=False, default="", help_text="The author's X user id, or exact username."
    )
    replyable = serializers.BooleanField(required=False, allow_null=True, default=None)
    since = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        error_messages=_TIME_ERRORS,
        help_text="Posts made at this time or later.",
    )
    until = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        error_messages=_TIME_ERRORS,
        help_text="Posts made before this time.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["cursor"] and attrs["skip"]:
            raise serializers.ValidationError(
                {"cursor": ["Give cursor or skip, not both: a cursor says where to begin."]}
            )
        return attrs


class ResponseSerializer(serializers.Serializer[Any]):
    """Body of reply and dm-reply; the query parameter of the same name does as well."""

    response = TextField(
        required=False, allow_blank=True, style={"base_template": "textarea.html", "rows": 4}
    )
    undo_seconds = SecondsField(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=MAX_UNDO_SECONDS,
        help_text="Wait so long before it is sent, so that it can be undone. The query parameter "
        "of the same name does as well.",
    )


class ReplySettlementSerializer(serializers.Serializer[Any]):
    outcome = serializers.ChoiceField(
        choices=["sent", "absent", "abandoned"],
        help_text="What you saw on X. Absent: it is sent again. Abandoned: it was not found, and "
        "is not sent again.",
    )
    x_post_id = serializers.RegexField(
        r"^[0-9]{1,19}$",
        required=False,
        default="",
        allow_blank=True,
        help_text="The post (or message) that it is; needed if its words differ from ours.",
    )


class GenerateSerializer(serializers.Serializer[Any]):
    custom_prompt = TextField(
        required=False,
        allow_blank=True,
        allow_null=True,
        max_length=4000,
        help_text="Instructions for this one draft, beside the account's own.",
        style={"base_template": "textarea.html", "rows": 4},
    )


class FetchNewSerializer(serializers.Serializer[Any]):
    account_id = TextField(
        required=False,
        allow_blank=True,
        allow_null=True,
        help_text="Without it, every account on which you are a responder is read.",
    )


class AccountFailureSerializer(serializers.Serializer[Any]):
    account_id = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class FetchedSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()
    new_messages_count = serializers.IntegerField()
    messages = MessageSerializer(many=True)
    errors = AccountFailureSerializer(many=True)


class FindingSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    sentence = serializers.CharField()


class GeneratedSerializer(serializers.Serializer[Any]):
    message_id = serializers.CharField()
    original_message = serializers.CharField()
    generated_response = serializers.CharField()
    custom_prompt_used = serializers.BooleanField()
    draft_id = serializers.CharField()
    kind = serializers.CharField(help_text="reply, handoff (a person must answer) or no_reply.")
    note = serializers.CharField()
    violations = FindingSerializer(many=True, help_text="What keeps the draft from being sent.")


class DeletedSerializer(serializers.Serializer[Any]):
    message = serializers.CharField()


class StatsSerializer(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    by_status = serializers.DictField(child=serializers.IntegerField())


class ReplySerializer(serializers.ModelSerializer[Reply]):
    """An outbox row: what is to be sent, and how far it came."""

    message_id = serializers.CharField(read_only=True)
    account_id = serializers.CharField(read_only=True)
    draft_id = serializers.CharField(read_only=True, allow_null=True)
    requested_by = serializers.CharField(read_only=True, allow_null=True, source="requested_by_id")
    post_url = serializers.SerializerMethodField(help_text="The public reply on X, once sent.")
    can_undo = serializers.SerializerMethodField(help_text="It waits, and can be cancelled.")
    needs_decision = serializers.SerializerMethodField(
        help_text="X's answers contradict each other: a person must look and settle it."
    )
    proof = serializers.DictField(
        read_only=True,
        help_text="What was read from X to settle an unknown outcome, with the own posts nearest "
        "to the text (`candidates`).",
    )

    class Meta:
        model = Reply
        fields = [
            "id",
            "message_id",
            "account_id",
            "kind",
            "state",
            "text",
            "reason_code",
            "reason",
            "x_post_id",
            "post_url",
            "attempts",
            "not_before",
            "sent_at",
            "draft_id",
            "requested_by",
            "created_at",
            "updated_at",
            "can_undo",
            "needs_decision",
            "proof",
        ]
        read_only_fields = fields

    def get_can_undo(self, reply: Reply) -> bool:
        return reply.state == ReplyState.QUEUED

    def get_needs_decision(self, reply: Reply) -> bool:
        return reply.state == ReplyState.UNKNOWN and bool((reply.proof or {}).get("needs_person"))

    def get_post_url(self, reply: Reply) -> str:
        return post_url(reply.x_post_id) if reply.kind == "public" else ""


class PendingReplySerializer(serializers.Serializer[Any]):
    """202: the reply is under way; read ``reply`` again at the Location."""

    message = MessageSerializer()
    reply = ReplySerializer()


class FieldErrorSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457. Some problems have members of their own beside these; see docs/api.md."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)
