"""Sends one row, once: claim by lease, one POST, settle by X's answer."""

import logging
import secrets
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.errors import AccountError
from autores.x.errors import XError
from mentions.models import Message, Reply, ReplyKind, ReplyState
from mentions.outbox.policy import Failure, decide_after_failure
from mentions.outbox.settle import (
    mark_failed,
    mark_queued_again,
    mark_sending,
    mark_sent,
    mark_unknown,
)

logger = logging.getLogger(__name__)

# The first look at the timeline comes soon: most lost answers are found by then.
FIRST_CHECK_AFTER = timedelta(seconds=5)


def lease_seconds() -> float:
    """Longer than a token refresh and a POST may take together, with every time-out used up."""
    return 60 + 4 * (settings.X_CONNECT_TIMEOUT_SECONDS + settings.X_READ_TIMEOUT_SECONDS)


class LeaseSpentError(XError):
    """Too little of the lease was left to begin the POST: nothing was sent."""

    default_code = "sender_too_slow"
    default_sentence = "The sender was held up before it could begin; it will try again."
    default_retryable = True


def claim_reply(reply_id: str, *, now: datetime) -> Reply | None:
    """Take a due row for sending, or None when it is not due or another worker has it."""
    reply = Reply.objects.filter(pk=reply_id).first()
    if reply is None:
        return None
    is_claimed = mark_sending(
        reply,
        now=now,
        lease=secrets.token_hex(16),
        lease_until=now + timedelta(seconds=lease_seconds()),
    )
    return reply if is_claimed else None


def deliver_reply(reply_id: str, *, now: datetime) -> Reply | None:
    """Send the row if it is due. Returns the row as it stands afterwards; None if not claimed.

    Never raises for what X or the account does: that becomes the row's state. An error of our
    own leaves the row in ``sending``; when its lease ends it becomes ``unknown``.
    """
    begun = time.monotonic()
    reply = claim_reply(reply_id, now=now)
    if reply is None:
        return None
    message = Message.objects.filter(pk=reply.message_id).first()
    if message is None:
        mark_failed(
            reply,
            code="message_deleted",
            sentence="The mention was deleted before the reply could be sent.",
            now=now,
            from_state=ReplyState.SENDING,
            lease=reply.lease,
        )
        return reply
    # Half of the lease is for settling; past it, recovery may already hold the row as unknown.
    latest_start = begun + lease_seconds() / 2

    def send(client: XClient) -> str:
        if time.monotonic() > latest_start:
            raise LeaseSpentError
        if reply.kind == ReplyKind.DM:
            return client.send_dm(reply.text, participant_id=message.user).event_id
        return client.create_reply(reply.text, in_reply_to_post_id=message.reply_target_id).id

    try:
        x_post_id = call_x(reply.account, send)
    except (XError, AccountError) as error:
        _settle_failure(reply, error)
    else:
        mark_sent(reply, x_post_id=x_post_id, now=timezone.now(), lease=reply.lease)
        logger.info("sent %s %s as %s", reply.kind, reply.pk, x_post_id)
    return reply


def _settle_failure(reply: Reply, error: XError | AccountError) -> None:
    now = timezone.now()
    failure = Failure(
        code=error.code,
        sentence=error.sentence,
        is_retryable=error.retryable,
        retry_after=error.retry_after,
        is_outcome_unknown=getattr(error, "is_outcome_unknown", False),
        scope=getattr(error, "scope", "account"),
    )
    decision = decide_after_failure(failure, attempts=reply.attempts, age=now - reply.created_at)
    logger.warning("%s %s: %s -> %s", reply.kind, reply.pk, decision.code, decision.state)
    lease = reply.lease
    if decision.state == "unknown":
        mark_unknown(
            reply,
            code=decision.code,
            sentence=decision.sentence,
            now=now,
            lease=lease,
            check_at=now + FIRST_CHECK_AFTER,
        )
    elif decision.state == "queued":
        mark_queued_again(
            reply,
            code=decision.code,
            sentence=decision.sentence,
            now=now,
            delay=decision.delay,
            lease=lease,
        )
    else:
        mark_failed(
            reply,
            code=decision.code,
            sentence=decision.sentence,
            now=now,
            from_state=ReplyState.SENDING,
            lease=lease,
        )


def recover_abandoned(*, now: datetime, limit: int = 100) -> int:
    """Make rows whose sender died ``unknown``: the request may have left. Returns how many."""
    recovered = 0
    for reply in Reply.objects.filter(state=ReplyState.SENDING, lease_until__lt=now)[:limit]:
        recovered += mark_unknown(
            reply,
            code="sender_died",
            sentence="The sender stopped before X's answer was recorded.",
            now=now,
            lease=reply.lease,
            check_at=now,
        )
    return recovered


def find_due(*, now: datetime, limit: int = 200) -> list[str]:
    """Ids of queued rows whose time has come, oldest first."""
    return list(
        Reply.objects.filter(state=ReplyState.QUEUED, not_before__lte=now)
        .order_by("not_before")
        .values_list("pk", flat=True)[:limit]
    )
