"""What a person decides about a row: take it back, or say what became of an unknown send."""

import re
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import IntegrityError
from django.utils import timezone

from accounts.errors import AccountError
from autores.x.errors import XError
from mentions.models import Message, Reply, ReplyKind, ReplyState, is_claimed
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.lookback import (
    Look,
    absent_after,
    find_own,
    is_rival_sending,
    look_back,
)
from mentions.outbox.settle import mark_cancelled, mark_failed, mark_queued_again, mark_sent

Outcome = Literal["sent", "absent", "abandoned"]
_X_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


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
    """A person looked on X and says what became of the row; X is read before it is believed.

    - ``sent``: it is there, as ``x_post_id``, or as the one that has its words.
    - ``absent``: it is not, and is sent again. Where X shows it all the same, it is settled as
      sent, and the refusal ``found_on_x`` says so.
    - ``abandoned``: it is neither found nor sent again; the mention can be answered anew. Not
      refused where X cannot be read: nothing is sent.

    Raises OutboxRefusedError if the outcome is not unknown (any more), if X may still show it, or
    does not show what was said; XError and AccountError when X cannot be read. The row then
    stands as it did, and goes on being looked at.
    """
    if reply.state != ReplyState.UNKNOWN or reply.sending_at is None:
        raise _not_unknown(reply)
    if x_post_id and not _X_ID.fullmatch(x_post_id):
        raise OutboxRefusedError(
            "x_post_id_invalid",
            "The id of a post or message is a number of at most 19 digits: take it from its "
            "address on X.",
            existing=reply,
        )
    message = Message.objects.get(pk=reply.message_id)
    try:
        if outcome == "sent":
            is_settled = _settle_sent(reply, message, x_post_id, user=user)
        else:
            _refuse_early(reply, now=now)
            is_settled = (_settle_absent if outcome == "absent" else _settle_abandoned)(
                reply, message, user=user
            )
    except IntegrityError:
        raise _taken(reply) from None
    if not is_settled:
        reply.refresh_from_db()
        raise _not_unknown(reply)
    return reply


def _settle_sent(reply: Reply, message: Message, x_post_id: str, *, user: Any) -> bool:
    if x_post_id:
        if is_claimed(account_id=reply.account_id, x_post_id=x_post_id, by_other_than=reply.pk):
            raise _taken(reply)
        own = find_own(reply, message, x_post_id)
        if own is None:
            raise OutboxRefusedError(
                "x_post_not_ours",
                "X shows nothing of this id that the account "
                + (
                    "wrote to this person in about these words"
                    if reply.kind == ReplyKind.DM
                    else "posted in answer to this mention"
                )
                + " since the reply was sent: look at the id again.",
                existing=reply,
            )
        proof = {"read_at": timezone.now().isoformat(), "found": own.id, "text": own.text}
        return _mark_sent(reply, message, own.id, proof=proof, user=user)
    look = look_back(reply, message)
    if look.found is None:
        raise OutboxRefusedError(
            "x_post_id_needed",
            "X shows nothing with exactly these words: give the id of the post or message that "
            "it is.",
            existing=reply,
        )
    return _mark_sent(reply, message, look.found, proof=look.to_proof(reply.text), user=user)


def _settle_absent(reply: Reply, message: Message, *, user: Any) -> bool:
    look = look_back(reply, message)
    _refuse_found(reply, message, look, user=user)
    return mark_queued_again(
        reply,
        code="proved_absent",
        sentence="A person looked on X and did not find it; it is sent again.",
        now=timezone.now(),
        delay=timedelta(0),
        lease=reply.lease,
        from_state=ReplyState.UNKNOWN,
        proof=_signed(reply, look.to_proof(reply.text), user),
        actor=user.pk,
    )


def _settle_abandoned(reply: Reply, message: Message, *, user: Any) -> bool:
    try:
        look = look_back(reply, message)
    except (XError, AccountError) as error:
        proof: dict[str, Any] = {"found": None, "not_read": error.code}
    else:
        _refuse_found(reply, message, look, user=user)
        proof = look.to_proof(reply.text)
    return mark_failed(
        reply,
        code="abandoned",
        sentence="A person gave it up: whether it arrived is not known, and it is not sent again.",
        now=timezone.now(),
        from_state=ReplyState.UNKNOWN,
        lease=reply.lease,
        actor=user.pk,
        proof=_signed(reply, proof, user),
    )


def _mark_sent(
    reply: Reply, message: Message, x_post_id: str, *, proof: dict[str, Any], user: Any
) -> bool:
    if is_rival_sending(reply, message):
        raise OutboxRefusedError(
            "same_words_under_way",
            "The same words to the same person are being sent at this moment, and what X shows "
            "may be those: try again in a minute.",
            existing=reply,
        )
    return mark_sent(
        reply,
        x_post_id=x_post_id,
        now=timezone.now(),
        lease=reply.lease,
        proof=_signed(reply, proof, user),
        actor=user.pk,
    )


def _refuse_early(reply: Reply, *, now: datetime) -> None:
    assert reply.sending_at is not None
    until = reply.sending_at + absent_after()
    if now < until:
        raise OutboxRefusedError(
            "too_early",
            f"X may still show it. It is looked for until {until:%H:%M:%S} UTC and settles by "
            "itself as a rule; decide after that.",
            existing=reply,
        )


def _refuse_found(reply: Reply, message: Message, look: Look, *, user: Any) -> None:
    if look.found is None:
        return
    _mark_sent(reply, message, look.found, proof=look.to_proof(reply.text), user=user)
    raise OutboxRefusedError(
        "found_on_x",
        "X does show it: it is settled as sent, and not sent again.",
        existing=reply,
    )


def _signed(reply: Reply, proof: dict[str, Any], user: Any) -> dict[str, Any]:
    return {**(reply.proof or {}), **proof, "settled_by": user.pk, "needs_person": False}


def _taken(reply: Reply) -> OutboxRefusedError:
    return OutboxRefusedError(
        "x_post_taken",
        "Another reply is settled with that post already.",
        existing=reply,
    )


def _not_unknown(reply: Reply) -> OutboxRefusedError:
    return OutboxRefusedError(
        "not_unknown",
        "Only an unknown outcome is a person's to decide; this reply is "
        f"{reply.get_state_display().lower()}.",
        existing=reply,
    )
