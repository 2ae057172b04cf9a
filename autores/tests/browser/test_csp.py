"""The policy in a real browser: every page works under it, and asks nobody else for anything."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from autores.tests.browser.page import Page
from mentions.models import Message

_TRY_INLINE = """
    const script = document.createElement("script");
    script.textContent = "window.hasRun = true";
    document.body.append(script);
    return window.hasRun === true;
"""
_LIST_REQUESTS = "return performance.getEntriesByType('resource').map((entry) => entry.name)"


def test_pages_work_and_stay_at_home_when_a_person_looks_around(
    page: Page,
    ana: User,
    mentions: dict[str, Message],
    sign_in: Callable[[User], None],
    live_server: Any,
) -> None:
    User.objects.filter(pk=ana.pk).update(is_superuser=True)
    page.open("/admin/login/")
    sign_in(ana)
    message = mentions["dora_k"].pk
    shown = {
        "/admin/mentions/message/": "are you open on Sundays?",
        f"/admin/mentions/message/{message}/change/": "Public reply",
        "/admin/accounts/twitteraccount/": "aurora_coffee",
        "/admin/accounts/user/": "ana",
        "/api/v1/": "Autores",
        "/api/v1/messages/": "are you open on Sundays?",
        f"/api/v1/messages/{message}/reply": "POST",
        "/api/v1/docs": "/api/v1/messages",
        "/api/v1/redoc": "List messages",
    }
    for path, words in shown.items():
        page.open(path)
        page.wait(f"{words!r} is on the page", lambda words=words: words in page.text)
        page.shoot(path.strip("/").replace("/", "-"))
        errors = page.take_errors()
        assert errors == [], (path, errors)
        requests = page.run(_LIST_REQUESTS)
        assert requests, path
        assert "`" not in page.text, path
        foreign = [
            url for url in requests if not url.startswith((live_server.url, "data:", "blob:"))
        ]
        assert foreign == [], path


def test_script_within_a_page_is_not_run_when_it_got_there(
    page: Page, ana: User, mentions: dict[str, Message], sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    for path in ("/admin/mentions/message/", "/api/v1/messages/", "/api/v1/docs"):
        page.open(path)
        assert page.run(_TRY_INLINE) is False, path
        assert any("Content Security Policy" in error for error in page.take_errors()), path


def test_person_is_signed_out_when_the_api_pages_say_so(
    page: Page, ana: User, sign_in: Callable[[User], None]
) -> None:
    sign_in(ana)
    page.open("/api/v1/auth/me")
    page.shoot("signed-in")
    page.press_and_load(page.find_button("Log out"))

    assert page.chrome.current_url.endswith("/api/v1/auth/me")
    assert "not_authenticated" in page.text
    page.take_errors()
