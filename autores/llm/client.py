"""The model client: one drafting call over OpenAI's Responses API with structured output."""

import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from autores.llm.answers import answer_json_schema, read_answer
from autores.llm.errors import LlmError, RequestRejectedError
from autores.llm.failures import read_failure
from autores.llm.types import DraftAnswer, DraftRequest, ModelCall, Usage

if TYPE_CHECKING:
    import openai

DEFAULT_BASE_URL = "https://api.openai.com/v1"


class DraftingModel:
    """Drafts answers with one model.

    Safe to share between threads. Never retries: that is the caller's policy, told by the error's
    `retryable` and `retry_after`. The model gets no tools, and the provider is asked not to store
    the exchange. `read_timeout` bounds the silence between two bytes, in seconds. `observe` is
    called once after every call, failed ones included, and must not raise.
    """

    def __init__(
        self,
        *,
        api_key: str,
        model: str,
        base_url: str = DEFAULT_BASE_URL,
        connect_timeout: float = 5.0,
        read_timeout: float = 60.0,
        observe: Callable[[ModelCall], None] | None = None,
    ) -> None:
        # The package would silently take both from the environment if they were empty.
        if not api_key.strip():
            raise ValueError("The OpenAI API key is empty: set OPENAI_API_KEY.")
        if not api_key.isascii() or not api_key.isprintable() or " " in api_key:
            raise ValueError(
                "The OpenAI API key holds spaces or characters that no key has: copy it again."
            )
        if not base_url.startswith(("https://", "http://")):
            raise ValueError("OPENAI_BASE_URL must start with https:// (or http:// for a sandbox).")
        if not model.strip():
            raise ValueError("The name of the model is empty: set OPENAI_MODEL.")
        self.model = model
        self.base_url = base_url
        self._observe = observe
        self._secret = api_key
        self._client = _open_client(api_key, base_url, connect=connect_timeout, read=read_timeout)

    def __repr__(self) -> str:
        return f"DraftingModel(model={self.model!r}, base_url={self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> None:
        raise TypeError("A DraftingModel holds the API key and cannot be pickled: build a new one.")

    def close(self) -> None:
        """Close the pooled connections."""
        self._client.close()

    def draft_answer(self, request: DraftRequest) -> DraftAnswer:
        """Ask the model for one answer.

        Raises a subclass of LlmError. A failed call may still have been billed: see `usage`.
        """
        import openai

        began = time.perf_counter()
        failure: LlmError | None = None
        answer: DraftAnswer | None = None
        request_id: str | None = None
        try:
            raw = self._client.responses.with_raw_response.create(
                model=self.model,
                instructions=request.system,
                input=[{"role": "user", "content": request.user}],
                text={
                    "format": {
                        "type": "json_schema",
                        "name": request.schema_name,
                        "strict": True,
                        "schema": answer_json_schema(),
                    }
                },
                max_output_tokens=request.max_output_tokens,
                store=False,
            )
            request_id = raw.headers.get("x-request-id")
            answer = read_answer(
                raw.text, request_id=request_id, seconds=time.perf_counter() - began
            )
        except openai.OpenAIError as err:
            failure = read_failure(err, secret=self._secret)
        except LlmError as err:
            failure = err
        except UnicodeEncodeError:
            failure = RequestRejectedError(
                "The prompt holds half of a character (a lone surrogate) and cannot be sent."
            )
        self._report(
            time.perf_counter() - began, answer=answer, failure=failure, request_id=request_id
        )
        if answer is not None:
            return answer
        # Raised outside the handlers: the package's exception carries the request with its
        # Authorization header, and would otherwise ride along as ours' context.
        assert failure is not None
        raise failure.with_traceback(None)

    def _report(
        self,
        seconds: float,
        *,
        answer: DraftAnswer | None,
        failure: LlmError | None,
        request_id: str | None,
    ) -> None:
        if self._observe is None:
            return
        call = ModelCall(
            model=self.model,
            seconds=seconds,
            usage=Usage(),
            response_id=None,
            request_id=request_id,
            error_code=None,
        )
        if answer is not None:
            usage = Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens)
            call = replace(call, model=answer.model, usage=usage, response_id=answer.response_id)
        if failure is not None:
            call = replace(
                call,
                usage=failure.usage,
                response_id=failure.response_id,
                request_id=request_id or failure.request_id,
                error_code=failure.code,
            )
        self._observe(call)


def _open_client(api_key: str, base_url: str, *, connect: float, read: float) -> "openai.OpenAI":
    # Here, because the package takes 24 MiB and a second, and few processes draft.
    import openai

    return openai.OpenAI(
        api_key=api_key,
        base_url=base_url,
        max_retries=0,
        timeout=openai.Timeout(read, connect=connect),
    )
