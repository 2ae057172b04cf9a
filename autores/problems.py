"""Errors of the API as RFC 9457 problem documents, each with a stable code.

``{"type", "title", "status", "detail", "code", ...}``. ``code`` is for programs and never
changes; ``detail`` is a sentence for a person and says what to do. A refused field is named in
``errors``: ``[{"field", "code", "detail"}]``.
"""

import logging
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from pymongo.errors import ConnectionFailure
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from rest_framework import exceptions, status
from rest_framework.response import Response

from autores.mongo.errors import CommitUnknownError, TransactionConflictError

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    402: "Credits depleted",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    411: "Length required",
    412: "Changed meanwhile",
    422: "Cannot be processed",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    502: "A service we depend on failed",
    503: "Unavailable",
    504: "No answer in time",
}


class ApiProblem(exceptions.APIException):
    """A refusal with a status, a stable code, a sentence, and members of its own.

    ``retry_after`` (seconds) becomes the Retry-After header.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        status_code: int = status.HTTP_400_BAD_REQUEST,
        retry_after: float | None = None,
        **members: Any,
    ) -> None:
        self.status_code = status_code
        self.code = code
        self.members = members
        self.retry_after = retry_after
        super().__init__(detail, code)


def problem_document(*, code: str, detail: str, status_code: int, **members: Any) -> dict[str, Any]:
    """The body of a problem answer."""
    return {
        "type": f"urn:autores:problem:{code}",
        "title": _TITLES.get(status_code, "Error"),
        "status": status_code,
        "detail": detail,
        "code": code,
        **members,
    }


def _field_errors(detail: Any, prefix: str = "") -> list[dict[str, str]]:
    if isinstance(detail, Mapping):
        return [
            error
            for name, inner in detail.items()
            for error in _field_errors(
                inner, f"{prefix}{name}" if not prefix else f"{prefix}.{name}"
            )
        ]
    if isinstance(detail, (list, tuple)):
        found: list[dict[str, str]] = []
        for inner in detail:
            found.extend(_field_errors(inner, prefix))
        return found
    return [
        {
            "field": "" if prefix == "non_field_errors" else prefix,
            "code": str(getattr(detail, "code", "invalid")),
            "detail": str(detail),
        }
    ]


def _describe(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    headers: dict[str, str] = {}
    members: dict[str, Any] = {}
    if isinstance(error, Http404):
        return 404, {"code": "not_found", "detail": str(error) or "There is no such thing."}, {}
    if isinstance(error, PermissionDenied):
        return 403, {"code": "permission_denied", "detail": str(error) or "Not allowed."}, {}
    if isinstance(error, RequestDataTooBig):
        return 413, {"code": "too_large", "detail": "The request's body is too large."}, {}
    if isinstance(error, TransactionConflictError):
        detail = "Others change the same thing at this moment. Nothing was changed; try again."
        return 503, {"code": "too_much_contention", "detail": detail}, {"Retry-After": "1"}
    if isinstance(error, (ConnectionFailure, OperationalError, CommitUnknownError)):
        detail = (
            "The database cannot be reached. Try again shortly; before you repeat a change, read "
            "whether it was made."
        )
        return 503, {"code": "database_unavailable", "detail": detail}, {"Retry-After": "5"}
    if isinstance(error, (RedisConnectionError, RedisTimeoutError)):
        detail = "The cache cannot be reached. Try again shortly."
        return 503, {"code": "cache_unavailable", "detail": detail}, {"Retry-After": "5"}
    if not isinstance(error, exceptions.APIException):
        return None
    if isinstance(error, ApiProblem):
        code, detail, members = error.code, str(error.detail), error.members
        if error.retry_after is not None:
            headers["Retry-After"] = str(max(1, round(error.retry_after)))
    elif isinstance(error, exceptions.ValidationError):
        errors = _field_errors(error.detail)
        code = "invalid"
        detail = "; ".join(
            f"{item['field']}: {item['detail']}" if item["field"] else item["detail"]
            for item in errors
        )
        members = {"errors": errors}
    else:
        code, detail = error.default_code, str(error.detail)
    if isinstance(error, exceptions.Throttled):
        seconds = max(1, math.ceil(error.wait or 1))
        headers["Retry-After"] = str(seconds)
        again = "in a second" if seconds == 1 else f"in {seconds} seconds"
        detail = f"These are more requests than are taken at a time: try again {again}."
        return error.status_code, {"code": code, "detail": detail}, headers
    if header := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = header
    return error.status_code, {"code": code, "detail": detail, **members}, headers


def handle_exception(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's EXCEPTION_HANDLER: any refusal as a problem document; None for a bug (500)."""
    described = _describe(error)
    if described is None:
        return None
    status_code, members, headers = described
    response = Response(
        problem_document(status_code=status_code, **members), status=status_code, headers=headers
    )
    renderer = getattr(context.get("request"), "accepted_renderer", None)
    if renderer is None or renderer.format == "json":
        response.content_type = PROBLEM_JSON
    return response


def answer_error(error: Exception) -> HttpResponse:
    """The same outside DRF; a bug is raised again."""
    described = _describe(error)
    if described is None:
        raise error
    status_code, members, headers = described
    return JsonResponse(
        problem_document(status_code=status_code, **members),
        status=status_code,
        headers=headers,
        content_type=PROBLEM_JSON,
    )


def answer_plainly(status_code: int, code: str, detail: str) -> JsonResponse:
    """A problem document of code that runs outside DRF."""
    return JsonResponse(
        problem_document(code=code, detail=detail, status_code=status_code),
        status=status_code,
        content_type=PROBLEM_JSON,
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler400: what Django refuses before a view sees it. Its reason may quote a secret."""
    detail = "The request cannot be read: its host, its form or its address is not as it should be."
    return _answer_outside_api(request, 400, "bad_request", detail)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler403 of the paths outside DRF: the admin's."""
    detail = str(exception) or "You may not do this: it takes a role that you do not have."
    return _answer_outside_api(request, 403, "permission_denied", detail)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """CSRF_FAILURE_VIEW: the form came from another site, or without its cookie."""
    detail = (
        "The form was not sent from a page of this site, or its cookie is gone: load the page "
        "again, and send it from there."
    )
    return _answer_outside_api(request, 403, "permission_denied", detail)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """handler404 of the paths outside DRF."""
    return _answer_outside_api(request, 404, "not_found", f"There is nothing at {request.path}.")


def server_error(request: HttpRequest) -> HttpResponse:
    """handler500: says nothing about the cause, which is in the log under the request's id."""
    request_id = getattr(request, "request_id", "")
    return _answer_outside_api(
        request,
        500,
        "internal_error",
        f"Something broke on our side. The log has it under request id {request_id}.",
    )


def _answer_outside_api(
    request: HttpRequest, status_code: int, code: str, detail: str
) -> HttpResponse:
    """A page for a person's browser; a problem document for everybody else, and below /api/."""
    is_page = "text/html" in request.headers.get("Accept", "")
    if not is_page or request.path.startswith("/api/"):
        return answer_plainly(status_code, code, detail)
    page = loader.render_to_string(
        "problem.html", {"title": _TITLES[status_code], "detail": detail, "status": status_code}
    )
    return HttpResponse(page, status=status_code)
