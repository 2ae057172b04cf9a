from typing import Any

import pytest
from django.utils import timezone

from accounts.clients import call_x
from accounts.models import Role, TwitterAccount, User
from autores.celery import app
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from mentions.models import AuditEntry, Message, Reply, ReplyState
from mentions.outbox.deliver import deliver_reply
from mentions.outbox.enqueue import enqueue_reply
from mentions.review import write_draft
from mentions.tests.api.conftest import Client


@pytest.fixture
def path(mention: Message) -> str:
    return f"/api/v1/messages/{mention.pk}"


@pytest.fixture(autouse=True)
def _short_wait(settings: Any) -> None:
    settings.REPLY_WAIT_SECONDS = 8.0


def test_message_is_answered_when_x_confirmed_a_public_reply(
    ana: User,
    path: str,
    mention: Message,
    sandbox: RunningSandbox,
    sender: None,
    client_of: Client,
) -> None:
    text = "Yes, until six & later on Fridays."
    # As the old client calls it: the text in the query, and no body at all.
    answer = client_of(ana).post(f"{path}/reply", query_params={"response": text})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert (body["id"], body["status"], body["public_response"]) == (mention.pk, "replied", text)
    posts = sandbox.control.list_posts(in_reply_to=mention.pk)
    assert len(posts) == 1
    page = client_of(ana).get(f"{path}/reply").json()
    assert page["reply"]["x_post_id"] == posts[0]["id"]
    assert page["reply"]["requested_by"] == ana.pk
    assert AuditEntry.objects.filter(action="reply.sent.public").count() == 1


def test_message_is_answered_when_x_confirmed_a_direct_message(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    sandbox.control.create_user("lena", receives_your_dm=True)
    answer = client_of(ana).post(f"{path}/dm-reply/", {"response": "Details by message."})
    assert answer.status_code == 200, answer.content
    assert answer.json()["dm_response"] == "Details by message."
    assert [dm["text"] for dm in sandbox.control.list_dms()] == ["Details by message."]


def test_form_body_does_when_a_browser_sends_it(
    ana: User, path: str, sender: None, client_of: Client
) -> None:
    answer = client_of(ana).post(f"{path}/reply", {"response": "By form."}, format="multipart")
    assert answer.json()["public_response"] == "By form."


def test_202_names_the_row_when_nobody_sends_in_time(
    ana: User, path: str, mention: Message, settings: Any, client_of: Client
) -> None:
    settings.REPLY_WAIT_SECONDS = 0.2
    client = client_of(ana)
    answer = client.post(f"{path}/reply", {"response": "Soon."})
    assert answer.status_code == 202
    assert int(answer["Retry-After"]) >= 1
    body = answer.json()
    assert body["message"]["status"] == "processing"
    assert body["reply"]["state"] == "queued"
    assert client.get(answer["Location"]).json() == body["reply"]
    again = client.post(f"{path}/reply", {"response": "Soon."})
    assert again["Location"] == answer["Location"]
    assert Reply.objects.count() == 1


def test_202_is_answered_at_once_when_the_outcome_is_unknown(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    sandbox.control.add_fault("create_post", "reset_after")
    answer = client_of(ana).post(f"{path}/reply", {"response": "Did it go through?"})
    assert answer.status_code == 202
    assert answer.json()["reply"]["state"] == "unknown"
    assert answer.json()["reply"]["reason"]


def test_202_says_when_x_wants_us_to_wait(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    sandbox.control.add_fault("create_post", "rate_limit_window")
    answer = client_of(ana).post(f"{path}/reply", {"response": "Later."})
    assert answer.status_code == 202
    assert answer.json()["reply"]["reason_code"] == "rate_limited_window"
    assert int(answer["Retry-After"]) > 1


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"fault": "duplicate"}, 409, "duplicate_content"),
        ({"fault": "forbidden", "params": {"detail": "No."}}, 403, "forbidden"),
    ],
)
def test_problem_has_xs_reason_when_x_refuses(
    ana: User,
    path: str,
    sandbox: RunningSandbox,
    sender: None,
    client_of: Client,
    fault: dict[str, Any],
    status: int,
    code: str,
) -> None:
    sandbox.control.add_fault("create_post", **fault)
    client = client_of(ana)
    answer = client.post(f"{path}/reply", {"response": "No use."})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["reply"]["state"] == "failed"
    assert client.get(path).json()["status"] == "error"
    # A failed reply stands in nobody's way.
    assert client.post(f"{path}/reply", {"response": "Another."}).status_code == 200


def test_409_shows_the_earlier_reply_when_it_was_answered_already(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    client = client_of(ana)
    assert client.post(f"{path}/reply", {"response": "First."}).status_code == 200
    second = client.post(f"{path}/reply", {"response": "Second."})
    assert (second.status_code, second.json()["code"]) == (409, "already_replied")
    assert second.json()["existing_text"] == "First."
    assert client.get(second.json()["reply_url"]).json()["state"] == "sent"
    assert len(sandbox.control.list_posts(author="acme")) == 1


def test_nothing_is_shown_of_another_accounts_reply_when_its_key_comes_again(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    client, headers = client_of(ana), {"Idempotency-Key": "click-1"}
    client.post(f"{path}/reply", {"response": "Of another account."}, headers=headers)
    other = TwitterAccount.objects.create(twitter_id="9009", twitter_username="globex")
    Reply.objects.update(account_id=other.pk)
    reused = client.post(f"{path}/reply", {"response": "Other."}, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    assert b"Of another account" not in reused.content
    assert reused.json().keys().isdisjoint({"reply", "reply_url", "existing_text"})


def test_one_reply_is_made_when_the_same_key_comes_twice(
    ana: User, path: str, sandbox: RunningSandbox, sender: None, client_of: Client
) -> None:
    client, headers = client_of(ana), {"Idempotency-Key": "click-1"}
    for _ in range(2):
        answer = client.post(f"{path}/reply", {"response": "Once."}, headers=headers)
        assert (answer.status_code, answer.json()["public_response"]) == (200, "Once.")
    reused = client.post(f"{path}/reply", {"response": "Other."}, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (409, "idempotency_key_reused")
    too_long = client.post(
        f"{path}/dm-reply", {"response": "x"}, headers={"Idempotency-Key": "k" * 200}
    )
    assert (too_long.status_code, too_long.json()["code"]) == (422, "idempotency_key_invalid")
    for blank in ("", "  "):
        empty = client.post(
            f"{path}/dm-reply", {"response": "x"}, headers={"Idempotency-Key": blank}
        )
        assert (empty.status_code, empty.json()["code"]) == (422, "idempotency_key_invalid")
    assert len(sandbox.control.list_posts(author="acme")) == 1


def test_422_measures_the_text_when_it_is_too_long_for_x(
    ana: User, path: str, client_of: Client
) -> None:
    answer = client_of(ana).post(f"{path}/reply", {"response": "漢" * 141})
    assert answer.status_code == 422
    body = answer.json()
    assert body["errors"][0]["field"] == "response"
    assert (body["code"], body["weighted_length"], body["max_weighted_length"]) == (
        "text_too_long",
        282,
        280,
    )
    assert not Reply.objects.exists()


@pytest.mark.parametrize("body", [{}, {"response": ""}, {"response": "  \n"}])
def test_422_is_answered_when_the_text_is_empty(
    ana: User, path: str, client_of: Client, body: dict[str, str]
) -> None:
    answer = client_of(ana).post(f"{path}/reply", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "empty_text")
    assert answer.json()["errors"][0]["field"] == "response"


def test_400_is_answered_when_query_and_body_differ(
    ana: User, path: str, sender: None, client_of: Client
) -> None:
    client = client_of(ana)
    differing = client.post(f"{path}/reply", {"response": "a"}, query_params={"response": "b"})
    assert (differing.status_code, differing.json()["code"]) == (400, "response_given_twice")
    assert client.post(f"{path}/reply", {"response": 5}).status_code == 400
    assert not Reply.objects.exists()
    agreeing = client.post(f"{path}/reply", {"response": "a"}, query_params={"response": "a"})
    assert agreeing.status_code == 200


def test_only_approvers_send_when_people_try(
    bruno: User, carla: User, acme: TwitterAccount, path: str, sender: None, client_of: Client
) -> None:
    body = {"response": "From me."}
    for route in ("reply", "dm-reply"):
        assert client_of(bruno).post(f"{path}/{route}", body).status_code == 403
        assert client_of(carla).post(f"{path}/{route}", body).status_code == 404
    approver = create_person("dora")
    give_role(approver, acme, Role.APPROVER)
    assert client_of(approver).post(f"{path}/reply", body).status_code == 200


def test_reply_is_hidden_when_a_stranger_asks(
    ana: User, carla: User, path: str, settings: Any, client_of: Client
) -> None:
    settings.REPLY_WAIT_SECONDS = 0
    answer = client_of(ana).post(f"{path}/reply", {"response": "Ours."})
    assert client_of(carla).get(answer["Location"]).status_code == 404
    assert client_of(ana).get(answer["Location"] + "/").status_code == 200


@pytest.fixture
def _no_broker(monkeypatch: Any) -> None:
    """Celery's broker is at an address where nothing listens."""
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)
    # What is set on its configuration stays there.
    for name in ("CELERY_BROKER_URL", "CELERY_BROKER_WRITE_URL", "CELERY_BROKER_READ_URL"):
        monkeypatch.setenv(name, "redis://127.0.0.1:1/0")


@pytest.mark.usefixtures("_no_broker")
def test_row_is_kept_when_no_broker_takes_the_nudge(
    ana: User, path: str, sender: None, client_of: Client
) -> None:
    answer = client_of(ana).post(f"{path}/reply", {"response": "All the same."})
    assert answer.status_code == 200, answer.content
    assert Reply.objects.get().state == ReplyState.SENT


def test_refusals_are_told_when_a_text_is_checked_beforehand(
    bruno: User, mention: Message, path: str, client_of: Client
) -> None:
    client = client_of(bruno)
    good = client.get(f"{path}/preflight", {"kind": "public", "text": "Yes."}).json()
    assert (good["can_send"], good["refusals"], good["weighted_length"]) == (True, [], 4)
    assert client.get(f"{path}/preflight").json()["weighted_length"] is None
    Message.objects.filter(pk=mention.pk).update(
        is_replyable=False, replyable_code="reply_settings", replyable_reason="Limited."
    )
    bad = client.get(f"{path}/preflight", {"text": "x" * 281}).json()
    assert not bad["can_send"]
    assert [item["code"] for item in bad["refusals"]] == ["text_too_long", "reply_settings"]
    assert client.get(f"{path}/preflight", {"kind": "fax"}).status_code == 400


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
