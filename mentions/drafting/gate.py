"""The last check of a draft before a person sees it: plain rules that no model can talk away.

Pure. The gate trusts neither the mention nor the model: what a draft may publish stands in the
account's own words, or it is held back.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from autores.x.text import MAX_WEIGHTED_LENGTH, weighted_length
from mentions.drafting.characters import find_hidden, fold_pattern, fold_text, replace_lookalikes
from mentions.drafting.contacts import HANDLE, find_contacts, list_digit_runs
from mentions.drafting.credentials import find_credential_requests
from mentions.drafting.promises import Promise, find_promises
from mentions.drafting.prompt import FENCE, fixed_prompt_text

Span = tuple[int, int]

# Beyond this nothing could be posted anyway, and the searches below need not be paid for.
_MIN_CHECKED_CHARACTERS = 1_000
_CODE_POINTS_PER_UNIT = 4  # a family emoji has 11 code points and weighs 2
_LEAK_WORDS = 7
_COPIED_CHARACTERS = 20
_COPIED_SHARE = 0.6
_COMPARED_MENTION_CHARACTERS = 2_000

_SENTENCES = {
    "empty": "The draft is empty.",
    "too_long": "The draft is longer than X allows.",
    "hidden_character": "The draft holds invisible, control or direction-changing characters.",
    "link": "The draft holds a link that is not in the account's own material.",
    "email": "The draft holds an e-mail address that is not in the account's own material.",
    "handle": "The draft names an account other than the author and ourselves.",
    "phone_number": "The draft holds a phone number that is not in the account's own material.",
    "amount": "The draft names a price, amount or percentage that the account's material does not.",
    "payment_address": "The draft holds a payment address, key or other long code.",
    "messenger": "The draft points to a messenger that is not in the account's own material.",
    "promise": "The draft promises something that the account's own material does not.",
    "credentials": "The draft asks for a password, a code, or card, bank or identity details.",
    "leaked_prompt": "The draft repeats the instructions the model was given.",
    "copied_mention": "The draft repeats the mention, or says what the mention dictates.",
}
_LEAK_MARKS = re.compile(
    fold_pattern(
        rf"{FENCE}|answer_this|\"(?:kind|reasons|text|us|author)\"\s*:|no_reply\b"
        r"|(?:system|developer|hidden|initial|original) (?:prompt|instructions?)|system message"
        r"|my (?:system |original |initial |secret )?(?:instructions|prompt)"
        r"(?: (?:are|is|say|state)|:)"
        r"|i (?:was|am|have been) (?:instructed|programmed|told) to"
        r"|as an? (?:ai|artificial intelligence|large)(?: language)? (?:model|assistant)"
        r"|(?:mis|minhas) instruc\w+ (?:son|dicen|sao|dizem)|prompt d[eo]l? sistema"
        r"|meine (?:anweisungen|instruktionen) (?:lauten|sind)"
        r"|(?:mes|les) instructions (?:sont|disent)"
        r"|системн\w+ (?:промпт|инструкц\w+)|мои инструкции"
        r"|系统提示|系統提示|システムプロンプト|시스템 프롬프트"
        r"|ignor(?:e|ing) (?:all |any )?(?:previous|prior) instructions"
    )
)
_DENYING_RULE = re.compile(
    fold_pattern(
        r"(?<!\w)(?:never|not|don't|don’t|no|avoid|without|refuse|forbidden|nunca|jamas|sin|nao|sem|nicht"
        r"|kein\w*|nie|niemals|jamais|pas|aucun\w*|mai|non|niet|geen|nooit|не|никогда|нельзя|без)(?!\w)"
        r"|不要|不得|禁止|しない|ない|금지"
    )
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One reason to hold a draft back. `span` is where in the draft, None for the whole of it."""

    code: str
    sentence: str
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    violations: tuple[Violation, ...]

    @property
    def is_allowed(self) -> bool:
        return not self.violations


def check_draft(
    text: str,
    *,
    mention_text: str,
    allowed_sources: Sequence[str],
    account_username: str,
    author_username: str | None = None,
    max_weighted_length: int = MAX_WEIGHTED_LENGTH,
) -> Verdict:
    """Judge a draft.

    `allowed_sources` are the account's own words (its voice, its facts, the moderator's wish).
    Links, addresses, handles, numbers, amounts and promises may come from there only; the mention
    is no source, save for the author's handle and for order numbers of bare digits.
    """
    if len(text) > max(_MIN_CHECKED_CHARACTERS, _CODE_POINTS_PER_UNIT * max_weighted_length):
        return Verdict((_violation("too_long"),))
    if not fold_text(text).text.strip():
        return Verdict((_violation("empty"),))
    violations = [_violation("hidden_character", span) for span in find_hidden(text)]
    if weighted_length(text) > max_weighted_length:
        violations.append(_violation("too_long"))
    violations += _check_contacts(
        text,
        mention_text=mention_text,
        allowed_sources=allowed_sources,
        usernames=[u for u in (account_username, author_username) if u],
    )
    violations += _check_promises(text, allowed_sources=allowed_sources)
    violations += [_violation("credentials", span) for span in find_credential_requests(text)]
    violations += _check_leak(text)
    if _is_copied(text, mention_text=mention_text):
        violations.append(_violation("copied_mention"))
    return Verdict(tuple(violations))


def _check_contacts(
    text: str, *, mention_text: str, allowed_sources: Sequence[str], usernames: Sequence[str]
) -> list[Violation]:
    allowed = {
        (contact.code, contact.canonical)
        for source in allowed_sources
        for contact in find_contacts(source)
        if not contact.is_disguised
    }
    allowed.update((HANDLE, name.removeprefix("@").lower()) for name in usernames)
    known = list_digit_runs(mention_text[:_COMPARED_MENTION_CHARACTERS]).union(
        *(list_digit_runs(source) for source in allowed_sources)
    )
    return [
        _violation(contact.code, contact.span)
        for contact in find_contacts(text, known_numbers=known)
        if contact.is_disguised or (contact.code, contact.canonical) not in allowed
    ]


def _check_promises(text: str, *, allowed_sources: Sequence[str]) -> list[Violation]:
    promises = find_promises(text)
    if not promises:
        return []
    sentences = [
        sentence
        for source in allowed_sources
        for sentence in re.split(r"(?<=[.!?])\s+|\n|[。！？]", source)
        # "Never offer refunds" does not make one.
        if not _DENYING_RULE.search(fold_text(sentence).text)
    ]
    made = {(p.kind, p.canonical) for sentence in sentences for p in find_promises(sentence)}
    facts = [re.sub(r"\s+", " ", fold_text(sentence).text) for sentence in sentences]

    def is_made(promise: Promise) -> bool:
        if (promise.kind, promise.canonical) in made:
            return True
        # "Parcels arrive in 2 days" states the time in other words.
        return promise.kind == "deadline" and any(promise.canonical in fact for fact in facts)

    return [_violation("promise", p.span) for p in promises if not is_made(p)]


def _check_leak(text: str) -> list[Violation]:
    folded = fold_text(text)
    view = replace_lookalikes(folded.text)
    found = [
        _violation("leaked_prompt", folded.span(*m.span())) for m in _LEAK_MARKS.finditer(view)
    ]
    if not found and _list_shingles(view) & _list_prompt_shingles():
        found.append(_violation("leaked_prompt"))
    return found


@lru_cache(maxsize=1)
def _list_prompt_shingles() -> frozenset[tuple[str, ...]]:
    return _list_shingles(fold_text(fixed_prompt_text()).text)


def _list_shingles(folded: str) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+", folded)
    return frozenset(tuple(words[i : i + _LEAK_WORDS]) for i in range(len(words) - _LEAK_WORDS + 1))


def _is_copied(text: str, *, mention_text: str) -> bool:
    """Tell whether most of the draft is one unbroken run of the mention's own words."""
    draft, mention = (
        re.findall(
            # Scripts without spaces are compared character by character.
            r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u9fff]|[^\W\u0e00-\u0e7f\u1100-\u11ff\u3040-\u9fff]+",
            re.sub(r"@\w+|https?://\S+", " ", fold_text(raw).text),
        )
        for raw in (text, mention_text[:_COMPARED_MENTION_CHARACTERS])
    )
    if not draft or not mention:
        return False
    match = SequenceMatcher(None, draft, mention, autojunk=False).find_longest_match()
    run = draft[match.a : match.a + match.size]
    size = _measure(run)
    return size >= _COPIED_CHARACTERS and size >= _COPIED_SHARE * _measure(draft)


def _measure(words: Sequence[str]) -> int:
    """Count characters, those of scripts without spaces twice: they say more each."""
    return sum(2 if len(w) == 1 and ord(w) >= 0x0E00 else len(w) + 1 for w in words)


def _violation(code: str, span: Span | None = None) -> Violation:
    return Violation(code, _SENTENCES[code], span)
