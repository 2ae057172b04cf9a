"""Changes that people make to a message by the API, each with its audit entry."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypedDict, Unpack

import bson
from django.db import connection
from pymongo.errors import WriteError

from autores.batching import Batcher
from autores.mongo.backend.errors import described_errors
from autores.mongo.errors import OutcomeUnknownError, TransactionConflictError
from autores.mongo.reads import find_page
from autores.mongo.transactions import run_in_transaction
from autores.mongo.writes import Update, update_each
from autores.problems import ApiProblem
from mentions.api.encoding import EncodedMessage, encode_document
from mentions.api.etags import changed_meanwhile
from mentions.api.queries import Document, find_encoded, find_message
from mentions.api.seen import seen_messages
from mentions.models import (
    UNSETTLED_STATES,
    Draft,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    ReplyState,
    Tombstone,
    file_entries,
    keep_claims,
    record_audit,
    tombstone_key,
)
from mentions.models.audit import (
    Told,
    build_entry,
    has_room_on_row,
    is_for_row,
    is_kept,
    leave_on_row,
    make_room_on_row,
)
from mentions.models.tally import keep_tally
from mentions.recheck.quotes import QuoteCutter
from mentions.recheck.redact import cutter_of, forget_edits, redact_import, redact_traces

_ATTEMPTS = 20
# While one waits for the journal, another is on its way.
_LANES = 2
# Shown, and written by the worker without another version.
_WITHOUT_VERSION = ("draft_state", "x_checked_at")
_MESSAGES = Message._meta.db_table
# Each of the other conditions of a change has an index, between which MongoDB would choose.
_BY_KEY = "_id_"
_RESPONSE_OF = {ReplyKind.PUBLIC: "public_response", ReplyKind.DM: "dm_response"}


class Change(TypedDict):
    """What is written to a message (fields to values), by whom, when."""

    changes: Mapping[str, Any]
    actor: str
    now: datetime


def _load(message_id: str, expected_version: int | None) -> Message:
    message = Message.objects.filter(pk=message_id).first()
    if message is None:
        raise ApiProblem("message_not_found", "The message was deleted meanwhile.", status_code=404)
    if expected_version is not None and message.version != expected_version:
        raise changed_meanwhile(message.version)
    return message


def update_message(
    document: Document, *, expected_version: int | None = None, **change: Unpack[Change]
) -> EncodedMessage:
    """Write ``changes`` and the audit entry; nothing if nothing differs.

    ``document`` is the message as it was read: the change is one command that matches only if it
    still is like that. Another's change in between makes it start again with what the other left.
    Gives the message as it is then. Raises ApiProblem: 404 gone, 409 ``reply_unsettled`` and
    ``already_replied``, 412 not at ``expected_version``. Raises TransactionConflictError when
    others are faster all the time.
    """
    message_id, changes, now = document["_id"], change["changes"], change["now"]
    for _ in range(_ATTEMPTS):
        version = document.get("version") or 1
        if expected_version is not None and version != expected_version:
            raise changed_meanwhile(version)
        differing = _list_differing(document, changes)
        now = _time_after(document, now)
        if not differing:
            unchanged = find_encoded(message_id)
            if unchanged is None:
                break
            return unchanged
        if document.get("has_replies"):
            _refuse_against_replies(message_id, differing)
        written = _write_change(document, differing, actor=change["actor"], now=now)
        if written is not None:
            return written
        make_room_on_row(message_id)
        latest = find_message(message_id)
        if latest is None:
            break
        document = latest
    else:
        raise TransactionConflictError(
            f"The message was changed by others in each of {_ATTEMPTS} attempts."
        )
    raise ApiProblem("message_not_found", "The message was deleted meanwhile.", status_code=404)


def change_as_seen(document: Document, **change: Unpack[Change]) -> EncodedMessage | None:
    """As ``update_message``, of a message as this process saw it last: one command, no read.

    None, and nothing written, if it is another by now, or if only a read can tell what to do.
    """
    differing = _list_differing(document, change["changes"])
    if not differing or document.get("has_replies"):
        return None
    now = _time_after(document, change["now"])
    written = _write_change(document, differing, actor=change["actor"], now=now)
    if written is None:
        seen_messages.forget(document["_id"])
    return written


def _list_differing(document: Document, changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in changes.items() if document.get(name) != value}


def _time_after(document: Document, now: datetime) -> datetime:
    """``now`` as precise as it is stored, and not before the change that was there first."""
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return max(now, document.get("updated_at") or now)


def _refuse_against_replies(message_id: str, changes: Mapping[str, Any]) -> None:
    """What a reply under way will write is not written by hand: X's answer decides it. Nor is what
    was sent written anew, nor a message set aside whose reply goes out or went.

    A reply queued after this was asked changes the message's version, and the write fails.
    """
    kinds = [kind for kind, name in _RESPONSE_OF.items() if "status" in changes or name in changes]
    if not kinds:
        return
    standing = find_page(
        Reply,
        filter={"live_key": {"$in": [f"{message_id}:{kind.value}" for kind in kinds]}},
        projection={"state": 1, "kind": 1},
        limit=len(kinds),
    )
    status = changes.get("status", MessageStatus.PROCESSING)
    for reply in standing:
        is_told = _RESPONSE_OF[ReplyKind(reply["kind"])] in changes
        if reply["state"] in UNSETTLED_STATES:
            if is_told or status != MessageStatus.PROCESSING:
                raise ApiProblem(
                    "reply_unsettled",
                    "A reply to this message is under way "
                    f"({ReplyState(reply['state']).label.lower()}): undo it, or wait for its "
                    "outcome, before you say what became of the message.",
                    status_code=409,
                    reply_url=f"/api/v1/replies/{reply['_id']}",
                )
        elif is_told or (
            reply["kind"] == ReplyKind.PUBLIC and changes.get("status", "replied") != "replied"
        ):
            raise ApiProblem(
                "already_replied",
                "This message was answered on X: what was sent, and that it was, is not changed by "
                "hand.",
                status_code=409,
                reply_url=f"/api/v1/replies/{reply['_id']}",
            )


def _write_change(
    document: Document, changes: Mapping[str, Any], *, actor: str, now: datetime
) -> EncodedMessage | None:
    """One command, which leaves the audit entry on the row, or a transaction if the entry is long.

    None, and nothing written, if the row is another by now.
    """
    message_id, version = document["_id"], document.get("version")
    before = {name: document.get(name) for name in changes}
    expected: dict[str, Any] = {
        "_id": message_id,
        "version": version,
        # A version may be another's after a backup was restored.
        "updated_at": document.get("updated_at"),
        # By which the person was allowed to.
        "account_id": document.get("account_id"),
        **{name: document.get(name) for name in _WITHOUT_VERSION},
        **before,
        **has_room_on_row(),
    }
    if not document.get("has_replies"):
        expected["has_replies"] = {"$ne": True}
    values: dict[str, Any] = {**changes, "version": (version or 1) + 1, "updated_at": now}
    marks: dict[str, Any] = {}
    if "status" in changes:
        is_claimed = changes["status"] == MessageStatus.PROCESSING
        values["claimed_by"] = actor if is_claimed else ""
        values["claimed_at"] = now if is_claimed else None
        expected["tally"] = document.get("tally") or {"$in": ["", None]}
        marks["tally"] = keep_tally(document)
    told: Told = {
        "actor": actor,
        "object_type": "message",
        "object_id": message_id,
        "account_id": document.get("account_id"),
        "message_id": message_id,
        "before": before,
        "after": dict(changes),
    }
    values |= marks
    if is_for_row(before, changes):
        is_written = _write_with_entry(expected, values, build_entry("message.changed", **told))
    else:

        def write() -> bool:
            with described_errors(_MESSAGES):
                written = connection.get_collection(_MESSAGES).update_one(
                    expected, {"$set": values}, hint=_BY_KEY, session=connection.session
                )
            if written.matched_count:
                record_audit("message.changed", **told)
            return bool(written.matched_count)

        is_written = run_in_transaction(write)
    if not is_written:
        return None
    changed = {**document, **values}
    seen_messages.note(message_id, bson.encode(changed))
    return encode_document(changed)


class _Write(NamedTuple):
    """An update of a row, which leaves the entry on it."""

    update: Update
    entry: Mapping[str, Any]


def _write_with_entry(
    expected: Mapping[str, Any], values: Mapping[str, Any], entry: Mapping[str, Any]
) -> bool:
    """Change the row and leave the entry on it; False, and nothing written, if it is another now.

    A change whose answer was lost is made again, in the driver's careful way: as the version is
    another afterwards, one of the two matches at most. If the second does not, the entry tells
    whether the first did.
    """
    left = leave_on_row(entry)
    update = Update(expected, {"$set": {**values, **left["$set"]}, "$push": left["$push"]})
    write = _write_together if connection.session is None else _write_alone
    with described_errors(_MESSAGES):
        try:
            outcome = write(_Write(update, entry))
        except OutcomeUnknownError:
            messages = connection.get_collection(_MESSAGES)
            written = messages.update_one(*update, hint=_BY_KEY)
            return bool(written.matched_count) or is_kept(entry)
        if isinstance(outcome, WriteError):
            raise outcome
    return outcome


def _write_alone(write: _Write) -> bool | WriteError:
    return _write_each([write])[0]


def _write_each(writes: Sequence[_Write]) -> list[bool | WriteError]:
    outcomes = update_each(Message, [write.update for write in writes], hint=_BY_KEY)
    return [
        is_kept(write.entry) if outcome is None else outcome
        for write, outcome in zip(writes, outcomes, strict=True)
    ]


def _lane_of(write: _Write) -> int:
    return hash(write.entry["object_id"]) % _LANES


# Changes of several threads at once are one command.
_write_together = Batcher(_write_each, lane=_lane_of)


def delete_message(
    message_id: str, *, actor: str, now: datetime, expected_version: int | None = None
) -> None:
    """Delete the message, its drafts and settled replies; a tombstone keeps it from coming back.

    Nothing of what its author wrote is left, in the audit neither, which keeps our own words: a
    post that its author deletes later could not be found here any more. Raises ApiProblem: 404
    gone, 409 while a reply is unsettled, 412 not at ``expected_version``.
    """

    def write() -> tuple[Message, QuoteCutter]:
        file_entries(message_id=message_id)
        message = _load(message_id, expected_version)
        cutter = cutter_of(message)
        replies = list(Reply.objects.filter(message_id=message_id))
        for reply in replies:
            if reply.state in UNSETTLED_STATES:
                raise ApiProblem(
                    "reply_unsettled",
                    f"A reply to this message is under way ({reply.get_state_display().lower()}): "
                    "delete the message when the reply was sent or has failed.",
                    status_code=409,
                    reply_url=f"/api/v1/replies/{reply.pk}",
                )
        keep_claims(replies, now=now)
        drafts = Draft.objects.filter(message_id=message_id).values_list("pk", flat=True)
        keys = [message_id, *drafts, *(reply.pk for reply in replies)]
        Draft.objects.filter(message_id=message_id).delete()
        Reply.objects.filter(message_id=message_id).delete()
        if not Message.objects.filter(pk=message_id, version=message.version).delete()[0]:
            raise changed_meanwhile(None)
        # X, or an import, may show the post again by another version's id.
        for post_id in message.version_ids:
            Tombstone(
                id=tombstone_key(account_id=message.account_id, post_id=post_id),
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
            before=cutter.cut_all(
                {
                    "post_id": message.post_id,
                    "status": message.status,
                    "public_response": message.public_response,
                    "dm_response": message.dm_response,
                    "replies": [_describe(reply) for reply in replies],
                }
            ),
        )
        redact_traces(message_id, keys, cutter)
        forget_edits(message_id)
        return message, cutter

    message, cutter = run_in_transaction(write)
    redact_import(message, cutter)


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
