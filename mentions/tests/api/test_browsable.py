"""The API in a browser: signed in by session, with forms that work and CSRF enforced."""

import html
import json
import re
from typing import Any

import pytest
from django.test import Client as Browser

from accounts.models import TwitterAccount, User
from mentions.models import Message
from mentions.tests.api.conftest import store_message


@pytest.fixture
def browser(ana: User) -> Browser:
    browser = Browser(enforce_csrf_checks=True, headers={"Accept": "text/html"})
    browser.force_login(ana)
    return browser


def read(browser: Browser, path: str, *, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    return str(answer.content.decode())


def test_filter_form_is_filled_in_when_the_list_is_browsed(
    browser: Browser, acme: TwitterAccount
) -> None:
    store_message(acme, 1)
    page = read(browser, "/api/v1/messages/?status=pending&limit=5&kind=direct")
    form = page[page.index('<form method="get"') :]
    for name in ("status", "account_id", "kind", "author", "replyable", "since", "until", "limit"):
        assert f'name="{name}"' in form
    assert re.search(r'name="status"[^>]*value="pending"', form)
    assert "question 1" in page
    assert "Fetch new" in page


def test_list_is_browsed_with_the_mistake_named_when_a_filter_is_wrong(browser: Browser) -> None:
    page = read(browser, "/api/v1/messages/?limit=0x", status=400)
    assert "A valid integer is required" in page


def test_reply_is_sent_when_the_form_is_submitted(
    browser: Browser, mention: Message, sender: None
) -> None:
    path = f"/api/v1/messages/{mention.pk}/reply"
    page = read(browser, path)
    assert "can_send" in page
    assert re.search(r'<textarea[^>]*name="response"', page)
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    without_token = browser.post(path, {"response": "Hello!"})
    assert without_token.status_code == 403
    answer = browser.post(path, {"response": "Hello!", "csrfmiddlewaretoken": token[1]})
    assert answer.status_code == 200
    assert "&quot;public_response&quot;: &quot;Hello!&quot;" in answer.content.decode()


def test_refusal_is_shown_with_the_form_when_the_text_is_too_long(
    browser: Browser, mention: Message
) -> None:
    path = f"/api/v1/messages/{mention.pk}/reply"
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', read(browser, path))
    assert token is not None
    form: dict[str, Any] = {"response": "x" * 281, "csrfmiddlewaretoken": token[1]}
    answer = browser.post(path, form)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "281 of at most 280" in page
    assert re.search(r'<textarea[^>]*name="response"', page)


def test_form_is_there_when_a_page_takes_posts_only(browser: Browser, mention: Message) -> None:
    path = f"/api/v1/messages/{mention.pk}/generate-response"
    assert 'name="custom_prompt"' in read(browser, path, status=405)
    assert 'name="account_id"' in read(browser, "/api/v1/messages/fetch-new", status=405)


def test_each_page_is_one_breadcrumb_when_slashes_differ(
    browser: Browser, mention: Message
) -> None:
    page = read(browser, f"/api/v1/messages/{mention.pk}/reply/")
    crumbs = page[page.index('class="breadcrumb"') :].partition("</ul>")[0]
    addresses = [path.rstrip("/") for path in re.findall(r'href="([^"]+)"', crumbs)]
    assert f"/api/v1/messages/{mention.pk}" in addresses
    assert len(addresses) == len(set(addresses))


def test_message_page_leads_on_when_it_is_browsed(browser: Browser, mention: Message) -> None:
    page = read(browser, f"/api/v1/messages/{mention.pk}")
    for action in ("reply", "dm-reply", "drafts", "preflight"):
        assert f'href="/api/v1/messages/{mention.pk}/{action}"' in page.replace(
            "http://testserver", ""
        )
    assert 'data-method="DELETE"' in page
    assert 'data-method="PATCH"' in page


def test_form_of_a_change_holds_what_is_there_when_it_is_browsed(
    browser: Browser, mention: Message
) -> None:
    path = f"/api/v1/messages/{mention.pk}"
    Message.objects.filter(pk=mention.pk).update(credits_used=7, dm_response='"<b>quoted</b>"')
    page = read(browser, path)
    content = re.search(r"<textarea[^>]*data-override=.content.[^>]*>(.*?)</textarea>", page, re.S)
    assert content is not None
    assert json.loads(html.unescape(content[1])) == {
        "status": "pending",
        "public_response": None,
        "dm_response": '"<b>quoted</b>"',
        "credits_used": 7,
        "redirected": False,
    }
    # A page that tells of an error has a "status" of another kind.
    assert "&quot;status&quot;: 404" in read(browser, f"{path}0", status=404)
