"""One row per refusal that X is known to give: what each means to us."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autores.tests.x.bodies import problem_body
from autores.x import errors as x
from autores.x.classify import CallKind, classify_oauth_error, classify_refusal
from autores.x.limits import parse_rate_limits

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
TWITTER = "https://api.twitter.com/2/problems/"
X_COM = "https://api.x.com/2/problems/"


def _headers(**families: tuple[int, int, int]) -> dict[str, str]:
    """Header families by name: (limit, remaining, seconds until reset)."""
    names = {
        "window": "x-rate-limit",
        "user_day": "x-user-limit-24hour",
        "app_day": "x-app-limit-24hour",
    }
    return {
        f"{names[family]}-{part}": str(value)
        for family, (limit, remaining, seconds) in families.items()
        for part, value in (
            ("limit", limit),
            ("remaining", remaining),
            ("reset", int((NOW + timedelta(seconds=seconds)).timestamp())),
        )
    }


def _classify(
    status: int, body: object, call: CallKind = "read", headers: dict[str, str] | None = None
) -> x.XError:
    headers = headers or {}
    return classify_refusal(
        status, body, call=call, headers=headers, rate=parse_rate_limits(headers), now=NOW
    )


def _forbidden(detail: str, kind: str = "about:blank", title: str = "Forbidden") -> dict[str, Any]:
    return problem_body(403, title=title, kind=kind, detail=detail)


_BLANK = "about:blank"
_DUPLICATE = "You are not allowed to create a Tweet with duplicate content."
_NOT_ENGAGED = (
    "Reply to this conversation is not allowed because you have not been mentioned or otherwise "
    "engaged by the author of the post you are replying to."
)
_NOT_AUTHOR = "You can only reply to or quote posts where you are mentioned or are the author."
_GONE = "You attempted to reply to a Tweet that is deleted or not visible to you."

# status, body, kind of call, class, code, scope, retryable, outcome unknown
REFUSALS: list[tuple[str, int, object, CallKind, type[x.XError], str, str, bool, bool]] = [
    ("bad body", 400, problem_body(400, title="Invalid Request", kind=TWITTER + "invalid-request",
     detail="One or more parameters to your request was invalid.", errors=[{"message": "no text"}]),
     "post", x.BadRequestError, "bad_request", "call", False, False),
    ("reply target missing", 400, problem_body(400, title="Invalid Request", kind=X_COM +
     "invalid-request", detail=_GONE),
     "post", x.ReplyTargetGoneError, "reply_target_gone", "call", False, False),
    ("reply target missing as 403", 403, _forbidden(_GONE),
     "post", x.ReplyTargetGoneError, "reply_target_gone", "call", False, False),
    ("token expired", 401, problem_body(401, title="Unauthorized", kind=_BLANK,
     detail="Unauthorized"), "read", x.UnauthorizedError, "unauthorized", "account", False, False),
    ("token revoked on a write", 401, {"errors": [{"code": 89, "message": "Invalid token."}]},
     "post", x.UnauthorizedError, "unauthorized", "account", False, False),
    ("credits, first shape", 402, problem_body(402, title="CreditsDepleted", kind=TWITTER +
     "credits", detail="Your enrolled account does not have any credits."),
     "read", x.CreditsDepletedError, "credits_depleted", "app", False, False),
    ("credits, second shape", 402, problem_body(402, title="Payment Required", kind=X_COM +
     "credits-depleted", detail="Your credits are depleted."),
     "post", x.CreditsDepletedError, "credits_depleted", "app", False, False),
    ("duplicate text", 403, _forbidden(_DUPLICATE),
     "post", x.DuplicateContentError, "duplicate_content", "call", False, False),
    ("duplicate text, old shape", 403, {"errors": [{"code": 187, "message": "Status is a dup."}]},
     "post", x.DuplicateContentError, "duplicate_content", "call", False, False),
    ("not summoned", 403, _forbidden(_NOT_ENGAGED),
     "post", x.NotSummonedError, "not_summoned", "call", False, False),
    ("not summoned, other words", 403, _forbidden(_NOT_AUTHOR),
     "post", x.NotSummonedError, "not_summoned", "call", False, False),
    ("reply settings", 403, _forbidden("The original Tweet author restricted who can reply to "
     "this Tweet."), "post", x.ReplySettingsError, "reply_settings", "call", False, False),
    ("reply settings, other words", 403, _forbidden("Replies are limited by the author."),
     "post", x.ReplySettingsError, "reply_settings", "call", False, False),
    ("blocked by the author", 403, _forbidden("You have been blocked from replying to this user."),
     "post", x.ReplySettingsError, "blocked_by_author", "call", False, False),
    ("own account suspended", 403, _forbidden("Your account is suspended and is not permitted to "
     "access this feature."), "post", x.SuspendedError, "account_suspended", "account", False,
     False),
    ("own account locked", 403, {"errors": [{"code": 326, "message": "To protect our users from "
     "spam and other malicious activity, this account is temporarily locked."}]},
     "read", x.LockedError, "account_locked", "account", False, False),
    ("own account locked, in words", 403, _forbidden("Your account has been locked. Log in to "
     "unlock it."), "post", x.LockedError, "account_locked", "account", False, False),
    ("other account suspended", 403, _forbidden("User has been suspended: [3003]."),
     "read", x.ForbiddenError, "target_suspended", "call", False, False),
    ("missing scope", 403, _forbidden("Your token lacks the required scope dm.write."),
     "dm", x.MissingScopeError, "missing_scope", "account", False, False),
    ("closed inbox", 403, _forbidden("You cannot send messages to this user."),
     "dm", x.RecipientClosedError, "recipient_closed", "call", False, False),
    ("bare refusal of a message", 403, _forbidden("Forbidden"),
     "dm", x.RecipientClosedError, "recipient_closed", "call", False, False),
    ("wrong kind of sign-in", 403, _forbidden("Authenticating with OAuth 2.0 Application-Only is "
     "forbidden for this endpoint.", TWITTER + "unsupported-authentication",
     "Unsupported Authentication"), "read", x.AppNotAllowedError, "unsupported_authentication",
     "app", False, False),
    ("app not enrolled", 403, _forbidden("When authenticating requests to the API v2 endpoints, "
     "you must use keys and tokens from a developer App that is attached to a Project.",
     X_COM + "client-forbidden", "Client Forbidden"),
     "read", x.AppNotAllowedError, "app_not_allowed", "app", False, False),
    ("plan lacks the endpoint", 403, {"errors": [{"code": 453, "message": "You currently have "
     "access to a subset of X API V2 endpoints."}]},
     "post", x.AppNotAllowedError, "app_not_allowed", "app", False, False),
    ("not visible", 403, _forbidden("Sorry, you are not authorized to see the Tweet.", X_COM +
     "not-authorized-for-resource", "Authorization Error"),
     "read", x.ForbiddenError, "not_visible", "call", False, False),
    ("unknown 403", 403, _forbidden("Something nobody has seen."),
     "post", x.ForbiddenError, "forbidden", "call", False, False),
    ("403 that cannot be read", 403, None, "post",
     x.ServerError, "unread_refusal", "call", False, True),
    ("403 of a read that cannot be read", 403, None, "read",
     x.ForbiddenError, "forbidden", "call", False, False),
    ("gone", 404, problem_body(404, title="Not Found Error", kind=TWITTER + "resource-not-found",
     detail="Could not find tweet."), "read", x.NotFoundError, "not_found", "call", False, False),
    ("route gone", 410, None, "read", x.NotFoundError, "not_found", "call", False, False),
    ("window full", 429, problem_body(429, title="Too Many Requests", kind=_BLANK,
     detail="Too Many Requests"),
     "read", x.RateLimitedError, "rate_limited_window", "account", True, False),
    ("window full, old shape", 429, {"errors": [{"code": 88, "message": "Rate limit exceeded"}]},
     "post", x.RateLimitedError, "rate_limited_window", "account", True, False),
    ("window full, HTML", 429, None,
     "post", x.RateLimitedError, "rate_limited_window", "account", True, False),
    ("monthly cap", 429, problem_body(429, title="UsageCapExceeded", kind=TWITTER + "usage-capped",
     detail="Usage cap exceeded: Monthly product cap", period="Monthly", scope="Product"),
     "read", x.UsageCapError, "usage_cap", "app", False, False),
    ("monthly cap by title alone", 429, problem_body(429, title="UsageCapExceeded", kind=_BLANK,
     detail=""), "read", x.UsageCapError, "usage_cap", "app", False, False),
    ("daily cap", 429, problem_body(429, title="UsageCapExceeded", kind=X_COM + "usage-capped",
     detail="Usage cap exceeded", period="Daily"),
     "read", x.UsageCapError, "usage_cap", "app", True, False),
    ("server error on a read", 500, problem_body(500, title="Internal Error", kind=_BLANK,
     detail="Internal Error"), "read", x.ServerError, "server_error", "call", True, False),
    ("server error on a post", 503, None,
     "post", x.ServerError, "server_error", "call", False, True),
    ("server error on a message", 502, None,
     "dm", x.ServerError, "server_error", "call", False, True),
    ("server error on a deletion", 500, None,
     "delete", x.ServerError, "server_error", "call", True, True),
    ("time-out said by a gateway, of a read", 408, None,
     "read", x.ServerError, "request_timeout", "call", True, False),
    ("time-out said by a gateway, of a post", 408, None,
     "post", x.ServerError, "request_timeout", "call", False, True),
    ("time-out said by a gateway, of a message", 408, {"title": "Request Timeout"},
     "dm", x.ServerError, "request_timeout", "call", False, True),
    ("unlisted refusal", 418, None, "post", x.BadRequestError, "refused_418", "call", False, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "call", "error_class", "code", "scope", "retryable", "unknown"),
    [pytest.param(*row[1:], id=row[0]) for row in REFUSALS],
)
def test_error_is_typed_when_x_refuses(
    status: int,
    body: object,
    call: CallKind,
    error_class: type[x.XError],
    code: str,
    scope: str,
    retryable: bool,
    unknown: bool,
) -> None:
    error = _classify(status, body, call)
    assert type(error) is error_class
    assert (error.code, error.scope, error.retryable, error.is_outcome_unknown, error.status) == (
        code, scope, retryable, unknown, status,
    )  # fmt: skip
    assert error.sentence.endswith(".")


@pytest.mark.parametrize(
    ("headers", "limit", "scope", "seconds"),
    [
        pytest.param(_headers(window=(300, 0, 600)), "window", "account", 600, id="window"),
        pytest.param(
            _headers(window=(100, 99, 600), user_day=(17, 0, 40000)),
            "user_day", "account", 40000, id="day spent while the window looks healthy",
        ),
        pytest.param(
            _headers(window=(40000, 39000, 600), user_day=(100, 50, 9), app_day=(1440, 0, 3000)),
            "app_day", "app", 3000, id="app's day",
        ),
        pytest.param(
            _headers(window=(15, 0, 100), user_day=(1440, 0, 9000), app_day=(1440, 0, 8000)),
            "app_day", "app", 8000, id="everything spent",
        ),
        pytest.param(_headers(window=(300, 5, 60)), "window", "account", 60, id="none shown spent"),
        pytest.param({}, "window", "account", 900, id="no headers"),
        pytest.param({"Retry-After": "30"}, "window", "account", 30, id="only Retry-After"),
        pytest.param(
            _headers(window=(300, 0, 60)) | {"Retry-After": "90"}, "window", "account", 90,
            id="the longer of both",
        ),
        pytest.param(_headers(window=(300, 0, -50)), "window", "account", 1, id="reset passed"),
        pytest.param(
            _headers(window=(300, 0, 10**6)), "window", "account", 960, id="absurd reset",
        ),
    ],
)  # fmt: skip
def test_the_spent_budget_and_wait_are_found_when_a_429_carries(
    headers: dict[str, str], limit: str, scope: str, seconds: float
) -> None:
    error = _classify(429, None, "post", headers)
    assert isinstance(error, x.RateLimitedError)
    assert (error.limit, error.code) == (limit, f"rate_limited_{limit}")
    assert (error.scope, error.retry_after) == (scope, seconds)


def test_wait_lasts_until_midnight_utc_when_a_daily_cap_is_spent() -> None:
    body = problem_body(429, title="UsageCapExceeded", kind=_BLANK, detail="", period="Daily")
    assert _classify(429, body).retry_after == 12 * 3600


def test_wait_is_taken_over_when_a_server_error_states_it() -> None:
    assert _classify(503, None, "read", {"Retry-After": "7"}).retry_after == 7


# status, body, class, code, scope
TOKEN_REFUSALS: list[tuple[str, int, object, type[x.XError], str, str]] = [
    ("code expired or used", 400, {"error": "invalid_request", "error_description":
     "Value passed for the authorization code was invalid."},
     x.InvalidGrantError, "code_expired", "call"),
    ("grant by its standard name", 400, {"error": "invalid_grant"},
     x.InvalidGrantError, "code_expired", "call"),
    ("stale refresh token", 400, {"error": "invalid_request", "error_description":
     "Value passed for the token was invalid."}, x.InvalidGrantError, "code_expired", "call"),
    ("wrong redirect", 400, {"error": "invalid_request", "error_description":
     "Value passed for the redirect uri did not match the uri of the authorization code."},
     x.RedirectMismatchError, "redirect_mismatch", "app"),
    ("wrong verifier", 400, {"error": "invalid_request", "error_description":
     "Value passed for the code verifier did not match the code challenge."},
     x.InvalidGrantError, "verifier_mismatch", "call"),
    ("no Basic header", 401, {"error": "unauthorized_client", "error_description":
     "Missing valid authorization header"}, x.InvalidClientError, "invalid_client", "app"),
    ("bad client", 401, {"error": "invalid_client"}, x.InvalidClientError, "invalid_client", "app"),
    ("bad client, no body", 401, None, x.InvalidClientError, "invalid_client", "app"),
    ("bad scope", 400, {"error": "invalid_scope"}, x.InvalidScopeError, "invalid_scope", "app"),
    ("unknown", 400, {"error": "odd"}, x.OAuthError, "oauth_failed", "call"),
    ("X down", 503, None, x.ServerError, "server_error", "call"),
    ("time-out said by a gateway", 408, None, x.ServerError, "request_timeout", "call"),
    ("too many", 429, None, x.RateLimitedError, "rate_limited_window", "account"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "error_class", "code", "scope"),
    [pytest.param(*row[1:], id=row[0]) for row in TOKEN_REFUSALS],
)
def test_error_is_typed_when_the_token_endpoint_refuses(
    status: int, body: object, error_class: type[x.XError], code: str, scope: str
) -> None:
    error = _classify(status, body, "token")
    assert (type(error), error.code, error.scope) == (error_class, code, scope)


@pytest.mark.parametrize(
    ("params", "error_class"),
    [
        ({"error": "access_denied"}, x.AccessDeniedError),
        ({"error": "invalid_scope"}, x.InvalidScopeError),
        (
            {"error": "invalid_request", "error_description": "redirect_uri"},
            x.RedirectMismatchError,
        ),
        ({"error": "server_error"}, x.OAuthError),
    ],
)
def test_error_is_typed_when_the_callback_brings(
    params: dict[str, str], error_class: type[x.OAuthError]
) -> None:
    assert type(classify_oauth_error(params)) is error_class


@pytest.mark.parametrize("base", ["https://api.twitter.com/2/problems/", "https://api.x.com/2/"])
def test_only_the_last_segment_counts_when_problem_types_have_either_host(base: str) -> None:
    body = problem_body(403, title="", kind=base + "client-forbidden", detail="")
    assert isinstance(_classify(403, body), x.AppNotAllowedError)


def test_an_error_survives_when_pickled_between_processes() -> None:
    error = _classify(429, None, "post", _headers(app_day=(1440, 0, 300)))
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is x.RateLimitedError
    assert back.__dict__ == error.__dict__
    assert str(back) == str(error)


def test_what_is_missing_is_named_when_scopes_lack() -> None:
    error = x.MissingScopeError(missing=frozenset({"dm.write", "dm.read"}))
    assert "dm.read, dm.write" in error.sentence
    assert pickle.loads(pickle.dumps(error)).missing == {"dm.write", "dm.read"}


def test_detail_is_cut_when_x_is_long_winded() -> None:
    assert len(_classify(403, _forbidden("x" * 5000)).detail) == 300
