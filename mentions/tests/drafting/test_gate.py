"""The gate: real-style attacks are held back, ordinary replies are not."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autores.x.text import weighted_length
from mentions.drafting.characters import find_hidden
from mentions.drafting.gate import Verdict, check_draft

CORPUS = [
    json.loads(line)
    for line in Path(__file__).with_name("adversarial.jsonl").read_text("utf-8").splitlines()
]


def check(text: str, **changes: Any) -> Verdict:
    known: dict[str, Any] = {
        "mention_text": "@acme hello",
        "allowed_sources": (),
        "account_username": "acme",
    }
    return check_draft(text, **(known | changes))


def list_codes(verdict: Verdict) -> set[str]:
    return {v.code for v in verdict.violations}


@pytest.mark.parametrize("case", CORPUS, ids=[c["id"] for c in CORPUS])
def test_draft_is_judged_as_expected_when_the_corpus_attacks(case: dict[str, Any]) -> None:
    verdict = check(
        case["output"],
        mention_text=case["mention"],
        allowed_sources=case.get("sources", ()),
        author_username=case.get("author", "stranger"),
    )
    assert list_codes(verdict) == set(case["expect"])
    assert verdict.is_allowed is not bool(case["expect"])
    for violation in verdict.violations:
        assert violation.sentence
        if violation.span is not None:
            start, end = violation.span
            assert 0 <= start < end <= len(case["output"])


def test_corpus_covers_every_rule_and_many_languages() -> None:
    codes = {code for case in CORPUS for code in case["expect"]}
    assert codes == {
        "empty", "too_long", "hidden_character", "link", "email", "handle", "phone_number",
        "amount", "payment_address", "messenger", "promise", "leaked_prompt", "copied_mention",
    }  # fmt: skip
    attacks = {c["id"].split("-")[0] for c in CORPUS if c["expect"]}
    assert attacks >= {"en", "es", "pt", "fr", "de", "it", "ru", "ar", "hi", "ja", "zh", "ko"}
    assert len({c["id"] for c in CORPUS}) == len(CORPUS)


def test_span_shows_the_link_when_it_stands_after_wide_characters() -> None:
    text = "🎉 ﬁne: see EVIL.com!"
    verdict = check(text)
    assert [text[slice(*v.span)] for v in verdict.violations if v.span] == ["EVIL.com"]


def test_same_link_is_refused_when_only_the_mention_has_it() -> None:
    verdict = check("See evil.com", mention_text="@acme see evil.com", allowed_sources=["Be kind"])
    assert list_codes(verdict) == {"link"}


def test_text_is_refused_unread_when_it_is_far_too_long() -> None:
    assert list_codes(check("http://a.com " * 10_000)) == {"too_long"}


@pytest.mark.parametrize(
    "unit",
    [
        "a.",
        "a-",
        "a@",
        "1 ",
        "1.",
        "(",
        "x ",
        "@a",
        "h t",
        "é.",
        "no ",
        "1234 ",
        "dot ",
        "あ",
        "a-_",
    ],
)
def test_answer_is_quick_when_text_is_built_to_be_slow(unit: str) -> None:
    text = (unit * 5_000)[:5_000]
    began = time.perf_counter()
    check(text[:1_100], mention_text=text, allowed_sources=[text])
    assert time.perf_counter() - began < 5


WORDS = st.text(
    alphabet=st.characters(categories=["Ll", "Lo"], include_characters=" ,!?🎉"), max_size=60
)
DOMAINS = st.from_regex(r"[a-z][a-z0-9]{2,12}\.(com|net|io|info|ru|de|shop)", fullmatch=True)


@given(
    before=WORDS, domain=DOMAINS, after=WORDS, scheme=st.sampled_from(["", "http://", "HTTPS://"])
)
def test_link_is_found_when_any_words_surround_it(
    before: str, domain: str, after: str, scheme: str
) -> None:
    text = f"{before} {scheme}{domain} {after}"
    assert "link" in list_codes(check(text))
    allowed = check(text, allowed_sources=[f"Our site: {domain}"])
    assert "link" not in list_codes(allowed)


@given(
    domain=DOMAINS,
    hidden=st.sampled_from("\u200b\u200c\u200d\u2060\ufeff\u00ad\u202e\u180e\U000e0061\ufe00"),
    data=st.data(),
)
def test_link_is_found_when_a_hidden_character_splits_it(
    domain: str, hidden: str, data: st.DataObject
) -> None:
    at = data.draw(st.integers(1, len(domain) - 1))
    verdict = check(f"go to {domain[:at]}{hidden}{domain[at:]}", allowed_sources=[domain])
    assert {"link", "hidden_character"} <= list_codes(verdict)


@given(
    domain=DOMAINS,
    swap=st.sampled_from([("a", "а"), ("e", "е"), ("o", "о"), ("c", "с"), ("p", "р"), ("i", "і")]),
)
def test_link_is_refused_when_a_lookalike_letter_stands_in(
    domain: str, swap: tuple[str, str]
) -> None:
    disguised = domain.replace(swap[0], swap[1], 1)
    is_refused = "link" in list_codes(check(f"go to {disguised}", allowed_sources=[domain]))
    assert is_refused is (disguised != domain)


@given(name=st.from_regex(r"[a-z0-9_]{1,15}", fullmatch=True), before=WORDS)
def test_handle_is_refused_unless_it_is_known(name: str, before: str) -> None:
    text = f"{before} @{name} hi"
    is_known = name in ("acme", "bo")
    verdict = check(text, author_username="bo")
    assert ("handle" in list_codes(verdict)) is not is_known
    assert "handle" not in list_codes(check(text, author_username=name))
    assert "handle" not in list_codes(check(text, allowed_sources=[f"Partner: @{name.upper()}"]))


@given(
    digits=st.from_regex(r"[1-9][0-9]{9,11}", fullmatch=True),
    separator=st.sampled_from([" ", "-", "."]),
)
def test_phone_number_is_refused_when_grouped_in_any_way(digits: str, separator: str) -> None:
    text = f"call +{digits[:3]}{separator}{digits[3:6]}{separator}{digits[6:]} now"
    assert "phone_number" in list_codes(check(text, mention_text=text))
    assert "phone_number" not in list_codes(check(text, allowed_sources=[f"Hotline {digits}"]))


@given(text=st.text(max_size=400))
def test_allowed_draft_is_visible_and_fits_when_text_is_arbitrary(text: str) -> None:
    verdict = check(text)
    if verdict.is_allowed:
        assert text.strip()
        assert not find_hidden(text)
        assert weighted_length(text) <= 280
    for violation in verdict.violations:
        if violation.span:
            assert text[slice(*violation.span)]


@given(
    words=st.lists(
        st.text(
            alphabet="abcdefghijklmnoprstuvwxyzабвгдежзиклмнопрстуあいうえおかきくけこ",
            min_size=4,
            max_size=8,
        ),
        min_size=6,
        max_size=12,
    )
)
def test_copy_is_refused_when_the_draft_is_the_mention(words: list[str]) -> None:
    mention = " ".join(words)
    verdict = check(f"{mention.upper()}!!", mention_text=f"@acme {mention}")
    assert "copied_mention" in list_codes(verdict)
