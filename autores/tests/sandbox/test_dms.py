"""Direct messages: who may write to whom, and what can be read back."""

from __future__ import annotations

import pytest


@pytest.fixture
def ana(sandbox):
    return sandbox.control.create_user("ana")


def send(caller, user, text="Hello"):
    return caller.call(
        "POST", f"/2/dm_conversations/with/{user['id']}/messages", json={"text": text}
    )


def test_message_is_delivered_when_the_inbox_is_open(sandbox, acme, ana):
    answer = send(acme, ana)
    assert answer.status_code == 201
    (message,) = sandbox.control.list_dms()
    assert message["id"] == answer.json()["data"]["dm_event_id"]
    assert (message["sender"], message["recipient"], message["text"]) == ("acme", "ana", "Hello")
    ids = sorted([acme.user_id, ana["id"]], key=int)
    assert answer.json()["data"]["dm_conversation_id"] == "-".join(ids)


def test_message_is_refused_when_the_inbox_is_closed(sandbox, acme, ana):
    sandbox.control.create_user("ana", receives_your_dm=False)
    users = acme.get("/2/users", {"ids": ana["id"], "user.fields": "receives_your_dm"}).json()
    assert users["data"][0]["receives_your_dm"] is False
    answer = send(acme, ana)
    assert answer.status_code == 403
    assert "permission to DM" in answer.json()["detail"]
    assert sandbox.control.list_dms() == []


def test_message_is_delivered_to_a_closed_inbox_when_that_person_wrote_first(sandbox, acme, ana):
    sandbox.control.create_user("ana", receives_your_dm=False)
    sandbox.control.send_dm(sender="ana", recipient="acme", text="Are you there?")
    assert send(acme, ana).status_code == 201


def test_message_is_refused_when_the_person_blocked_the_account(sandbox, acme, ana):
    sandbox.control.create_user("ana", blocks=[acme.user_id])
    assert send(acme, ana).status_code == 403


def test_events_come_newest_first_in_pages_when_read_back(sandbox, acme, ana):
    sandbox.control.set_limits(preset="unlimited")
    sent = [send(acme, ana, f"part {n}").json()["data"]["dm_event_id"] for n in range(7)]
    path = f"/2/dm_conversations/with/{ana['id']}/dm_events"
    params = {"max_results": 4, "dm_event.fields": "created_at,text", "expansions": "sender_id"}
    first = acme.get(path, params).json()
    second = acme.get(path, params | {"pagination_token": first["meta"]["next_token"]}).json()
    events = first["data"] + second["data"]
    assert [event["id"] for event in events] == sent[::-1]
    assert {event["sender_id"] for event in events} == {acme.user_id}
    assert "next_token" not in second["meta"]


def test_events_of_others_stay_hidden_when_someone_looks(sandbox, acme, ana, sign_in):
    event_id = send(acme, ana).json()["data"]["dm_event_id"]
    carla = sign_in("carla")
    assert carla.get("/2/dm_events").json() == {"meta": {"result_count": 0}}
    assert carla.get(f"/2/dm_events/{event_id}").status_code == 404
    assert acme.get(f"/2/dm_events/{event_id}").json()["data"]["text"] == "Hello"


def test_events_older_than_a_month_are_gone_when_read(sandbox, acme, ana):
    sandbox.control.change_settings(access_token_seconds=10**8)
    grant = sandbox.control.issue_tokens("acme")
    acme.session.headers["Authorization"] = f"Bearer {grant['access_token']}"
    send(acme, ana)
    sandbox.control.advance_clock(31 * 86400)
    assert acme.get("/2/dm_events").json()["meta"]["result_count"] == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [({"text": "x" * 10_001}, "longer"), ({"txt": "x"}, "txt"), ({"attachments": []}, "media")],
)
def test_message_is_a_bad_request_when_the_body_is_wrong(acme, ana, body, words):
    answer = acme.call("POST", f"/2/dm_conversations/with/{ana['id']}/messages", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["errors"][0]["message"]
