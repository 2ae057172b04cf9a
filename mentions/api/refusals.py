"""From the typed errors of the stages, of X and of the model, to problem documents."""

from typing import Any

from autores.llm.errors import LlmError
from autores.problems import ApiProblem
from mentions.api.serializers import ReplySerializer
from mentions.models import Reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.preflight import MAX_DM_LENGTH, MAX_WEIGHTED_LENGTH, check_text

# By code, as an outbox row keeps no more of an error than that. What is not here is 422: X
# refused this text or this post.
_STATUS_OF_FAILED_REPLY = {
    "not_summoned": 403,
    "reply_settings": 403,
    "blocked_by_author": 403,
    "recipient_closed": 403,
    "forbidden": 403,
    "duplicate_content": 409,
    "reply_target_gone": 409,
    "mention_edited": 409,
    "deleted_on_x": 409,
    "message_deleted": 409,
    "target_suspended": 409,
    "not_found": 409,
    "cancelled": 409,
    "abandoned": 409,
    "too_late": 409,
    "unauthorized": 409,
    "missing_scope": 409,
    "account_suspended": 409,
    "account_locked": 409,
    "account_paused": 409,
    "reconnect_needed": 409,
    "token_unavailable": 409,
    "credits_depleted": 402,
    "usage_cap": 503,
    "app_paused": 503,
    "rate_limited_window": 503,
    "rate_limited_user_day": 503,
    "rate_limited_app_day": 503,
    "app_not_allowed": 502,
    "server_error": 502,
    "unread_refusal": 502,
    "connect_failed": 502,
    "unexpected_answer": 502,
    "no_answer": 504,
}

_STATUS_OF_MODEL = {
    "llm_rate_limited": 429,
    "llm_context_too_long": 422,
    "llm_refused": 422,
    "llm_content_filtered": 422,
    "llm_server_error": 502,
    "llm_no_answer": 502,
    "llm_invalid_output": 502,
    "llm_output_truncated": 502,
}

_TEXT_CODES = frozenset({"empty_text", "control_characters", "invalid_unicode", "text_too_long"})
_KEY_CODES = frozenset({"idempotency_key_invalid"})
# Also where no row is shown that stands in the way.
_CONFLICTS = frozenset(
    {
        "already_replied",
        "idempotency_key_reused",
        "mention_edited",
        "deleted_on_x",
        "message_deleted",
    }
)


def reply_url(reply: Reply) -> str:
    return f"/api/v1/replies/{reply.pk}"


def problem_of_model(error: LlmError) -> ApiProblem:
    return ApiProblem(
        error.code,
        error.sentence,
        # Left: a key, a model, an address that the operator must set right.
        status_code=_STATUS_OF_MODEL.get(error.code, 503),
        retry_after=error.retry_after,
    )


def problem_of_failed_reply(reply: Reply) -> ApiProblem:
    """The row has failed for good; a new request makes a new row."""
    return ApiProblem(
        reply.reason_code or "reply_failed",
        reply.reason or "The reply was not sent.",
        status_code=_STATUS_OF_FAILED_REPLY.get(reply.reason_code, 422),
        reply=ReplySerializer(reply).data,
        reply_url=reply_url(reply),
    )


def problem_of_refusal(
    error: OutboxRefusedError, *, kind: str, text: str, field: str
) -> ApiProblem:
    """409 with the row that stands in the way, else 422; ``field`` held ``text``."""
    members: dict[str, Any] = {}
    existing = error.existing
    if existing is not None:
        members["reply"] = ReplySerializer(existing).data
        members["reply_url"] = reply_url(existing)
        members["existing_text"] = existing.text
    if error.code in _TEXT_CODES:
        members["errors"] = [{"field": field, "code": error.code, "detail": error.sentence}]
        members["weighted_length"] = check_text(kind, text)[1]
        members["max_weighted_length"] = MAX_DM_LENGTH if kind == "dm" else MAX_WEIGHTED_LENGTH
    if error.code in _KEY_CODES:
        members["errors"] = [
            {"field": "Idempotency-Key", "code": error.code, "detail": error.sentence}
        ]
    is_conflict = existing is not None or error.code in _CONFLICTS
    return ApiProblem(
        error.code, error.sentence, status_code=409 if is_conflict else 422, **members
    )
