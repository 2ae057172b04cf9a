import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404
from django.test import Client, RequestFactory
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions, serializers
from rest_framework.renderers import BrowsableAPIRenderer, JSONRenderer

from autores.problems import PROBLEM_JSON, ApiProblem, handle_exception, problem_document

FIELDS = {"type", "title", "status", "detail", "code"}


def answer(error: Exception) -> Any:
    response = handle_exception(error, {})
    assert response is not None
    assert response.content_type == PROBLEM_JSON
    assert set(response.data) >= FIELDS
    assert response.data["status"] == response.status_code
    assert response.data["type"] == f"urn:autores:problem:{response.data['code']}"
    assert response.data["detail"].strip()
    json.dumps(response.data)
    return response


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Http404(), 404, "not_found"),
        (PermissionDenied(), 403, "permission_denied"),
        (RequestDataTooBig("2 MB"), 413, "too_large"),
        (ServerSelectionTimeoutError("no servers"), 503, "database_unavailable"),
        (AutoReconnect("mongodb://u:hunter2@db refused"), 503, "database_unavailable"),
        (OperationalError("mongodb://u:hunter2@db refused"), 503, "database_unavailable"),
        (RedisConnectionError("redis://:hunter2@cache refused"), 503, "cache_unavailable"),
        (RedisTimeoutError("redis://:hunter2@cache"), 503, "cache_unavailable"),
        (exceptions.NotAuthenticated(), 401, "not_authenticated"),
        (exceptions.AuthenticationFailed(), 401, "authentication_failed"),
        (exceptions.PermissionDenied(), 403, "permission_denied"),
        (exceptions.NotFound(), 404, "not_found"),
        (exceptions.MethodNotAllowed("PUT"), 405, "method_not_allowed"),
        (exceptions.NotAcceptable(), 406, "not_acceptable"),
        (exceptions.UnsupportedMediaType("text/plain"), 415, "unsupported_media_type"),
        (exceptions.ParseError(), 400, "parse_error"),
        (exceptions.Throttled(wait=3.2), 429, "throttled"),
    ],
)
def test_refusal_is_a_problem_document_when_anything_refuses(
    error: Exception, status: int, code: str
) -> None:
    response = answer(error)

    assert (response.status_code, response.data["code"]) == (status, code)
    assert response.data["title"] != "Error"
    assert "hunter2" not in str(response.data)


def test_caller_is_told_when_to_come_back_when_throttled() -> None:
    response = answer(exceptions.Throttled(wait=3.2))
    assert response["Retry-After"] == "4"
    assert response.data["detail"].endswith("try again in 4 seconds.")
    assert answer(exceptions.Throttled())["Retry-After"] == "1"


@pytest.mark.parametrize("error", [AutoReconnect("x"), RedisConnectionError("x")])
def test_caller_is_told_when_to_come_back_when_a_server_is_away(error: Exception) -> None:
    assert int(answer(error)["Retry-After"]) >= 1


def test_members_and_header_are_there_when_a_refusal_has_some() -> None:
    response = answer(
        ApiProblem(
            "rate_limited",
            "X refuses until 12:00.",
            status_code=429,
            retry_after=0.2,
            limit="window",
        )
    )

    assert response.data["limit"] == "window"
    assert response.data["detail"] == "X refuses until 12:00."
    assert response["Retry-After"] == "1"


def test_each_field_is_named_when_several_are_refused() -> None:
    class Inner(serializers.Serializer):
        count = serializers.IntegerField()

    class Body(serializers.Serializer):
        status = serializers.ChoiceField(["pending", "ignored"])
        text = serializers.CharField()
        inner = Inner()
        many = Inner(many=True)

    body = Body(
        data={
            "status": "lost",
            "inner": {"count": "x"},
            "many": [{"count": 1}, {"count": "x"}],
        }
    )
    with pytest.raises(exceptions.ValidationError) as caught:
        body.is_valid(raise_exception=True)

    response = answer(caught.value)

    assert response.status_code == 400
    assert response.data["code"] == "invalid"
    found = {(error["field"], error["code"]) for error in response.data["errors"]}
    assert found == {
        ("status", "invalid_choice"),
        ("text", "required"),
        ("inner.count", "invalid"),
        ("many.1.count", "invalid"),
    }
    assert "status: " in response.data["detail"]


def test_field_is_empty_when_the_whole_is_refused() -> None:
    response = answer(exceptions.ValidationError("Nothing to change."))

    assert response.data["errors"] == [
        {"field": "", "code": "invalid", "detail": "Nothing to change."}
    ]
    assert response.data["detail"] == "Nothing to change."


def test_bug_is_not_dressed_up_when_an_unknown_error_comes() -> None:
    assert handle_exception(ZeroDivisionError(), {}) is None


@pytest.mark.parametrize(
    ("renderer", "is_json"), [(JSONRenderer(), True), (BrowsableAPIRenderer(), False)]
)
def test_content_type_is_left_to_the_page_when_a_browser_asks(renderer: Any, is_json: bool) -> None:
    request = RequestFactory().get("/")
    request.accepted_renderer = renderer

    response = handle_exception(exceptions.NotFound(), {"request": request})

    assert response is not None
    assert (response.content_type == PROBLEM_JSON) is is_json


def test_path_is_named_when_nothing_is_there(client: Client, settings: Any) -> None:
    settings.DEBUG = False

    response = client.get("/nowhere/<b>")

    assert response.status_code == 404
    assert response["Content-Type"] == PROBLEM_JSON
    assert response.json()["code"] == "not_found"
    assert "/nowhere/" in response.json()["detail"]


def test_title_is_general_when_the_status_is_unknown() -> None:
    document = problem_document(code="teapot", detail="No.", status_code=418, brew="tea")

    assert document == {
        "type": "urn:autores:problem:teapot",
        "title": "Error",
        "status": 418,
        "detail": "No.",
        "code": "teapot",
        "brew": "tea",
    }


@pytest.mark.parametrize(
    "path", ["/api/v1/nope", "/api/v1/messages/x%2Fy", "/nope", "/admin/r/1/1/"]
)
def test_nothing_is_told_of_the_code_when_a_path_is_unknown(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, PROBLEM_JSON)
    assert answer.json()["code"] == "not_found"


def test_person_gets_a_page_and_a_program_a_document_when_something_is_refused(
    client: Client,
) -> None:
    for_program = client.get("/nope", headers={"host": "elsewhere.example"})
    assert (for_program.status_code, for_program.json()["code"]) == (400, "bad_request")
    for_person = client.get("/nope", headers={"accept": "text/html"})
    assert for_person.status_code == 404
    assert "There is nothing at /nope." in for_person.content.decode()
    below_api = client.get("/api/v1/nope", headers={"accept": "text/html"})
    assert below_api.headers["Content-Type"] == PROBLEM_JSON
