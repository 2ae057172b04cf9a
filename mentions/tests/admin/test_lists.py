"""The admin's lists as HTTP: who sees what, what is offered, and what an address may ask."""

import re

import pytest
from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Role, TwitterAccount, User
from autores.tests.cast import create_person, give_role
from mentions.models import Draft, Message, Reply
from mentions.review import edit_draft, write_draft

pytestmark = pytest.mark.django_db(transaction=True)


admin.autodiscover()
FIELDS_OFFERED = {
    model: [item for item in page.list_filter if not isinstance(item, type)]
    for model, page in admin.site._registry.items()
}


def test_home_is_the_queue_for_who_has_one_and_an_index_for_others(
    mention: Message, bruno: User, carla: User, client: Client
) -> None:
    assert client.get("/admin/").url.startswith("/admin/login/")
    client.force_login(bruno)
    assert client.get("/admin/").url == "/admin/mentions/message/"
    client.force_login(carla)
    start = client.get("/admin/")
    assert start.status_code == 200
    assert "You have no role on an account yet" in start.content.decode()


def test_strangers_see_nothing_and_their_address_leads_nowhere(
    mention: Message, carla: User, client: Client
) -> None:
    client.force_login(carla)
    assert client.get("/admin/mentions/message/").status_code == 403
    answer = client.post(
        f"/admin/mentions/message/{mention.pk}/change/", {"act": "send", "text": "Hello"}
    )
    assert answer.status_code in {302, 403, 404}
    assert not Reply.objects.exists()


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        (Role.VIEWER, set()),
        (Role.RESPONDER, {"ignore_selected", "reopen_selected"}),
        (Role.APPROVER, {"approve_selected", "ignore_selected", "reopen_selected"}),
    ],
)
def test_actions_are_offered_to_who_may_take_them(
    mention: Message, acme: TwitterAccount, client: Client, role: Role, offered: set[str]
) -> None:
    person = create_person("dana")
    give_role(person, acme, role)
    client.force_login(person)
    page = client.get("/admin/mentions/message/").content.decode()
    known = {"approve_selected", "ignore_selected", "reopen_selected"}
    assert {name for name in known if f'value="{name}"' in page} == offered
    outbox = client.get("/admin/mentions/reply/").content.decode()
    assert ('value="cancel_selected"' in outbox) == (role is Role.APPROVER)


def test_list_says_whether_nothing_is_there_or_nothing_fits(
    mention: Message, ana: User, client: Client
) -> None:
    client.force_login(ana)
    outbox = client.get("/admin/mentions/reply/").content.decode()
    assert "Nothing is here yet" in outbox
    assert "Reset filters" not in outbox
    for asked in ("q=nowhere", "status__exact=failed"):
        page = client.get(f"/admin/mentions/message/?{asked}").content.decode()
        assert "Nothing fits the search and the filters" in page
        assert "Reset filters" in page
    # As after the last row of the last page was worked off.
    behind = client.get("/admin/mentions/message/?status__exact=pending&p=40").content.decode()
    assert "This list has no page 40" in behind
    assert 'href="?status__exact=pending"' in behind
    assert "Nothing" not in behind


def test_list_of_drafts_names_the_account_and_what_the_gate_found(
    mention: Message, acme: TwitterAccount, ana: User, client: Client
) -> None:
    draft = write_draft(mention, text="Shown words", user=ana, now=timezone.now())
    found = [{"code": "copied_mention", "detail": ""}, {"code": "link", "detail": ""}]
    Draft.objects.filter(pk=draft.pk).update(violations=[*found, found[1]])
    client.force_login(ana)
    page = client.get("/admin/mentions/draft/").content.decode()
    assert "copied mention, link<" in page
    assert str(acme) in page


def test_bulk_approval_sends_what_was_shown_and_nothing_else(
    mention: Message, ana: User, client: Client
) -> None:
    draft = write_draft(mention, text="Shown words", user=ana, now=timezone.now())
    client.force_login(ana)
    form = {"action": "approve_selected", "_selected_action": [mention.pk]}
    page = client.post("/admin/mentions/message/", form)
    assert "Shown words" in page.content.decode()
    assert not Reply.objects.exists()
    edit_draft(draft, text="Other words", user=ana, now=timezone.now())
    stale = {**form, "confirmed": "yes", "seen": [f"{draft.pk}:{draft.version - 1}"]}
    client.post("/admin/mentions/message/", stale)
    assert not Reply.objects.exists()
    client.post("/admin/mentions/message/", {**stale, "seen": [f"{draft.pk}:{draft.version}"]})
    assert Reply.objects.get().text == "Other words"


@pytest.mark.parametrize("model", ["message", "draft", "reply", "auditentry", "tombstone"])
def test_search_takes_any_text_when_it_looks_like_a_pattern(
    mention: Message, ana: User, client: Client, model: str
) -> None:
    User.objects.filter(pk=ana.pk).update(is_superuser=True)
    client.force_login(User.objects.get(pk=ana.pk))
    for words in (":(", "(", "a(b", "*", "[", "hi :) @acme", "\\", ".*"):
        answer = client.get(f"/admin/mentions/{model}/", {"q": words})
        assert answer.status_code == 200, words
        assert not answer.context["cl"].result_list, words


@pytest.mark.parametrize("words", ["@{name}", "{name}", " @{name} "])
def test_search_finds_what_somebody_wrote_when_given_the_name(
    mention: Message, ana: User, client: Client, words: str
) -> None:
    client.force_login(ana)
    query = words.format(name=mention.author_username)
    answer = client.get("/admin/mentions/message/", {"q": query})
    assert [found.pk for found in answer.context["cl"].result_list] == [mention.pk]
    assert not client.get("/admin/mentions/message/", {"q": "@nobody"}).context["cl"].result_list


def test_page_says_why_when_something_is_refused(
    mention: Message, bruno: User, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.force_login(bruno)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    answer = client.post(address, {"act": "send", "text": "Hi"}, headers={"accept": "text/html"})
    assert answer.status_code == 403
    assert "This needs the role “approver” on the account." in answer.content.decode()
    (line,) = [record for record in caplog.records if record.name == "django.request"]
    assert line.exc_info is None

    strict = Client(enforce_csrf_checks=True)
    strict.force_login(bruno)
    forged = strict.post(address, {"act": "save"}, headers={"accept": "text/html"})
    assert forged.status_code == 403
    assert "The form was not sent from a page of this site" in forged.content.decode()


def test_search_finds_a_row_by_the_ids_it_belongs_to(
    unknown: Reply, mention: Message, ana: User, client: Client
) -> None:
    write_draft(mention, text="Soon, we hope", user=ana, now=timezone.now())
    client.force_login(ana)
    for model in ("message", "draft", "reply", "auditentry"):
        answer = client.get(f"/admin/mentions/{model}/", {"q": mention.post_id})
        assert answer.context["cl"].result_list, model


@pytest.mark.parametrize("model", FIELDS_OFFERED, ids=lambda model: model.__name__)
def test_tab_says_what_the_list_shows(model: type[Model], admin_client: Client) -> None:
    page = admin_client.get(
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    )
    names = str(model._meta.verbose_name_plural)
    title = re.search(r"<title>\s*(.*?)\s*</title>", page.content.decode())
    assert title
    assert title[1] == f"{names[0].upper()}{names[1:]} | Autores"


def test_outbox_tells_whom_a_reply_answers(unknown: Reply, ana: User, client: Client) -> None:
    client.force_login(ana)
    page = client.get("/admin/mentions/reply/").content.decode()
    assert "@dora" in page


@pytest.mark.parametrize("model", FIELDS_OFFERED, ids=lambda model: model.__name__)
def test_address_of_a_list_takes_what_its_filters_offer_and_no_more(
    client: Client, model: type[Model]
) -> None:
    """Any lookup would tell a secret letter by letter, or be unknown to MongoDB."""
    client.force_login(create_person("root", is_superuser=True))
    address = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")
    offered = {item if isinstance(item, str) else item[0] for item in FIELDS_OFFERED[model]}
    fields = {field.name for field in model._meta.get_fields() if field.concrete}
    assert offered <= fields
    for name in fields:
        for lookup in (f"{name}__regex", f"{name}__startswith", f"{name}__search", f"{name}__id"):
            answer = client.get(address, {lookup: "a"})
            assert (answer.status_code, answer.headers.get("Location")) == (302, address), lookup
        answer = client.get(address, {f"{name}__isnull": "0"})
        assert answer.status_code == (200 if name in offered else 302), name
    led_back = client.get(address, {"pk__regex": "a"}, follow=True)
    assert "has no such filter" in led_back.content.decode()
