from typing import Any

import pytest

from accounts.models import Role, TwitterAccount, User
from autores.celery import app
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from mentions.models import AuditEntry, Message, Reply, ReplyState
from mentions.tests.api.conftest import Client

pytestmark = pytest.mark.usefixtures("short_wait")


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
