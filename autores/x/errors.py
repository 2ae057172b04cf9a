"""Every way a call to X can fail, as types.

Each error carries what the caller needs to decide and what a person needs to read:

code                stable snake_case name, for APIs, logs and metrics
sentence            what happened and what to do, for a person
retryable           the same call may be sent again without harm, and may then succeed
retry_after         seconds to wait before that; None when X gave no hint
is_outcome_unknown  a write left and no answer settled it: never resend, read X back
scope               who is affected: this "call", the whole "account", or every account ("app")
status              HTTP status; None when no answer came
detail              X's own words, shortened and free of secrets
rate                the rate-limit headers of the answer, when there was one
endpoint            name of the endpoint (autores.x.endpoints); "" for what is none, such as tokens
"""

from typing import Any, Literal, Self

from autores.x.types import RateLimits

Scope = Literal["account", "app", "call"]
LimitKind = Literal["window", "user_day", "app_day"]


class XError(Exception):
    """Base of all: whatever X or the network does, callers see only this."""

    default_code = "x_error"
    default_sentence = "X could not do what was asked."
    default_retryable = False
    default_scope: Scope = "call"

    def __init__(
        self,
        sentence: str = "",
        *,
        code: str = "",
        status: int | None = None,
        detail: str = "",
        retryable: bool | None = None,
        retry_after: float | None = None,
        is_outcome_unknown: bool = False,
        scope: Scope | None = None,
        rate: RateLimits | None = None,
    ) -> None:
        self.sentence = sentence or self.default_sentence
        self.code = code or self.default_code
        self.status = status
        self.detail = detail
        self.retryable = self.default_retryable if retryable is None else retryable
        self.retry_after = retry_after
        self.is_outcome_unknown = is_outcome_unknown
        self.scope: Scope = scope or self.default_scope
        self.rate = rate
        self.endpoint = ""
        super().__init__(self.sentence)

    def __str__(self) -> str:
        said = f" X said: {self.detail}" if self.detail else ""
        return f"[{self.code}] {self.sentence}{said}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, status={self.status})"

    # Celery pickles errors between processes; keyword arguments need saying how.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), dict(self.__dict__)))

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        error = cls.__new__(cls)
        error.__dict__.update(state)
        error.args = (state["sentence"],)
        return error


def _rebuild(error_class: type[XError], state: dict[str, Any]) -> XError:
    return error_class._from_state(state)


# ---- the request was refused for what it is -------------------------------------------------


class BadRequestError(XError):
    """400, or an argument refused before anything was sent (`status` is then None)."""

    default_code = "bad_request"
    default_sentence = "X did not understand the request."


class ReplyTargetGoneError(BadRequestError):
    """The post to reply to was deleted or cannot be seen by this account (400 or 403)."""

    default_code = "reply_target_gone"
    default_sentence = "The post to reply to was deleted or is not visible to this account."


class UnauthorizedError(XError):
    """401: refresh the token once; when that does not help, the account must reconnect."""

    default_code = "unauthorized"
    default_sentence = "X no longer accepts this account's sign-in. Reconnect the account."
    default_scope: Scope = "account"


class CreditsDepletedError(XError):
    """402: the app's prepaid credits are used up; every account is affected."""

    default_code = "credits_depleted"
    default_sentence = (
        "The app's X API credits are used up. Add credits in X's developer console, "
        "then resume calls to X."
    )
    default_scope: Scope = "app"


class NotFoundError(XError):
    """404, or a lookup that answered with "not found" and no data."""

    default_code = "not_found"
    default_sentence = "X does not have it (any more)."


# ---- 403, told apart by X's words -----------------------------------------------------------


class ForbiddenError(XError):
    """403. One whose words are not known is permanent, and for a person to look at."""

    default_code = "forbidden"
    default_sentence = "X refused. The reason it gave is shown; sending again will not help."


class DuplicateContentError(ForbiddenError):
    """The same text was posted recently, perhaps by an earlier attempt of ours."""

    default_code = "duplicate_content"
    default_sentence = "X already has a post with this text from this account. Change the text."


class NotSummonedError(ForbiddenError):
    """The author of the post neither mentioned nor quoted this account."""

    default_code = "not_summoned"
    default_sentence = (
        "X lets this app reply only to people who mentioned or quoted the account. "
        "Reply by hand on X, or by direct message."
    )


class ReplySettingsError(ForbiddenError):
    """The author limited who can reply, or blocked the account."""

    default_code = "reply_settings"
    default_sentence = "The author limited who can reply to this post."


class SuspendedError(ForbiddenError):
    """X suspended the connected account."""

    default_code = "account_suspended"
    default_sentence = "X suspended this account. Sign in on X to see what it asks for."
    default_scope: Scope = "account"


class LockedError(SuspendedError):
    """X locked the account until its owner logs in there: what it would send can wait."""

    default_code = "account_locked"
    default_sentence = "X locked the account for now: log in on x.com as it, which unlocks it."


class MissingScopeError(ForbiddenError):
    """The account's token lacks a permission. `missing` names the scopes, when known."""

    default_code = "missing_scope"
    default_sentence = "The account did not grant the permission this needs. Reconnect it."
    default_scope: Scope = "account"

    def __init__(
        self, sentence: str = "", *, missing: frozenset[str] = frozenset(), **facts: Any
    ) -> None:
        self.missing = missing
        if missing and not sentence:
            sentence = (
                f"The account did not grant: {', '.join(sorted(missing))}. "
                "Reconnect it and allow everything asked for."
            )
        super().__init__(sentence, **facts)


class RecipientClosedError(ForbiddenError):
    """The person cannot be sent a direct message: their settings, or a block."""

    default_code = "recipient_closed"
    default_sentence = (
        "X does not let this account message this person: their settings or a block. "
        "Reply in public and ask them to write first."
    )


class AppNotAllowedError(ForbiddenError):
    """The app itself lacks access: plan, enrolment, or kind of authentication."""

    default_code = "app_not_allowed"
    default_sentence = (
        "X does not let this app use this part of its API. Check the app's plan, project "
        "and permissions in X's developer console."
    )
    default_scope: Scope = "app"


# ---- budgets --------------------------------------------------------------------------------


class RateLimitedError(XError):
    """429: a budget of calls is spent until `retry_after` seconds from now. `limit` says which."""

    default_code = "rate_limited_window"
    default_sentence = "X's limit for this kind of call is reached; it opens again by itself."
    default_retryable = True
    default_scope: Scope = "account"

    def __init__(self, sentence: str = "", *, limit: LimitKind = "window", **facts: Any) -> None:
        self.limit = limit
        super().__init__(sentence, **facts)


class KnownLimitError(RateLimitedError):
    """Refused unsent: an earlier answer said that this endpoint's window is still closed."""

    default_code = "endpoint_closed"


class UsageCapError(XError):
    """429 with UsageCapExceeded: the plan's monthly (or daily) cap; the headers look healthy."""

    default_code = "usage_cap"
    default_sentence = (
        "The app has used up what its X API plan allows. Raise the cap in X's developer "
        "console or wait for the next period, then resume calls to X."
    )
    default_scope: Scope = "app"


# ---- X or the network failed ----------------------------------------------------------------


class ServerError(XError):
    """5xx. On a write the outcome is unknown: the post may exist."""

    default_code = "server_error"
    default_sentence = "X failed on its side."
    default_retryable = True


class NoAnswerError(XError):
    """The request left and no whole answer came: time-out, or the connection was cut."""

    default_code = "no_answer"
    default_sentence = "X did not answer in time, or the connection was cut."
    default_retryable = True


class ConnectError(XError):
    """X could not be reached, so nothing was sent."""

    default_code = "connect_failed"
    default_sentence = "X could not be reached. Nothing was sent."
    default_retryable = True


class ContractError(XError):
    """X's answer is not what its documentation promises; `field` names what is wrong or missing.

    On a write that X accepted, the outcome is unknown.
    """

    default_code = "unexpected_answer"
    default_sentence = "X answered in a form Autores does not understand."

    def __init__(self, sentence: str = "", *, field: str = "", **facts: Any) -> None:
        self.field = field
        super().__init__(sentence, **facts)


class ErrorsOnlyError(ContractError):
    """A 200 that holds X's reasons (`detail` the first) instead of what was asked for."""

    default_code = "errors_only"
    default_sentence = "X answered with errors instead of posts or messages."


class EndlessPagesError(ContractError):
    """Page after page without anything on it, each with a token for one more."""

    default_code = "endless_pages"
    default_sentence = "X gave page after page without a post on it; the reading was ended."


# ---- connecting an account ------------------------------------------------------------------


class OAuthError(XError):
    """The OAuth flow was refused in a way that has no type of its own."""

    default_code = "oauth_failed"
    default_sentence = "X refused to connect the account. Start again from the connect page."


class AccessDeniedError(OAuthError):
    """The person said no on X's consent page."""

    default_code = "access_denied"
    default_sentence = "Access was not granted on X. Start again and choose “Authorize app”."


class StateMismatchError(OAuthError):
    """The callback does not belong to the flow this browser began."""

    default_code = "state_mismatch"
    default_sentence = "This sign-in was not begun here, or is too old. Start again."


class InvalidGrantError(OAuthError):
    """The code or the refresh token is expired, used or revoked (codes tell which).

    code_expired: begin the flow again. refresh_token_rejected (scope "account"): the account
    must reconnect; trying again never helps.
    """

    default_code = "code_expired"
    default_sentence = "X's one-time code expired or was used already. Start again."


class RedirectMismatchError(OAuthError):
    """The callback address is not one registered for the app, or changed during the flow."""

    default_code = "redirect_mismatch"
    default_sentence = (
        "The callback address does not match the one registered for the app. "
        "Make TWITTER_CALLBACK_URL and X's developer console agree, letter by letter."
    )
    default_scope: Scope = "app"


class InvalidClientError(OAuthError):
    """X does not know the app, or its secret is wrong."""

    default_code = "invalid_client"
    default_sentence = (
        "X does not accept the app's client id and secret. Check TWITTER_CLIENT_ID and "
        "TWITTER_CLIENT_SECRET (the OAuth 2.0 pair, not the API key)."
    )
    default_scope: Scope = "app"


class InvalidScopeError(OAuthError):
    """The app asks for a permission X does not offer to it."""

    default_code = "invalid_scope"
    default_sentence = (
        "X does not offer one of the permissions the app asks for. Check the app's settings."
    )
    default_scope: Scope = "app"
