import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from selenium.webdriver import Chrome

from accounts.models import Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.browser.page import Page, start_chromium
from autores.tests.cast import add_account, create_person, give_role
from autores.tests.programs import require_program
from mentions.drafting.generate import generate_draft
from mentions.ingest.poll import poll_account
from mentions.models import Message
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.dispatch import find_due

_REMEDY = "install Debian's chromium and chromium-driver (apt-get install chromium chromium-driver)"


@pytest.fixture(scope="session")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    # Without what only a window needs, it takes two thirds of the work.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    binary = require_program(*names, remedy=_REMEDY)
    driver = require_program("chromedriver", remedy=_REMEDY)
    chrome = start_chromium(
        binary=binary, driver=driver, profile=tmp_path_factory.mktemp("chromium")
    )
    yield chrome
    chrome.quit()


@pytest.fixture
def page(chrome: Chrome, live_server: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty browser on the real site; a test that leaves an error in the console fails."""
    chrome.execute_cdp_cmd("Network.clearBrowserCookies", {})
    shots = os.environ.get("AUTORES_SHOTS")
    folder = Path(shots).absolute() / request.node.name if shots else None
    page = Page(chrome, base_url=live_server.url, shots=folder)
    page.take_errors()
    yield page
    page.shoot("at-the-end")
    errors = page.take_errors()
    # No request may outlive the test: the next one begins by emptying the database.
    chrome.get("about:blank")
    assert errors == []


@pytest.fixture
def ana(transactional_db: None) -> User:
    """Manages @aurora_coffee and @nimbus_bikes."""
    return create_person("ana")


@pytest.fixture
def aurora(ana: User, sandbox: RunningSandbox) -> TwitterAccount:
    return add_account(sandbox, "aurora_coffee", by=ana, name="Aurora Coffee")


@pytest.fixture
def nimbus(ana: User, sandbox: RunningSandbox) -> TwitterAccount:
    return add_account(sandbox, "nimbus_bikes", by=ana, name="Nimbus Bikes")


@pytest.fixture
def bruno(aurora: TwitterAccount) -> User:
    """Drafts and submits for @aurora_coffee."""
    person = create_person("bruno")
    give_role(person, aurora, Role.RESPONDER)
    return person


@pytest.fixture
def carla(transactional_db: None) -> User:
    """Works here, but for neither account."""
    return create_person("carla")


@pytest.fixture
def mentions(
    aurora: TwitterAccount, nimbus: TwitterAccount, sandbox: RunningSandbox
) -> dict[str, Message]:
    """Polled from X, by author. Dora's has a draft of the model."""
    said = (
        ("aurora_coffee", "dora_k", "Dora Klein", "are you open on Sundays?"),
        ("aurora_coffee", "emil", "Emil Sørensen", "my order 5512 never came. Third time now! 😡"),
        ("aurora_coffee", "layla", "ليلى", "هل لديكم قهوة منزوعة الكافيين؟"),
        ("aurora_coffee", "gus", "Gus", f"look at {'verylongword' * 14} and win a phone"),
        ("nimbus_bikes", "fay", "Fay Okafor", "do you repair e-bikes of other makers?"),
    )
    for account, author, name, text in said:
        sandbox.control.create_user(author, name=name)
        sandbox.control.create_mention(account=account, author=author, text=f"@{account} {text}")
    for account in (aurora, nimbus):
        poll_account(account, now=timezone.now())
    found = {message.author_username: message for message in Message.objects.all()}
    generate_draft(found["dora_k"], now=timezone.now())
    return found


@pytest.fixture
def sign_in(page: Page) -> Callable[[User], None]:
    """Sign the person in without the form, which one test fills in for all."""

    def take_session(person: User) -> None:
        client = Client()
        client.force_login(person)
        name = settings.SESSION_COOKIE_NAME
        page.take_cookie(name, client.cookies[name].value)

    return take_session


@pytest.fixture
def send_due_replies(sandbox: RunningSandbox) -> Callable[[], int]:
    """What the worker does when it is nudged. Returns how many were sent."""

    def send() -> int:
        due = find_due(now=timezone.now())
        return sum(deliver_reply(reply_id, now=timezone.now()) is not None for reply_id in due)

    return send
