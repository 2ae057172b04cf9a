"""gzip for the API's larger JSON answers.

HTML is left to the proxy in front: a page holds its CSRF token beside what a stranger wrote, and
the length of both compressed together would tell of the token (BREACH). JSON here holds no secret;
an answer that does says ``no-store``.
"""

from django.http import HttpRequest, HttpResponse
from django.middleware.gzip import GZipMiddleware

# A shorter one fits into a few packets anyway.
_SHORTEST = 4096


class GZipJSONMiddleware(GZipMiddleware):
    """Django's, for answers to GET in JSON of 4 kB and more."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if (
            request.method != "GET"
            or response.streaming
            or response.get("Content-Type") != "application/json"
            or len(response.content) < _SHORTEST
            or "no-store" in response.get("Cache-Control", "")
        ):
            return response
        compressed: HttpResponse = super().process_response(request, response)
        return compressed
