"""Checks requests to X, and answers from it, against X's own OpenAPI documents.

Two documents, because two vocabularies are alive: 2.167 (`post.fields`) and 2.166
(`tweet.fields`). Source: X's public documentation repository, trimmed to the endpoints that matter
here. Where live X is known to answer something its document does not list, the exception is named
below, so that a test never passes by accident.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

Vocabulary = Literal["post", "tweet"]

_FOLDER = Path(__file__).parent
_DOCUMENTS = {"post": "x-2.167-post-names.json", "tweet": "x-2.166-tweet-names.json"}
_METHODS = ("get", "post", "put", "delete", "patch")

# Live X answers with problem types its newest document leaves out: a generic refusal, credits,
# the monthly cap, an unsupported kind of token, a forbidden app.
_UNDOCUMENTED_PROBLEMS = {
    "about:blank",
    "credits",
    "credits-depleted",
    "usage-capped",
    "unsupported-authentication",
    "client-forbidden",
}
_GENERIC_PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "status": {"type": "integer"},
    },
}
# The older envelope X still uses for some refusals.
_CODED_ERRORS: dict[str, Any] = {
    "type": "object",
    "required": ["errors"],
    "properties": {
        "errors": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
            },
        }
    },
}
# Objects whose keys are checked strictly: a name outside the document is a violation.
_STRICT = {
    "Post", "Tweet", "User", "DmEvent", "Expansions",
    "GetUsersMentionsResponse", "GetPostsByIdsResponse", "GetPostsByIdResponse",
    "GetUsersPostsResponse", "GetUsersMeResponse", "GetUsersByIdResponse", "GetUsersByIdsResponse",
    "GetUsersByUsernameResponse", "SearchPostsRecentResponse", "CreatePostsResponse",
    "DeletePostsResponse", "DeletePostsResponseData", "CreateDirectMessagesByParticipantIdResponse",
    "CreateDirectMessagesByParticipantIdResponseData",
    "GetDirectMessagesEventsByParticipantIdResponse", "GetDirectMessagesEventsResponse",
    "Get2UsersIdMentionsResponse", "Get2TweetsResponse", "Get2TweetsIdResponse",
    "Get2UsersIdTweetsResponse", "Get2UsersMeResponse", "Get2UsersIdResponse",
    "Get2UsersByUsernameUsernameResponse", "Get2TweetsSearchRecentResponse", "TweetDeleteResponse",
    "CreateDmEventResponse", "Get2DmConversationsWithParticipantIdDmEventsResponse",
    "Get2DmEventsResponse",
}  # fmt: skip


class ContractViolation(AssertionError):
    """A request or an answer that X's document does not allow."""


_formats = FormatChecker(formats=())


@_formats.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    if isinstance(value, str):
        if "T" not in value:
            raise ValueError("a date-time holds a T")
        if datetime.fromisoformat(value).tzinfo is None:
            raise ValueError("a date-time names its offset")
    return True


def validate_response(
    method: str, path: str, status: int, body: Any, vocabulary: Vocabulary
) -> None:
    """Raise ContractViolation unless `body` is an answer X's document allows.

    `path` is a concrete path or a template, without the query. `body` is the parsed JSON.
    """
    template = _match(vocabulary, method, path)
    if status >= 400:
        _validate_error(vocabulary, method, path, status, body)
        return
    operation = _document(vocabulary)["paths"][template][method.lower()]
    answer = operation["responses"].get(str(status))
    if answer is None:
        known = ", ".join(operation["responses"])
        raise ContractViolation(f"{method} {template}: {status} is not one of {known}")
    pointer = f"/paths/{_escape(template)}/{method.lower()}/responses/{status}/content"
    pointer += f"/{_escape('application/json')}/schema"
    _check(vocabulary, {"$ref": f"urn:x:{vocabulary}#{pointer}"}, body, f"{method} {path} {status}")


def validate_request(
    method: str,
    path: str,
    query: Mapping[str, Any] | None,
    body: Any,
    vocabulary: Vocabulary | None = None,
) -> None:
    """Raise ContractViolation unless the request is one X's document allows.

    `query` maps names to unencoded values; lists may be given joined by commas. The vocabulary is
    read from the query when it is not given (`tweet.fields` means "tweet").
    """
    query = dict(query or {})
    if vocabulary is None:
        vocabulary = "tweet" if "tweet.fields" in query else "post"
    template = _match(vocabulary, method, path)
    operation = _document(vocabulary)["paths"][template][method.lower()]
    where = f"{method} {path}"
    parameters = {p["name"]: p for p in (_deref(vocabulary, q) for q in operation["parameters"])}
    for name, value in _path_values(template, path).items():
        _check_parameter(vocabulary, parameters[name], value, where)
    for name, value in query.items():
        parameter = parameters.get(name)
        if parameter is None or parameter["in"] != "query":
            raise ContractViolation(f"{where}: there is no query parameter {name!r}")
        _check_parameter(vocabulary, parameter, value, where)
    for name, parameter in parameters.items():
        if parameter["in"] == "query" and parameter.get("required") and name not in query:
            raise ContractViolation(f"{where}: the query parameter {name!r} is missing")
    request_body = operation.get("requestBody")
    if request_body is None:
        if body is not None:
            raise ContractViolation(f"{where}: takes no body")
        return
    if body is None:
        if request_body.get("required"):
            raise ContractViolation(f"{where}: needs a body")
        return
    pointer = f"/paths/{_escape(template)}/{method.lower()}/requestBody/content"
    pointer += f"/{_escape('application/json')}/schema"
    _check(vocabulary, {"$ref": f"urn:x:{vocabulary}#{pointer}"}, body, f"{where} body")


def _validate_error(vocabulary: Vocabulary, method: str, path: str, status: int, body: Any) -> None:
    where = f"{method} {path} {status}"
    if not isinstance(body, dict):
        raise ContractViolation(f"{where}: an error is an object, not {type(body).__name__}")
    if "type" not in body and "title" not in body:
        schema: dict[str, Any] = _CODED_ERRORS
        if "errors" not in body:
            schema = {"$ref": f"urn:x:{vocabulary}#/components/schemas/Error"}
        _check(vocabulary, schema, body, where)
        return
    kind = str(body.get("type", "")).rsplit("/", 1)[-1]
    if kind in _UNDOCUMENTED_PROBLEMS:
        _check(vocabulary, _GENERIC_PROBLEM, body, where)
    else:
        problem = {"$ref": f"urn:x:{vocabulary}#/components/schemas/Problem"}
        _check(vocabulary, problem, body, where)
    if "status" in body and body["status"] != status:
        raise ContractViolation(f"{where}: the body says status {body['status']}")


def _check_parameter(
    vocabulary: Vocabulary, parameter: dict[str, Any], value: Any, where: str
) -> None:
    schema = _deref(vocabulary, parameter["schema"])
    if schema.get("type") == "array" and not isinstance(value, list):
        value = str(value).split(",")
    elif schema.get("type") == "integer" and re.fullmatch(r"-?\d+", str(value)):
        value = int(value)
    elif schema.get("type") == "string":
        value = str(value)
    _check(vocabulary, schema, value, f"{where} {parameter['name']}")


def _check(vocabulary: Vocabulary, schema: dict[str, Any], value: Any, where: str) -> None:
    validator = Draft202012Validator(
        schema | {"$id": f"urn:check:{vocabulary}"} if "$ref" in schema else schema,
        registry=_registry(vocabulary),
        format_checker=_formats,
    )
    problems = sorted(validator.iter_errors(value), key=lambda error: list(error.absolute_path))
    if problems:
        lines = [
            f"  at {'/'.join(map(str, p.absolute_path)) or '(root)'}: {p.message[:400]}"
            for p in problems[:8]
        ]
        raise ContractViolation("\n".join([f"{where} breaks X's contract:", *lines]))


def _match(vocabulary: Vocabulary, method: str, path: str) -> str:
    path = path.split("?", 1)[0]
    paths = _document(vocabulary)["paths"]
    if path in paths and method.lower() in paths[path]:
        return path
    # A literal segment beats a placeholder: /2/users/me is not /2/users/{id}.
    for template in sorted(paths, key=lambda name: name.count("{")):
        if method.lower() in paths[template] and _template_pattern(template).fullmatch(path):
            return str(template)
    raise ContractViolation(f"{method} {path}: not an endpoint of X's document ({vocabulary})")


def _path_values(template: str, path: str) -> dict[str, str]:
    found = _template_pattern(template).fullmatch(path.split("?", 1)[0])
    if found is None or "{" in path:
        return {}
    return dict(zip(re.findall(r"{(\w+)}", template), found.groups(), strict=True))


@cache
def _template_pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\{\w+\\}", r"([^/]+)", re.escape(template)))


def _escape(segment: str) -> str:
    return quote(segment.replace("~", "~0").replace("/", "~1"), safe="~")


def _deref(vocabulary: Vocabulary, node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        target: Any = _document(vocabulary)
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    if "schema" not in node:
        return _absolute(vocabulary, node)
    return node


def _absolute(vocabulary: Vocabulary, node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: f"urn:x:{vocabulary}{value}"
            if key == "$ref" and str(value).startswith("#")
            else _absolute(vocabulary, value)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_absolute(vocabulary, item) for item in node]
    return node


@cache
def _registry(vocabulary: Vocabulary) -> Registry[Any]:
    resource = Resource(contents=_document(vocabulary), specification=DRAFT202012)
    return Registry().with_resource(f"urn:x:{vocabulary}", resource)


@cache
def _document(vocabulary: Vocabulary) -> dict[str, Any]:
    document = json.loads((_FOLDER / _DOCUMENTS[vocabulary]).read_text(encoding="utf-8"))
    _add_users_lookup(document)
    for item in document["paths"].values():
        shared = item.get("parameters", [])
        for method in _METHODS:
            if method in item:
                item[method]["parameters"] = [*shared, *item[method].get("parameters", [])]
    for name, schema in document["components"]["schemas"].items():
        if name in _STRICT and schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
    return _as_json_schema(document)


def _add_users_lookup(document: dict[str, Any]) -> None:
    # GET /2/users?ids= is not in the trimmed documents: it is /2/users/{id} with a list of users.
    single = document["paths"]["/2/users/{id}"]["get"]
    name = single["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].split("/")[
        -1
    ]
    response = json.loads(json.dumps(document["components"]["schemas"][name]))
    response["properties"]["data"] = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/User"},
    }
    response["additionalProperties"] = False
    document["components"]["schemas"]["GetUsersByIdsResponse"] = response
    lookup = json.loads(json.dumps(single))
    lookup["responses"]["200"]["content"]["application/json"]["schema"]["$ref"] = (
        "#/components/schemas/GetUsersByIdsResponse"
    )
    ids = {
        "name": "ids",
        "in": "query",
        "required": True,
        "schema": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {"$ref": "#/components/schemas/UserId"},
        },
    }
    lookup["parameters"] = [ids, *(p for p in lookup["parameters"] if p.get("in") != "path")]
    document["paths"].setdefault("/2/users", {})["get"] = lookup


def _as_json_schema(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` becomes JSON Schema's null type; the rest is already compatible."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    converted = {
        key: _as_json_schema(value)
        for key, value in node.items()
        if not (key in ("discriminator", "example") and not isinstance(value, str))
        or key == "properties"
    }
    if converted.pop("nullable", False) is True:
        return {"anyOf": [converted, {"type": "null"}]}
    return converted
