"""From the wire of the Responses API to a DraftAnswer, or to the error that says why not."""

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autores.llm.errors import (
    ContentFilteredError,
    InvalidOutputError,
    LlmError,
    RateLimitedError,
    RefusalError,
    RequestRejectedError,
    ServerError,
    TruncatedOutputError,
)
from autores.llm.types import AnswerKind, DraftAnswer, Usage


class DraftAnswerSchema(BaseModel):
    """The JSON the model must write. Order matters: it explains before it decides and writes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    language: str = Field(description="BCP 47 tag of the language of the mention and the reply.")
    reasons: list[str] = Field(
        description="One to three short sentences, in English, for the moderator."
    )
    kind: Literal["reply", "handoff", "no_reply"]
    text: str = Field(description="The reply to post; empty unless kind is reply.")


def answer_json_schema() -> dict[str, Any]:
    """Return the JSON schema in the subset OpenAI's strict mode accepts.

    Strict mode wants every property required and no additional ones.
    """
    schema = DraftAnswerSchema.model_json_schema()
    for field in schema["properties"].values():
        field.pop("title", None)
    schema.pop("title", None)
    schema.pop("description", None)
    return schema


def read_answer(body: str, *, request_id: str | None, seconds: float) -> DraftAnswer:
    """Read a 200 answer.

    Raises a subclass of LlmError when the body is not a finished, well-formed reply.
    """
    try:
        wire = json.loads(body)
    except (ValueError, RecursionError):
        wire = None
    if not isinstance(wire, dict):
        raise InvalidOutputError(
            "OpenAI's answer was not JSON: another attempt may do.", request_id=request_id
        )
    facts: dict[str, Any] = {
        "request_id": request_id,
        "response_id": _string(wire.get("id")) or None,
        "usage": read_usage(wire),
    }
    _raise_unless_completed(wire, facts)
    text = _final_text(wire, facts)
    try:
        decision = DraftAnswerSchema.model_validate_json(text)
    except ValidationError as err:
        # The values are the model's words about a person's post: only the places are told.
        places = sorted({".".join(map(str, e["loc"])) or "the whole" for e in err.errors()})
        failure: LlmError = InvalidOutputError(
            detail=f"does not fit the schema at: {', '.join(places)}"[:300], **facts
        )
    else:
        kind = AnswerKind(decision.kind)
        reply = decision.text.strip() if kind is AnswerKind.REPLY else ""
        if kind is not AnswerKind.REPLY or reply:
            usage: Usage = facts["usage"]
            return DraftAnswer(
                kind=kind,
                text=reply,
                language=decision.language.strip() or "und",
                reasons=tuple(r.strip() for r in decision.reasons if r.strip()),
                model=_string(wire.get("model")),
                response_id=_string(wire.get("id")),
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                seconds=seconds,
            )
        failure = InvalidOutputError("The model chose to reply and wrote nothing.", **facts)
    # Raised here, outside the handler, so that the validation error and its values do not ride
    # along as the context of ours.
    raise failure


def read_usage(wire: dict[str, Any]) -> Usage:
    """Return the tokens billed, zero where the provider does not say."""
    usage = wire.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    return Usage(
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
    )


def _raise_unless_completed(wire: dict[str, Any], facts: dict[str, Any]) -> None:
    status = wire.get("status")
    if status == "incomplete":
        details = wire.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if reason == "content_filter":
            raise ContentFilteredError(**facts)
        if reason == "max_output_tokens":
            raise TruncatedOutputError(**facts)
        raise InvalidOutputError(detail=f"incomplete: {_string(reason)[:80]}", **facts)
    error = wire.get("error")
    if status == "failed" or (isinstance(error, dict) and error.get("code")):
        code = _string(error.get("code")) if isinstance(error, dict) else ""
        if code == "rate_limit_exceeded":
            raise RateLimitedError(**facts)
        if code == "invalid_prompt" or code.endswith(("_policy", "policy_violation")):
            raise ContentFilteredError(detail=code[:80], **facts)
        if code in ("", "server_error", "vector_store_timeout"):
            raise ServerError(detail=code or None, **facts)
        raise RequestRejectedError(detail=code[:80], **facts)
    if status not in (None, "completed"):
        raise InvalidOutputError(detail=f"status {_string(status)[:80]}", **facts)


def _final_text(wire: dict[str, Any], facts: dict[str, Any]) -> str:
    output = wire.get("output")
    texts: list[str] = []
    for item in output if isinstance(output, list) else []:
        if not isinstance(item, dict) or item.get("type") != "message":
            continue
        # Newer models narrate in messages of phase "commentary"; only the last word counts.
        if item.get("phase") not in (None, "final_answer"):
            continue
        content = item.get("content")
        for part in content if isinstance(content, list) else []:
            if not isinstance(part, dict):
                continue
            if part.get("type") == "refusal":
                raise RefusalError(**facts)
            if part.get("type") == "output_text" and isinstance(part.get("text"), str):
                texts.append(part["text"])
    if not texts:
        raise InvalidOutputError("OpenAI's answer held no text.", **facts)
    return "".join(texts)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
