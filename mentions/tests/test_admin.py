"""The moderation desk as HTTP: who sees what, and what a person may settle."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db.models import Model
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from mentions.admin.replies import _chosen_post
from mentions.ingest.poll import poll_account
from mentions.models import AuditEntry, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.lookback import absent_after
from mentions.review import edit_draft, write_draft
from mentions.tests.api.conftest import store_message

FIELDS_OFFERED = {
    model: [item for item in page.list_filter if not isinstance(item, type)]
    for model, page in admin.site._registry.items()
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mention(acme: TwitterAccount, sandbox: RunningSandbox) -> Message:
    sandbox.control.create_mention(account="acme", author="dora", text="@acme <b>where</b> is it?")
    poll_account(acme, now=timezone.now())
    return Message.objects.get()


@pytest.fixture
def unknown(mention: Message, ana: User, sandbox: RunningSandbox) -> Reply:
    sandbox.control.add_fault("create_post", "reset_before")
    reply = enqueue_reply(
        mention, kind="public", text="Soon!", requested_by=ana, now=timezone.now()
    )
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "unknown"
    return reply


def age(reply: Reply) -> None:
    """As if X had had its time to show it."""
    long_ago = timezone.now() - absent_after()
    Reply.objects.filter(pk=reply.pk).update(sending_at=long_ago, first_sending_at=long_ago)


def act_on_replies(client: Client, action: str, reply: Reply) -> None:
    answer = client.post(
        "/admin/mentions/reply/", {"action": action, "_selected_action": [reply.pk]}
    )
    assert answer.status_code == 302, answer.content[:500]


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


def test_what_strangers_write_is_shown_and_never_run(
    mention: Message, bruno: User, client: Client
) -> None:
    client.force_login(bruno)
    for path in ("", f"{mention.pk}/change/"):
        page = client.get(f"/admin/mentions/message/{path}").content.decode()
        assert "&lt;b&gt;where&lt;/b&gt;" in page
        assert "<b>where</b>" not in page


def test_day_of_a_queued_reply_begins_again_when_a_person_wants_it_sent(
    mention: Message, ana: User, client: Client
) -> None:
    long_ago = timezone.now() - timedelta(days=2)
    reply = enqueue_reply(mention, kind="public", text="Late", requested_by=ana, now=long_ago)
    client.force_login(ana)
    act_on_replies(client, "send_now", reply)
    assert AuditEntry.objects.filter(actor=ana.pk, note="To be tried now.").count() == 1
    deliver_reply(reply.pk, now=timezone.now())
    reply.refresh_from_db()
    assert reply.state == "sent"


def test_reply_keeps_its_time_when_it_is_tried_now_among_others(
    mention: Message, ana: User, client: Client
) -> None:
    later = timezone.now() + timedelta(days=7)
    reply = enqueue_reply(
        mention, kind="public", text="Soon", requested_by=ana, not_before=later, now=timezone.now()
    )
    client.force_login(ana)
    act_on_replies(client, "send_now", reply)
    reply.refresh_from_db()
    assert abs(reply.not_before - later) < timedelta(seconds=1)
    page = client.get("/admin/mentions/reply/").content.decode()
    assert "1 left out: their time has not come." in page


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


def test_a_responder_cannot_send_by_any_button(
    mention: Message, bruno: User, client: Client
) -> None:
    client.force_login(bruno)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    for act in ("send", "send_dm"):
        answer = client.post(address, {"act": act, "text": "Hi", "dm_text": "Hi"})
        assert answer.status_code == 403
    client.post(address, {"act": "save", "text": "A draft"})
    client.post(
        "/admin/mentions/message/",
        {"action": "approve_selected", "_selected_action": [mention.pk]},
    )
    assert not Reply.objects.exists()


TYPED = {"text": "x" * 300, "dm_text": "Only for you", "custom_prompt": "be kind"}


def find_typed(page: str) -> set[str]:
    """Which of ``TYPED`` stand in the fields of the desk."""
    return {
        name
        for name, shown in {
            "text": f">{TYPED['text']}</textarea>",
            "dm_text": f">{TYPED['dm_text']}</textarea>",
            "custom_prompt": f'value="{TYPED["custom_prompt"]}"',
        }.items()
        if shown in page
    }


@pytest.mark.parametrize(
    ("act", "left"),
    [
        # Too long: refused.
        ("send", {"text", "dm_text", "custom_prompt"}),
        ("no such button", {"text", "dm_text", "custom_prompt"}),
        ("release", {"text", "dm_text", "custom_prompt"}),
        ("claim", {"text", "dm_text", "custom_prompt"}),
        ("ignore", {"text", "dm_text", "custom_prompt"}),
        # What it was typed for is done; a draft is shown with its own text.
        ("save", {"text", "dm_text", "custom_prompt"}),
        ("send_dm", {"text", "custom_prompt"}),
    ],
)
def test_what_was_typed_is_there_until_it_was_used(
    mention: Message, ana: User, client: Client, settings, act: str, left: set[str]
) -> None:
    settings.OPENAI_API_KEY = "sk-test"
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.post(desk, {"act": act, **TYPED}, follow=True).content.decode()
    assert find_typed(page) == left
    if act == "send":
        assert "of at most 280" in page
    # Once: it is no draft.
    assert find_typed(client.get(desk).content.decode()) <= {"text"}


def test_what_others_saved_is_not_undone_when_the_text_was_typed_before(
    mention: Message, ana: User, bruno: User, client: Client
) -> None:
    draft = write_draft(mention, text="First", user=bruno, now=timezone.now())
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    upon = {"draft": draft.pk, "draft_version": str(draft.version)}
    edit_draft(draft, text="Better", user=bruno, now=timezone.now())

    page = client.post(desk, {"act": "claim", "text": "Mine", **upon}, follow=True)

    assert (page.context["desk_text"], page.context["desk_version"]) == ("Mine", "1")
    refused = client.post(desk, {"act": "save", "text": "Mine", **upon}, follow=True)
    assert "Somebody changed this draft meanwhile" in refused.content.decode()
    draft.refresh_from_db()
    assert draft.text == "Better"
    # Told of it, she may.
    assert refused.context["desk_version"] is None
    client.post(desk, {"act": "save", "text": "Mine", **upon, "draft_version": draft.version})
    draft.refresh_from_db()
    assert draft.text == "Mine"


@pytest.mark.parametrize("key", ["a/b", "a b <i>", "_5F", "ü?#&%"])
def test_desk_works_when_the_id_is_odd(acme: TwitterAccount, client: Client, key: str) -> None:
    store_message(acme, 1, id=key, post_id=key, conversation_id="77")
    other = store_message(acme, 2, conversation_id="77")
    client.force_login(create_person("root", is_superuser=True))
    page = client.get(f"/admin/mentions/message/{other.pk}/change/").content.decode()
    address = reverse("admin:mentions_message_change", args=[quote(key)])
    assert f'href="{address}"' in page
    assert 'id="desk-form"' in client.get(address).content.decode()
    claimed = client.post(address, {"act": "claim"}, follow=True)
    assert claimed.redirect_chain == [(address, 302)]
    assert Message.objects.get(pk=key).status == "processing"


def post_on_x(reply: Reply, text: str) -> str:
    """What a colleague answered on X itself; the post's id."""
    target = reply.message.post_id
    return call_x(reply.account, lambda x: x.create_reply(text, in_reply_to_post_id=target)).id


def test_a_person_settles_an_unknown_outcome_as_sent(
    unknown: Reply, ana: User, client: Client
) -> None:
    client.force_login(ana)
    act_on_replies(client, "settle_as_sent", unknown)
    unknown.refresh_from_db()
    assert unknown.state == "unknown", "X shows nothing of it"
    post = post_on_x(unknown, unknown.text)
    act_on_replies(client, "settle_as_sent", unknown)
    unknown.refresh_from_db()
    assert (unknown.state, unknown.x_post_id) == ("sent", post)
    assert Message.objects.get().status == "replied"
    entry = AuditEntry.objects.get(action="reply.sent.public")
    assert entry.actor == ana.pk


def test_a_person_settles_an_unknown_outcome_as_absent(
    unknown: Reply, ana: User, client: Client, sandbox: RunningSandbox
) -> None:
    client.force_login(ana)
    act_on_replies(client, "settle_as_absent", unknown)
    unknown.refresh_from_db()
    assert unknown.state == "unknown", "X may still show it"
    age(unknown)
    act_on_replies(client, "settle_as_absent", unknown)
    unknown.refresh_from_db()
    assert unknown.state == "queued"
    deliver_reply(unknown.pk, now=timezone.now())
    assert len(sandbox.control.list_posts(in_reply_to=unknown.message_id)) == 1


def test_only_an_approver_settles_and_only_what_is_unknown(
    unknown: Reply, acme: TwitterAccount, ana: User, client: Client
) -> None:
    vera = create_person("vera")
    give_role(vera, acme, Role.RESPONDER)
    client.force_login(vera)
    form = {"action": "settle_as_absent", "_selected_action": [unknown.pk]}
    client.post("/admin/mentions/reply/", form)
    unknown.refresh_from_db()
    assert unknown.state == "unknown"
    # Offered to an approver, also of another account: each row is looked at.
    give_role(vera, TwitterAccount.objects.create(twitter_id="99"), Role.APPROVER)
    act_on_replies(client, "settle_as_absent", unknown)
    unknown.refresh_from_db()
    assert unknown.state == "unknown"
    client.force_login(ana)
    post_on_x(unknown, unknown.text)
    act_on_replies(client, "settle_as_sent", unknown)
    act_on_replies(client, "settle_as_absent", unknown)
    unknown.refresh_from_db()
    assert unknown.state == "sent"


def test_a_person_points_at_the_post_by_its_address_or_gives_up(
    unknown: Reply, ana: User, client: Client, sandbox: RunningSandbox
) -> None:
    client.force_login(ana)
    address = f"/admin/mentions/reply/{unknown.pk}/change/"
    page = client.post(address, {"act": "sent", "typed_id": "abc"}, follow=True)
    assert "a number of at most 19 digits" in page.content.decode()
    page = client.post(address, {"act": "abandoned"}, follow=True)
    assert "X may still show it" in page.content.decode()
    age(unknown)
    sandbox.control.add_fault("timeline", "server_error")
    page = client.post(address, {"act": "absent"}, follow=True)
    assert "X could not be read" in page.content.decode()
    post = post_on_x(unknown, "Soon, very soon!")
    typed = f" https://x.com/acme/status/{post}/photo/1?s=20 "
    # What is typed goes before what is chosen.
    client.post(address, {"act": "sent", "typed_id": typed, "x_post_id": "1"})
    unknown.refresh_from_db()
    assert (unknown.state, unknown.x_post_id) == ("sent", post)


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("123", "123"),
        ("https://x.com/a/status/123/?s=20", "123"),
        ("https://x.com/a/status/123/photo/1", "123"),
        ("https://x.com/a/status/123#m", "123"),
        ("https://twitter.com/i/statuses/123", "123"),
        ("https://x.com/a", "https://x.com/a"),
    ],
)
def test_post_is_read_from_any_form_of_its_address(typed: str, found: str) -> None:
    request = RequestFactory().post("/", {"typed_id": typed, "x_post_id": "9"})
    assert _chosen_post(request) == found


def test_what_was_given_up_can_be_answered_anew(unknown: Reply, ana: User, client: Client) -> None:
    age(unknown)
    client.force_login(ana)
    client.post(f"/admin/mentions/reply/{unknown.pk}/change/", {"act": "abandoned"})
    unknown.refresh_from_db()
    assert (unknown.state, unknown.reason_code) == ("failed", "abandoned")
    assert Message.objects.get().status == "error"


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


def test_the_prompt_field_belongs_to_no_form_that_sends(
    mention: Message, ana: User, client: Client
) -> None:
    client.force_login(ana)
    page = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    field = page[page.index('id="desk-prompt"') :][:120]
    assert 'form="generate-form"' in field


def test_reply_is_undone_on_the_desk_and_its_text_is_there_again(
    mention: Message, ana: User, bruno: User, client: Client, settings
) -> None:
    settings.REPLY_UNDO_SECONDS = 5
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    client.force_login(ana)
    sent = client.post(desk, {"act": "send", "text": "Too hasty."}, follow=True)
    assert "can be undone for 5 s" in sent.content.decode()
    assert 'value="undo"' in sent.content.decode()
    reply = Reply.objects.get()
    client.force_login(bruno)
    assert client.post(desk, {"act": "undo", "reply": reply.pk}).status_code == 403
    client.force_login(ana)
    undone = client.post(desk, {"act": "undo", "reply": reply.pk}, follow=True).content.decode()
    assert "Undone: it is not sent." in undone
    assert ">Too hasty.</textarea>" in undone
    reply.refresh_from_db()
    assert (reply.state, reply.reason_code) == ("failed", "cancelled")


def test_both_texts_are_shown_when_a_person_must_decide(
    unknown: Reply, ana: User, bruno: User, client: Client
) -> None:
    post = post_on_x(unknown, "Soon enough!")
    nearest = {
        "id": post,
        "text": "@dora Soon <i>enough</i>!",
        "created_at": "2026-03-01T10:00:00+00:00",
        "in_reply_to_post_id": "1",
        "is_to_parent": True,
        "likeness": 0.83,
    }
    proof = {"needs_person": True, "attempts": 3, "read_at": "…", "candidates": [nearest]}
    Reply.objects.filter(pk=unknown.pk).update(proof=proof)
    client.force_login(ana)
    page = f"/admin/mentions/reply/{unknown.pk}/change/"
    shown = client.get(page).content.decode()
    assert "X contradicts itself" in shown
    assert "Soon!" in shown
    assert "@dora Soon &lt;i&gt;enough&lt;/i&gt;!" in shown
    assert "83 % alike" in shown
    desk = client.get(f"/admin/mentions/message/{unknown.message_id}/change/").content.decode()
    assert page in desk
    client.force_login(bruno)
    assert client.post(page, {"act": "sent"}).status_code == 403
    client.force_login(ana)
    client.post(page, {"act": "sent", "x_post_id": post})
    unknown.refresh_from_db()
    assert (unknown.state, unknown.x_post_id) == ("sent", post)
    assert (
        "Only an unknown outcome"
        in client.post(page, {"act": "absent"}, follow=True).content.decode()
    )


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
            answer = client.get(address, {lookup: "a"}, headers={"accept": "text/html"})
            assert answer.status_code == 400, lookup
            assert "Traceback" not in answer.content.decode()
        answer = client.get(address, {f"{name}__isnull": "0"})
        assert answer.status_code == (200 if name in offered else 400), name


def test_a_version_is_no_number_when_it_has_thousands_of_digits(
    mention: Message, ana: User, client: Client
) -> None:
    draft = write_draft(mention, text="Hello", user=ana, now=timezone.now())
    client.force_login(ana)
    answer = client.post(
        f"/admin/mentions/message/{mention.pk}/change/",
        {"act": "save", "draft": draft.pk, "text": "Hi", "draft_version": "9" * 5000},
    )
    assert answer.status_code < 500
