"""Sends one row, once: claim by lease, one POST, settle by X's answer."""

import logging
import secrets
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from accounts.budgets import Reservation, reserve
from accounts.clients import XClient, call_x
from accounts.errors import AccountError, CallRefusedError
from autores.x.errors import XError
from mentions.models import (
    Reply,
    ReplyKind,
    ReplyState,
)
from mentions.outbox.metering import BUDGET_OF, name_attempt
from mentions.outbox.policy import (
    GIVE_UP_AFTER,
    TOO_LATE,
    Failure,
    decide_after_failure,
    is_certainly_unsent,
    say_too_late,
)
from mentions.outbox.settle import (
    mark_departed,
    mark_failed,
    mark_not_departed,
    mark_queued_again,
    mark_sending,
    mark_sent,
    mark_unknown,
    note_target_gone,
)
from mentions.outbox.wanted import UnwantedError, read_wanted

logger = logging.getLogger(__name__)

# The first look at the timeline comes soon: most lost answers are found by then.
FIRST_CHECK_AFTER = timedelta(seconds=5)
_SETTLE_SECONDS = 10.0
_TARGET_GONE = "reply_target_gone"


def call_seconds() -> float:
    """The longest a call to X may take."""
    return float(settings.X_CONNECT_TIMEOUT_SECONDS + settings.X_READ_TIMEOUT_SECONDS)


def claim_seconds() -> float:
    """Time to get a token: another's refresh may be waited for, and one of our own made."""
    return 2 * call_seconds() + _SETTLE_SECONDS


def departure_seconds() -> float:
    """Time for the POST itself, and for writing down what came of it."""
    return call_seconds() + 2 * _SETTLE_SECONDS


class LeaseSpentError(CallRefusedError):
    """The lease was over before the POST could begin: nothing was sent."""

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
        lease_until=now + timedelta(seconds=claim_seconds()),
    )
    return reply if is_claimed else None


def deliver_reply(reply_id: str, *, now: datetime) -> Reply | None:
    """Send the row if it is due. Returns the row as it stands afterwards; None if not claimed.

    Never raises for what X or the account does: that becomes the row's state. An error of our
    own leaves the row in ``sending``; when its lease ends it is recovered.
    """
    reply = claim_reply(reply_id, now=now)
    if reply is None:
        return None
    try:
        read_wanted(reply)
    except UnwantedError as error:
        return _fail(reply, error.code, error.sentence, now=now)
    if _age(reply, now=now) >= GIVE_UP_AFTER:
        # Also if nothing failed, for instance as all calls were paused.
        sentence = say_too_late(reply.reason or "Nothing was sent in that time.")
        return _fail(reply, TOO_LATE, sentence, now=now)
    try:
        x_post_id = call_x(reply.account, lambda client: _send(client, reply))
    except (XError, AccountError) as error:
        _settle_failure(reply, error)
    else:
        _settle_sent(reply, x_post_id)
    return reply


def _fail(reply: Reply, code: str, sentence: str, *, now: datetime) -> Reply:
    """Nothing is sent, by whoever has claimed the row."""
    mark_failed(
        reply,
        code=code,
        sentence=sentence,
        now=now,
        from_state=ReplyState.SENDING,
        lease=reply.lease,
    )
    return reply


def _settle_sent(reply: Reply, x_post_id: str) -> None:
    now, lease = timezone.now(), reply.lease
    try:
        mark_sent(reply, x_post_id=x_post_id, now=now, lease=lease)
    except IntegrityError:
        # Another row was settled with our post meanwhile. X confirmed ours: it is sent.
        logger.exception("%s stands for another row than %s", x_post_id, reply.pk)
        proof = {"confirmed_as": x_post_id, "found": "by X's answer"}
        mark_sent(reply, x_post_id="", now=now, lease=lease, proof=proof)
    logger.info("sent %s %s as %s", reply.kind, reply.pk, x_post_id)


def _send(client: XClient, reply: Reply) -> str:
    """One POST under one reservation; the id X gave. After a 401 it runs once more."""
    # Again: to have a token may have taken longer than the author needed to edit the mention.
    message = read_wanted(reply)
    reservation = _depart(reply)
    try:
        if reply.kind == ReplyKind.DM:
            x_post_id = client.send_dm(reply.text, participant_id=message.user).event_id
        else:
            x_post_id = client.create_reply(
                reply.text, in_reply_to_post_id=message.reply_target_id
            ).id
    except XError as error:
        if is_certainly_unsent(status=error.status, is_outcome_unknown=error.is_outcome_unknown):
            mark_not_departed(reply)
            reservation.give_back()
        else:
            reservation.confirm(now=timezone.now())
        raise
    reservation.confirm(now=timezone.now())
    return x_post_id


def _depart(reply: Reply) -> Reservation:
    """Write down that the request leaves, then take its place in the budget; in this order, so
    that whoever fills the budgets anew sees it.

    Raises LeaseSpentError, BudgetSpentError and BudgetUnavailableError; nothing left then, and the
    row says so.
    """
    now, begun = timezone.now(), time.monotonic()
    until = now + timedelta(seconds=departure_seconds())
    if not mark_departed(reply, now=now, lease_until=until):
        raise LeaseSpentError
    budget = BUDGET_OF[ReplyKind(reply.kind)]
    try:
        reservation = reserve(
            budget, account_id=reply.account_id, key=name_attempt(reply), now=timezone.now()
        )
    except AccountError:
        mark_not_departed(reply, is_attempt=False)
        raise
    if time.monotonic() - begun > _SETTLE_SECONDS:
        mark_not_departed(reply, is_attempt=False)
        reservation.give_back()
        raise LeaseSpentError
    return reservation


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
    decision = decide_after_failure(
        failure,
        attempts=reply.attempts,
        departures=reply.departures + _count_given_up(reply, error),
        age=_age(reply, now=now),
    )
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
        is_failed = mark_failed(
            reply,
            code=decision.code,
            sentence=decision.sentence,
            now=now,
            from_state=ReplyState.SENDING,
            lease=lease,
        )
        if is_failed and decision.code == _TARGET_GONE:
            note_target_gone(reply, code=decision.code, sentence=decision.sentence, now=now)


def _age(reply: Reply, *, now: datetime) -> timedelta:
    """Since it was due, or a person last wanted it sent."""
    return now - (reply.due_at or reply.created_at)


def _count_given_up(reply: Reply, error: XError | AccountError) -> int:
    """Earlier rows that a person gave up: the post that this text doubles may be theirs."""
    if error.code != "duplicate_content":
        return 0
    rows = Reply.objects.filter(message_id=reply.message_id, kind=reply.kind)
    return rows.filter(state=ReplyState.FAILED, reason_code="abandoned").count()


def recover_abandoned(*, now: datetime, limit: int = 100) -> int:
    """Take rows from senders that died. Returns how many.

    One whose request may have left becomes ``unknown``; one that had not come so far is queued
    again: its sender, should it still live, cannot depart any more.
    """
    recovered = 0
    for reply in Reply.objects.filter(state=ReplyState.SENDING, lease_until__lt=now)[:limit]:
        if reply.has_departed is False:
            recovered += mark_queued_again(
                reply,
                code="sender_died",
                sentence="The sender stopped before it could begin; it will try again.",
                now=now,
                delay=timedelta(0),
                lease=reply.lease,
                has_departed=False,
            )
        else:
            recovered += mark_unknown(
                reply,
                code="sender_died",
                sentence="The sender stopped before X's answer was recorded.",
                now=now,
                lease=reply.lease,
                check_at=now,
            )
    return recovered
