"""The stand-in OpenAI: the Responses API with structured output, and the list of models."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from flask import Blueprint, Response, request

from autores.sandbox.dispatch import answer_with_faults, json_response
from autores.sandbox.faults import REFUSALS, Fault
from autores.sandbox.problems import ApiProblem
from autores.sandbox.structured import SchemaRefusedError, check_strict, fill_schema
from autores.sandbox.world import World
from autores.sandbox.writing import write_reply

MODELS = ("gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini")
REFUSAL = "I'm sorry, but I can't help with that."
_CREATED = 1_750_000_000


def openai_error(
    status: int, message: str, *, kind: str, code: str | None = None, param: str | None = None
) -> ApiProblem:
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return ApiProblem(status, body)


def make_openai_blueprint(world: World) -> Blueprint:
    blueprint = Blueprint("openai", __name__)

    def check_key() -> None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        expected = world.options.openai_key
        is_good = scheme.lower() == "bearer" and bool(key.strip())
        if expected is not None:
            is_good = is_good and secrets.compare_digest(key, expected)
        if not is_good:
            raise openai_error(
                401,
                "Incorrect API key provided. You can find your API key at "
                "https://platform.openai.com/account/api-keys.",
                kind="invalid_request_error",
                code="invalid_api_key",
            )

    @blueprint.post("/v1/responses")
    def create_response() -> Response:
        def run(fault: Fault | None) -> Response:
            if fault is not None and fault.name in REFUSALS:
                raise _refusal_of(fault)
            check_key()
            started = time.monotonic()
            response = json_response(200, answer(_read_body(), fault))
            spent = round((time.monotonic() - started) * 1000)
            response.headers["openai-processing-ms"] = str(spent)
            response.headers["x-request-id"] = f"req_{secrets.token_hex(16)}"
            response.headers["x-ratelimit-limit-requests"] = "500"
            response.headers["x-ratelimit-remaining-requests"] = "499"
            response.headers["x-ratelimit-reset-requests"] = "120ms"
            return response

        return answer_with_faults(
            world, "responses", run, account_id=None, error_type="application/json"
        )

    def list_or_show(model: str | None) -> Response:
        def run(fault: Fault | None) -> Response:
            if fault is not None and fault.name in REFUSALS:
                raise _refusal_of(fault)
            check_key()
            if model is None:
                return json_response(
                    200, {"object": "list", "data": [_model(name) for name in MODELS]}
                )
            _check_model(model)
            return json_response(200, _model(model))

        return answer_with_faults(
            world, "models", run, account_id=None, error_type="application/json"
        )

    @blueprint.get("/v1/models")
    def list_models() -> Response:
        return list_or_show(None)

    @blueprint.get("/v1/models/<model>")
    def show_model(model: str) -> Response:
        return list_or_show(model)

    return blueprint


def answer(body: dict[str, Any], fault: Fault | None = None) -> dict[str, Any]:
    """The response object for a request body; raises ApiProblem for what OpenAI refuses."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise openai_error(
            400, "Missing required parameter: 'model'.", kind="invalid_request_error",
            code="missing_required_parameter", param="model",
        )  # fmt: skip
    _check_model(model)
    if body.get("stream"):
        raise openai_error(
            400, "The sandbox does not stream.", kind="invalid_request_error", param="stream"
        )
    prompt, instructions = _read_input(body), str(body.get("instructions") or "")
    if not prompt.strip():
        raise openai_error(
            400, "Missing required parameter: 'input'.", kind="invalid_request_error",
            code="missing_required_parameter", param="input",
        )  # fmt: skip
    text_format = (body.get("text") or {}).get("format") or {"type": "text"}
    draft = write_reply(prompt, instructions=instructions)
    if text_format.get("type") == "json_schema":
        schema = text_format.get("schema")
        if not isinstance(schema, dict) or not text_format.get("name"):
            raise openai_error(
                400, "Missing required parameter: 'text.format.schema' or 'text.format.name'.",
                kind="invalid_request_error", param="text.format",
            )  # fmt: skip
        try:
            if text_format.get("strict"):
                check_strict(schema)
            output = json.dumps(fill_schema(schema, draft), ensure_ascii=False)
        except SchemaRefusedError as error:
            raise openai_error(
                400,
                f"Invalid schema for response_format '{text_format['name']}': {error}",
                kind="invalid_request_error",
                code="invalid_json_schema",
                param="text.format.schema",
            ) from error
    elif text_format.get("type") == "json_object":
        output = json.dumps({"reply": draft.text, "language": draft.language}, ensure_ascii=False)
    else:
        output = draft.text
    content: dict[str, Any] = {
        "type": "output_text", "text": output, "annotations": [], "logprobs": [],
    }  # fmt: skip
    if fault is not None and fault.name == "refuse_output":
        content = {"type": "refusal", "refusal": str(fault.params.get("text", REFUSAL))}
    elif fault is not None and fault.name == "invalid_output":
        content["text"] = str(fault.params.get("text", '{"unexpected": true'))
    incomplete = None
    output_tokens = _count_tokens(str(content.get("text") or content.get("refusal")))
    ceiling = body.get("max_output_tokens")
    if isinstance(ceiling, int) and output_tokens > ceiling and "text" in content:
        # The answer breaks off where the budget ends, as it would.
        content["text"] = content["text"][: ceiling * 4]
        output_tokens, incomplete = ceiling, {"reason": "max_output_tokens"}
    return _response_object(
        body,
        content,
        incomplete=incomplete,
        input_tokens=_count_tokens(prompt + instructions),
        output_tokens=output_tokens,
    )


def _response_object(
    body: dict[str, Any],
    content: dict[str, Any],
    *,
    incomplete: dict[str, str] | None,
    input_tokens: int,
    output_tokens: int,
) -> dict[str, Any]:
    status = "completed" if incomplete is None else "incomplete"
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": incomplete,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "model": body["model"],
        "output": [
            {
                "id": f"msg_{secrets.token_hex(24)}",
                "type": "message",
                "status": status,
                "content": [content],
                "role": "assistant",
            }
        ],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": (body.get("reasoning") or {}).get("effort"), "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": input_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_tokens + output_tokens,
        },
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }


def _read_body() -> dict[str, Any]:
    try:
        body = json.loads(request.get_data() or b"null")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise openai_error(
            400, "We could not parse the JSON body of your request.", kind="invalid_request_error"
        )
    return body


def _read_input(body: dict[str, Any]) -> str:
    """The text of `input`, a string or a list of messages; system messages come first."""
    given = body.get("input")
    if isinstance(given, str):
        return given
    parts: list[str] = []
    for item in given if isinstance(given, list) else []:
        if not isinstance(item, dict) or item.get("role") in ("system", "developer"):
            continue
        content = item.get("content")
        if isinstance(content, str):
            parts.append(content)
        elif isinstance(content, list):
            parts += [str(piece.get("text", "")) for piece in content if isinstance(piece, dict)]
    return "\n".join(parts)


def _check_model(model: str) -> None:
    if model in MODELS or model.startswith(tuple(f"{name}-" for name in MODELS)):
        return
    raise openai_error(
        404,
        f"The model `{model}` does not exist or you do not have access to it.",
        kind="invalid_request_error",
        code="model_not_found",
        param="model",
    )


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "system"}


def _count_tokens(text: str) -> int:
    # Four bytes a token is close enough for a meter that has to add up.
    return max(1, (len(text.encode()) + 3) // 4)


def _refusal_of(fault: Fault) -> ApiProblem:
    params = fault.params
    match fault.name:
        case "unauthorized":
            return openai_error(
                401,
                "Incorrect API key provided.",
                kind="invalid_request_error",
                code="invalid_api_key",
            )
        case "server_error":
            status = int(params.get("status", 500))
            return openai_error(
                status,
                "The server had an error while processing your request. Sorry about that!",
                kind="server_error",
            )
        case "forbidden" | "duplicate":
            return openai_error(
                403, str(params.get("detail", "Forbidden")), kind="invalid_request_error"
            )
        case "usage_cap" | "credits_depleted" | "credits_payment_required":
            return openai_error(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                kind="insufficient_quota",
                code="insufficient_quota",
            )
    problem = openai_error(
        429,
        "Rate limit reached for requests.",
        kind="requests",
        code="rate_limit_exceeded",
    )
    problem.headers = {"retry-after": str(params.get("retry_after", 20))}
    return problem
