"""Failures of the model, each with what to tell a person and whether trying again can help.

Codes and shapes: the OpenAI API reference (errors guide, Responses API).
"""

from typing import Any, ClassVar, Self

from autores.llm.types import Usage


class LlmError(Exception):
    """A drafting call failed.

    `code` is stable snake_case. `sentence` is for a person and never holds the API key, the prompt
    or the answer. `retry_after` is in seconds. `detail` is the provider's own message, with
    anything that looks like a key taken out. `usage` is what the failed call cost, if it was told.
    """

    code: ClassVar[str] = "llm_error"
    retryable: ClassVar[bool] = False
    # Nothing to do with what was asked: no call works until an operator has done something.
    needs_operator: ClassVar[bool] = False
    default_sentence: ClassVar[str] = "The model could not draft an answer."

    def __init__(
        self,
        sentence: str | None = None,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        request_id: str | None = None,
        response_id: str | None = None,
        usage: Usage | None = None,
        detail: str | None = None,
    ) -> None:
        self.sentence = sentence or self.default_sentence
        super().__init__(self.sentence)
        self.retry_after = retry_after
        self.status = status
        self.request_id = request_id
        self.response_id = response_id
        self.usage = usage or Usage()
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.sentence}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.sentence!r}, status={self.status})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Task queues pickle exceptions; the default would lose every keyword argument.
        return _restore, (type(self), dict(self.__dict__))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        error = cls.__new__(cls, state["sentence"])
        error.__dict__.update(state)
        error.args = (state["sentence"],)
        return error


def _restore(kind: type[LlmError], state: dict[str, Any]) -> LlmError:
    return kind.from_state(state)


class KeyRejectedError(LlmError):
    code = "llm_key_rejected"
    needs_operator = True
    default_sentence = "OpenAI rejected the API key: check OPENAI_API_KEY."


class AccessDeniedError(LlmError):
    code = "llm_access_denied"
    needs_operator = True
    default_sentence = (
        "OpenAI refused access with this key: check the project's permissions, its allowed models "
        "and the countries it may be used from."
    )


class RateLimitedError(LlmError):
    code = "llm_rate_limited"
    retryable = True
    default_sentence = "OpenAI's rate limit is reached: it takes drafts again in a while."


class QuotaExhaustedError(LlmError):
    code = "llm_quota_exhausted"
    needs_operator = True
    default_sentence = (
        "The OpenAI account is out of credit or at its spending limit: add credit or raise the "
        "limit on OpenAI's billing page."
    )


class ServerError(LlmError):
    code = "llm_server_error"
    retryable = True
    default_sentence = "OpenAI had an error of its own: another attempt may do."


class NoAnswerError(LlmError):
    code = "llm_no_answer"
    retryable = True
    default_sentence = (
        "OpenAI took the request and gave no complete answer in time: another attempt may do. The "
        "unanswered call may still be billed."
    )


class ConnectError(LlmError):
    code = "llm_connect_failed"
    retryable = True
    default_sentence = (
        "OpenAI could not be reached: check the network, the proxy and OPENAI_BASE_URL."
    )


class RequestRejectedError(LlmError):
    code = "llm_request_rejected"
    default_sentence = (
        "OpenAI rejected the request: check that OPENAI_MODEL supports the Responses API with "
        "structured output."
    )


class ModelUnfitError(RequestRejectedError):
    """It is the model, or how it is asked, and no mention's fault."""

    code = "llm_model_unfit"
    needs_operator = True


class ContextTooLongError(RequestRejectedError):
    code = "llm_context_too_long"
    default_sentence = (
        "The mention, its thread and the instructions are too long for the model: shorten the "
        "instructions or choose a model with a larger context."
    )


class ModelNotFoundError(LlmError):
    code = "llm_model_not_found"
    needs_operator = True
    default_sentence = "OpenAI does not know the model or the key may not use it: set OPENAI_MODEL."


class EndpointNotFoundError(LlmError):
    code = "llm_endpoint_not_found"
    needs_operator = True
    default_sentence = (
        "There is no Responses API at this address: check OPENAI_BASE_URL (it usually ends in /v1)."
    )


class RefusalError(LlmError):
    code = "llm_refused"
    default_sentence = "The model declined to answer this mention: a person should."


class ContentFilteredError(LlmError):
    code = "llm_content_filtered"
    default_sentence = "OpenAI's content filter stopped this draft: a person should answer."


class InvalidOutputError(LlmError):
    code = "llm_invalid_output"
    retryable = True
    default_sentence = "The model's answer was not in the agreed form: another attempt may do."


class TruncatedOutputError(InvalidOutputError):
    code = "llm_output_truncated"
    default_sentence = (
        "The model ran out of room before it finished: raise the limit on output tokens."
    )
