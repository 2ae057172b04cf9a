"""The model client against the sandbox's OpenAI half."""

from collections.abc import Iterator
from typing import Any

import pytest

from autores.llm import errors
from autores.llm.client import DraftingModel
from autores.llm.types import AnswerKind, DraftRequest
from autores.sandbox.server import RunningSandbox, start_in_thread

REQUEST = DraftRequest(system="You are kind.", user="My order has not arrived, can you help?")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    with start_in_thread() as running:
        yield running


def build_model(sandbox: RunningSandbox, model: str = "gpt-5-mini") -> DraftingModel:
    return DraftingModel(
        api_key="sk-sandbox", base_url=f"{sandbox.url}/v1", model=model, read_timeout=1.0
    )


def test_draft_returned_when_the_sandbox_answers(sandbox: RunningSandbox) -> None:
    with build_model(sandbox) as model:
        answer = model.draft_answer(REQUEST)
    assert answer.kind in AnswerKind
    assert answer.text or answer.kind is not AnswerKind.REPLY
    assert answer.response_id.startswith("resp_")
    assert answer.input_tokens > 0
    assert answer.output_tokens > 0


def test_model_not_found_when_the_name_is_unknown(sandbox: RunningSandbox) -> None:
    with build_model(sandbox, "gpt-nine") as model, pytest.raises(errors.ModelNotFoundError):
        model.draft_answer(REQUEST)


@pytest.mark.parametrize(
    ("fault", "params", "kind"),
    [
        ("rate_limit_window", {"retry_after": 7}, errors.RateLimitedError),
        ("credits_depleted", {}, errors.QuotaExhaustedError),
        ("unauthorized", {}, errors.KeyRejectedError),
        ("server_error", {"status": 503}, errors.ServerError),
        ("reset_before", {}, errors.NoAnswerError),
        ("reset_after", {}, errors.NoAnswerError),
        ("reset_mid_body", {}, errors.NoAnswerError),
        ("slow", {"seconds": 2}, errors.NoAnswerError),
        ("malformed_json", {}, errors.InvalidOutputError),
        ("invalid_output", {}, errors.InvalidOutputError),
        ("refuse_output", {}, errors.RefusalError),
    ],
)
def test_typed_error_raised_then_draft_returned_when_a_fault_passes(
    sandbox: RunningSandbox, fault: str, params: dict[str, Any], kind: type[errors.LlmError]
) -> None:
    add_fault(sandbox, fault=fault, params=params)
    with build_model(sandbox) as model:
        with pytest.raises(kind) as caught:
            model.draft_answer(REQUEST)
        assert type(caught.value) is kind
        if "retry_after" in params:
            assert caught.value.retry_after == params["retry_after"]
        assert model.draft_answer(REQUEST).response_id


def add_fault(sandbox: RunningSandbox, *, fault: str, params: dict[str, Any]) -> None:
    sandbox.control.add_fault("responses", fault, params=params)
