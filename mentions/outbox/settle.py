"""The transitions of an outbox row: each one conditional update, with its audit entry.

Every function returns True when the row was in the expected state and moved; False means that
somebody else moved it first, and nothing was written.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from autores.mongo.transactions import run_in_transaction
from mentions.models import (
    CONFIRM_AFTER,
    GONE_STATES,
    OPEN_DRAFT_STATES,
    Draft,
    DraftState,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    ReplyState,
    XState,
    is_left_behind,
    record_audit,
)

ACTOR = "system:outbox"


def move_reply(
    reply: Reply,
    expected: dict[str, Any],
    changes: dict[str, Any],
    *,
    now: datetime,
    actor: str,
    note: str = "",
    message_changes: dict[str, Any] | None = None,
    message_states: tuple[MessageStatus, ...] | None = None,
) -> bool:
    def move() -> bool:
        matched = Reply.objects.filter(pk=reply.pk, **expected).update(updated_at=now, **changes)
        if not matched:
            return False
        if x_post_id := changes.get("x_post_id"):
            refuse_claimed(reply, x_post_id)
        if changes["state"] == ReplyState.SENT and reply.kind == ReplyKind.PUBLIC:
            supersede_draft(reply.message_id, now=now)
        if message_changes is not None:
            messages = Message.objects.filter(pk=reply.message_id)
            if message_states is not None:
                messages = messages.filter(status__in=message_states)
            messages.update(updated_at=now, version=F("version") + 1, **message_changes)
        state = str(changes["state"])
        record_audit(
            f"reply.{state}.{reply.kind}",
            actor=actor,
            object_type="reply",
            object_id=reply.pk,
            account_id=reply.account_id,
            message_id=reply.message_id,
            before={"state": str(reply.state)},
            after={
                name: value
                for name, value in changes.items()
                if name in {"x_post_id", "reason_code", "reason", "proof"} and value
            }
            | {"state": state},
            note=note,
        )
        return True

    is_moved = run_in_transaction(move)
    if is_moved:
        reply.refresh_from_db()
    return is_moved


def refuse_claimed(reply: Reply, x_post_id: str) -> None:
    """Within the transaction: a row that is deleted at this moment makes one of both fail.

    Rows that are still there are told by their unique index.
    """
    if is_left_behind(account_id=reply.account_id, x_post_id=x_post_id):
        raise IntegrityError(f"{x_post_id} stands for another row")


def supersede_draft(message_id: str, *, now: datetime) -> None:
    """The mention is answered: a draft that nobody took a decision on has nothing left to say."""
    for draft in Draft.objects.filter(open_key=message_id):
        Draft.objects.filter(pk=draft.pk, state__in=OPEN_DRAFT_STATES).update(
            state=DraftState.SUPERSEDED, open_key=draft.pk, version=F("version") + 1, updated_at=now
        )


def mark_sending(reply: Reply, *, now: datetime, lease: str, lease_until: datetime) -> bool:
    """The claim: one sender, until ``lease_until``. The caller sends only if this is True."""
    return move_reply(
        reply,
        {"state": ReplyState.QUEUED, "not_before__lte": now},
        {
            "state": ReplyState.SENDING,
            "lease": lease,
            "lease_until": lease_until,
            "has_departed": False,
        },
        now=now,
        actor=ACTOR,
    )


def mark_departed(reply: Reply, *, now: datetime, lease_until: datetime) -> bool:
    """The request leaves now. The caller makes it only if this is True: the lease still ran."""
    is_marked = Reply.objects.filter(
        pk=reply.pk, state=ReplyState.SENDING, lease=reply.lease, lease_until__gt=now
    ).update(
        has_departed=True,
        sending_at=now,
        first_sending_at=reply.first_sending_at or now,
        attempts=F("attempts") + 1,
        departures=F("departures") + 1,
        lease_until=lease_until,
        updated_at=now,
    )
    if is_marked:
        reply.refresh_from_db()
    return bool(is_marked)


def mark_not_departed(reply: Reply, *, is_attempt: bool = True) -> None:
    """Take ``mark_departed`` back: the request certainly did not leave, or X did not take it.

    With ``is_attempt`` it still counts as one that was tried.
    """
    Reply.objects.filter(
        pk=reply.pk, state=ReplyState.SENDING, lease=reply.lease, has_departed=True
    ).update(
        has_departed=False,
        departures=F("departures") - 1,
        attempts=F("attempts") - (0 if is_attempt else 1),
    )
    reply.refresh_from_db()


def mark_sent(
    reply: Reply,
    *,
    x_post_id: str,
    now: datetime,
    lease: str | None = None,
    proof: dict[str, Any] | None = None,
    actor: str = ACTOR,
) -> bool:
    """X has it: confirmed by its answer (``lease`` is the sender's), or by reading it back.

    Raises IntegrityError if ``x_post_id`` stands for another row, or for one that was deleted.
    """
    expected: dict[str, Any] = {"state__in": [ReplyState.SENDING, ReplyState.UNKNOWN]}
    if lease is not None:
        expected["lease"] = lease
    message_changes: dict[str, Any] = {"status": MessageStatus.REPLIED}
    if reply.kind == ReplyKind.PUBLIC:
        message_changes["public_response"] = reply.text
    else:
        message_changes["dm_response"] = reply.text
    return move_reply(
        reply,
        expected,
        {
            "state": ReplyState.SENT,
            "x_post_id": x_post_id,
            "sent_at": now,
            "reason_code": "",
            "reason": "",
            "lease_until": None,
            **({"proof": proof} if proof else {}),
        },
        now=now,
        actor=actor,
        message_changes=message_changes,
    )


def mark_unknown(
    reply: Reply, *, code: str, sentence: str, now: datetime, lease: str, check_at: datetime
) -> bool:
    """The request left and no answer came: from here only reconciliation may go on."""
    return move_reply(
        reply,
        {"state": ReplyState.SENDING, "lease": lease},
        {
            "state": ReplyState.UNKNOWN,
            "reason_code": code,
            "reason": sentence,
            "lease_until": None,
            "reconcile_attempts": 0,
            "not_before": check_at,
        },
        now=now,
        actor=ACTOR,
    )


def mark_hurried(reply: Reply, *, now: datetime, actor: str) -> bool:
    """A person wants what waits tried now; its day begins anew."""
    return move_reply(
        reply,
        {"state": ReplyState.QUEUED},
        {"state": ReplyState.QUEUED, "not_before": now, "due_at": now},
        now=now,
        actor=actor,
        note="To be tried now.",
    )


def mark_queued_again(
    reply: Reply,
    *,
    code: str,
    sentence: str,
    now: datetime,
    delay: timedelta,
    lease: str | None = None,
    from_state: ReplyState = ReplyState.SENDING,
    has_departed: bool | None = None,
    proof: dict[str, Any] | None = None,
    actor: str = ACTOR,
) -> bool:
    """It certainly did not reach the public; it may be tried at ``now + delay``.

    If a person (``actor``) wants that, its day begins anew. With ``has_departed`` only if that
    still is so: a sender may depart at this moment.
    """
    expected: dict[str, Any] = {"state": from_state}
    if has_departed is not None:
        expected["has_departed"] = has_departed
    if lease is not None:
        expected["lease"] = lease
    return move_reply(
        reply,
        expected,
        {
            "state": ReplyState.QUEUED,
            "reason_code": code,
            "reason": sentence,
            # One that was put off by a person, and doubted meanwhile, keeps its time.
            "not_before": now + delay if actor != ACTOR else max(now + delay, reply.due_at or now),
            "lease": "",
            "lease_until": None,
            **({"proof": proof} if proof else {}),
            **({"due_at": now} if actor != ACTOR else {}),
        },
        now=now,
        actor=actor,
    )


def mark_failed(
    reply: Reply,
    *,
    code: str,
    sentence: str,
    now: datetime,
    from_state: ReplyState,
    lease: str | None = None,
    actor: str = ACTOR,
    note: str = "",
    proof: dict[str, Any] | None = None,
) -> bool:
    """Terminal, with a sentence; the mention can be answered anew."""
    expected: dict[str, Any] = {"state": from_state}
    if lease is not None:
        expected["lease"] = lease
    return move_reply(
        reply,
        expected,
        {
            "state": ReplyState.FAILED,
            "reason_code": code,
            "reason": sentence,
            "live_key": reply.pk,
            "lease_until": None,
            **({"proof": proof} if proof else {}),
        },
        now=now,
        actor=actor,
        note=note,
        message_changes={"status": MessageStatus.ERROR},
        # Answered by the other kind: that stands.
        message_states=(MessageStatus.PROCESSING,),
    )


def mark_cancelled(reply: Reply, *, now: datetime, actor: str) -> bool:
    """A person took it back while it waited: the mention is pending again."""
    return move_reply(
        reply,
        {"state": ReplyState.QUEUED},
        {
            "state": ReplyState.FAILED,
            "reason_code": "cancelled",
            "reason": "Cancelled before it was sent.",
            "live_key": reply.pk,
            "lease_until": None,
        },
        now=now,
        actor=actor,
        message_changes={"status": MessageStatus.PENDING},
        # Answered by the other kind: that stands.
        message_states=(MessageStatus.PROCESSING,),
    )


def note_target_gone(reply: Reply, *, code: str, sentence: str, now: datetime) -> bool:
    """X says the post we answer is not there: nobody is to type another answer to it.

    ``mentions.recheck`` looks it up ``CONFIRM_AFTER`` later, and says whether it is gone for good.
    """
    return bool(
        Message.objects.filter(pk=reply.message_id)
        .exclude(x_state__in=GONE_STATES)
        .update(
            x_state=XState.MISSING,
            x_checked_at=now,
            recheck_at=now + CONFIRM_AFTER,
            is_replyable=False,
            replyable_code=code,
            replyable_reason=sentence,
            version=F("version") + 1,
            updated_at=now,
        )
    )
