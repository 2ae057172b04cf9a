"""What a person decides about a reply that waits, was sent, or of which nobody knows."""

import pytest
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import User
from autores.sandbox.server import RunningSandbox
from mentions.models import AuditEntry, Message, Reply
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.review import write_draft
from mentions.tests.api.conftest import Client

pytestmark = pytest.mark.usefixtures("short_wait")


def test_undone_when_it_still_waits_and_not_once_it_is_sent(
    ana: User,
    bruno: User,
    path: str,
    mention: Message,
    sandbox: RunningSandbox,
    sender: None,
    client_of: Client,
) -> None:
    client = client_of(ana)
    answer = client.post(
        f"{path}/reply", {"response": "Too hasty."}, query_params={"undo_seconds": 60}
    )
    assert answer.status_code == 202, answer.content
    where = answer["Location"]
    assert answer.json()["reply"]["can_undo"]
    assert client_of(bruno).post(f"{where}/cancel").status_code == 403
    undone = client.post(f"{where}/cancel")
    assert (undone.status_code, undone.json()["state"]) == (200, "failed")
    assert undone.json()["reason_code"] == "cancelled"
    assert client.get(path).json()["status"] == "pending"
    # In the body it does as well; a wait of nothing is none.
    sent = client.post(f"{path}/reply", {"response": "Well considered.", "undo_seconds": 0})
    assert sent.status_code == 200, sent.content
    where = client.get(f"{path}/reply").json()["reply"]["id"]
    again = client.post(f"/api/v1/replies/{where}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "not_cancellable")
    assert len(sandbox.control.list_posts(author="acme")) == 1
    absurd = client.post(f"{path}/dm-reply", {"response": "x", "undo_seconds": 9999})
    assert (absurd.status_code, absurd.json()["errors"][0]["field"]) == (400, "undo_seconds")
    for query, body in (
        ("", {"undo_seconds": True}),
        ("?undo_seconds=nan", {}),
        ("?undo_seconds=-1", {}),
    ):
        odd = client.post(f"{path}/dm-reply{query}", {"response": "x", **body})
        assert (odd.status_code, odd.json()["errors"][0]["field"]) == (400, "undo_seconds")


def test_approved_draft_is_open_again_when_its_reply_is_undone(
    ana: User, mention: Message, client_of: Client
) -> None:
    draft = write_draft(mention, text="Approved too soon.", user=ana, now=timezone.now())
    client = client_of(ana)
    approved = client.post(f"/api/v1/drafts/{draft.pk}/approve", {"undo_seconds": 30})
    assert approved.status_code == 202, approved.content
    assert client.post(f"{approved['Location']}/cancel").status_code == 200
    drafts = client.get(f"/api/v1/messages/{mention.pk}/drafts").json()
    assert [(item["state"], item["text"]) for item in drafts] == [
        ("edited", "Approved too soon."),
    ]
    # Once more, and there still is one draft.
    approved = client.post(f"/api/v1/drafts/{draft.pk}/approve", {"undo_seconds": 30})
    assert client.post(f"{approved['Location']}/cancel").status_code == 200
    (again,) = client.get(f"/api/v1/messages/{mention.pk}/drafts").json()
    assert (again["id"], again["state"], again["decided_by"]) == (draft.pk, "edited", None)
    assert AuditEntry.objects.filter(action="draft.reopened").count() == 2


def test_open_draft_is_closed_when_the_mention_is_answered_in_other_words(
    ana: User, mention: Message, path: str, sender: None, client_of: Client
) -> None:
    draft = write_draft(mention, text="One way to say it.", user=ana, now=timezone.now())
    client = client_of(ana)
    assert client.post(f"{path}/reply", {"response": "Another way."}).status_code == 200
    closed = client.get(f"/api/v1/drafts/{draft.pk}").json()
    assert (closed["state"], closed["version"]) == ("superseded", draft.version + 1)
    late = client.post(f"/api/v1/drafts/{draft.pk}/approve", {})
    assert late.status_code == 409


@pytest.mark.parametrize("when", ["9999-12-31T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_approval_is_not_put_off_for_years(
    ana: User, mention: Message, client_of: Client, when: str
) -> None:
    draft = write_draft(mention, text="Some day.", user=ana, now=timezone.now())
    answer = client_of(ana).post(f"/api/v1/drafts/{draft.pk}/approve", {"not_before": when})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "not_before")
    assert not Reply.objects.exists()


def test_answer_is_not_written_by_hand_while_a_reply_is_under_way(
    ana: User, bruno: User, mention: Message, path: str, client_of: Client
) -> None:
    reply = enqueue_reply(mention, kind="public", text="Queued.", now=timezone.now())
    client = client_of(bruno)
    for changes in (
        {"status": "replied", "public_response": "fake"},
        {"public_response": "fake"},
        {"status": "ignored"},
        {"status": "pending"},
    ):
        answer = client.patch(path, changes)
        assert (answer.status_code, answer.json()["code"]) == (409, "reply_unsettled")
        assert answer.json()["reply_url"].endswith(reply.pk)
    # The other kind has nothing to do with it.
    assert client.patch(path, {"dm_response": "Said by telephone."}).status_code == 200
    assert client_of(ana).post(f"/api/v1/replies/{reply.pk}/cancel").status_code == 200
    assert client.patch(path, {"status": "replied"}).status_code == 200
    again = client_of(ana).post(f"{path}/dm-reply", {"response": "Once more?"})
    assert (again.status_code, again.json()["code"]) == (409, "already_replied")
    assert "set its status to pending" in again.json()["detail"]


def test_person_settles_an_unknown_outcome_with_both_texts_at_hand(
    ana: User, bruno: User, path: str, mention: Message, sandbox: RunningSandbox, client_of: Client
) -> None:
    sandbox.control.add_fault("create_post", "reset_before")
    reply = enqueue_reply(mention, kind="public", text="Did it?", now=timezone.now())
    deliver_reply(reply.pk, now=timezone.now())
    nearest = {"id": "123", "text": "@lena Did it", "likeness": 0.9}
    Reply.objects.filter(pk=reply.pk).update(proof={"needs_person": True, "candidates": [nearest]})
    client, where = client_of(ana), f"/api/v1/replies/{reply.pk}"
    shown = client.get(where).json()
    assert (shown["state"], shown["needs_decision"]) == ("unknown", True)
    assert shown["proof"]["candidates"] == [nearest]
    assert client_of(bruno).post(f"{where}/settle", {"outcome": "sent"}).status_code == 403
    assert client.post(f"{where}/settle", {"outcome": "perhaps"}).status_code == 400
    invented = client.post(f"{where}/settle", {"outcome": "sent", "x_post_id": "0"})
    assert (invented.status_code, invented.json()["code"]) == (409, "x_post_not_ours")
    early = client.post(f"{where}/settle", {"outcome": "absent"})
    assert (early.status_code, early.json()["code"]) == (409, "too_early")
    account, target = mention.account, mention.post_id
    assert account is not None
    post = call_x(account, lambda x: x.create_reply("Did it!", in_reply_to_post_id=target)).id
    sandbox.control.add_fault("lookup", "server_error")
    unread = client.post(f"{where}/settle", {"outcome": "sent", "x_post_id": post})
    assert (unread.status_code, unread.json()["code"]) == (502, "server_error")
    settled = client.post(f"{where}/settle", {"outcome": "sent", "x_post_id": post})
    assert settled.status_code == 200, settled.content
    assert (settled.json()["state"], settled.json()["x_post_id"]) == ("sent", post)
    again = client.post(f"{where}/settle", {"outcome": "absent"})
    assert (again.status_code, again.json()["code"]) == (409, "not_unknown")
