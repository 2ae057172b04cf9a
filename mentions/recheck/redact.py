"""Removes what is stored of a mention that was deleted on X; ids and times stay.

The mention's own text goes last: it says what to look for elsewhere. A run that dies half way
leaves the state ``deleted``, and the next one does all of it again, to the same end.

Our own words, sent or recorded, stay; what they quote of the mention, and its author's names, are
cut out of them. Drafts that were not sent are emptied: a model's draft retells the mention.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import F, Model
from django.utils import timezone

from autores.mongo.transactions import run_in_transaction
from mentions.models import (
    GONE_STATES,
    MESSAGE_EDITED,
    OPEN_DRAFT_STATES,
    UNSETTLED_STATES,
    AuditEntry,
    Draft,
    DraftState,
    ImportConflict,
    ImportReject,
    ImportRun,
    MentionKind,
    Message,
    MessageStatus,
    Reply,
    ReplyState,
    XState,
    file_entries,
    record_audit,
)
from mentions.outbox.settle import mark_failed
from mentions.outbox.wanted import MentionGoneError
from mentions.recheck.queue import OPEN_STATUSES
from mentions.recheck.quotes import QuoteCutter

logger = logging.getLogger(__name__)

ACTOR = "system:recheck"
CODE = MentionGoneError.default_code
SENTENCE = MentionGoneError.default_sentence
# A reply whose outcome is unknown needs its own text to be settled; this long it may keep it.
_LONGEST_WAIT = timedelta(hours=20)
_GIVEN_UP = (
    "The author deleted this post on X before it was known whether the reply arrived. Its words "
    "are removed: it can neither be looked for nor be sent again."
)
_ATTEMPTS = 3
# Of a session: mentions.admin.typed.
TYPED_KEY = "typed"
_DRAFT_TEXTS = ("text", "original_text", "note", "custom_prompt")


def mark_deleted(message: Message, *, now: datetime) -> bool:
    """Nobody answers or drafts it from here on; False if it was marked before."""

    def mark() -> bool:
        rows = Message.objects.filter(pk=message.pk).exclude(x_state__in=GONE_STATES)
        is_marked = rows.update(
            x_state=XState.DELETED,
            x_checked_at=now,
            deleted_found_at=now,
            recheck_at=None,
            is_replyable=False,
            replyable_code=CODE,
            replyable_reason=SENTENCE,
            draft_state="none",
            draft_not_before=None,
            version=F("version") + 1,
            updated_at=now,
        )
        if is_marked:
            record_audit(
                "message.deleted_on_x",
                actor=ACTOR,
                object_type="message",
                object_id=message.pk,
                account_id=message.account_id,
                message_id=message.pk,
                after={"x_state": XState.DELETED.value},
                note="X does not find the post any more; what is stored of it is removed.",
            )
        return bool(is_marked)

    return bool(run_in_transaction(mark))


def redact_message(message_id: str, *, now: datetime) -> bool:
    """Remove what is stored of a mention marked as deleted; True once nothing is left.

    False if there was nothing to do, or while a reply is under way that quotes it.
    """
    return any(_redact(message_id, now=now) for _ in range(_ATTEMPTS))


def _redact(message_id: str, *, now: datetime) -> bool:
    message = Message.objects.filter(pk=message_id, x_state=XState.DELETED).first()
    if message is None:
        return False
    cutter = cutter_of(message)
    drafts = list(Draft.objects.filter(message_id=message_id))
    replies = list(Reply.objects.filter(message_id=message_id))
    for draft in drafts:
        _redact_draft(draft, cutter, now=now)
    is_late = now - (message.deleted_found_at or now) >= _LONGEST_WAIT
    # All of them: one that is not ended yet may quote the mention.
    are_ended = [_end_reply(reply, cutter, is_late=is_late, now=now) for reply in replies]
    for reply, is_ended in zip(replies, are_ended, strict=True):
        if is_ended:
            _redact_reply(reply, cutter, now=now)
    keys = [message_id, *(draft.pk for draft in drafts), *(reply.pk for reply in replies)]
    redact_traces(message_id, keys, cutter)
    redact_import(message, cutter)
    forget_typed(message_id)
    if not all(are_ended):
        logger.info("%s is redacted when its reply is settled", message_id)
        return False
    return bool(run_in_transaction(lambda: _empty_message(message, cutter, now=now)))


def resume_redactions(*, now: datetime, limit: int = 500) -> int:
    """Go on with what a worker that died, or a reply under way, left unfinished."""
    ids = Message.objects.filter(x_state=XState.DELETED, x_state__gt="").values_list(
        "pk", flat=True
    )
    return sum(redact_message(message_id, now=now) for message_id in list(ids[:limit]))


def redact_traces(message_id: str, keys: list[str], cutter: QuoteCutter) -> None:
    """In the audit and the admin's log. ``keys``: ids of the mention, its drafts and replies."""
    _redact_audit(message_id, keys, cutter)
    _redact_admin_log(keys, cutter)


def cutter_of(message: Message) -> QuoteCutter:
    raw: Mapping[str, Any] = message.raw or {}
    sources = [message.text, raw.get("text")]
    for name in ("note_post", "note_tweet"):
        note = raw.get(name)
        sources.append(note.get("text") if isinstance(note, dict) else None)
    for edit in AuditEntry.objects.filter(message_id=message.pk, action=MESSAGE_EDITED):
        sources += [(edit.before or {}).get("text"), (edit.after or {}).get("text")]
    return QuoteCutter(
        [source for source in sources if isinstance(source, str)],
        [message.author_username, message.author_name],
    )


def _set(model: type[Model], key: str, changes: dict[str, Any], **expected: Any) -> bool:
    # Past the models: audit entries refuse to be changed, and the backend an empty object.
    collection = connection.get_collection(model._meta.db_table)
    found = collection.update_one(
        {"_id": key, **expected}, {"$set": changes}, session=connection.session
    )
    return bool(found.matched_count)


def _redact_draft(draft: Draft, cutter: QuoteCutter, *, now: datetime) -> None:
    if draft.state in OPEN_DRAFT_STATES:
        # A person may approve it at this moment; then it is not superseded, and its reply ends.
        Draft.objects.filter(pk=draft.pk, state__in=OPEN_DRAFT_STATES).update(
            state=DraftState.SUPERSEDED, open_key=draft.pk, version=F("version") + 1, updated_at=now
        )
        draft.refresh_from_db()
    is_sent = draft.state == DraftState.APPROVED
    _set(
        Draft,
        draft.pk,
        {
            "text": cutter.cut(draft.text) if is_sent else "",
            "original_text": "",
            "note": "",
            "custom_prompt": "",
            "violations": [],
            "decision_note": cutter.cut(draft.decision_note),
        },
    )


def _end_reply(reply: Reply, cutter: QuoteCutter, *, is_late: bool, now: datetime) -> bool:
    """Whether the row's words may be cut: not while they are sent, or looked for on X."""
    if reply.state == ReplyState.QUEUED:
        mark_failed(
            reply, code=CODE, sentence=SENTENCE, now=now, from_state=ReplyState.QUEUED, actor=ACTOR
        )
    if reply.state == ReplyState.UNKNOWN and is_late:
        mark_failed(
            reply,
            code="abandoned",
            sentence=_GIVEN_UP,
            now=now,
            from_state=ReplyState.UNKNOWN,
            lease=reply.lease,
            actor=ACTOR,
        )
    reply.refresh_from_db()
    return reply.state not in UNSETTLED_STATES or cutter.cut(reply.text) == reply.text


def _redact_reply(reply: Reply, cutter: QuoteCutter, *, now: datetime) -> None:
    _set(
        Reply,
        reply.pk,
        {
            "text": cutter.cut(reply.text),
            "reason": cutter.cut(reply.reason),
            "proof": cutter.cut_all(reply.proof or {}),
            "updated_at": now,
        },
    )


def _redact_audit(message_id: str, keys: list[str], cutter: QuoteCutter) -> None:
    file_entries(message_id=message_id)
    entries = {entry.pk: entry for entry in AuditEntry.objects.filter(message_id=message_id)}
    for kind in ("message", "draft", "reply"):
        found = AuditEntry.objects.filter(object_type=kind, object_id__in=keys)
        entries |= {entry.pk: entry for entry in found}
    for entry in entries.values():
        if entry.action == MESSAGE_EDITED:
            # They say what to look for elsewhere, and go with the mention's own text.
            continue
        emptied = _DRAFT_TEXTS if entry.object_type == "draft" else ()
        _set(
            AuditEntry,
            entry.pk,
            {
                "before": cutter.cut_all(entry.before or {}, emptied=emptied),
                "after": cutter.cut_all(entry.after or {}, emptied=emptied),
                "note": cutter.cut(entry.note),
            },
        )


def forget_typed(message_id: str) -> None:
    """What people typed on the desk of the mention and have not used: kept in their sessions."""
    for session in Session.objects.filter(expire_date__gt=timezone.now()):
        store = SessionStore(session.session_key)
        typed = store.get(TYPED_KEY) or {}
        if message_id in typed:
            store[TYPED_KEY] = {key: value for key, value in typed.items() if key != message_id}
            store.save()


def forget_edits(message_id: str) -> None:
    """The author's earlier words; last of all, with the mention's own text."""
    for entry in AuditEntry.objects.filter(message_id=message_id, action=MESSAGE_EDITED):
        _set(AuditEntry, entry.pk, {"before": {"text": ""}, "after": {"text": ""}})


def _redact_admin_log(keys: list[str], cutter: QuoteCutter) -> None:
    """Django's own log of the admin names each row by its text."""
    for entry in LogEntry.objects.filter(object_id__in=keys):
        LogEntry.objects.filter(pk=entry.pk).update(
            object_repr=str(entry.object_id)[:200], change_message=cutter.cut(entry.change_message)
        )


def redact_import(message: Message, cutter: QuoteCutter) -> None:
    """What reports of the import tell of the row."""
    key = f"messages:{message.pk}"
    for reject in ImportReject.objects.filter(pk=key):
        names = ("reasons", "hints", "row")
        _set(ImportReject, key, {name: cutter.cut_all(getattr(reject, name)) for name in names})
    for conflict in ImportConflict.objects.filter(pk=key):
        differing = cutter.cut_all(conflict.differing or {})
        _set(ImportConflict, key, {"reason": cutter.cut(conflict.reason), "differing": differing})
    if message.kind != MentionKind.LEGACY:
        return
    for run in ImportRun.objects.all():
        report = cutter.cut_all(run.report or {})
        if report != run.report:
            _set(ImportRun, run.pk, {"report": report})


def _empty_message(message: Message, cutter: QuoteCutter, *, now: datetime) -> bool:
    changes: dict[str, Any] = {
        "text": "",
        "author_username": "",
        "author_name": "",
        "lang": "",
        # Ids stay: an import, or X, may show the post again by another version's.
        "raw": {"id": message.post_id, "edit_history_post_ids": sorted(message.version_ids)},
        "public_response": _cut_optional(message.public_response, cutter),
        "dm_response": _cut_optional(message.dm_response, cutter),
        "x_state": XState.REDACTED.value,
        "redacted_at": now,
        "updated_at": now,
        "claimed_by": "",
        "claimed_at": None,
    }
    # Settled meanwhile, by a reply or a person: then it is done again, with what they wrote.
    if not _set(
        Message, message.pk, changes, x_state=XState.DELETED.value, version=message.version
    ):
        return False
    forget_edits(message.pk)
    Message.objects.filter(pk=message.pk).update(version=F("version") + 1)
    Message.objects.filter(pk=message.pk, status__in=OPEN_STATUSES).update(
        status=MessageStatus.IGNORED
    )
    logger.info("%s was deleted on X; what was stored of it is removed", message.pk)
    return True


def _cut_optional(text: str | None, cutter: QuoteCutter) -> str | None:
    return None if text is None else cutter.cut(text)
