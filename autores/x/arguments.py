"""What a caller of the client gives, checked before anything is sent to X. Pure.

All raise BadRequestError (``invalid_argument``).
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from autores.x.errors import BadRequestError
from autores.x.ids import is_post_id


def ids_param(ids: Iterable[str]) -> dict[str, str]:
    """The posts to look up, 1 to 100, each once."""
    wanted = list(dict.fromkeys(check_id(post_id, name="ids") for post_id in ids))
    if not 1 <= len(wanted) <= 100:
        raise invalid("ids", f"must hold 1 to 100 ids, not {len(wanted)}")
    return {"ids": ",".join(wanted)}


def range_params(
    since_id: str | None,
    until_id: str | None,
    start_time: datetime | None,
    end_time: datetime | None,
) -> dict[str, str]:
    """Between which ids (exclusive) or times."""
    params = {}
    if since_id is not None:
        params["since_id"] = check_id(since_id, name="since_id")
    if until_id is not None:
        params["until_id"] = check_id(until_id, name="until_id")
    if since_id is not None and until_id is not None and int(since_id) >= int(until_id):
        raise invalid("since_id", "must be less than until_id")
    if start_time is not None:
        params["start_time"] = _format_time(start_time, name="start_time")
    if end_time is not None:
        params["end_time"] = _format_time(end_time, name="end_time")
    return params


def page_params(max_results: int, pagination_token: str | None, *, low: int) -> dict[str, str]:
    """How many (``low`` to 100), and which page."""
    if not low <= max_results <= 100:
        raise invalid("max_results", f"must be {low} to 100, not {max_results}")
    params = {"max_results": str(max_results)}
    if pagination_token is not None:
        params["pagination_token"] = pagination_token
    return params


def _format_time(moment: datetime, *, name: str) -> str:
    if moment.tzinfo is None:
        raise invalid(name, "needs a time zone")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_id(value: str, *, name: str) -> str:
    """An id to be written into a path or a query."""
    if not is_post_id(value):
        raise invalid(name, f"must be 1 to 19 decimal digits, not {value!r:.60}")
    return value


def invalid(name: str, complaint: str) -> BadRequestError:
    """The error of a call that was not made: ``name`` is the argument."""
    return BadRequestError(
        f"The request to X was not sent: {name} {complaint}.", code="invalid_argument"
    )
