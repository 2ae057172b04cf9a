"""The outbox in the admin: what a person may settle, hurry or give up."""

from datetime import timedelta

import pytest
from django.test import Client, RequestFactory
from django.utils import timezone

from accounts.models import Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from mentions.admin.replies import _chosen_post
from mentions.models import AuditEntry, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.lookback import absent_after
from mentions.tests.admin.conftest import act_on_replies, post_on_x

pytestmark = pytest.mark.django_db(transaction=True)


def age(reply: Reply) -> None:
    """As if X had had its time to show it."""
    long_ago = timezone.now() - absent_after()
    Reply.objects.filter(pk=reply.pk).update(sending_at=long_ago, first_sending_at=long_ago)


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
