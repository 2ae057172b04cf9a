"""What follows from a failed send: pure, an error in, the row's next state out."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

NextState = Literal["queued", "failed", "unknown"]

_FIRST_DELAY = timedelta(seconds=15)
_LONGEST_DELAY = timedelta(minutes=30)
# A reply that could not leave within a day answers nobody any more: a person should look.
GIVE_UP_AFTER = timedelta(hours=24)


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


def decide_after_failure(failure: Failure, *, attempts: int, age: timedelta) -> Decision:
    """Decide for a row that was tried ``attempts`` times (this one included), created ``age`` ago.

    - The outcome is not known: ``unknown``, which only reconciliation may leave.
    - X already has this text and we tried before: the earlier attempt may be the reason, so
      ``unknown`` again. At a first attempt somebody else posted it: ``failed``.
    - The cause lies with the account or the app (reconnect, credits, limits): wait.
    - X refused this text or this post: ``failed``, with a sentence.
    """
    if failure.is_outcome_unknown:
        return Decision("unknown", failure.code, failure.sentence)
    if failure.code == "duplicate_content" and attempts > 1:
        return Decision("unknown", failure.code, failure.sentence)
    if not failure.is_retryable and failure.scope == "call":
        return Decision("failed", failure.code, failure.sentence)
    if age >= GIVE_UP_AFTER:
        return Decision(
            "failed",
            failure.code,
            f"Not sent within {GIVE_UP_AFTER.total_seconds() / 3600:.0f} hours. {failure.sentence}",
        )
    return Decision("queued", failure.code, failure.sentence, _delay(failure, attempts))


def _delay(failure: Failure, attempts: int) -> timedelta:
    if failure.retry_after is not None:
        return min(timedelta(seconds=max(1.0, failure.retry_after)), GIVE_UP_AFTER)
    return min(_FIRST_DELAY * 2 ** min(max(attempts - 1, 0), 10), _LONGEST_DELAY)
