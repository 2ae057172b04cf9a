"""Errors of calls to X, and of connecting accounts, as the API's problem documents."""

from accounts.errors import (
    AccountError,
    AppPausedError,
    LinkRefusedError,
    ReconnectNeededError,
    TokenUnreadableError,
)
from autores.problems import ApiProblem
from autores.x import errors as x

# First match decides: narrower types stand before their bases.
_STATUS_BY_ERROR: tuple[tuple[type[Exception], int], ...] = (
    (AppPausedError, 503),
    (ReconnectNeededError, 409),
    (TokenUnreadableError, 500),
    (x.CreditsDepletedError, 402),
    (x.UsageCapError, 503),
    (x.RateLimitedError, 503),
    (x.NoAnswerError, 504),
    (x.ConnectError, 502),
    (x.ServerError, 502),
    (x.ContractError, 502),
    (x.AccessDeniedError, 403),
    (x.InvalidGrantError, 400),
    (x.StateMismatchError, 400),
    (x.RedirectMismatchError, 502),
    (x.InvalidClientError, 502),
    (x.InvalidScopeError, 502),
    (x.OAuthError, 400),
    (x.AppNotAllowedError, 502),
    (x.ForbiddenError, 403),
    (x.NotFoundError, 404),
    (x.UnauthorizedError, 409),
    (x.BadRequestError, 422),
)


def problem_for(error: AccountError | x.XError) -> ApiProblem:
    """The answer for a call to X that failed or was not made. Never repeats X's own words."""
    if isinstance(error, LinkRefusedError):
        status = error.status_code
    elif isinstance(error, AccountError):
        status = _find_status(error, default=503 if error.retryable else 409)
    else:
        status = _find_status(error, default=502)
    return ApiProblem(
        error.code,
        error.sentence,
        status_code=status,
        retry_after=error.retry_after,
        retryable=error.retryable,
    )


def _find_status(error: Exception, *, default: int) -> int:
    return next((status for kind, status in _STATUS_BY_ERROR if isinstance(error, kind)), default)
