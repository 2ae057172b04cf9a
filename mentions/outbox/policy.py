"""What follows from a failed send: pure, an error in, the row's next state out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

NextState = Literal["queued", "failed", "unknown"]

_FIRST_DELAY = timedelta(seconds=15)
_LONGEST_DELAY = timedelta(minutes=30)
# What does not pass by itself is looked at this often; a resumed account or app wakes its rows.
_WAITING_DELAY = timedelta(minutes=10)
# A reply that could not leave within a day answers nobody any more, whatever held it up: a person
# should look.
GIVE_UP_AFTER = timedelta(hours=24)
TOO_LATE = "too_late"
# The account is the cause, and waiting does not help: only its owner does, on X or by consent.
_ENDS_THE_ROW = frozenset({"account_suspended", "missing_scope"})
_NOT_COUNTED_BY_X = frozenset({401, 402, 429})


@dataclass(frozen=True, slots=True)
class Failure:
    """What the stage knows of an error from X, from the token store or from a pause."""

    code: str
    sentence: str
    is_retryable: bool
    retry_after: float | None = None
    is_outcome_unknown: bool = False
    # "call": this text to this post; "account" and "app": nothing to do with the text.
    scope: str = "call"


@dataclass(frozen=True, slots=True)
class Decision:
    """The next state; for ``queued`` how long to wait; code and sentence for a person."""

    state: NextState
    code: str
    sentence: str
    delay: timedelta = timedelta(0)


def is_certainly_unsent(*, status: int | None, is_outcome_unknown: bool) -> bool:
    """Whether an error of X or the network says that the write neither happened nor counts.

    Without a status nothing was answered: the request did not leave, unless its outcome is unknown.
    """
    return not is_outcome_unknown and (status is None or status in _NOT_COUNTED_BY_X)


def say_too_late(reason: str) -> str:
    """The sentence of a row that waited for too long; ``reason`` is what it waited for."""
    return f"Not sent within {GIVE_UP_AFTER.total_seconds() / 3600:.0f} hours. {reason}".rstrip()


def decide_after_failure(
    failure: Failure, *, attempts: int, departures: int, age: timedelta
) -> Decision:
    """Decide for a row that was tried ``attempts`` times, this one included, and was due ``age``
    ago. ``departures`` of the attempts may have reached X.

    - The outcome is not known: ``unknown``, which only reconciliation may leave.
    - X already has this text and an earlier attempt may have reached it: that one may be the
      reason, so ``unknown`` again. Otherwise somebody else posted it: ``failed``.
    - X refused this text or this post, or takes nothing of this account: ``failed``, with a
      sentence.
    - The cause lies elsewhere (reconnect, credits, limits, a failing X): wait.
    """
    if failure.is_outcome_unknown:
        return Decision("unknown", failure.code, failure.sentence)
    if failure.code == "duplicate_content" and departures > 1:
        return Decision("unknown", failure.code, failure.sentence)
    if failure.code in _ENDS_THE_ROW or (not failure.is_retryable and failure.scope == "call"):
        return Decision("failed", failure.code, failure.sentence)
    if age >= GIVE_UP_AFTER:
        return Decision("failed", failure.code, say_too_late(failure.sentence))
    return Decision("queued", failure.code, failure.sentence, _delay(failure, attempts))


def _delay(failure: Failure, attempts: int) -> timedelta:
    if failure.retry_after is not None:
        return min(timedelta(seconds=max(1.0, failure.retry_after)), GIVE_UP_AFTER)
    if not failure.is_retryable:
        return _WAITING_DELAY
    return min(_FIRST_DELAY * 2 ** min(max(attempts - 1, 0), 10), _LONGEST_DELAY)
