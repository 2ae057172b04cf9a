"""Brotli or gzip for the API's larger JSON answers.

HTML is left to the proxy in front: a page holds its CSRF token beside what a stranger wrote, and
the length of both compressed together would tell of the token (BREACH). JSON here holds no secret;
an answer that does says ``no-store``.
"""

import re

import brotli
from django.http import HttpRequest, HttpResponse
from django.middleware.gzip import GZipMiddleware
from django.utils.cache import patch_vary_headers

# A shorter one fits into a few packets anyway.
SHORTEST = 4096
# On a page of a hundred messages: smaller than gzip's, in less than half of its time.
_BROTLI_QUALITY = 3
# https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3
_CODING = re.compile(r"\s*([\w.*+-]+)\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?(?:,|$)", re.ASCII)


class CompressJSONMiddleware(GZipMiddleware):
    """Answers to GET in JSON of 4 kB and more, in the coding that the caller likes best."""

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if (
            request.method != "GET"
            or response.streaming
            or response.get("Content-Type") != "application/json"
            or len(response.content) < SHORTEST
            or "no-store" in response.get("Cache-Control", "")
        ):
            return response
        patch_vary_headers(response, ("Accept-Encoding",))
        coding = choose_coding(request.META.get("HTTP_ACCEPT_ENCODING", ""))
        if coding is None or response.has_header("Content-Encoding"):
            return response
        if coding == "gzip":
            compressed: HttpResponse = super().process_response(request, response)
            return compressed
        response.content = brotli.compress(response.content, quality=_BROTLI_QUALITY)
        response.headers["Content-Encoding"] = "br"
        response.headers["Content-Length"] = str(len(response.content))
        # Another form of the same; gzip's does likewise.
        etag = response.get("ETag", "")
        if etag.startswith('"'):
            response.headers["ETag"] = f"W/{etag}"
        return response


def choose_coding(accept: str) -> str | None:
    """``br`` or ``gzip`` by an Accept-Encoding header, Brotli if both are as welcome; else None."""
    weights = {
        name.lower(): float(weight) if weight else 1.0 for name, weight in _CODING.findall(accept)
    }
    others = weights.get("*", 0.0)
    brotli_weight, gzip_weight = weights.get("br", others), weights.get("gzip", others)
    if max(brotli_weight, gzip_weight) <= 0:
        return None
    return "br" if brotli_weight >= gzip_weight else "gzip"
