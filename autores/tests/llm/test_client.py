"""The model client over real HTTP, against a server that answers what each test scripts."""

import json
import logging
import pickle
import socket
import traceback
from typing import Any

import pytest

from autores.llm import errors
from autores.llm.client import DraftingModel
from autores.llm.types import AnswerKind, DraftRequest, ModelCall, Usage

from .scripted_model import Script, Step, answer_body, error_body, serve_model

KEY = "sk-test-verysecretvalue0123456789"
REQUEST = DraftRequest(system="Be kind.", user="Hello from a stranger")


def build_model(url: str, **options: Any) -> DraftingModel:
    options = {"connect_timeout": 2.0, "read_timeout": 0.6} | options
    return DraftingModel(api_key=KEY, base_url=url, model="gpt-test", **options)


def draft_with(*steps: Step, **options: Any) -> tuple[Any, Script]:
    """Run one call; return its answer or its error."""
    with serve_model(*steps) as script, build_model(script.url, **options) as model:
        try:
            return model.draft_answer(REQUEST), script
        except errors.LlmError as err:
            return err, script


def test_answer_and_usage_returned_when_the_model_replies() -> None:
    answer, script = draft_with(Step(body=answer_body()))
    assert answer.kind is AnswerKind.REPLY
    assert answer.text == "Hi Bo!"
    assert answer.language == "en"
    assert answer.reasons == ("A plain question.",)
    assert (answer.model, answer.response_id) == ("gpt-test-2026-01-01", "resp_1")
    assert (answer.input_tokens, answer.output_tokens) == (321, 45)
    assert 0 < answer.seconds < 10
    assert len(script.requests) == 1


def test_request_has_strict_schema_and_no_tools_when_sent() -> None:
    _, script = draft_with(Step(body=answer_body()))
    sent = script.requests[0]
    assert sent["path"] == "/v1/responses"
    assert sent["headers"]["authorization"] == f"Bearer {KEY}"
    body = sent["json"]
    assert body["model"] == "gpt-test"
    assert body["instructions"] == "Be kind."
    assert body["input"] == [{"role": "user", "content": "Hello from a stranger"}]
    assert body["store"] is False
    assert "tools" not in body
    form = body["text"]["format"]
    assert (form["type"], form["strict"], form["name"]) == ("json_schema", True, "draft_answer")
    schema = form["schema"]
    assert schema["additionalProperties"] is False
    assert sorted(schema["required"]) == sorted(schema["properties"])
    assert schema["properties"]["kind"]["enum"] == ["reply", "handoff", "no_reply"]


@pytest.mark.parametrize("kind", ["handoff", "no_reply"])
def test_text_is_dropped_when_the_model_does_not_reply(kind: str) -> None:
    output = json.dumps({"language": "es", "reasons": ["x"], "kind": kind, "text": "leftover"})
    answer, _ = draft_with(Step(body=answer_body(output)))
    assert answer.kind == kind
    assert answer.text == ""


def test_only_the_final_answer_is_read_when_the_model_comments_first() -> None:
    body = answer_body()
    final = body["output"][1] | {"phase": "final_answer"}
    note = final | {
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "Let me think", "annotations": []}],
    }
    answer, _ = draft_with(Step(body=body | {"output": [note, final]}))
    assert answer.text == "Hi Bo!"


FAILURES: list[tuple[str, Step, type[errors.LlmError], bool]] = [
    (
        "401",
        Step(401, error_body(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")),
        errors.KeyRejectedError,
        False,
    ),
    (
        "403",
        Step(403, error_body("Country not supported", code="unsupported_country_region_territory")),
        errors.AccessDeniedError,
        False,
    ),
    (
        "404-model",
        Step(404, error_body("The model `gpt-test` does not exist", code="model_not_found")),
        errors.ModelNotFoundError,
        False,
    ),
    ("404-path", Step(404, b"<html>nope</html>"), errors.EndpointNotFoundError, False),
    (
        "429",
        Step(429, error_body("Rate limit reached", code="rate_limit_exceeded")),
        errors.RateLimitedError,
        True,
    ),
    (
        "quota",
        Step(
            429,
            error_body("You exceeded your current quota", code="insufficient_quota"),
            {"retry-after": "1"},
        ),
        errors.QuotaExhaustedError,
        False,
    ),
    ("402", Step(402, error_body("Pay first")), errors.QuotaExhaustedError, False),
    ("500", Step(500, error_body("boom", kind="server_error")), errors.ServerError, True),
    ("503-html", Step(503, b"<html>overloaded</html>"), errors.ServerError, True),
    ("504", Step(504, b"gateway"), errors.NoAnswerError, True),
    ("408", Step(408, b""), errors.NoAnswerError, True),
    (
        "400",
        Step(400, error_body("Unsupported parameter: text.format", code="unsupported_parameter")),
        errors.RequestRejectedError,
        False,
    ),
    (
        "400-model",
        Step(400, {"error": {"message": "Not with this model.", "param": "text.format"}}),
        errors.ModelUnfitError,
        False,
    ),
    (
        "too-long",
        Step(400, error_body("context window", code="context_length_exceeded")),
        errors.ContextTooLongError,
        False,
    ),
    (
        "400-filter",
        Step(400, error_body("Invalid prompt", code="invalid_prompt")),
        errors.ContentFilteredError,
        False,
    ),
    ("silence", Step(fault="silence"), errors.NoAnswerError, True),
    ("reset", Step(fault="reset"), errors.NoAnswerError, True),
    ("cut", Step(body=answer_body(), fault="cut"), errors.NoAnswerError, True),
    ("malformed", Step(body=b'{"id": "resp_1", "outp'), errors.InvalidOutputError, True),
    ("not-an-object", Step(body=b"[1]"), errors.InvalidOutputError, True),
    (
        "html-200",
        Step(body=b"<html>portal</html>", headers={"content-type": "text/html"}),
        errors.InvalidOutputError,
        True,
    ),
    ("empty", Step(body=answer_body() | {"output": []}), errors.InvalidOutputError, True),
    ("output-null", Step(body=answer_body() | {"output": None}), errors.InvalidOutputError, True),
    ("not-json-text", Step(body=answer_body("Sure! Here")), errors.InvalidOutputError, True),
    (
        "wrong-kind",
        Step(
            body=answer_body('{"language":"en","reasons":[],"kind":"send_dm","text":"x"}'),
        ),
        errors.InvalidOutputError,
        True,
    ),
    (
        "extra-field",
        Step(
            body=answer_body(
                '{"language":"en","reasons":[],"kind":"reply","text":"x","tool":"rm"}'
            ),
        ),
        errors.InvalidOutputError,
        True,
    ),
    (
        "blank-reply",
        Step(body=answer_body('{"language":"en","reasons":[],"kind":"reply","text":" "}')),
        errors.InvalidOutputError,
        True,
    ),
    (
        "truncated",
        Step(
            body=answer_body(
                '{"language":"en","rea',
                status="incomplete",
                incomplete_details={"reason": "max_output_tokens"},
            )
        ),
        errors.TruncatedOutputError,
        True,
    ),
    (
        "filtered",
        Step(
            body=answer_body(status="incomplete", incomplete_details={"reason": "content_filter"})
        ),
        errors.ContentFilteredError,
        False,
    ),
    (
        "refused",
        Step(
            body=answer_body()
            | {
                "output": [
                    {
                        "type": "message",
                        "id": "m",
                        "status": "completed",
                        "role": "assistant",
                        "content": [{"type": "refusal", "refusal": "I can't help with that."}],
                    }
                ]
            }
        ),
        errors.RefusalError,
        False,
    ),
    (
        "failed-server",
        Step(
            body=answer_body(status="failed", error={"code": "server_error", "message": "oh"}),
        ),
        errors.ServerError,
        True,
    ),
    (
        "failed-rate",
        Step(
            body=answer_body(
                status="failed", error={"code": "rate_limit_exceeded", "message": "oh"}
            ),
        ),
        errors.RateLimitedError,
        True,
    ),
]


@pytest.mark.parametrize(
    ("step", "kind", "is_retryable"),
    [f[1:] for f in FAILURES],
    ids=[f[0] for f in FAILURES],
)
def test_typed_error_raised_when_the_provider_fails(
    step: Step, kind: type[errors.LlmError], is_retryable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[ModelCall] = []
    with caplog.at_level(logging.DEBUG):
        error, script = draft_with(step, observe=calls.append)
    assert type(error) is kind
    assert error.retryable is is_retryable
    assert error.sentence
    # One request only: retrying is the caller's policy.
    assert len(script.requests) == 1
    assert [c.error_code for c in calls] == [error.code]
    # The key is nowhere a person or a log could see it, chained exceptions included.
    assert error.__cause__ is None
    assert error.__context__ is None
    seen = "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))
    assert KEY not in seen + caplog.text + repr(calls)
    assert "verysecret" not in seen + caplog.text
    copied = pickle.loads(pickle.dumps(error))
    assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "17"}, 17.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "99999999"}, 86400.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "6m0s"}, None),
        ({}, None),
    ],
)
def test_wait_is_read_when_rate_limited(headers: dict[str, str], seconds: float | None) -> None:
    error, _ = draft_with(Step(429, error_body("slow down"), headers))
    assert type(error) is errors.RateLimitedError
    assert error.retry_after == seconds


def test_cost_is_kept_when_a_billed_answer_is_unusable() -> None:
    calls: list[ModelCall] = []
    error, _ = draft_with(
        Step(
            body=answer_body(
                status="incomplete", incomplete_details={"reason": "max_output_tokens"}
            )
        ),
        observe=calls.append,
    )
    assert error.usage == Usage(input_tokens=321, output_tokens=45)
    assert calls[0].usage == error.usage
    assert (calls[0].response_id, calls[0].request_id) == ("resp_1", "req_1")


def test_observer_learns_the_cost_when_the_call_succeeds() -> None:
    calls: list[ModelCall] = []
    draft_with(Step(body=answer_body()), observe=calls.append)
    assert calls[0].usage == Usage(input_tokens=321, output_tokens=45)
    assert (calls[0].model, calls[0].error_code) == ("gpt-test-2026-01-01", None)


def test_model_words_stay_out_of_the_error_when_they_break_the_schema() -> None:
    output = '{"language":"en","reasons":[],"kind":"Carla lives at 5 Elm","text":"x"}'
    error, _ = draft_with(Step(body=answer_body(output)))
    assert "Carla" not in repr(vars(error)) + "".join(traceback.format_exception(error))
    assert "kind" in (error.detail or "")


def test_connect_error_raised_when_nothing_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with build_model(url) as model, pytest.raises(errors.ConnectError) as caught:
            model.draft_answer(REQUEST)
    assert caught.value.retryable
    assert "OPENAI_BASE_URL" in caught.value.sentence


def test_prompt_with_half_a_character_is_refused_when_sent() -> None:
    with serve_model() as script, build_model(script.url) as model:
        with pytest.raises(errors.RequestRejectedError, match="surrogate"):
            model.draft_answer(DraftRequest(system="s", user="\ud83d"))
        assert script.requests == []


def test_next_call_works_when_the_last_was_reset() -> None:
    with (
        serve_model(Step(fault="reset"), Step(body=answer_body())) as script,
        build_model(script.url) as model,
    ):
        with pytest.raises(errors.NoAnswerError):
            model.draft_answer(REQUEST)
        assert model.draft_answer(REQUEST).text == "Hi Bo!"


def test_key_is_hidden_and_stays_in_the_process_when_the_client_is_shown_or_pickled() -> None:
    with build_model("http://127.0.0.1:1/v1") as model:
        assert KEY not in repr(model) + str(model)
        with pytest.raises(TypeError, match="API key"):
            pickle.dumps(model)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"api_key": " "}, "OPENAI_API_KEY"),
        ({"api_key": "sk-aé"}, "copy it again"),
        ({"api_key": "sk-a\n"}, "copy it again"),
        ({"base_url": "api.openai.com"}, "OPENAI_BASE_URL"),
        ({"model": ""}, "OPENAI_MODEL"),
    ],
)
def test_construction_refused_when_a_setting_is_wrong(options: dict[str, str], hint: str) -> None:
    good = {"api_key": KEY, "model": "gpt-test"}
    with pytest.raises(ValueError, match=hint) as caught:
        DraftingModel(**(good | options))
    assert "sk-a" not in str(caught.value)
