"""Gives each HTTP request an id, and each answer the header that says it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from autores.observability import context


class RequestIdMiddleware:
    """Takes a well-formed X-Request-ID from the caller, or makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request_id = given if context.is_request_id(given) else context.new_request_id()
        request.request_id = request_id
        token = context.request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            context.request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response
