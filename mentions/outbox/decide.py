"""What a person decides about a row: take it back, or say what became of an unknown send."""

from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import IntegrityError

from mentions.models import Reply, ReplyState
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.settle import mark_cancelled, mark_queued_again, mark_sent

Outcome = Literal["sent", "absent"]


def cancel_reply(reply: Reply, *, user: Any, now: datetime) -> Reply:
    """Undo: what still waits is not sent. Raises OutboxRefusedError once it is on its way."""
    if not mark_cancelled(reply, now=now, actor=user.pk):
        reply.refresh_from_db()
        raise OutboxRefusedError(
            "not_cancellable",
            "Only what waits in the queue can be undone; this reply is "
            f"{reply.get_state_display().lower()}.",
            existing=reply,
        )
    return reply


def settle_reply(
    reply: Reply, *, outcome: Outcome, x_post_id: str = "", user: Any, now: datetime
) -> Reply:
    """A person looked on X. ``sent``: it is there, as ``x_post_id`` if known; ``absent``: it is
    not, and is sent again.

    Raises OutboxRefusedError if the outcome is not unknown (any more), or the post is another
    row's.
    """
    lease = reply.lease
    proof = {**(reply.proof or {}), "settled_by": user.pk, "needs_person": False}
    try:
        if outcome == "sent":
            found = x_post_id or "by a person"
            is_settled = reply.state == ReplyState.UNKNOWN and mark_sent(
                reply,
                x_post_id=x_post_id,
                now=now,
                lease=lease,
                proof={**proof, "found": found},
                actor=user.pk,
            )
        else:
            is_settled = mark_queued_again(
                reply,
                code="proved_absent",
                sentence="A person looked on X and did not find it; it is sent again.",
                now=now,
                delay=timedelta(0),
                lease=lease,
                from_state=ReplyState.UNKNOWN,
                proof={**proof, "found": None},
                actor=user.pk,
            )
    except IntegrityError:
        raise OutboxRefusedError(
            "x_post_taken", "Another reply is settled with that post already.", existing=reply
        ) from None
    if not is_settled:
        reply.refresh_from_db()
        raise OutboxRefusedError(
            "not_unknown",
            "Only an unknown outcome is a person's to decide; this reply is "
            f"{reply.get_state_display().lower()}.",
            existing=reply,
        )
    return reply
