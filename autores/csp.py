"""Content-Security-Policy of every page: nothing from elsewhere, no script within a page.

Django has none before 6.0. What a stranger wrote is shown on these pages; should it ever reach
one unescaped, the browser still runs none of it.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

_POLICY = {
    "default-src": "'self'",
    "script-src": "'self'",
    # The admin and Redoc set styles of single elements.
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data:",
    "font-src": "'self' data:",
    # Redoc searches in a worker that it makes itself.
    "worker-src": "'self' blob:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
_ADMIN = "/admin/"


def build_policy(*, is_admin: bool) -> str:
    """The header's value for a page of the admin, or another."""
    policy = dict(_POLICY)
    if is_admin:
        # Unfold's Alpine.js makes functions of the attributes it reads.
        policy["script-src"] += " 'unsafe-eval'"
    return "; ".join(f"{name} {value}" for name, value in policy.items())


class ContentSecurityPolicyMiddleware:
    """Sends the policy with each HTML page that has none of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            policy = build_policy(is_admin=request.path_info.startswith(_ADMIN))
            response.headers.setdefault("Content-Security-Policy", policy)
        return response
