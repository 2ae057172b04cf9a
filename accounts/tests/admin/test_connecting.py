"""Connecting X accounts from the admin: there, to X, and back to the page."""

from typing import Any

import pytest

from accounts.errors import LinkRefusedError
from accounts.linking import begin_link
from accounts.models import Membership, OAuthState, User
from accounts.models import TwitterAccount as Account
from accounts.tests.admin.pages import address, page_of
from accounts.tests.conftest import Browser, count_calls

pytestmark = pytest.mark.django_db(transaction=True)


def test_person_returns_to_the_admin_signed_in_when_a_flow_begins_there(
    sandbox: Any, admin: User
) -> None:
    sandbox.control.create_user("acme")
    browser = Browser(sandbox)
    browser.client.force_login(admin)

    begun = browser.client.get(address("twitteraccount", "connect_account"))
    answer = browser.finish(browser.consent(begun["Location"], "acme"))

    assert answer.status_code == 302
    assert answer["Location"] == address("twitteraccount", "changelist")
    page = browser.client.get(answer["Location"])
    assert b"@acme is connected." in page.content
    assert Membership.objects.get().user_id == admin.pk


def test_account_page_is_shown_again_when_reconnecting_is_denied(
    sandbox: Any, acme: Account, admin: User
) -> None:
    browser = Browser(sandbox)
    browser.client.force_login(admin)

    begun = browser.client.get(address("twitteraccount", "reconnect_account", acme.pk))
    answer = browser.finish(browser.consent(begun["Location"], "acme", decision="deny"))

    assert answer["Location"] == address("twitteraccount", "change", acme.pk)
    assert "Access was not granted" in browser.client.get(answer["Location"]).content.decode()


def test_nothing_is_connected_when_another_account_consents_than_was_to_be_reconnected(
    sandbox: Any, acme: Account, admin: User
) -> None:
    sandbox.control.create_user("nimbus")
    browser = Browser(sandbox)
    browser.client.force_login(admin)
    before = Account.objects.get(pk=acme.pk).access_token

    begun = browser.client.get(address("twitteraccount", "reconnect_account", acme.pk))
    answer = browser.finish(browser.consent(begun["Location"], "nimbus"))

    assert answer["Location"] == address("twitteraccount", "change", acme.pk)
    page = browser.client.get(answer["Location"]).content.decode()
    assert "you were signed in as @nimbus, and it is @acme that was to be connected" in page
    assert Account.objects.get().access_token == before
    # And what X granted is given back.
    assert count_calls(sandbox, "revoke") == 2
    begun = browser.client.get(address("twitteraccount", "reconnect_account", acme.pk))
    browser.finish(browser.consent(begun["Location"], "acme"))
    assert Account.objects.get().access_token != before


def test_person_is_led_back_to_the_accounts_when_the_callback_comes_twice(
    sandbox: Any, admin: User
) -> None:
    sandbox.control.create_user("acme")
    browser = Browser(sandbox)
    browser.client.force_login(admin)
    begun = browser.client.get(address("twitteraccount", "connect_account"))
    callback = browser.consent(begun["Location"], "acme")
    browser.finish(callback)

    again = browser.client.get(
        "/api/v1/auth/twitter/callback", callback, headers={"Accept": "text/html"}
    )

    assert again["Location"] == address("twitteraccount", "changelist")
    page = browser.client.get(again["Location"]).content.decode()
    assert "was finished already, or is too old" in page


def test_what_x_did_not_grant_is_told_when_an_account_is_connected(
    sandbox: Any, admin: User, settings: Any
) -> None:
    settings.TWITTER_SCOPE = "tweet.read tweet.write users.read offline.access"
    sandbox.control.create_user("acme")
    browser = Browser(sandbox)
    browser.client.force_login(admin)
    begun = browser.client.get(address("twitteraccount", "connect_account"))
    callback = browser.consent(begun["Location"], "acme")
    settings.TWITTER_SCOPE += " dm.read dm.write"

    page = browser.client.get(browser.finish(callback)["Location"]).content.decode()

    assert "@acme is connected. Not granted: dm.read, dm.write." in page
    account = Account.objects.get()
    assert (
        "dm.read, dm.write"
        in page_of(admin).get(address("twitteraccount", "change", account.pk)).content.decode()
    )


def test_no_flow_begins_when_a_foreign_page_links_to_the_button(sandbox: Any, admin: User) -> None:
    answer = page_of(admin).get(
        address("twitteraccount", "connect_account"), headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert answer["Location"] == address("twitteraccount", "changelist")
    assert not OAuthState.objects.exists()


@pytest.mark.parametrize(
    "return_to",
    [
        "https://evil.example/admin/",
        "//evil.example/admin/",
        "/admin/..//evil.example",
        "/admin/\\evil.example",
        "/admin/%2e%2e/api",
        "/admin//evil.example",
        "/api/v1/auth/me",
        "javascript:alert(1)",
        "/admin/logout/",
        "/admin/\nLocation: https://evil.example",
    ],
)
def test_flow_is_refused_when_it_would_end_outside_the_admin(
    sandbox: Any, admin: User, return_to: str
) -> None:
    with pytest.raises(LinkRefusedError) as caught:
        begin_link(user=admin, browser_hash="", return_to=return_to)

    assert caught.value.code == "invalid_return_to"
    assert not OAuthState.objects.exists()


def test_planted_return_address_is_ignored_when_the_flow_ends(sandbox: Any, admin: User) -> None:
    sandbox.control.create_user("acme")
    browser = Browser(sandbox, admin)
    query = browser.consent(browser.begin(), "acme")
    flow = OAuthState.objects.get()
    flow.return_to = "https://evil.example/"
    flow.save()

    answer = browser.finish(query)

    assert answer.status_code == 200
    assert "evil.example" not in answer.content.decode()
