"""The refusals X answers with, in the bodies and wordings it uses."""

from __future__ import annotations

from typing import Any


class ApiProblem(Exception):
    """A refusal: `status`, the JSON `body`, and headers to add."""

    def __init__(
        self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


def problem_type(name: str, *, vocabulary: str = "post") -> str:
    # X prints both hosts; which one goes with which vocabulary follows its two documents.
    host = "api.x.com" if vocabulary == "post" else "api.twitter.com"
    return f"https://{host}/2/problems/{name}"


def plain_problem(status: int, title: str, detail: str, **more: Any) -> ApiProblem:
    body = {"title": title, "detail": detail, "type": "about:blank", "status": status, **more}
    return ApiProblem(status, body)


def unauthorized() -> ApiProblem:
    return plain_problem(401, "Unauthorized", "Unauthorized")


def forbidden(detail: str = "Forbidden") -> ApiProblem:
    return plain_problem(403, "Forbidden", detail)


DUPLICATE = "You are not allowed to create a Tweet with duplicate content."
NOT_SUMMONED = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise "
    "engaged by the author of the post you are replying to."
)
NOT_QUOTABLE = "You can only reply to or quote posts where you are mentioned or are the author."
REPLIES_RESTRICTED = "The original Tweet author restricted who can reply to this Tweet."
TARGET_GONE = "You attempted to reply to a Tweet that is deleted or not visible to you."
TOO_LONG = "You are not permitted to perform this action."
SUSPENDED = "Your account is suspended and is not permitted to access this feature."
BLOCKED = "You have been blocked from replying to this user's Tweets at their request."
DM_REFUSED = "You do not have permission to DM one or more participants."


def invalid_request(
    message: str, *, parameter: str | None = None, value: str | None = None, vocabulary: str
) -> ApiProblem:
    entry: dict[str, Any] = {"message": message}
    if parameter is not None:
        entry["parameters"] = {parameter: [value if value is not None else ""]}
    return ApiProblem(
        400,
        {
            "errors": [entry],
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": problem_type("invalid-request", vocabulary=vocabulary),
        },
    )


def not_found_entry(kind: str, *, value: str, parameter: str, vocabulary: str) -> dict[str, Any]:
    """A partial error: an entry of `errors` beside `data` on a 200. `kind` is "user" or "tweet"."""
    name = "post" if kind == "tweet" and vocabulary == "post" else kind
    return {
        "value": value,
        "detail": f"Could not find {name} with {parameter}: [{value}].",
        "title": "Not Found Error",
        "resource_type": name,
        "parameter": parameter,
        "resource_id": value,
        "type": problem_type("resource-not-found", vocabulary=vocabulary),
    }


def not_found(kind: str, *, value: str, vocabulary: str) -> ApiProblem:
    entry = not_found_entry(kind, value=value, parameter="id", vocabulary=vocabulary)
    return ApiProblem(404, {**entry, "status": 404})


def unsupported_authentication() -> ApiProblem:
    return ApiProblem(
        403,
        {
            "title": "Unsupported Authentication",
            "detail": "Authenticating with OAuth 2.0 Application-Only is forbidden for this "
            "endpoint. Supported authentication types are [OAuth 2.0 User Context].",
            "type": "https://api.twitter.com/2/problems/unsupported-authentication",
            "status": 403,
        },
    )


def too_many_requests(*, shape: str = "problem") -> ApiProblem:
    if shape == "legacy":
        return ApiProblem(429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]})
    return plain_problem(429, "Too Many Requests", "Too Many Requests")


def usage_cap_exceeded() -> ApiProblem:
    return ApiProblem(
        429,
        {
            "account_id": 1,
            "product_name": "standard-basic",
            "title": "UsageCapExceeded",
            "period": "Monthly",
            "scope": "Product",
            "detail": "Usage cap exceeded: Monthly product cap",
            "type": "https://api.twitter.com/2/problems/usage-capped",
        },
    )


def credits_depleted() -> ApiProblem:
    return ApiProblem(
        402,
        {
            "title": "CreditsDepleted",
            "detail": "Your enrolled account does not have any credits to fulfill this request.",
            "type": "https://api.twitter.com/2/problems/credits",
        },
    )


def payment_required() -> ApiProblem:
    return ApiProblem(
        402,
        {
            "title": "Payment Required",
            "detail": "Your credits are depleted. Add credits to keep using the API.",
            "type": "https://api.x.com/2/problems/credits-depleted",
            "status": 402,
        },
    )


def server_error(status: int) -> ApiProblem:
    titles = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}
    title = titles.get(status, "Gateway Timeout" if status == 504 else "Server Error")
    return plain_problem(status, title, title)


def oauth_error(status: int, error: str, description: str) -> ApiProblem:
    return ApiProblem(status, {"error": error, "error_description": description})
