"""A text of ours and what X makes of it are equal to the matcher, and nothing else is."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from autores.sandbox.text import compose
from autores.x.text import normalise_for_match
from autores.x.types import UrlEntity

_WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp", "Mn")),
    min_size=1,
    max_size=12,
)
_PIECES = st.one_of(
    _WORDS,
    st.sampled_from(
        [
            "https://acme.example/track?id=1&lang=de",
            "http://ACME.example/",
            "acme.example/a_b",
            "https://t.co/AbCdEfGhIj",
            "&",
            "&amp;",
            "&lt;",
            "<b>",
            "a<b",
            "R&D",
            "@bo",
            "@acme_team",
            "#help",
            "$ACME",
            "👨‍👩‍👧",
            "cafe\u0301",
            "日本語",
            "1.5",
            "e.g.",
            "…",
        ]
    ),
)
_TEXTS = st.lists(
    st.tuples(_PIECES, st.sampled_from([" ", "  ", "\n", "\n\n", " \n"])), min_size=1, max_size=12
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
_HANDLES = st.lists(st.sampled_from(["lena", "acme", "Some_Body1"]), max_size=3)


def on_x(text: str, leading: list[str]) -> tuple[str, tuple[UrlEntity, ...]]:
    composed = compose(text, leading=leading, find_user=lambda name: (1, name))
    urls = tuple(
        UrlEntity(
            url=entity["url"],
            expanded_url=entity["expanded_url"],
            display_url=entity["display_url"],
            start=entity["start"],
            end=entity["end"],
        )
        for entity in composed.entities.get("urls", [])
    )
    return composed.text, urls


@given(text=_TEXTS, leading=_HANDLES)
@settings(deadline=None)
def test_text_matches_what_x_made_of_it(text: str, leading: list[str]) -> None:
    assert normalise_for_match(*on_x(text, leading)) == normalise_for_match(text)


@given(text=_TEXTS, leading=_HANDLES)
@settings(deadline=None)
def test_normal_form_stays_as_it_is_when_it_is_made_again(text: str, leading: list[str]) -> None:
    normal = normalise_for_match(*on_x(text, leading))
    assert normalise_for_match(normal) == normal


@given(one=st.lists(_WORDS, min_size=1, max_size=6), other=st.lists(_WORDS, min_size=1, max_size=6))
@settings(deadline=None)
def test_texts_differ_when_their_words_do(one: list[str], other: list[str]) -> None:
    plain = [
        unicodedata.normalize("NFC", " ".join(w for w in words if w.isalnum()))
        for words in (one, other)
    ]
    if plain[0] != plain[1]:
        assert normalise_for_match(plain[0]) != normalise_for_match(plain[1])
