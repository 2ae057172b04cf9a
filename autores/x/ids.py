"""Post ids carry their time: milliseconds since X's epoch in the bits above the lowest 22."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeGuard, cast

EPOCH = datetime.fromtimestamp(1288834974.657, tz=UTC)
MAX_POST_ID = 2**63 - 1
_TIME_SHIFT = 22
_LONGEST_ID = 19


def is_post_id(value: object) -> TypeGuard[str]:
    """Whether a value is an id as X writes it: a string of 1 to 19 decimal digits."""
    # Asked several times for each post of a page: a third of what a pattern takes.
    return (
        isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _LONGEST_ID
    )


def are_post_ids(values: Sequence[object]) -> TypeGuard[Sequence[str]]:
    """Whether all of the values are ids, and there are some: cheaper than to ask of each."""
    try:
        digits = "".join(cast(Sequence[str], values))
    except TypeError:
        return False
    if not (digits.isascii() and digits.isdigit()):
        return False
    lengths = [*map(len, cast(Sequence[str], values))]
    return min(lengths) > 0 and max(lengths) <= _LONGEST_ID


def created_at_of(post_id: str) -> datetime:
    """When the post with this id was made, to the millisecond, in UTC.

    Ids from before November 2010 carry no time: they all give a moment near X's epoch.
    Raises ValueError when the text is not an id.
    """
    if not is_post_id(post_id) or int(post_id) > MAX_POST_ID:
        raise ValueError(f"Not a post id: {post_id!r}. An id is 1 to 19 decimal digits.")
    return EPOCH + timedelta(milliseconds=int(post_id) >> _TIME_SHIFT)


def first_post_id_at(moment: datetime) -> str:
    """The lowest id a post made at this moment (to the millisecond) could have.

    `since_id` is exclusive: posts made at `moment` or later have ids >= the answer. A moment
    before X's epoch gives "0". Raises ValueError for a datetime without a time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("A datetime with a time zone is needed to make a post id.")
    milliseconds = (moment - EPOCH) // timedelta(milliseconds=1)
    return str(min(max(milliseconds, 0) << _TIME_SHIFT, MAX_POST_ID))
