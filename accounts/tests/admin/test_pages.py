"""The admin's pages of accounts and people: who sees what, what works, and no secret anywhere."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.api.authentication import issue_access_token
from accounts.linking import begin_link
from accounts.models import (
    MAX_VOICE_CHARACTERS,
    AppPause,
    Membership,
    OAuthState,
    PersonalToken,
    Role,
    User,
)
from accounts.models import TwitterAccount as Account
from accounts.personal import create_personal_token, digest_personal_token
from accounts.stored_tokens import token_cipher
from accounts.tests.admin.pages import address, page_of
from accounts.tests.conftest import Browser, client_of, make_person
from autores.tests.cast import PASSWORD, give_role

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = ("user", "twitteraccount", "membership", "personaltoken", "oauthstate", "apppause")


@pytest.fixture
def staff_bruno(bruno: User) -> User:
    User.objects.filter(pk=bruno.pk).update(is_staff=True)
    return User.objects.get(pk=bruno.pk)


def secrets_of(account: Account) -> list[str]:
    row = Account.objects.get(pk=account.pk)
    stored = [row.access_token, row.refresh_token]
    return [*stored, *(token_cipher().decrypt(value) for value in stored)]


@pytest.mark.parametrize("model", MODELS)
def test_pages_open_without_secrets_when_a_superuser_looks(
    sandbox: Any, acme: Account, admin: User, model: str
) -> None:
    Browser(sandbox, admin).begin()
    create_personal_token(admin, name="script")
    AppPause.objects.create(code="usage_cap", reason="The cap is reached.")
    client = page_of(admin)
    pages = [address(model, "changelist")]
    objects = {
        "user": User,
        "twitteraccount": Account,
        "membership": Membership,
        "personaltoken": PersonalToken,
        "oauthstate": OAuthState,
        "apppause": AppPause,
    }[model].objects.all()
    pages += [address(model, "change", item.pk) for item in objects]
    verifier = token_cipher().decrypt(OAuthState.objects.get().code_verifier)

    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        text = answer.content.decode()
        for secret in [*secrets_of(acme), verifier, OAuthState.objects.get().code_verifier]:
            assert secret not in text, page


def test_status_is_told_in_words_on_the_accounts_page(admin: User, acme: Account) -> None:
    page = page_of(admin).get(address("twitteraccount", "change", acme.pk)).content.decode()
    assert "Active" in page
    assert "(&#x27;active&#x27;" not in page


@pytest.mark.parametrize("model", ["user", "membership", "personaltoken"])
def test_add_page_opens_when_a_superuser_looks(admin: User, model: str) -> None:
    assert page_of(admin).get(address(model, "add")).status_code == 200


def test_groups_open_when_a_superuser_looks(admin: User) -> None:
    group = Group.objects.create(name="night shift")
    client = page_of(admin)

    assert client.get(reverse("admin:auth_group_changelist")).status_code == 200
    assert client.get(reverse("admin:auth_group_change", args=[group.pk])).status_code == 200


def test_person_can_sign_in_when_added_in_the_admin(admin: User) -> None:
    answer = page_of(admin).post(
        address("user", "add"),
        {
            "username": "dora",
            "usable_password": "true",
            "password1": "a-fairly-long-one-7",
            "password2": "a-fairly-long-one-7",
        },
    )

    assert answer.status_code == 302
    assert Client().login(username="dora", password="a-fairly-long-one-7")


def test_staff_without_a_role_see_no_account(acme: Account, carla: User) -> None:
    User.objects.filter(pk=carla.pk).update(is_staff=True)
    client = page_of(User.objects.get(pk=carla.pk))

    assert b"@acme" not in client.get(address("twitteraccount", "changelist")).content
    assert client.get(address("twitteraccount", "change", acme.pk)).status_code == 302
    for model in ("user", "membership", "oauthstate"):
        assert client.get(address(model, "changelist")).status_code == 403


def test_account_is_read_only_when_the_role_is_below_manager(
    acme: Account, staff_bruno: User
) -> None:
    give_role(staff_bruno, acme, Role.APPROVER)
    client = page_of(staff_bruno)

    page = client.get(address("twitteraccount", "change", acme.pk))
    answer = client.post(address("twitteraccount", "change", acme.pk), {"voice": "Mine now"})

    assert page.status_code == 200
    assert answer.status_code == 403
    client.post(
        address("twitteraccount", "changelist"),
        {"action": "pause_accounts", "_selected_action": [acme.pk]},
    )
    assert Account.objects.get(pk=acme.pk).status == "active"


def test_account_is_paused_and_resumed_when_a_manager_acts(
    acme: Account, staff_bruno: User
) -> None:
    give_role(staff_bruno, acme, Role.MANAGER)
    client = page_of(staff_bruno)
    for action, status in (("pause_accounts", "paused"), ("resume_accounts", "active")):
        client.post(
            address("twitteraccount", "changelist"),
            {"action": action, "_selected_action": [acme.pk]},
        )
        assert Account.objects.get(pk=acme.pk).status == status


def test_fresh_tokens_are_kept_when_the_page_is_saved_late(acme: Account, admin: User) -> None:
    from accounts.tokens import access_token_for

    client = page_of(admin)
    fresh = access_token_for(acme, must_refresh=True)

    answer = save_account(client, acme, voice="Kind.", drafts_automatically="")

    assert answer.status_code == 302
    row = Account.objects.get(pk=acme.pk)
    assert (row.voice, row.drafts_automatically) == ("Kind.", False)
    assert token_cipher().decrypt(row.access_token) == fresh


def save_account(client: Client, account: Account, *, seen_voice: str = "", **values: str) -> Any:
    """As a browser sends the page that was opened with this voice, and with drafting on."""
    form = {
        "initial-voice": seen_voice,
        "voice": seen_voice,
        "initial-drafts_automatically": "True",
        "drafts_automatically": "on",
    }
    return client.post(address("twitteraccount", "change", account.pk), form | values)


def test_what_others_saved_is_kept_when_an_older_page_changes_something_else(
    acme: Account, admin: User
) -> None:
    Account.objects.update(voice="Never promise a refund.\nBe kind.")
    save_account(page_of(admin), acme, seen_voice="Refunds in a day.", drafts_automatically="")
    row = Account.objects.get(pk=acme.pk)
    assert (row.voice, row.drafts_automatically) == ("Never promise a refund.\nBe kind.", False)


def test_an_older_page_does_not_write_over_what_others_changed(acme: Account, admin: User) -> None:
    Account.objects.update(voice="Never promise a refund.\nBe kind.")
    client = page_of(admin)
    answer = save_account(client, acme, seen_voice="Refunds in a day.", voice="Refunds at once.")
    assert "Somebody changed this since you opened the page" in answer.content.decode()
    now = "Never promise a refund.\r\nBe kind."
    assert save_account(client, acme, seen_voice=now, voice="Be quick.").status_code == 302
    assert Account.objects.get(pk=acme.pk).voice == "Be quick."


def test_a_voice_is_as_long_as_a_draft_can_take(acme: Account, admin: User) -> None:
    client = page_of(admin)
    answer = save_account(client, acme, voice="x" * (MAX_VOICE_CHARACTERS + 1))
    assert "at most 8000 characters" in answer.content.decode()
    assert save_account(client, acme, voice="x" * MAX_VOICE_CHARACTERS).status_code == 302


def test_who_may_not_see_an_account_is_not_told_its_name(acme: Account, carla: User) -> None:
    User.objects.filter(pk=carla.pk).update(is_staff=True)
    answer = page_of(carla).get(address("twitteraccount", "reconnect_account", acme.pk))
    assert answer.status_code == 403
    assert not OAuthState.objects.exists()


def test_nobody_takes_away_his_own_rights(admin: User) -> None:
    client = page_of(admin)
    assert client.post(address("user", "delete", admin.pk), {"post": "yes"}).status_code == 403
    client.post(address("user", "change", admin.pk), {"username": admin.username})
    assert User.objects.get(pk=admin.pk).is_superuser


def test_accounts_can_be_told_apart_when_they_were_taken_over(admin: User) -> None:
    for number in (71, 72):
        Account.objects.create(twitter_id=str(number), fenced_since=timezone.now())
    page = page_of(admin).get(address("twitteraccount", "changelist")).content.decode()
    assert "X user 71" in page
    assert "X user 72" in page
    assert page.count("The former system refreshes its tokens.") == 2


def test_token_is_shown_once_when_made_in_the_admin(staff_bruno: User) -> None:
    client = page_of(staff_bruno)

    answer = client.post(
        address("personaltoken", "add"), {"name": "nightly", "expires_at_0": "", "expires_at_1": ""}
    )

    found = re.search(r"atr_[A-Za-z0-9_-]{43}", answer.content.decode())
    assert found is not None
    value = found.group()
    assert "no-store" in answer["Cache-Control"]
    assert PersonalToken.objects.get().pk == digest_personal_token(value)
    script = client_of()
    script.credentials(HTTP_AUTHORIZATION=f"Bearer {value}")
    assert script.get("/api/v1/auth/me").json()["username"] == "bruno"
    assert value not in client.get(address("personaltoken", "changelist")).content.decode()
    client.post(
        address("personaltoken", "changelist"),
        {"action": "revoke_tokens", "_selected_action": [PersonalToken.objects.get().pk]},
    )
    assert script.get("/api/v1/auth/me").status_code == 401


def test_others_tokens_are_out_of_reach_when_not_superuser(staff_bruno: User, ana: User) -> None:
    token, _ = create_personal_token(ana, name="anas")
    client = page_of(staff_bruno)

    assert b"anas" not in client.get(address("personaltoken", "changelist")).content
    client.post(
        address("personaltoken", "changelist"),
        {"action": "revoke_tokens", "_selected_action": [token.pk]},
    )
    assert PersonalToken.objects.get().revoked_at is None


def test_calls_go_out_again_when_a_superuser_resumes_them(admin: User, staff_bruno: User) -> None:
    AppPause.objects.create(code="usage_cap", reason="The cap is reached.")
    act = {"action": "resume_calls", "_selected_action": ["x"]}

    page_of(staff_bruno).post(address("apppause", "changelist"), act)
    assert AppPause.current(now=timezone.now()) is not None
    page_of(admin).post(address("apppause", "changelist"), act)

    assert AppPause.current(now=timezone.now()) is None


def test_calls_stop_when_a_superuser_pauses_them(admin: User) -> None:
    answer = page_of(admin).post(
        address("apppause", "add"), {"reason": "Election day.", "until_0": "", "until_1": ""}
    )

    assert answer.status_code == 302
    pause = AppPause.current()
    assert pause is not None
    assert (pause.code, pause.reason) == ("operator", "Election day.")


def test_manager_invites_only_to_his_accounts(
    sandbox: Any, acme: Account, staff_bruno: User, carla: User
) -> None:
    other = Account.objects.create(twitter_id="77", twitter_username="other")
    give_role(staff_bruno, acme, Role.MANAGER)
    client = page_of(staff_bruno)

    for account, status in ((other, 200), (acme, 302)):
        answer = client.post(
            address("membership", "add"),
            {"user": carla.pk, "account": account.pk, "role": "viewer"},
        )
        assert answer.status_code == status
    assert Membership.objects.get(user=carla).account_id == acme.pk
    again = client.post(
        address("membership", "add"), {"user": carla.pk, "account": acme.pk, "role": "manager"}
    )
    assert b"is a member of @acme already" in again.content


def test_access_token_opens_no_admin_page(admin: User) -> None:
    answer = Client().get(
        reverse("admin:index"), headers={"Authorization": f"Bearer {issue_access_token(admin)}"}
    )

    assert answer.status_code == 302


def test_person_without_staff_rights_is_sent_to_sign_in(transactional_db: None) -> None:
    answer = page_of(make_person("eve")).get(address("twitteraccount", "changelist"))

    assert answer.status_code == 302
    assert "/admin/login/" in answer["Location"]


@pytest.mark.parametrize("action", ["pause_accounts", "resume_accounts"])
def test_nothing_is_counted_when_every_account_was_left_out(
    acme: Account, staff_bruno: User, action: str
) -> None:
    give_role(staff_bruno, acme, Role.VIEWER)
    other = Account.objects.create(twitter_id="77", twitter_username="brand")
    give_role(staff_bruno, other, Role.MANAGER)

    answer = page_of(staff_bruno).post(
        address("twitteraccount", "changelist"),
        {"action": action, "_selected_action": [acme.pk]},
        follow=True,
    )

    shown = [str(message) for message in answer.context["messages"]]
    assert shown == ["1 left out: that takes the manager's role."]


def test_lists_name_people_and_accounts_without_a_join(
    sandbox: Any, acme: Account, ana: User, admin: User
) -> None:
    for number in range(3):
        guest = make_person(f"guest-{number}")
        give_role(guest, acme, Role.VIEWER)
        create_personal_token(guest, name=f"script-{number}")
        begin_link(user=guest, browser_hash="")
    client = page_of(admin)
    for model in ("membership", "personaltoken", "oauthstate"):
        with CaptureQueriesContext(connection) as captured:
            page = client.get(address(model, "changelist")).content.decode()
        assert all(f"guest-{number}" in page for number in range(3)), model
        assert ("@acme" in page) is (model == "membership")
        queries = [query["sql"] for query in captured.captured_queries]
        assert [query for query in queries if "$lookup" in query] == []
        # None of them once a row.
        assert len(queries) == len(set(queries)), queries


def test_who_is_locked_out_for_a_while_is_told_so(admin: User, client: Client) -> None:
    given = {"username": admin.username, "password": "wrong"}
    pages = [client.post("/admin/login/", given).content.decode() for _ in range(6)]
    assert "correct" in pages[0]
    assert "Too many failed attempts to sign in. Try again in" in pages[-1]
    right = {**given, "password": PASSWORD}
    assert "Too many failed attempts" in client.post("/admin/login/", right).content.decode()
