"""From the openai package's exceptions to our errors."""

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from autores.llm.errors import (
    AccessDeniedError,
    ConnectError,
    ContentFilteredError,
    ContextTooLongError,
    EndpointNotFoundError,
    InvalidOutputError,
    KeyRejectedError,
    LlmError,
    ModelNotFoundError,
    ModelUnfitError,
    NoAnswerError,
    QuotaExhaustedError,
    RateLimitedError,
    RequestRejectedError,
    ServerError,
)

if TYPE_CHECKING:
    import openai

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "access_terminated",
        "quota_exceeded",
    }
)
FILTER_CODES = frozenset(
    {"content_filter", "content_policy_violation", "invalid_prompt", "moderation_blocked"}
)
# The same in every request: what is wrong with them is wrong for every mention.
_OUR_PARAMETERS = frozenset({"model", "text", "max_output_tokens", "store"})
KEY_LIKE = re.compile(r"\b(?:sk|sess|pk|org|proj)-[\w*.\-]{6,}|Bearer\s+\S+", re.IGNORECASE)
DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
SECONDS_PER = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_WAIT_SECONDS = 24 * 3600.0


def read_failure(error: "openai.OpenAIError", *, secret: str) -> LlmError:
    """Return our error for an exception of the openai package.

    `secret` is cut out of every text that is kept.
    """
    import openai

    if isinstance(error, openai.APIStatusError):
        return _read_status(error, secret=secret)
    if isinstance(error, openai.APIConnectionError):
        # The package wraps its transport's exception; its name tells whether anything left.
        cause = type(error.__cause__).__name__
        if cause in ("ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"):
            return ConnectError()
        return NoAnswerError()
    if isinstance(error, openai.APIResponseValidationError):
        return InvalidOutputError(status=error.status_code)
    return RequestRejectedError(detail=redact(str(error), secret=secret))


def redact(text: str, *, secret: str) -> str:
    """Cut the key, and whatever looks like one, out of a provider's message."""
    if secret:
        text = text.replace(secret, "[key]")
    return KEY_LIKE.sub("[key]", text)[:300]


def read_retry_after(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return how many seconds the provider asks us to wait, from 0 to a day; `now` is in Unix time.

    Reads Retry-After-Ms, Retry-After (seconds or a date), then the reset headers of whichever
    limit is used up.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        seconds = _number(headers.get("retry-after"))
    if seconds is None and headers.get("retry-after"):
        try:
            seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            seconds = None
    if seconds is None:
        resets = [
            _duration(headers.get(f"x-ratelimit-reset-{unit}"))
            for unit in ("requests", "tokens")
            if headers.get(f"x-ratelimit-remaining-{unit}") == "0"
        ]
        seconds = max((r for r in resets if r is not None), default=None)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _read_status(error: "openai.APIStatusError", *, secret: str) -> LlmError:
    status = error.status_code
    body: Any = error.body if isinstance(error.body, dict) else {}
    inner = body.get("error")
    fields = inner if isinstance(inner, dict) else body
    code = str(fields.get("code") or "")
    kind = str(fields.get("type") or "")
    message = str(fields.get("message") or "")
    known: dict[str, Any] = {
        "status": status,
        "request_id": error.request_id,
        "detail": redact(message, secret=secret) or None,
    }
    if status == 401:
        # OpenAI repeats part of the key in this message.
        return KeyRejectedError(status=status, request_id=error.request_id)
    if status in (402, 403, 429) and (code in QUOTA_CODES or kind in QUOTA_CODES or status == 402):
        return QuotaExhaustedError(**known)
    if status == 429:
        return RateLimitedError(
            retry_after=read_retry_after(error.response.headers, now=time.time()), **known
        )
    if status in (408, 504):
        return NoAnswerError(**known)
    if status >= 500 or status == 409:
        return ServerError(
            retry_after=read_retry_after(error.response.headers, now=time.time()), **known
        )
    if code in FILTER_CODES:
        return ContentFilteredError(**known)
    if code == "model_not_found" or (status == 404 and "model" in message.lower()):
        return ModelNotFoundError(**known)
    if status == 404:
        return EndpointNotFoundError(**known)
    if status == 403:
        return AccessDeniedError(**known)
    if code == "context_length_exceeded":
        return ContextTooLongError(**known)
    if str(fields.get("param") or "").partition(".")[0] in _OUR_PARAMETERS:
        return ModelUnfitError(**known)
    return RequestRejectedError(**known)


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value else None
    except ValueError:
        return None
    # "nan" and "inf" are numbers to float().
    return number if number is not None and abs(number) < 1e12 else None


def _duration(value: str | None) -> float | None:
    parts = DURATION_PART.findall(value or "")
    return sum(float(n) * SECONDS_PER[u] for n, u in parts) if parts else None
