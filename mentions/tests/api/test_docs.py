"""docs/api.md against the code: it names every code and path."""

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from accounts.errors import AccountError
from autores.llm.errors import LlmError
from autores.x.errors import XError

DOCUMENT = Path(__file__).parents[3] / "docs" / "api.md"
# The legacy contract: what existing clients call.
LEGACY_CALLS = {
    ("get", "/api/v1/messages/"),
    ("get", "/api/v1/messages/{id}"),
    ("patch", "/api/v1/messages/{id}"),
    ("delete", "/api/v1/messages/{id}"),
    ("post", "/api/v1/messages/{id}/reply"),
    ("post", "/api/v1/messages/{id}/dm-reply"),
    ("post", "/api/v1/messages/fetch-new"),
    ("post", "/api/v1/messages/{id}/generate-response"),
    ("post", "/api/v1/auth/twitter/authorize"),
    ("get", "/api/v1/auth/twitter/callback"),
    ("post", "/api/v1/auth/refresh"),
}


@pytest.fixture(scope="module")
def openapi() -> Any:
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return yaml.safe_load(out.getvalue())


def test_document_is_valid_and_whole_when_it_is_generated(openapi: Any) -> None:
    calls = {(method, path) for path, item in openapi["paths"].items() for method in item}
    assert calls >= LEGACY_CALLS
    for path, item in openapi["paths"].items():
        if path.startswith(("/api/v1/messages", "/api/v1/drafts", "/api/v1/replies")):
            for method, operation in item.items():
                assert operation["summary"], (method, path)
                assert "application/problem+json" in operation["responses"]["401"]["content"]


def test_every_path_is_documented_when_it_is_served(openapi: Any) -> None:
    text = DOCUMENT.read_text()
    # The tables write a call once with its verb, and neighbours of it shorter.
    missing = {
        path
        for path in openapi["paths"]
        if path.removeprefix("/api/v1").rstrip("/") not in text
        and f"…/{path.rpartition('/')[2]}" not in text
    }
    assert not missing


def _list_codes(base: type[Exception], attribute: str) -> set[str]:
    codes = {getattr(base, attribute)}
    for subclass in base.__subclasses__():
        codes |= _list_codes(subclass, attribute)
    return codes


@pytest.mark.parametrize(
    ("base", "attribute"),
    [(XError, "default_code"), (LlmError, "code"), (AccountError, "default_code")],
)
def test_every_code_is_documented_when_an_error_has_one(
    base: type[Exception], attribute: str
) -> None:
    text = DOCUMENT.read_text()
    missing = {code for code in _list_codes(base, attribute) if f"`{code}`" not in text}
    assert not missing
