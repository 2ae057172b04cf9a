"""docs/api.md against the code: its commands run, and it names every code and path."""

import os
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from accounts.errors import AccountError
from accounts.models import TwitterAccount, User
from autores.llm.errors import LlmError
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import PASSWORD
from autores.x.errors import XError
from mentions.models import AuditEntry, Message
from mentions.tests.api.docs_walk import extract_walk

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


def test_walk_runs_as_printed_when_the_servers_run(
    ana: User, sandbox: RunningSandbox, live_server: Any, sender: None, settings: Any
) -> None:
    callback = f"{live_server.url}/api/v1/auth/twitter/callback"
    settings.TWITTER_CALLBACK_URL = callback
    sandbox.control.register_client(callbacks=[callback])
    ran = subprocess.run(
        ["bash", "-x", "-c", extract_walk(DOCUMENT.read_text())],
        env={
            **os.environ,
            "DEMO_URL": live_server.url,
            "DEMO_SANDBOX_URL": sandbox.url,
            "DEMO_USERNAME": ana.username,
            "DEMO_PASSWORD": PASSWORD,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    account = TwitterAccount.objects.get(twitter_username="walkthrough")
    (post,) = sandbox.control.list_posts(author="walkthrough")
    assert post["text"].endswith(f"Yes, from nine to six. ({post['in_reply_to']})")
    assert [dm["text"] for dm in sandbox.control.list_dms()] == ["See you on Sunday!"]
    changed = AuditEntry.objects.get(action="message.changed", account_id=account.pk)
    assert changed.after == {"redirected": True, "credits_used": 2}
    assert not Message.objects.filter(account=account).exists()


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
