"""What the sandbox says and hears: each text in its language, each draft fit to be sent."""

from __future__ import annotations

import pytest

from autores.sandbox import writing
from autores.sandbox.corpus import ITEMS, TEXTS
from autores.sandbox.languages import detect_language
from mentions.drafting.gate import check_draft


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in TEXTS.items() for text in texts]
)
def test_language_is_known_when_a_sample_arrives(language, text):
    for item in ITEMS if "{item}" in text else [""]:
        for number in ("7", "42"):
            filled = text.replace("{item}", item).replace("{n}", number)
            assert detect_language(f"@acme {filled}") == language


@pytest.mark.parametrize("language", writing._PHRASES)
def test_draft_is_let_through_when_the_sandbox_wrote_it(language):
    for phrases in writing._PHRASES[language].values():
        for phrase in phrases:
            text = phrase.replace("{ref}", f"{writing._SUBJECTS[language]} (48213)")
            verdict = check_draft(
                text,
                mention_text="@acme 48213?",
                allowed_sources=(),
                account_username="acme",
            )
            assert verdict.is_allowed, verdict.violations
