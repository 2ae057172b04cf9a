"""What a person is shown beside a text whose outcome nobody knows."""

from datetime import UTC, datetime

from autores.x.text import normalise_for_match
from mentions.outbox.likeness import Candidate, find_nearest


def make(post_id: str, text: str, *, is_to_parent: bool = False) -> Candidate:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    parent = "1" if is_to_parent else "2"
    return Candidate(post_id, text, normalise_for_match(text), at, parent, is_to_parent)


def test_those_to_the_same_post_come_first_then_the_likest() -> None:
    posts = [
        make("far", "Something else entirely, about the weather in Lisbon"),
        make("near", "Your order is on its way!"),
        make("nearer", "Your order is on its way."),
        make("parent", "Hello there", is_to_parent=True),
        make("third", "Your order is on its way, really"),
    ]
    found = find_nearest("Your order is on its way.", posts)
    assert [item.id for item in found] == ["parent", "nearer", "near"]
    assert found[1].likeness == 1.0
    assert found[0].to_json()["is_to_parent"]


def test_nothing_is_shown_when_nothing_is_like_it() -> None:
    assert find_nearest("Yes.", [make("a", "An answer to another question altogether")]) == []
    assert find_nearest("Yes.", []) == []
