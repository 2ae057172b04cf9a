"""Turns a refusal of X into its typed error. Tables, read from top to bottom; no I/O.

X's wording drifts, so details are matched loosely, and only where the status leaves more than
one meaning. Problem types come under api.twitter.com and api.x.com: only the last path segment
counts.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from autores.x import errors as x
from autores.x.limits import find_spent_limit, read_retry_after, seconds_until_utc_midnight
from autores.x.types import RateLimits

CallKind = Literal["read", "post", "delete", "dm", "token", "revoke"]
DETAIL_LENGTH = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error body says, whichever of X's shapes it has; all fields may be empty."""

    title: str = ""
    kind: str = ""
    detail: str = ""
    codes: frozenset[int] = frozenset()
    period: str = ""
    words: str = field(default="", repr=False)


def read_problem(body: object) -> Problem:
    """Reads problem+json, {"errors":[{code,message}]}, and {"error","error_description"}."""
    if not isinstance(body, Mapping):
        return Problem()
    entries = [entry for entry in _as_list(body.get("errors")) if isinstance(entry, Mapping)]
    first = entries[0] if entries else {}
    messages = [_text(entry.get("message") or entry.get("detail")) for entry in entries]
    title = _text(body.get("title")) or _text(body.get("error")) or _text(first.get("title"))
    detail = _text(body.get("detail")) or _text(body.get("error_description"))
    if not detail or (messages and detail.startswith("One or more parameters")):
        detail = " ".join(part for part in (detail, *messages) if part)
    codes = [body.get("code"), *(entry.get("code") for entry in entries)]
    kind = _text(body.get("type")) or _text(first.get("type"))
    return Problem(
        title=title,
        kind=kind.rstrip("/").rsplit("/", 1)[-1].lower(),
        detail=detail[:DETAIL_LENGTH],
        codes=frozenset(code for code in codes if type(code) is int),
        period=_text(body.get("period")).lower(),
        words=" ".join((title, detail, *messages, _text(body.get("reason")))).lower()[:4000],
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of a table: the first row whose every given condition holds decides."""

    error: type[x.XError]
    code: str = ""
    sentence: str = ""
    scope: x.Scope | None = None
    words: str = ""
    kinds: frozenset[str] = frozenset()
    codes: frozenset[int] = frozenset()
    calls: frozenset[CallKind] = frozenset()

    def matches(self, problem: Problem, *, call: CallKind) -> bool:
        if self.calls and call not in self.calls:
            return False
        return bool(
            (self.words and re.search(self.words, problem.words))
            or self.kinds & {problem.kind}
            or self.codes & problem.codes
            or not (self.words or self.kinds or self.codes)
        )


_POST = frozenset[CallKind]({"post"})
_DM = frozenset[CallKind]({"dm"})

_TARGET_GONE = Rule(
    x.ReplyTargetGoneError,
    words=r"(tweet|post) that is deleted|deleted or not visible|in_reply_to_tweet_id",
    calls=_POST,
    codes=frozenset({385}),
)

# Order matters: the summoned-only text also says "reply to this conversation is not allowed".
FORBIDDEN_RULES: tuple[Rule, ...] = (
    Rule(
        x.AppNotAllowedError,
        code="unsupported_authentication",
        kinds=frozenset({"unsupported-authentication"}),
        words=r"unsupported authentication|authenticating with .* is forbidden",
        sentence="X does not accept this kind of sign-in here. Connect accounts with OAuth 2.0.",
    ),
    Rule(
        x.AppNotAllowedError,
        kinds=frozenset({"client-forbidden"}),
        words=r"client[- ]not[- ]enrolled|client[- ]forbidden|access level|attached to a project",
        codes=frozenset({453}),
    ),
    Rule(x.DuplicateContentError, words=r"duplicate", codes=frozenset({187})),
    Rule(
        x.NotSummonedError,
        words=r"not (been )?mentioned|otherwise engaged|where you are mentioned|summoned",
    ),
    _TARGET_GONE,
    # A lock ends when its owner logs in; a suspension does not.
    Rule(
        x.LockedError,
        words=r"(your|this) account (is|has been) .{0,20}locked|temporarily locked"
        r"|to protect our users",
        codes=frozenset({326}),
    ),
    Rule(
        x.SuspendedError,
        words=r"(your|this) account (is|has been) .{0,20}suspended",
        codes=frozenset({64}),
    ),
    Rule(
        x.MissingScopeError,
        words=r"\bscopes?\b|oauth2? (app )?permissions?|permissions? .{0,40}token",
    ),
    Rule(
        x.ReplySettingsError,
        code="blocked_by_author",
        sentence="The author of this post blocked the account.",
        words=r"blocked",
        calls=_POST,
    ),
    Rule(
        x.ReplySettingsError,
        words=r"repl(y|ies)\b.{0,60}(restrict|limit|setting|not (allowed|permitted)|disabled)"
        r"|(restrict|limit)\w* who can reply|who can reply|can ?not reply",
        calls=_POST,
        codes=frozenset({433}),
    ),
    Rule(
        x.ForbiddenError,
        code="target_suspended",
        sentence="The other account is suspended on X.",
        words=r"user has been suspended",
        codes=frozenset({63}),
    ),
    Rule(x.SuspendedError, words=r"suspended"),
    Rule(
        x.ForbiddenError,
        code="not_visible",
        sentence="This account may not see or use that post or person on X.",
        kinds=frozenset({"not-authorized-for-resource", "not-authorized-for-field"}),
        calls=frozenset[CallKind]({"read", "delete"}),
    ),
    # Settings, a block and a missing scope look alike; a bare "Forbidden" says nothing.
    Rule(x.RecipientClosedError, calls=_DM),
    Rule(x.ForbiddenError),
)

OAUTH_RULES: tuple[Rule, ...] = (
    Rule(x.RedirectMismatchError, words=r"redirect"),
    Rule(
        x.InvalidClientError,
        words=r"invalid_client|unauthorized_client|authorization header|client[_ ]?(id|secret)",
    ),
    Rule(x.InvalidScopeError, words=r"invalid_scope"),
    Rule(x.AccessDeniedError, words=r"access_denied"),
    Rule(
        x.InvalidGrantError,
        code="verifier_mismatch",
        sentence="The sign-in was finished by a different browser than began it. Start again.",
        words=r"verifier|challenge",
    ),
    Rule(x.InvalidGrantError, words=r"invalid_grant|invalid_request.*\b(token|code)\b"),
    Rule(x.OAuthError),
)


def classify_refusal(
    status: int,
    body: object,
    *,
    call: CallKind,
    headers: Mapping[str, str],
    rate: RateLimits,
    now: datetime,
) -> x.XError:
    """The typed error for an answer with this status (400..599).

    body     the parsed JSON, or None when it was not JSON (an HTML page of a proxy, say)
    now      X's clock if the answer carried it: reset times are compared with it
    """
    problem = read_problem(body)
    facts: dict[str, Any] = {"status": status, "detail": problem.detail, "rate": rate}
    # 408 is said by whoever stands before X, too, who may have handed the request on.
    if status >= 500 or status == 408:
        return x.ServerError(
            **facts,
            code="request_timeout" if status == 408 else "server_error",
            is_outcome_unknown=call not in ("read", "revoke"),
            # A token call may be repeated: an old refresh token is either good or refused.
            retryable=call not in ("post", "dm"),
            retry_after=read_retry_after(headers, now=now),
        )
    if status == 429:
        return _classify_too_many(problem, facts, headers=headers, rate=rate, now=now)
    if call in ("token", "revoke"):
        return _classify_oauth(problem, facts, status=status)
    if body is None and status in (400, 403) and call in ("post", "dm"):
        # Only the body tells a post that is gone from a request that is wrong, and it was cut.
        return x.ServerError(
            "X refused, but its reason could not be read.",
            **facts,
            code="unread_refusal",
            is_outcome_unknown=True,
            retryable=False,
        )
    if status == 400:
        rule = _TARGET_GONE if _TARGET_GONE.matches(problem, call=call) else None
        return _build(rule, facts) if rule else x.BadRequestError(**facts)
    if status == 401:
        return x.UnauthorizedError(**facts)
    if status == 402:
        return x.CreditsDepletedError(**facts)
    if status == 403:
        rule = next(r for r in FORBIDDEN_RULES if r.matches(problem, call=call))
        return _build(rule, facts)
    if status in (404, 410):
        return x.NotFoundError(**facts)
    return x.BadRequestError(**facts, code=f"refused_{status}")


def classify_oauth_error(params: Mapping[str, str]) -> x.OAuthError:
    """The typed error for a callback's `error` and `error_description`."""
    problem = read_problem(dict(params))
    error = _build(
        next(r for r in OAUTH_RULES if r.matches(problem, call="token")), {"detail": problem.detail}
    )
    return error if isinstance(error, x.OAuthError) else x.OAuthError(detail=problem.detail)


def _classify_oauth(problem: Problem, facts: dict[str, Any], *, status: int) -> x.XError:
    rule = next(r for r in OAUTH_RULES if r.matches(problem, call="token"))
    # X answers 401 for a bad client in several wordings, some of them empty.
    if rule.error is x.OAuthError and status == 401:
        return x.InvalidClientError(**facts)
    return _build(rule, facts)


def _classify_too_many(
    problem: Problem,
    facts: dict[str, Any],
    *,
    headers: Mapping[str, str],
    rate: RateLimits,
    now: datetime,
) -> x.XError:
    is_cap = problem.kind == "usage-capped" or re.search(
        r"usagecapexceeded|usage cap|monthly (product )?cap", problem.words
    )
    if is_cap:
        is_daily = problem.period == "daily"
        return x.UsageCapError(
            **facts,
            retryable=is_daily,
            retry_after=seconds_until_utc_midnight(now) if is_daily else None,
        )
    limit, seconds = find_spent_limit(rate, now=now)
    stated = read_retry_after(headers, now=now)
    sentences = {
        "user_day": "This account's calls of this kind for the day are spent.",
        "app_day": "The app's calls of this kind for the day are spent, for all accounts.",
    }
    return x.RateLimitedError(
        sentences.get(limit, ""),
        **facts,
        limit=limit,
        code=f"rate_limited_{limit}",
        scope="app" if limit == "app_day" else "account",
        retry_after=max(seconds, stated or 0.0)
        if rate.window or limit != "window"
        else stated or seconds,
    )


def _build(rule: Rule, facts: dict[str, Any]) -> x.XError:
    return rule.error(rule.sentence, code=rule.code, scope=rule.scope, **facts)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
