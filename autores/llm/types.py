"""What goes to the model and what comes back."""

from dataclasses import dataclass
from enum import StrEnum


class AnswerKind(StrEnum):
    REPLY = "reply"
    HANDOFF = "handoff"
    NO_REPLY = "no_reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRequest:
    """One drafting call.

    `system` holds our rules, `user` holds the material. `schema_name` is the name the answer's
    JSON schema travels under (letters, digits, `_` and `-`, at most 64). `max_output_tokens`
    caps what the model may write, its hidden reasoning included.
    """

    system: str
    user: str
    schema_name: str = "draft_answer"
    max_output_tokens: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens the provider billed for one call."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftAnswer:
    """The model's decision.

    `text` is empty unless `kind` is REPLY. `language` is the BCP 47 tag the model gave ("und" when
    it gave none). `reasons` are short sentences for the moderator. `model` is the exact model that
    answered, which may be a dated variant of the one asked for. `seconds` is wall-clock time.
    """

    kind: AnswerKind
    text: str
    language: str
    reasons: tuple[str, ...]
    model: str
    response_id: str
    input_tokens: int
    output_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """What an observer learns of every call, failed ones included. Never holds text or secrets."""

    model: str
    seconds: float
    usage: Usage
    response_id: str | None
    request_id: str | None
    error_code: str | None
