"""Answers 304, which say that the caller has the body already."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class UnmodifiedMiddleware:
    """Takes the length that Django gives an empty body off a 304.

    Caches take it for the length of the body that they have.
    https://www.rfc-editor.org/rfc/rfc9110#section-8.6
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.status_code == 304:
            response.headers.pop("Content-Length", None)
        return response
