"""The moderation desk as HTTP: what it shows, keeps and refuses."""

from datetime import timedelta

import pytest
from django.contrib.admin.utils import quote
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AppPause, TwitterAccount, User
from autores.tests.cast import create_person
from mentions.models import Message, Reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.review import edit_draft, write_draft
from mentions.tests.api.conftest import store_message

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_what_strangers_write_is_shown_and_never_run(
    mention: Message, bruno: User, client: Client
) -> None:
    client.force_login(bruno)
    for path in ("", f"{mention.pk}/change/"):
        page = client.get(f"/admin/mentions/message/{path}").content.decode()
        assert "&lt;b&gt;where&lt;/b&gt;" in page
        assert "<b>where</b>" not in page


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


@pytest.mark.parametrize(
    ("act", "left"),
    [
        # Too long: refused.
        ("send", {"text", "dm_text", "custom_prompt"}),
        ("no such button", {"text", "dm_text", "custom_prompt"}),
        ("release", {"text", "dm_text", "custom_prompt"}),
        ("claim", {"text", "dm_text", "custom_prompt"}),
        # Nothing else can be typed on it then.
        ("ignore", {"text"}),
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
    # Also when the page is shown again, or in another tab.
    assert find_typed(client.get(desk).content.decode()) == left


def test_what_was_used_is_not_shown_again(mention: Message, ana: User, client: Client) -> None:
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    client.post(desk, {"act": "claim", "text": "Hello"})
    client.post(desk, {"act": "send", "text": "Hello"})
    assert find_typed(client.get(desk).content.decode()) == set()


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
    assert (
        "This draft, or the mention it answers, was changed meanwhile" in refused.content.decode()
    )
    assert '<p class="whitespace-pre-wrap break-words" dir="auto">Better</p>' in (
        refused.content.decode()
    )
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
    settings.REPLY_UNDO_SECONDS = 60
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    client.force_login(ana)
    sent = client.post(desk, {"act": "send", "text": "Too hasty."}, follow=True)
    assert "can be undone for" in sent.content.decode()
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


def test_desk_tells_when_a_reply_goes_out_and_offers_nothing_that_it_would_refuse(
    mention: Message, ana: User, client: Client
) -> None:
    client.force_login(ana)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    assert 'value="ignore"' in client.get(address).content.decode()
    later = timezone.now() + timedelta(hours=3)
    reply = enqueue_reply(
        mention, kind="public", text="Soon!", requested_by=ana, now=timezone.now(), not_before=later
    )
    page = client.get(address).content.decode()
    assert f"Goes out at {later:%-d %b %Y, %H:%M} UTC." in page
    assert not {name for name in ("ignore", "release") if f'value="{name}"' in page}
    for act in ("ignore", "release"):
        refused = client.post(address, {"act": act}, follow=True).content.decode()
        assert "A reply to this mention is under way (queued): undo it" in refused
    client.post(address, {"act": "undo", "reply": reply.pk})
    assert 'value="ignore"' in client.get(address).content.decode()


def test_an_ignored_mention_is_opened_again_before_it_is_answered(
    mention: Message, ana: User, client: Client
) -> None:
    write_draft(mention, text="Hello", user=ana, now=timezone.now())
    client.force_login(ana)
    desk = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.post(desk, {"act": "ignore"}, follow=True).content.decode()
    assert "This mention is ignored: reopen it before you answer it." in page
    assert 'id="desk-prompt"' not in page
    for act in ("send", "send_dm", "save", "submit", "generate"):
        assert act == "generate" or f'value="{act}"' not in page
        form = {"act": act, "text": "Hello", "dm_text": "Hello"}
        refused = client.post(desk, form, follow=True).content.decode()
        assert refused.count("reopen it before you answer it") == 2
    assert not Reply.objects.exists()
    page = client.post(desk, {"act": "reopen"}, follow=True).content.decode()
    assert 'value="send"' in page


def test_who_claimed_a_mention_is_shown_to_the_others(
    mention: Message, ana: User, bruno: User, client: Client
) -> None:
    address = f"/admin/mentions/message/{mention.pk}/change/"
    client.force_login(bruno)
    client.post(address, {"act": "claim"})
    assert "Claimed by you" in client.get(address).content.decode()
    client.force_login(ana)
    page = client.get(address).content.decode()
    assert "Claimed by <strong>bruno</strong>" in page
    assert "Release from bruno" in page
    refused = client.post(address, {"act": "claim"}, follow=True).content.decode()
    assert "bruno has claimed this mention: it has to be released first." in refused
    row = client.get("/admin/mentions/message/").content.decode()
    assert "Processing · bruno" in row
    client.post(address, {"act": "release"})
    assert "Claimed by" not in client.get(address).content.decode()


def test_a_reply_names_its_mention_and_who_asked_for_it(
    mention: Message, ana: User, client: Client
) -> None:
    reply = enqueue_reply(
        mention, kind="public", text="At\nnine.", requested_by=ana, now=timezone.now()
    )
    Reply.objects.filter(pk=reply.pk).update(state="sent", x_post_id="77")
    client.force_login(ana)
    page = client.get(f"/admin/mentions/reply/{reply.pk}/change/").content.decode()
    assert f"/admin/mentions/message/{mention.pk}/change/" in page
    assert "@dora" in page
    assert "asked for by ana" in page
    assert "https://x.com/i/status/77" in page
    desk = client.get(f"/admin/mentions/message/{mention.pk}/change/").content.decode()
    assert "ana · " in desk
    assert "https://x.com/i/status/77" in desk


def test_a_reply_is_said_to_wait_while_all_calls_are_paused(
    mention: Message, ana: User, client: Client
) -> None:
    AppPause.objects.create(code="operator", reason="Maintenance.")
    client.force_login(ana)
    address = f"/admin/mentions/message/{mention.pk}/change/"
    page = client.post(address, {"act": "send", "text": "Yes."}, follow=True).content.decode()
    assert "The reply waits, as all calls to X are paused" in page
    # The banner stands once, and offers nothing that this person may not do.
    assert page.count("nothing is read, nothing is sent") == 1
    assert "Resume …" not in page
