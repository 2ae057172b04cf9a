"""What X's answer to a lookup proves."""

import pytest

from autores.x.types import PartialError, PostLookup
from mentions.recheck.verdicts import judge_lookup


def said(kind: str, *, post_id: str = "1", parameter: str = "ids") -> PartialError:
    return PartialError(kind, "", "", post_id, "post", parameter)


@pytest.mark.parametrize(
    ("shown", "errors", "verdict"),
    [
        (["1"], [], "shown"),
        (["1"], [said("resource-not-found")], "shown"),
        ([], [said("resource-not-found")], "gone"),
        ([], [said("not-authorized-for-resource")], "hidden"),
        ([], [said("resource-unavailable")], "hidden"),
        ([], [said("resource-not-found"), said("not-authorized-for-resource")], "hidden"),
        ([], [], "unsaid"),
        ([], [said("resource-not-found", post_id="2")], "unsaid"),
        # A post that another one refers to.
        ([], [said("resource-not-found", parameter="referenced_posts")], "unsaid"),
        ([], [said("resource-not-found", parameter="referenced_tweets.id")], "unsaid"),
    ],
)
def test_only_not_found_of_the_post_itself_means_gone(
    shown: list[str], errors: list[PartialError], verdict: str
) -> None:
    lookup = PostLookup(frozenset(shown), tuple(errors))
    assert judge_lookup(["1"], lookup) == {"1": verdict}
