"""The way into the outbox: one row per decision of a person, however often it is clicked."""

from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from accounts.models import new_id
from autores.mongo.errors import TransactionConflictError
from autores.mongo.transactions import is_in_transaction, run_in_transaction
from mentions.models import (
    UNSETTLED_STATES,
    Draft,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    ReplyState,
    record_audit,
)
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.preflight import check_reply, clean_text

MAX_KEY_LENGTH = 128
EDITED = "The author edited this mention meanwhile: read it again before you answer."
_ATTEMPTS = 5


def enqueue_reply(
    message: Message,
    *,
    kind: str,
    text: str,
    requested_by: Any = None,
    draft: Draft | None = None,
    idempotency_key: str | None = None,
    not_before: datetime | None = None,
    now: datetime,
) -> Reply:
    """Make the outbox row, or return the one that this very request made before.

    The same key gives the same row. Without a key, the same text for the same mention while it
    is still under way is taken as a second click and gives the same row, too.

    Raises OutboxRefusedError: with ``existing`` for a conflict (another reply stands, or the key
    was used for something else), without for a text or a mention that cannot be answered, or that
    its author edited meanwhile. Raises
    TransactionConflictError when others change the mention all the time.
    """
    text = clean_text(text)
    kind = str(ReplyKind(kind).value)
    key = None
    if idempotency_key is not None:
        if (
            not idempotency_key.strip()
            or len(idempotency_key) > MAX_KEY_LENGTH
            or not idempotency_key.isprintable()
        ):
            raise OutboxRefusedError(
                "idempotency_key_invalid",
                f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} printable characters; leave the "
                "header out if you want none.",
            )
        # Keys of different people never meet.
        key = f"{requested_by.pk if requested_by else 'system'}:{idempotency_key}"
        earlier = Reply.objects.filter(idempotency_key=key).first()
        if earlier is not None:
            return _same_request(earlier, message, kind, text)
    standing = Reply.objects.filter(live_key=f"{message.pk}:{kind}").first()
    if standing is not None:
        return _second_click(standing, message, text, key)
    seen = message.latest_post_id
    try:
        for _ in range(_ATTEMPTS):
            refusal = check_reply(message, kind=kind, text=text, now=now).first_refusal
            if refusal is not None:
                standing = Reply.objects.filter(live_key=f"{message.pk}:{kind}").first()
                if standing is not None:
                    # Queued by another click since we looked.
                    return _second_click(standing, message, text, key)
                raise OutboxRefusedError(refusal.code, refusal.sentence)
            reply: Reply | None = run_in_transaction(
                lambda: _insert(message, kind, text, requested_by, draft, key, not_before, now)
            )
            if reply is not None:
                return reply
            # Somebody may have said meanwhile that it was answered by hand.
            _reload(message)
            if message.latest_post_id != seen:
                raise OutboxRefusedError("mention_edited", EDITED)
        raise TransactionConflictError(
            f"The mention was changed by others in each of {_ATTEMPTS} attempts."
        )
    except IntegrityError:
        if is_in_transaction():
            # The caller's transaction is lost with this error: nothing can be read in it.
            raise
        # Somebody else was faster by milliseconds.
        if key is not None:
            earlier = Reply.objects.filter(idempotency_key=key).first()
            if earlier is not None:
                return _same_request(earlier, message, kind, text)
        standing = Reply.objects.get(live_key=f"{message.pk}:{kind}")
        return _second_click(standing, message, text, key)


def _insert(
    message: Message,
    kind: str,
    text: str,
    requested_by: Any,
    draft: Draft | None,
    key: str | None,
    not_before: datetime | None,
    now: datetime,
) -> Reply | None:
    """None, and nothing written, if the mention is not any more as it was checked."""
    # Written whatever its status: that is what makes a deletion at the same moment a conflict.
    if not Message.objects.filter(pk=message.pk, version=message.version).update(
        updated_at=now, version=F("version") + 1, has_replies=True
    ):
        return None
    row_id = new_id()
    reply = Reply.objects.create(
        id=row_id,
        message=message,
        account_id=message.account_id,
        draft=draft,
        kind=kind,
        live_key=f"{message.pk}:{kind}",
        idempotency_key=key or row_id,
        text=text,
        target_post_id=message.reply_target_id,
        not_before=not_before or now,
        due_at=not_before or now,
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
    )
    Message.objects.filter(
        pk=message.pk,
        status__in=[MessageStatus.PENDING, MessageStatus.ERROR, MessageStatus.IGNORED],
    ).update(status=MessageStatus.PROCESSING)
    record_audit(
        f"reply.queued.{kind}",
        actor=requested_by.pk if requested_by else "system:outbox",
        object_type="reply",
        object_id=row_id,
        account_id=message.account_id,
        message_id=message.pk,
        after={"text": text, "state": ReplyState.QUEUED.value},
    )
    return reply


def _reload(message: Message) -> None:
    try:
        message.refresh_from_db()
    except Message.DoesNotExist:
        raise OutboxRefusedError("message_deleted", "This mention was deleted meanwhile.") from None


def _same_request(earlier: Reply, message: Message, kind: str, text: str) -> Reply:
    if (earlier.message_id, earlier.kind, earlier.text) != (message.pk, kind, text):
        raise OutboxRefusedError(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another reply: use a new key for a new reply.",
            # Of another account, whoever asks may have lost his role meanwhile.
            existing=earlier if earlier.account_id == message.account_id else None,
        )
    return earlier


def _second_click(standing: Reply, message: Message, text: str, key: str | None) -> Reply:
    if key is not None and standing.idempotency_key == key:
        return _same_request(standing, message, str(standing.kind), text)
    is_same = standing.text == text and not message.is_edited_since(standing.target_post_id)
    if key is None and standing.state in UNSETTLED_STATES and is_same:
        return standing
    if standing.state == ReplyState.SENT:
        raise OutboxRefusedError(
            "already_replied", "This mention was answered already.", existing=standing
        )
    raise OutboxRefusedError(
        "reply_under_way",
        "A reply to this mention is under way already: wait for it to be settled.",
        existing=standing,
    )
