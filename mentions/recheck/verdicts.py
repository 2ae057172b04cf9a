"""What X's answer to a lookup says of each post: pure."""

from collections.abc import Iterable
from typing import Literal

from autores.x.types import PostLookup

# gone: X has no such post. hidden: it has, and does not show it to this account (protected,
# blocked, suspended). unsaid: X left it out without a word, which proves nothing.
Verdict = Literal["shown", "gone", "hidden", "unsaid"]

_NOT_FOUND = "resource-not-found"
# Errors about a post that another post refers to name another parameter.
_OUR_PARAMETERS = frozenset({"ids", "id", ""})


def judge_lookup(ids: Iterable[str], lookup: PostLookup) -> dict[str, Verdict]:
    """A verdict for each of ``ids``."""
    said: dict[str, set[str]] = {}
    for error in lookup.partial_errors:
        if error.parameter in _OUR_PARAMETERS:
            said.setdefault(error.resource_id, set()).add(error.kind)
    return {post_id: _judge(post_id, lookup, said.get(post_id, set())) for post_id in ids}


def _judge(post_id: str, lookup: PostLookup, kinds: set[str]) -> Verdict:
    if post_id in lookup.shown_ids:
        return "shown"
    if not kinds:
        return "unsaid"
    # Any other word beside "not found" is a doubt, and what is in doubt is kept.
    return "gone" if kinds == {_NOT_FOUND} else "hidden"
