"""Fill a JSON schema from a written reply, and refuse the schemas OpenAI's strict mode refuses."""

from __future__ import annotations

from typing import Any

from autores.sandbox.writing import Draft

_UNSUPPORTED = ("allOf", "not", "if", "then", "else", "dependentRequired", "patternProperties")
_TEXT_NAMES = ("reply", "text", "draft", "message", "answer", "response", "body", "content")
_REASON_NAMES = ("reason", "rationale", "explanation", "why", "note", "summary", "comment")
_WARNING_NAMES = ("escalate", "needs_human", "needs_review", "is_spam", "spam", "abusive", "unsafe",
                  "sensitive", "refuse")  # fmt: skip


class SchemaRefusedError(ValueError):
    """The schema is not one structured output accepts."""


def check_strict(schema: dict[str, Any]) -> None:
    """Strict mode: a root object, every key required, no additional properties."""
    if schema.get("type") != "object" or "anyOf" in schema:
        raise SchemaRefusedError("schema must be a JSON Schema of 'type: \"object\"'.")
    _check_node(schema, "()")
    for name, node in schema.get("$defs", {}).items():
        _check_node(node, f"('$defs', '{name}')")


def _check_node(node: Any, where: str) -> None:
    if not isinstance(node, dict):
        return
    for key in _UNSUPPORTED:
        if key in node:
            raise SchemaRefusedError(f"In context={where}, '{key}' is not permitted.")
    if node.get("type") == "object" or "properties" in node:
        properties = node.get("properties", {})
        if node.get("additionalProperties") is not False:
            raise SchemaRefusedError(
                f"In context={where}, 'additionalProperties' is required to be supplied and to be "
                "false."
            )
        missing = sorted(set(properties) - set(node.get("required", [])))
        if missing:
            raise SchemaRefusedError(
                f"In context={where}, 'required' is required to be supplied and to be an array "
                f"including every key in properties. Missing '{missing[0]}'."
            )
        for name, child in properties.items():
            _check_node(child, f"('properties', '{name}')")
    if "items" in node:
        _check_node(node["items"], f"{where[:-1]}, 'items')")
    for child in node.get("anyOf", []):
        _check_node(child, f"{where[:-1]}, 'anyOf')")


def fill_schema(schema: dict[str, Any], draft: Draft) -> Any:
    """A value the schema accepts, with the draft's text, language and mood where they belong."""
    return _fill(schema, "", draft, schema, depth=0)


def _fill(node: Any, name: str, draft: Draft, root: dict[str, Any], *, depth: int) -> Any:
    if not isinstance(node, dict) or depth > 20:
        return None
    if "$ref" in node:
        target: Any = root
        for part in str(node["$ref"]).removeprefix("#").strip("/").split("/"):
            if part:
                if not isinstance(target, dict) or part not in target:
                    raise SchemaRefusedError(f"reference can only point to $defs: {node['$ref']}")
                target = target[part]
        return _fill(target, name, draft, root, depth=depth + 1)
    if "const" in node:
        return node["const"]
    if "enum" in node:
        return _choose(node["enum"], draft)
    for key in ("anyOf", "oneOf"):
        if key in node:
            options = [option for option in node[key] if option.get("type") != "null"]
            wants_null = _is_reason_to_doubt(name) and len(options) < len(node[key])
            if not options or wants_null:
                return None
            return _fill(options[0], name, draft, root, depth=depth + 1)
    kind = node.get("type")
    if isinstance(kind, list):
        if "null" in kind and _is_reason_to_doubt(name):
            return None
        kind = next((option for option in kind if option != "null"), "null")
    match kind:
        case "object":
            return {
                key: _fill(child, key, draft, root, depth=depth + 1)
                for key, child in node.get("properties", {}).items()
            }
        case "array":
            count = max(int(node.get("minItems", 0)), 0 if depth > 6 else 1)
            count = min(count, int(node.get("maxItems", count)))
            if _is_reason_to_doubt(name):
                count = int(node.get("minItems", 0))
            return [
                _fill(node.get("items", {"type": "string"}), name, draft, root, depth=depth + 1)
                for _ in range(count)
            ]
        case "string":
            return _string(node, name, draft)
        case "boolean":
            return not any(word in name.lower() for word in _WARNING_NAMES)
        case "integer" | "number":
            return _number(node, name, is_integer=kind == "integer")
    return None


def _choose(options: list[Any], draft: Draft) -> Any:
    for wanted in (draft.language, draft.mood, draft.topic):
        if wanted in options:
            return wanted
    return next((option for option in options if option is not None), None)


def _string(node: dict[str, Any], name: str, draft: Draft) -> str:
    lowered = name.lower()
    if "lang" in lowered or lowered == "locale":
        value = draft.language
    elif any(word in lowered for word in _REASON_NAMES):
        value = draft.reason
    elif any(word in lowered for word in ("sentiment", "mood", "tone")):
        value = draft.mood
    elif any(word in lowered for word in ("topic", "category", "intent", "label")):
        value = draft.topic
    elif any(word in lowered for word in _TEXT_NAMES) or not lowered:
        value = draft.text
    else:
        value = draft.reason
    if "maxLength" in node:
        value = value[: int(node["maxLength"])]
    return value.ljust(int(node.get("minLength", 0)), ".")


def _number(node: dict[str, Any], name: str, *, is_integer: bool) -> int | float:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    value = 0.82 if not is_integer else 1
    if high is not None and low is not None:
        value = low + (high - low) * 0.82
    elif high is not None:
        value = min(value, high)
    elif low is not None:
        value = max(value, low)
    return round(value) if is_integer else round(float(value), 4)


def _is_reason_to_doubt(name: str) -> bool:
    return any(word in name.lower() for word in ("warning", "risk", "flag", "refusal", "concern"))
