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
        "amount", "payment_address", "messenger", "promise", "credentials", "leaked_prompt",
        "copied_mention",
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
        "a.", "a-", "a@", "1 ", "1.", "(", "x ", "@a",
        "h t", "é.", "no ", "1234 ", "dot ", "あ", "a-_", "-",
        "- ", "-_", "we will send ", "will send by ", "send your card ", "password ", "t . ",
    ],
)  # fmt: skip
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


MUST_BE_CAUGHT = {
    "link": [
        "Write to t . me/evil",
        "see t. me/evil",
        "t .me/evil now",
        "visit evil dot com",
        "visit evil d0t com",
        "evil [dot] com",
        "evil (.) com",
        "evil. com/login",
        "evil .com has it",
        "hxxp://evil.example/x",
        "h t t p s : / / evil . com",
        "wa . me/123",
        "goo. gl/xyz",
        "discord . gg/abc",
        "bit dot ly slash abc",
        "Glad it works.me too!",
        "evil . c o m has it",
        "evil.c om",
        "Go to evil_dot_com",
        "see evil-dot-com",
        "evil *dot* com",
        "evil d-o-t com",
        "evil dot c0m",
        "bit ly/abc",
        "evil..com",
    ],
    "handle": ["Please DM @ evil_support", "Ask @evil"],
    "promise": [
        "You will get cash back.",
        "You'll get cashback",
        "You won't be charged.",
        "You won’t be charged.",
        "We will not charge you.",
        "It's yours for nothing.",
        "It is half price today",
        "half-price for you",
        "half off for you",
        "That will be at our expense.",
        "We'll send a new one at our own cost",
        "We'll make a full repayment.",
        "We will repay you in full",
        "we'll pay you back",
        "Your money will be back in your account",
        "You'll be credited",
        "We'll waive the fee",
        "No extra cost for you",
        "It won't cost you a thing",
        "We'll cover the costs",
        "This one is on us!",
        "We are at fault here.",
        "This is our fault.",
        "It happened and we are to blame",
        "We're fully responsible",
        "You will have it by Friday.",
        "It arrives by Friday",
        "Friday is fine, so by Friday it is.",
        "It will be fixed in 2 days.",
        "We'll fix it in two days",
        "We’ll fix it tomorrow.",
        "It ships on Monday",
        "You'll have it next week",
        "It will be delivered today",
        "We'll get back to you tomorrow.",
        "Se lo enviamos sin cargo",
        "Zum halben Preis für dich",
        "Your money will be returned tomorrow.",
        "Your money has been sent back",
        "We've credited your account.",
        "We'll send you a replacement.",
        "We owe you a coffee.",
        "We take full responsibility for it",
        "You see us accept liability here",
    ],
    "credentials": [
        "Please send us your password.",
        "DM us your card number",
        "Tell us your PIN",
        "Reply with the one-time code",
        "What's the code we sent you?",
        "DM us your account number",
        "Send me your CVV",
        "Share your date of birth",
        "DM us your passport",
        "Confirm your OTP",
        "Your login details please",
        "What is your social security number?",
        "Your seed phrase please",
        "Why don't you DM us your PIN?",
        "Schick uns dein Passwort",
        "Envíanos tu contraseña",
        "Пришлите ваш пароль",
        "パスワードを教えてください",
        "请提供您的验证码",
        "Reply with the digits on the back of your card",
        "Tell us the last four digits",
        "Your pass word please",
        "Please post your email address and phone number here",
        "Leave your phone number in the comments",
    ],
}
HARMLESS = [
    "thanks, see you Friday!",
    "What's your favourite?",
    "Thanks, see you tomorrow!",
    "See you Friday at the fair, we can't wait.",
    "We are open tomorrow from nine.",
    "Hello from Friday's shift!",
    "We'll be at the fair on Friday, come and say hello!",
    "Have a nice weekend, back on Monday!",
    "Talk to you tomorrow!",
    "Let us know how it goes tomorrow.",
    "Ready for the weekend?",
    "Good luck in 2 days!",
    "Did it arrive by Friday?",
    "Can you tell us whether it was delivered today?",
    "When did you order it? Two days ago?",
    "How did it go on Friday?",
    "By the way, Friday was fun.",
    "Is it working again on your side?",
    "Have you tried to reset your password?",
    "You can reset your password in the settings.",
    "Never share your password or PIN with anyone, not even us.",
    "We will never ask for your password.",
    "Please do not post your card number here.",
    "Did you get the one-time code by text?",
    "Could you DM us your order number?",
    "DM us your order number and we'll have a look.",
    "Could you send us a DM with more details?",
    "What's your order number?",
    "What is the error code on the screen?",
    "Please check the code on the box.",
    "Great pin! Where did you get it?",
    "Which version do you see?",
    "Nothing beats a good coffee on Monday.",
    "All that work for nothing, we know the feeling!",
    "Thanks for the cash desk story!",
    "The battery is fully charged after an hour.",
    "You won't be disappointed.",
    "Half the team loves it.",
    "The fault light is on, right?",
    "No fault of yours!",
    "It wasn't our fault, but it's ours to look at.",
    "Is this at your expense or the company's?",
    "Thank you for the card! It's lovely.",
    "We're on it, thanks for waiting.",
    "It depends on us all.",
    "That is a good point. In the end it works.",
    "Sorry. To be honest, we don't know.",
    "It's the dot com era again!",
    "We owe you an apology.",
    "We owe you a proper explanation.",
    "See you @ noon!",
    "Wait..come again?",
    "Could you DM us your email address?",
    "Please don't post your phone number here.",
    "We wrote about it in the comments.",
    "Is it a bit in/out of focus?",
    "Put the dot on the map.",
    "We take it seriously.",
    "Did you get the replacement part?",
    "A dot on the map, a com on the badge.",
    "Works for me. To be fair, it is slow.",
    "It is live. So good to see it. Co-workers cheer.",
    "We'll take a look.",
    "We'll look into it and come back to you.",
]


@pytest.mark.parametrize(
    ("text", "code"), [(text, code) for code, texts in MUST_BE_CAUGHT.items() for text in texts]
)
def test_draft_is_held_back_when_it_binds_or_misleads(text: str, code: str) -> None:
    assert code in list_codes(check(text))


@pytest.mark.parametrize("text", HARMLESS)
def test_draft_is_let_through_when_it_is_harmless(text: str) -> None:
    assert list_codes(check(text)) == set()


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Your parcel will arrive in 2 days.", "Parcels arrive in 2 days."),
        ("You get cash back on it.", "Every bottle: cash back at the till."),
        ("It ships on Monday.", "What is ordered at the weekend ships on Monday."),
    ],
)
def test_promise_is_let_through_when_the_account_makes_it_itself(text: str, source: str) -> None:
    assert list_codes(check(text)) == {"promise"}
    assert list_codes(check(text, allowed_sources=[source])) == set()


def test_credentials_are_held_back_when_the_account_itself_asks_for_them() -> None:
    text = "Please send us your password."
    assert list_codes(check(text, allowed_sources=[text])) == {"credentials"}
