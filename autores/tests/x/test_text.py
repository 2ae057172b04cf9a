import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autores.x.text import MAX_WEIGHTED_LENGTH, normalise_for_match, weighted_length
from autores.x.types import UrlEntity

_PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Mn", "Mc", "Me", "Cf")))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("hello", 5),
        ("Olá, tudo bem?", 14),
        ("日本語", 6),
        ("안녕", 4),
        ("Привет", 6),
        ("مرحبا", 5),
        ("👍", 2),
        ("👍🏽", 2),
        ("👨‍👩‍👧‍👦", 2),
        ("🇧🇷", 2),
        ("see https://example.com/" + "a" * 200, 27),
        ("see example.com", 27),
        ("“quoted” – yes…", 16),
        ("cafe\u0301", 4),
        ("@ana_team hi", 12),
        ("a" * 280, MAX_WEIGHTED_LENGTH),
        ("あ" * 140, MAX_WEIGHTED_LENGTH),
    ],
)
def test_length_is_as_x_counts_when_the_text_is(text: str, expected: int) -> None:
    assert weighted_length(text) == expected


@given(st.text())
@settings(deadline=None)
def test_length_is_a_count_when_the_text_is_anything(text: str) -> None:
    assert 0 <= weighted_length(text) <= 23 * max(len(text), 1)


@given(st.text(st.characters(exclude_categories=("Cs",))))
@settings(deadline=None)
def test_length_is_the_same_when_the_text_is_composed_or_decomposed(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    decomposed = unicodedata.normalize("NFD", text)
    assert weighted_length(decomposed) == weighted_length(composed) == weighted_length(text)


@given(
    st.text(alphabet="abcdefgh éñ日本語한글-", max_size=60),
    st.text(alphabet="xyz 日ß-", max_size=60),
)
@settings(deadline=None)
def test_lengths_add_up_when_texts_without_links_are_joined(left: str, right: str) -> None:
    assert weighted_length(left + right) == weighted_length(left) + weighted_length(right)


@given(st.integers(0, 300))
@settings(deadline=None)
def test_a_letter_costs_one_and_a_kana_two_when_added(count: int) -> None:
    assert weighted_length("a" * count + "あ") == count + 2


def test_half_a_surrogate_pair_is_counted_when_it_gets_in() -> None:
    assert weighted_length("a\ud83d") == weighted_length("a\ufffd")


def test_counting_stays_quick_when_the_text_is_long_and_nasty() -> None:
    started = time.perf_counter()
    for text in ("a." * 5000, "http://" * 2000, "👨‍👩‍👧" * 2000, "@a" * 5000, "/?=&" * 2500):
        weighted_length(text)
    assert time.perf_counter() - started < 5


def _link(url: str, expanded: str) -> UrlEntity:
    return UrlEntity(url=url, expanded_url=expanded, display_url=None, start=0, end=0)


@pytest.mark.parametrize(
    ("sent", "returned", "links"),
    [
        ("Thanks & see you < 5 > 3", "Thanks &amp; see you &lt; 5 &gt; 3", []),
        ("We open at 9", "@carla @bo We open at 9", []),
        ("See example.com", "See https://t.co/x", [("https://t.co/x", "http://example.com")]),
        (
            "See https://Example.com/",
            "@c See https://t.co/x",
            [("https://t.co/x", "https://example.com/")],
        ),
        ("Olá\r\n\r\nAna ", "Olá\n\nAna", []),
        ("cafe\u0301", "caf\u00e9", []),
        ("&amp; is an entity", "&amp;amp; is an entity", []),
        ("@carla, yes", "@bo @carla, yes", []),
    ],
)
def test_texts_match_when_x_only_changed_their_form(
    sent: str, returned: str, links: list[tuple[str, str]]
) -> None:
    entities = [_link(*link) for link in links]
    assert normalise_for_match(returned, entities) == normalise_for_match(sent)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("We open at 9", "We open at 10"),
        ("See example.com/a", "See example.com/b"),
        ("hello", "Hello"),
        ("ask @bo", "ask @carla"),
    ],
)
def test_texts_do_not_match_when_their_words_differ(one: str, other: str) -> None:
    assert normalise_for_match(one) != normalise_for_match(other)


@given(st.text())
@settings(deadline=None)
def test_matching_never_fails_when_the_text_is_anything(text: str) -> None:
    assert isinstance(normalise_for_match(text), str)


@given(_PLAIN)
@settings(deadline=None)
def test_a_text_matches_itself_when_x_escapes_it_and_adds_handles(text: str) -> None:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert normalise_for_match("@bo " + escaped) == normalise_for_match(text)
