"""The stand-in OpenAI obeys the schema it is given and fails as the real one does."""

from __future__ import annotations

import json

import openai
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from autores.sandbox.structured import SchemaRefusedError, check_strict, fill_schema
from autores.sandbox.writing import write_reply

SCHEMA = {
    "type": "object",
    "properties": {
        "reply": {"type": "string", "maxLength": 280},
        "language": {"type": "string"},
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
        "tone": {"type": "string", "enum": ["positive", "neutral", "negative"]},
        "needs_human": {"type": "boolean"},
        "warnings": {"type": "array", "items": {"type": "string"}},
        "refusal_reason": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": [
        "reply", "language", "confidence", "tone", "needs_human", "warnings", "refusal_reason"
    ],
    "additionalProperties": False,
}  # fmt: skip


@pytest.fixture
def client(sandbox):
    with openai.OpenAI(
        api_key="sk-test", base_url=f"{sandbox.url}/v1", max_retries=0, timeout=5
    ) as made:
        yield made


def ask(client, text, **values):
    values = {"model": "gpt-5-mini", "instructions": "Draft a reply."} | values
    form = {"format": {"type": "json_schema", "name": "draft", "strict": True, "schema": SCHEMA}}
    return client.responses.create(input=text, text=form, **values)


@pytest.mark.parametrize(
    ("mention", "language"),
    [
        ("@acme ¿Cuándo llega mi pedido 4821?", "es"),
        ("@acme where is my order 4821?", "en"),
        ("@acme Wann kommt meine Bestellung? Ich warte seit 3 Wochen", "de"),
        ("@acme 注文番号4821の商品がまだ届きません", "ja"),
        ("@acme Merci pour votre aide, tout est réglé", "fr"),
    ],
)
def test_draft_obeys_the_schema_in_the_mentions_language(client, mention, language):
    response = ask(client, [{"role": "user", "content": f"Mention: {mention}"}])
    draft = json.loads(response.output_text)
    Draft202012Validator(SCHEMA).validate(draft)
    assert draft["language"] == language
    assert draft["reply"]
    assert response.status == "completed"
    usage = response.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens > 10


def test_plain_text_comes_when_no_format_is_asked(client):
    response = client.responses.create(model="gpt-5", input="@acme thanks a lot!")
    assert "thank" in response.output_text.lower() or "glad" in response.output_text.lower()


def test_output_breaks_off_when_the_budget_is_small(client):
    response = ask(client, "@acme where is my order?", max_output_tokens=5)
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"


def test_refusal_is_a_content_part_when_scripted(sandbox, client):
    sandbox.control.add_fault("responses", "refuse_output")
    content = ask(client, "@acme hello").output[0].content[0]
    assert content.type == "refusal"


def test_output_does_not_fit_when_scripted_invalid(sandbox, client):
    sandbox.control.add_fault("responses", "invalid_output")
    with pytest.raises(ValueError):
        json.loads(ask(client, "@acme hello").output_text)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("rate_limit_window", openai.RateLimitError),
        ("usage_cap", openai.RateLimitError),
        ("server_error", openai.InternalServerError),
        ("unauthorized", openai.AuthenticationError),
        ("timeout_before", openai.APITimeoutError),
        ("reset_after", openai.APIConnectionError),
        ("reset_mid_body", openai.APIConnectionError),
        ("forbidden", openai.PermissionDeniedError),
    ],
)
def test_client_sees_the_error_when_scripted(sandbox, client, fault, error):
    sandbox.control.add_fault("responses", fault)
    with pytest.raises(error) as caught:
        ask(client.with_options(timeout=0.5), "@acme hello")
    if fault == "rate_limit_window":
        assert caught.value.response.headers["retry-after"] == "20"
    if fault == "usage_cap":
        assert caught.value.code == "insufficient_quota"
    assert ask(client, "@acme hello").output_text


def test_errors_are_openais_when_the_request_is_wrong(sandbox, client):
    with pytest.raises(openai.NotFoundError):
        ask(client, "@acme hello", model="gpt-99")
    with pytest.raises(openai.BadRequestError):
        ask(client, "")
    loose = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}
    form = {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": loose}}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        client.responses.create(model="gpt-5", input="hello", text=form)
    answer = requests.post(f"{sandbox.url}/v1/responses", json={}, timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_models_are_listed(client):
    assert "gpt-5-mini" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-5").object == "model"


@pytest.mark.parametrize(
    "prompt",
    [
        'Posts:\n{"author": "ana", "us": false, "text": "Where is it?"}\n'
        '{"author": "bob", "answer_this": true, "text": "¿Dónde está mi pedido?"}\nDraft now.',
        '{"mention": {"text": "¿Dónde está mi pedido?"}}',
        "<mention>¿Dónde está mi pedido?</mention> Answer in English rules only.",
        "Rules apply.\nMention by @ana: ¿Dónde está mi pedido?\nWrite it.",
    ],
)
def test_mention_is_found_when_the_prompt_wraps_it(prompt):
    assert write_reply(prompt).language == "es"


names = st.sampled_from(["reply", "language", "reason", "score", "flags", "is_spam", "x"])
leaves = st.one_of(
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 300)),
    st.builds(
        lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)},
        st.integers(-50, 50), st.integers(-50, 50),
    ),
    st.just({"type": "number", "minimum": 0, "maximum": 1}),
    st.just({"type": "boolean"}),
    st.just({"enum": ["positive", "other", 3]}),
    st.just({"const": "v1"}),
    st.just({"type": ["string", "null"]}),
    st.just({"anyOf": [{"type": "null"}, {"type": "string"}]}),
    st.just({"$ref": "#/$defs/part"}),
)  # fmt: skip


def objects_of(children):
    return st.dictionaries(names, children, max_size=4).map(
        lambda properties: {
            "type": "object",
            "properties": properties,
            "required": sorted(properties),
            "additionalProperties": False,
        }
    )


schemas = objects_of(
    st.recursive(
        leaves,
        lambda children: st.one_of(
            objects_of(children),
            st.builds(
                lambda items, low: {"type": "array", "items": items, "minItems": low},
                children, st.integers(0, 2),
            ),
        ),
        max_leaves=8,
    )
)  # fmt: skip


@settings(deadline=None)
@given(schema=schemas, text=st.text(max_size=60))
def test_output_obeys_any_strict_schema(schema, text):
    schema = {**schema, "$defs": {"part": objects_of_part()}}
    check_strict(schema)
    value = fill_schema(schema, write_reply(text or "hello"))
    Draft202012Validator(schema).validate(value)


def objects_of_part():
    return {
        "type": "object",
        "properties": {"note": {"type": "string"}},
        "required": ["note"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {}}, "required": [], "additionalProperties": False},
    ],
)
def test_schema_is_refused_when_strict_mode_would(schema):
    with pytest.raises(SchemaRefusedError):
        check_strict(schema)
