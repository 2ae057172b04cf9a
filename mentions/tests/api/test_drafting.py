from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import TwitterAccount, User
from autores.sandbox.server import RunningSandbox
from mentions.models import Draft, Message, Reply
from mentions.tests.api.conftest import Client


@pytest.fixture
def draft(mention: Message) -> Draft:
    return Draft.objects.create(
        message=mention,
        account_id=mention.account_id,
        open_key=mention.pk,
        text="Yes, we are open.",
        original_text="Yes, we are open.",
    )


def test_legacy_fields_are_answered_when_a_draft_is_generated(
    bruno: User, mention: Message, path: str, client_of: Client
) -> None:
    answer = client_of(bruno).post(f"{path}/generate-response", {"custom_prompt": "Be brief."})
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert list(body)[:4] == [
        "message_id",
        "original_message",
        "generated_response",
        "custom_prompt_used",
    ]
    assert (body["message_id"], body["original_message"]) == (mention.pk, mention.text)
    assert body["custom_prompt_used"] is True
    drafts = client_of(bruno).get(f"{path}/drafts").json()
    assert [(item["id"], item["text"], item["created_by"]) for item in drafts] == [
        (body["draft_id"], body["generated_response"], bruno.pk)
    ]


def test_no_body_is_needed_when_a_draft_is_generated(
    bruno: User, path: str, client_of: Client
) -> None:
    answer = client_of(bruno).post(f"{path}/generate-response/")
    assert answer.status_code == 200
    assert answer.json()["custom_prompt_used"] is False
    assert (
        client_of(bruno).post(f"{path}/generate-response", {"custom_prompt": 5}).status_code == 400
    )


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("rate_limit_window", 429, "llm_rate_limited"),
        ("invalid_output", 502, "llm_invalid_output"),
        ("refuse_output", 422, "llm_refused"),
        ("unauthorized", 503, "llm_key_rejected"),
    ],
)
def test_problem_names_the_cause_when_the_model_fails(
    bruno: User,
    path: str,
    sandbox: RunningSandbox,
    client_of: Client,
    fault: str,
    status: int,
    code: str,
) -> None:
    sandbox.control.add_fault("responses", fault, times=None)
    answer = client_of(bruno).post(f"{path}/generate-response")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert ("Retry-After" in answer) is (status == 429)
    assert not Draft.objects.exists()


def test_draft_is_edited_when_its_version_is_the_one_read(
    bruno: User, draft: Draft, client_of: Client
) -> None:
    client, path = client_of(bruno), f"/api/v1/drafts/{draft.pk}"
    headers = {"If-Match": client.get(path)["ETag"]}
    edited = client.patch(path, {"text": "Yes, until six."}, headers=headers)
    assert edited.status_code == 200, edited.content
    assert (edited.json()["state"], edited.json()["text"]) == ("edited", "Yes, until six.")
    assert edited["ETag"] != headers["If-Match"]
    assert client.patch(path, {"text": "Mine!"}, headers=headers).status_code == 412
    too_long = client.patch(path, {"text": "x" * 281})
    assert (too_long.status_code, too_long.json()["code"]) == (422, "text_too_long")
    assert too_long.json()["errors"][0]["field"] == "text"
    refused = client.patch(path, {"state": "approved", "text": "x"})
    assert [error["field"] for error in refused.json()["errors"]] == ["state"]


def test_reply_is_sent_when_a_submitted_draft_is_approved(
    ana: User,
    bruno: User,
    mention: Message,
    draft: Draft,
    sandbox: RunningSandbox,
    sender: None,
    client_of: Client,
) -> None:
    path = f"/api/v1/drafts/{draft.pk}"
    assert client_of(bruno).post(f"{path}/submit").json()["state"] == "submitted"
    assert client_of(bruno).post(f"{path}/approve").status_code == 403
    answer = client_of(ana).post(f"{path}/approve")
    assert answer.status_code == 200, answer.content
    assert answer.json()["draft"]["state"] == "approved"
    assert answer.json()["reply"]["state"] == "sent"
    assert len(sandbox.control.list_posts(in_reply_to=mention.pk)) == 1
    again = client_of(ana).post(f"{path}/approve")
    assert again.status_code == 409
    assert Reply.objects.count() == 1


def test_reply_waits_when_a_draft_is_approved_for_later(
    ana: User, draft: Draft, client_of: Client
) -> None:
    later = timezone.now() + timedelta(hours=2)
    body = {"text": "Good morning!", "not_before": later.isoformat()}
    answer = client_of(ana).post(f"/api/v1/drafts/{draft.pk}/approve", body)
    assert answer.status_code == 202, answer.content
    assert answer.json()["reply"]["text"] == "Good morning!"
    assert int(answer["Retry-After"]) == 3600
    assert client_of(ana).get(answer["Location"]).json()["state"] == "queued"


def test_draft_is_closed_when_it_was_rejected(bruno: User, draft: Draft, client_of: Client) -> None:
    path = f"/api/v1/drafts/{draft.pk}"
    rejected = client_of(bruno).post(f"{path}/reject", {"note": "Too stiff."}).json()
    assert (rejected["state"], rejected["decision_note"]) == ("rejected", "Too stiff.")
    late = client_of(bruno).patch(path, {"text": "Hi!"})
    assert (late.status_code, late.json()["code"]) == (409, "draft_closed")


def test_409_says_why_when_a_draft_breaks_the_rules(
    ana: User, draft: Draft, client_of: Client
) -> None:
    Draft.objects.filter(pk=draft.pk).update(
        violations=[{"code": "link_not_allowed", "sentence": "It holds a link."}]
    )
    answer = client_of(ana).post(f"/api/v1/drafts/{draft.pk}/approve")
    assert (answer.status_code, answer.json()["code"]) == (409, "draft_violates_rules")
    assert "It holds a link." in answer.json()["detail"]


def test_drafts_are_hidden_when_a_stranger_asks(
    carla: User, draft: Draft, path: str, client_of: Client
) -> None:
    client = client_of(carla)
    assert client.get(f"{path}/drafts").status_code == 404
    assert client.get(f"/api/v1/drafts/{draft.pk}").status_code == 404
    assert client.post(f"/api/v1/drafts/{draft.pk}/approve").status_code == 404
    assert client.post(f"{path}/generate-response").status_code == 404
    absent: Any = client.get("/api/v1/drafts/none")
    assert absent.json()["code"] == "draft_not_found"


def test_draft_is_not_there_for_people_of_the_account_its_mention_left(
    ana: User, draft: Draft, client_of: Client
) -> None:
    other = TwitterAccount.objects.create(twitter_id="77", twitter_username="other")
    client, path = client_of(ana), f"/api/v1/drafts/{draft.pk}"
    assert client.get(path).status_code == 200
    Message.objects.update(account=other)
    assert client.get(path).status_code == 404
    assert client.post(f"{path}/approve").status_code == 404
    assert not Reply.objects.exists()
