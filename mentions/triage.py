"""What a person decides about a mention itself: claim, release, ignore, reopen.

Every function is one conditional update with its audit entry; who may call it is checked by the
API and the admin (accounts.permissions).
"""

from datetime import datetime
from typing import Any

from django.db.models import F

from accounts.models import User
from autores.mongo.transactions import run_in_transaction
from mentions.models import UNSETTLED_STATES, Message, MessageStatus, Reply, record_audit


class ReviewConflictError(Exception):
    """The draft or the mention is not in a state that allows this (any more)."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        self.sentence = sentence
        super().__init__(sentence)

    def __str__(self) -> str:
        return f"[{self.code}] {self.sentence}"


ANSWERABLE = (MessageStatus.PENDING, MessageStatus.PROCESSING, MessageStatus.ERROR)


def _move_message(
    message: Message,
    *,
    to: MessageStatus,
    from_states: tuple[MessageStatus, ...],
    action: str,
    user: Any,
    now: datetime,
    note: str = "",
    is_end_of_work: bool = False,
    **changes: Any,
) -> Message:
    """``is_end_of_work``: refused while a reply is under way, which would go out nevertheless."""

    def move() -> bool:
        matched = Message.objects.filter(pk=message.pk, status__in=from_states).update(
            status=to, updated_at=now, version=F("version") + 1, **changes
        )
        # Asked after the write: a reply that is queued at this moment writes the row, too, and of
        # two that do, one begins again.
        if matched and is_end_of_work:
            _refuse_under_way(message)
        if matched:
            record_audit(
                action,
                actor=user.pk,
                object_type="message",
                object_id=message.pk,
                account_id=message.account_id,
                message_id=message.pk,
                # Where only one is possible, it is not a matter of when the message was read.
                before={"status": message.status if len(from_states) > 1 else from_states[0].value},
                after={"status": to.value},
                note=note,
            )
        return bool(matched)

    if not run_in_transaction(move):
        message.refresh_from_db()
        raise ReviewConflictError("wrong_status", _explain(message))
    message.refresh_from_db()
    return message


def _explain(message: Message) -> str:
    if message.status == MessageStatus.PROCESSING and message.claimed_by:
        return f"{name_claimer(message)} has claimed this mention: it has to be released first."
    return f"This mention is {message.status}: that is not possible now."


def name_claimer(message: Message) -> str:
    """The name of who works on the mention; empty when nobody claimed it."""
    if not message.claimed_by:
        return ""
    names = User.objects.filter(pk=message.claimed_by).values_list("username", flat=True)
    return names.first() or "Somebody"


def _refuse_under_way(message: Message) -> None:
    reply = Reply.objects.filter(message_id=message.pk, state__in=UNSETTLED_STATES).first()
    if reply is not None:
        raise ReviewConflictError(
            "reply_unsettled",
            f"A reply to this mention is under way ({reply.get_state_display().lower()}): undo it, "
            "or wait for its outcome.",
        )


def claim_message(message: Message, *, user: Any, now: datetime) -> Message:
    """Take a pending mention to work on it. Raises ReviewConflictError when someone has it."""
    return _move_message(
        message,
        to=MessageStatus.PROCESSING,
        from_states=(MessageStatus.PENDING, MessageStatus.ERROR),
        action="message.claimed",
        user=user,
        now=now,
        claimed_by=user.pk,
        claimed_at=now,
    )


def release_message(message: Message, *, user: Any, now: datetime) -> Message:
    """Give a claimed mention back. Raises ReviewConflictError while a reply is under way."""
    return _move_message(
        message,
        to=MessageStatus.PENDING,
        from_states=(MessageStatus.PROCESSING,),
        action="message.released",
        user=user,
        now=now,
        is_end_of_work=True,
        claimed_by="",
        claimed_at=None,
    )


def ignore_message(
    message: Message,
    *,
    user: Any,
    now: datetime,
    note: str = "",
    from_states: tuple[MessageStatus, ...] = ANSWERABLE,
) -> Message:
    """Nothing is to be answered here. Raises ReviewConflictError while a reply is under way."""
    return _move_message(
        message,
        to=MessageStatus.IGNORED,
        from_states=from_states,
        action="message.ignored",
        user=user,
        now=now,
        note=note,
        is_end_of_work=True,
        claimed_by="",
        claimed_at=None,
    )


def reopen_message(message: Message, *, user: Any, now: datetime) -> Message:
    """Back to pending, from ignored or error."""
    return _move_message(
        message,
        to=MessageStatus.PENDING,
        from_states=(MessageStatus.IGNORED, MessageStatus.ERROR),
        action="message.reopened",
        user=user,
        now=now,
        claimed_by="",
        claimed_at=None,
    )
