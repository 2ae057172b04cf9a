"""Changes that people make to a message by the API: one transaction with its audit entry."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from autores.mongo.transactions import run_in_transaction
from autores.problems import ApiProblem
from mentions.api.etags import changed_meanwhile
from mentions.models import (
    UNSETTLED_STATES,
    Draft,
    Message,
    MessageStatus,
    Reply,
    Tombstone,
    record_audit,
    tombstone_key,
)

_UNCLAIMED: Mapping[str, Any] = {"claimed_by": "", "claimed_at": None}


def _load(message_id: str, expected_version: int | None) -> Message:
    message = Message.objects.filter(pk=message_id).first()
    if message is None:
        raise ApiProblem("message_not_found", "The message was deleted meanwhile.", status_code=404)
    if expected_version is not None and message.version != expected_version:
        raise changed_meanwhile(message.version)
    return message


def update_message(
    message_id: str,
    *,
    changes: Mapping[str, Any],
    actor: str,
    now: datetime,
    expected_version: int | None = None,
) -> None:
    """Write ``changes`` (fields to values) and the audit entry; nothing if nothing differs.

    Raises ApiProblem: 404 gone, 412 not at ``expected_version``.
    """

    def write() -> None:
        message = _load(message_id, expected_version)
        before = {name: getattr(message, name) for name in changes}
        differing = {name: value for name, value in changes.items() if before[name] != value}
        if not differing:
            return
        derived: Mapping[str, Any] = {}
        if "status" in differing:
            is_claimed = differing["status"] == MessageStatus.PROCESSING
            derived = {"claimed_by": actor, "claimed_at": now} if is_claimed else _UNCLAIMED
        if not Message.objects.filter(pk=message_id, version=message.version).update(
            **differing, **derived, version=message.version + 1, updated_at=now
        ):
            # Not reached within a snapshot; the filter is what makes the change safe without one.
            raise changed_meanwhile(None)
        record_audit(
            "message.changed",
            actor=actor,
            object_type="message",
            object_id=message_id,
            account_id=message.account_id,
            message_id=message_id,
            before={name: before[name] for name in differing},
            after=dict(differing),
        )

    run_in_transaction(write)


def delete_message(
    message_id: str, *, actor: str, now: datetime, expected_version: int | None = None
) -> None:
    """Delete the message, its drafts and settled replies; a tombstone keeps it from coming back.

    The audit entry keeps what was sent. Raises ApiProblem: 404 gone, 409 while a reply is
    unsettled, 412 not at ``expected_version``.
    """

    def write() -> None:
        message = _load(message_id, expected_version)
        replies = list(Reply.objects.filter(message_id=message_id))
        for reply in replies:
            if reply.state in UNSETTLED_STATES:
                raise ApiProblem(
                    "reply_unsettled",
                    f"A reply to this message is {reply.get_state_display().lower()}: delete the "
                    "message when the reply was sent or has failed.",
                    status_code=409,
                    reply_url=f"/api/v1/replies/{reply.pk}",
                )
        Draft.objects.filter(message_id=message_id).delete()
        Reply.objects.filter(message_id=message_id).delete()
        if not Message.objects.filter(pk=message_id, version=message.version).delete()[0]:
            raise changed_meanwhile(None)
        Tombstone(
            id=tombstone_key(account_id=message.account_id, post_id=message.post_id),
            message_id=message_id,
            deleted_by=actor,
            deleted_at=now,
        ).save()
        record_audit(
            "message.deleted",
            actor=actor,
            object_type="message",
            object_id=message_id,
            account_id=message.account_id,
            message_id=message_id,
            before={
                "text": message.text,
                "user": message.user,
                "post_id": message.post_id,
                "status": message.status,
                "public_response": message.public_response,
                "dm_response": message.dm_response,
                "replies": [_describe(reply) for reply in replies],
            },
        )

    run_in_transaction(write)


def _describe(reply: Reply) -> dict[str, Any]:
    return {
        "id": reply.pk,
        "kind": reply.kind,
        "state": reply.state,
        "text": reply.text,
        "x_post_id": reply.x_post_id,
        "sent_at": reply.sent_at.isoformat() if reply.sent_at else None,
        "reason_code": reply.reason_code,
    }
