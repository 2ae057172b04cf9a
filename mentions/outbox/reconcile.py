"""Settles an unknown send by reading X back: found means sent; absent long enough means not.

What was read stays on the row as ``proof``, with the own posts that look most like ours, so that a
person can decide where X's answers contradict each other.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError
from django.utils import timezone

from accounts.errors import AccountError
from autores.x.errors import XError
from mentions.models import Message, Reply, ReplyState
from mentions.outbox.lookback import (
    DUPLICATE,
    absent_after,
    is_called_duplicate,
    is_rival_sending,
    look_back,
)
from mentions.outbox.settle import mark_failed, mark_queued_again, mark_sent

logger = logging.getLogger(__name__)

ABSENT_READS = 3
_CHECK_DELAYS = (5, 10, 20, 40, 60, 120, 300)
# X has said what it says: it is looked up for as long as nobody decides, and each look is billed.
_DELAY_FOR_PERSON = 3600


def reconcile_reply(reply_id: str, *, now: datetime) -> Reply | None:
    """Look for the row's text on X and settle it if that can be proved.

    Returns the row as it stands afterwards, or None when it is not due for a look. An X that
    cannot be read settles nothing: the row stays ``unknown`` and is looked at again later.
    """
    reply = _claim_check(reply_id, now)
    if reply is None:
        return None
    message = Message.objects.get(pk=reply.message_id)
    assert reply.sending_at is not None
    try:
        look = look_back(reply, message)
    except (XError, AccountError) as error:
        logger.warning("reconciling %s: %s", reply.pk, error.code)
        return reply
    now = timezone.now()
    proof: dict[str, Any] = {
        **look.to_proof(reply.text),
        "attempts": reply.reconcile_attempts,
        "reads": _count_earlier_reads(reply) + 1,
        "lease": reply.lease,
    }
    if look.found is not None:
        _settle_found(reply, message, look.found, proof=proof, now=now)
        return reply
    is_absent = now - reply.sending_at >= absent_after() and proof["reads"] >= ABSENT_READS
    if not is_absent:
        _keep_proof(reply, proof)
    elif is_called_duplicate(reply) and look.twins:
        mark_failed(
            reply,
            code=DUPLICATE,
            sentence="X refused this text because the account posted the same one to somebody else "
            "within a day. Change the text.",
            now=now,
            from_state=ReplyState.UNKNOWN,
            lease=reply.lease,
            proof={**proof, "twin": look.twins[0]},
        )
    elif is_called_duplicate(reply):
        # X says it has the text, the timeline says it has not: a person decides.
        _keep_proof(reply, {**proof, "needs_person": True})
    else:
        mark_queued_again(
            reply,
            code="proved_absent",
            sentence="X does not have the earlier attempt; it is sent again.",
            now=now,
            delay=timedelta(0),
            # This attempt's: a look held up past a later attempt says nothing about that one.
            lease=reply.lease,
            from_state=ReplyState.UNKNOWN,
            proof=proof,
        )
    return reply


def _settle_found(
    reply: Reply, message: Message, found: str, *, proof: dict[str, Any], now: datetime
) -> None:
    if is_rival_sending(reply, message):
        # The same words to the same person are on their way: what we found may be theirs.
        _keep_proof(reply, proof)
        return
    try:
        mark_sent(reply, x_post_id=found, now=now, proof=proof)
    except IntegrityError:
        logger.warning("reconciling %s: %s stands for another row by now", reply.pk, found)
        reply.refresh_from_db()


def _count_earlier_reads(reply: Reply) -> int:
    """Looks at X since this attempt that X did answer."""
    earlier = reply.proof or {}
    return int(earlier.get("reads", 0)) if earlier.get("lease") == reply.lease else 0


def _keep_proof(reply: Reply, proof: dict[str, Any]) -> None:
    Reply.objects.filter(pk=reply.pk, state=ReplyState.UNKNOWN, lease=reply.lease).update(
        proof=proof, updated_at=timezone.now()
    )
    reply.refresh_from_db()


def _claim_check(reply_id: str, now: datetime) -> Reply | None:
    """Book the next look before this one, so that two workers do not look at once."""
    reply = Reply.objects.filter(pk=reply_id, state=ReplyState.UNKNOWN).first()
    if reply is None or reply.not_before > now:
        return None
    attempts = reply.reconcile_attempts
    delay = _CHECK_DELAYS[min(attempts, len(_CHECK_DELAYS) - 1)]
    if (reply.proof or {}).get("needs_person"):
        delay = _DELAY_FOR_PERSON
    is_booked = Reply.objects.filter(
        pk=reply.pk, state=ReplyState.UNKNOWN, reconcile_attempts=attempts
    ).update(reconcile_attempts=attempts + 1, not_before=now + timedelta(seconds=delay))
    if not is_booked:
        return None
    return Reply.objects.get(pk=reply_id)
