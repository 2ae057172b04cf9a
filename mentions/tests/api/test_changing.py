import threading
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Role, TwitterAccount, User
from autores.mongo.plans import recorded_plans
from autores.problems import ApiProblem
from autores.sandbox.server import RunningSandbox
from autores.tests.cast import create_person, give_role
from mentions.api.changes import update_message
from mentions.api.queries import find_message
from mentions.ingest.poll import poll_account
from mentions.ingest.sweep import sweep_account
from mentions.models import AuditEntry, Cursor, Draft, Message, Reply, Tombstone, file_entries
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.tests.api.conftest import Client, store_message


@pytest.fixture
def message(acme: TwitterAccount) -> Message:
    return store_message(acme, 1)


def path_of(message: Message) -> str:
    return f"/api/v1/messages/{message.pk}"


def add_reply(message: Message, **values: Any) -> Reply:
    defaults = {"kind": "public", "live_key": f"{message.pk}:public", "text": "Yes."}
    fields = {**defaults, **values}
    return Reply.objects.create(
        message=message, account=message.account, idempotency_key=fields["live_key"], **fields
    )


def test_refused_when_a_field_has_half_a_character_for_a_name(
    bruno: User, message: Message, client_of: Client
) -> None:
    answer = client_of(bruno).generic(
        "PATCH", path_of(message), r'{"\ud800": 1}', content_type="application/json"
    )
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == r"\ud800"


def test_fields_change_and_are_audited_when_patched(
    bruno: User, message: Message, client_of: Client
) -> None:
    changes = {
        "status": "ignored",
        "public_response": " By hand.\n",
        "dm_response": None,
        "credits_used": 3,
        "redirected": True,
    }
    answer = client_of(bruno).patch(path_of(message), changes)
    assert answer.status_code == 200
    body = answer.json()
    assert {name: body[name] for name in changes} == changes
    assert (body["version"], answer["ETag"][:3]) == (2, '"2-')
    file_entries()
    entry = AuditEntry.objects.get(object_id=message.pk)
    assert (entry.actor, entry.action) == (bruno.pk, "message.changed")
    assert entry.before == {
        "status": "pending",
        "public_response": None,
        "credits_used": 0,
        "redirected": False,
    }
    assert entry.after["status"] == "ignored"


def test_nothing_is_written_when_a_patch_changes_nothing(
    bruno: User, message: Message, client_of: Client
) -> None:
    answer = client_of(bruno).patch(path_of(message), {"status": "pending"})
    assert answer.json()["version"] == 1
    assert file_entries() == 0
    assert not AuditEntry.objects.filter(object_id=message.pk).exists()


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"text": "Rewritten"}, "text", "read_only"),
        ({"id": "1", "status": "ignored"}, "id", "read_only"),
        ({"colour": "red"}, "colour", "unknown_field"),
        ({"status": "done"}, "status", "invalid_choice"),
        ({"status": None}, "status", "null"),
        ({"public_response": 5}, "public_response", "invalid"),
        ({"credits_used": "many"}, "credits_used", "invalid"),
        ({"credits_used": -1}, "credits_used", "min_value"),
        ({"credits_used": 2**31}, "credits_used", "max_value"),
        ({"redirected": "perhaps"}, "redirected", "invalid"),
    ],
)
def test_400_names_the_field_when_it_cannot_be_changed_so(
    bruno: User, message: Message, client_of: Client, changes: dict[str, Any], field: str, code: str
) -> None:
    answer = client_of(bruno).patch(path_of(message), changes)
    assert answer.status_code == 400
    assert [(item["field"], item["code"]) for item in answer.json()["errors"]] == [(field, code)]
    assert Message.objects.get(pk=message.pk).version == 1


def test_400_is_answered_when_the_body_is_no_object(
    bruno: User, message: Message, client_of: Client
) -> None:
    assert client_of(bruno).patch(path_of(message), ["status"]).status_code == 400
    raw = client_of(bruno).patch(path_of(message), "{", content_type="application/json")
    assert (raw.status_code, raw.json()["code"]) == (400, "parse_error")


def test_412_is_answered_when_somebody_changed_it_meanwhile(
    bruno: User, message: Message, client_of: Client
) -> None:
    client = client_of(bruno)
    etag = client.get(path_of(message))["ETag"]
    headers = {"If-Match": etag}
    first = client.patch(path_of(message), {"status": "ignored"}, headers=headers)
    second = client.patch(path_of(message), {"status": "replied"}, headers=headers)
    assert (first.status_code, second.status_code) == (200, 412)
    assert second.json()["code"] == "changed_meanwhile"
    assert second.json()["current_etag"] == '"2"'
    headers = {"If-Match": second.json()["current_etag"]}
    third = client.patch(path_of(message), {"credits_used": 1}, headers=headers)
    assert third.status_code == 200
    assert Message.objects.get(pk=message.pk).status == "ignored"


@pytest.mark.parametrize(
    "given", ["", "é", '"é"', "1", '"0"', '"1', '"1-"', '"-1"', '"', '"11-aa"']
)
def test_412_is_answered_when_the_version_cannot_be_read(
    bruno: User, message: Message, client_of: Client, given: str
) -> None:
    answer = client_of(bruno).patch(
        path_of(message), {"status": "ignored"}, headers={"If-Match": given}
    )
    assert (answer.status_code, answer.json()["code"]) == (412, "changed_meanwhile")
    assert Message.objects.get(pk=message.pk).version == 1


def test_every_change_is_kept_when_many_write_at_once(
    bruno: User, message: Message, client_of: Client
) -> None:
    statuses: list[int] = []

    def change(number: int) -> None:
        try:
            body = {"credits_used": number}
            statuses.append(client_of(bruno).patch(path_of(message), body).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, args=(number,)) for number in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 6
    assert Message.objects.get(pk=message.pk).version == 7
    file_entries()
    assert AuditEntry.objects.filter(object_id=message.pk).count() == 6


def test_roles_decide_when_people_change_and_delete(
    ana: User, bruno: User, carla: User, acme: TwitterAccount, message: Message, client_of: Client
) -> None:
    viewer = create_person("vera")
    give_role(viewer, acme, Role.VIEWER)
    body = {"status": "ignored"}
    assert client_of(carla).patch(path_of(message), body).status_code == 404
    refused = client_of(viewer).patch(path_of(message), body)
    assert (refused.status_code, refused.json()["code"]) == (403, "role_too_low")
    assert refused.json()["required_role"] == "responder"
    assert client_of(bruno).delete(path_of(message)).status_code == 403
    assert client_of(carla).delete(path_of(message)).status_code == 404
    assert Message.objects.get(pk=message.pk).status == "pending"
    assert client_of(ana).delete(path_of(message)).status_code == 200


def test_evidence_stays_when_a_message_is_deleted(
    ana: User, message: Message, client_of: Client
) -> None:
    add_reply(message, state="sent", x_post_id="55")
    Draft.objects.create(
        message=message, account=message.account, open_key=message.pk, text="Perhaps."
    )
    answer = client_of(ana).delete(path_of(message))
    assert answer.json() == {"message": f"Message {message.pk} was deleted."}
    assert client_of(ana).get(path_of(message)).status_code == 404
    assert client_of(ana).delete(path_of(message)).status_code == 404
    assert Draft.objects.count() == Reply.objects.count() == 0
    entry = AuditEntry.objects.get(action="message.deleted")
    assert entry.actor == ana.pk
    assert entry.before["replies"][0]["x_post_id"] == "55"
    assert Tombstone.objects.get(pk=f"{message.account_id}:{message.post_id}").deleted_by == ana.pk


@pytest.mark.parametrize("state", ["queued", "sending", "unknown"])
def test_message_stays_when_a_reply_to_it_is_unsettled(
    ana: User, message: Message, client_of: Client, state: str
) -> None:
    reply = add_reply(message, state=state)
    answer = client_of(ana).delete(path_of(message))
    assert (answer.status_code, answer.json()["code"]) == (409, "reply_unsettled")
    assert client_of(ana).get(answer.json()["reply_url"]).json()["id"] == reply.pk
    assert Message.objects.filter(pk=message.pk).exists()


def test_reply_or_deletion_wins_when_both_come_at_once(
    ana: User, acme: TwitterAccount, client_of: Client, settings: Any
) -> None:
    settings.REPLY_WAIT_SECONDS = 0
    outcomes = []
    for number in range(12):
        message = store_message(acme, number, status="processing")
        both = threading.Barrier(2)

        def send(message: Message = message, both: threading.Barrier = both) -> None:
            try:
                client = client_of(ana)
                both.wait()
                client.post(f"{path_of(message)}/reply", {"response": "Yes."})
            finally:
                connection.close()

        sending = threading.Thread(target=send)
        sending.start()
        client = client_of(ana)
        both.wait()
        deleted = client.delete(path_of(message)).status_code
        sending.join()
        has_reply = Reply.objects.filter(message_id=message.pk).exists()
        has_message = Message.objects.filter(pk=message.pk).exists()
        outcomes.append((deleted, has_reply, has_message))
    assert set(outcomes) <= {(200, False, False), (409, True, True)}, outcomes


def test_nothing_is_queued_when_the_message_was_deleted_meanwhile(
    ana: User, message: Message, client_of: Client
) -> None:
    assert client_of(ana).delete(path_of(message)).status_code == 200
    with pytest.raises(OutboxRefusedError, match="message_deleted"):
        enqueue_reply(message, kind="public", text="Too late.", now=timezone.now())
    assert not Reply.objects.exists()


def test_mention_stays_deleted_when_x_shows_it_again(
    ana: User,
    acme: TwitterAccount,
    mention: Message,
    sandbox: RunningSandbox,
    client_of: Client,
) -> None:
    assert client_of(ana).delete(path_of(mention)).status_code == 200
    Cursor.objects.filter(pk=acme.pk).update(newest_post_id=str(int(mention.pk) - 1))
    assert poll_account(acme, now=timezone.now()).seen == 1
    sweep_account(acme, now=timezone.now())
    assert not Message.objects.exists()


def test_change_is_one_read_and_one_command_by_key_when_patched(
    bruno: User, message: Message, client_of: Client
) -> None:
    client = client_of(bruno)
    client.patch(path_of(message), {"credits_used": 1})
    with recorded_plans() as plans:
        client.patch(path_of(message), {"credits_used": 2, "status": "ignored"})
    assert [plan.description.split("'")[1] for plan in plans] == ["find", "update"]
    assert all(plan.is_index_scan and plan.docs_examined <= 1 for plan in plans)


def test_change_is_made_to_what_another_left_when_he_was_first(
    bruno: User, message: Message
) -> None:
    read = find_message(message.pk)
    assert read is not None
    changes = {"credits_used": 7}
    # Without a new version, as no stage writes: what the audit entry says must be so all the same.
    Message.objects.filter(pk=message.pk).update(credits_used=4)
    update_message(read, changes=changes, actor=bruno.pk, now=timezone.now())
    file_entries()
    entries = AuditEntry.objects.filter(action="message.changed")
    assert [entry.before for entry in entries] == [{"credits_used": 4}]
    read = find_message(message.pk)
    assert read is not None
    Message.objects.get(pk=message.pk).delete()
    with pytest.raises(ApiProblem, match="deleted meanwhile"):
        update_message(read, changes={"status": "ignored"}, actor=bruno.pk, now=timezone.now())
    assert entries.count() == 1


def test_what_was_sent_is_not_written_anew_by_hand(
    ana: User, message: Message, client_of: Client
) -> None:
    reply = enqueue_reply(message, kind="public", text="At nine.", now=timezone.now())
    Reply.objects.filter(pk=reply.pk).update(state="sent")
    Message.objects.filter(pk=message.pk).update(status="replied", public_response="At nine.")
    client = client_of(ana)
    for changes in (
        {"public_response": "I never said that"},
        {"status": "pending"},
        {"status": "processing"},
        {"status": "ignored", "public_response": "other"},
    ):
        answer = client.patch(path_of(message), changes)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_replied")
        assert answer.json()["reply_url"].endswith(reply.pk)
    same = {"status": "replied", "public_response": "At nine.", "dm_response": "By telephone."}
    assert client.patch(path_of(message), same).status_code == 200
    kept = Message.objects.get(pk=message.pk)
    assert (kept.status, kept.public_response) == ("replied", "At nine.")
