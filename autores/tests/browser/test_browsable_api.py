"""The API in a browser: pages that can be read, and forms that work."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from autores.sandbox.server import RunningSandbox
from autores.tests.browser.page import PHONE, Page
from mentions.models import Message


def test_reply_is_sent_when_the_form_of_the_browsable_api_is_used(
    page: Page,
    ana: User,
    mentions: dict[str, Message],
    sandbox: RunningSandbox,
    sign_in: Callable[[User], None],
    send_due_replies: Callable[[], int],
    settings: Any,
) -> None:
    settings.REPLY_WAIT_SECONDS = 0
    sign_in(ana)
    page.open("/api/v1/messages/")
    assert "@aurora_coffee are you open on Sundays?" in page.text
    page.shoot("messages")
    page.open(f"/api/v1/messages/{mentions['emil'].pk}/reply")
    page.shoot("reply-form")
    page.fill("[name=response]", "Sorry! We look into it.")
    page.press_and_load(page.find_button("POST"))
    assert "202" in page.text
    page.shoot("accepted")

    assert send_due_replies() == 1
    (reply,) = sandbox.control.list_posts(author="aurora_coffee")
    assert reply["text"] == "@emil Sorry! We look into it."


def test_pages_of_the_api_fit_when_the_screen_is_a_phone(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    page.resize(PHONE)
    sign_in(ana)
    for name, path in {
        "list": "/api/v1/messages/",
        "message": f"/api/v1/messages/{mentions['gus'].pk}",
        "reply": f"/api/v1/messages/{mentions['gus'].pk}/reply",
    }.items():
        page.open(path)
        page.shoot(f"phone-{name}")
        assert page.find_overflow() == [], path
