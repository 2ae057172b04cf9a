"""Settles an unknown send by reading X back: found means sent; absent long enough means not."""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.errors import AccountError
from autores.x.errors import XError
from autores.x.ids import first_post_id_at
from autores.x.text import normalise_for_match
from mentions.models import Message, Reply, ReplyKind, ReplyState
from mentions.outbox.settle import mark_queued_again, mark_sent

logger = logging.getLogger(__name__)

# X's clock and ours may differ; a margin costs a few posts of reading, its lack a double reply.
CLOCK_MARGIN = timedelta(minutes=5)
# X shows a new post in the timeline within seconds, sometimes after a minute or two.
ABSENT_AFTER = timedelta(minutes=3)
ABSENT_READS = 3
MAX_PAGES = 5
_CHECK_DELAYS = (5, 10, 20, 40, 60, 120, 300)


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
    since = reply.sending_at - CLOCK_MARGIN
    try:
        if reply.kind == ReplyKind.DM:
            found, count = call_x(reply.account, lambda c: _find_dm(c, reply, message, since))
        else:
            found, count = call_x(reply.account, lambda c: _find_post(c, reply, message, since))
    except (XError, AccountError) as error:
        logger.warning("reconciling %s: %s", reply.pk, error.code)
        return reply
    now = timezone.now()
    proof: dict[str, Any] = {
        "read_at": now.isoformat(),
        "since": since.isoformat(),
        "items_read": count,
        "attempts": reply.reconcile_attempts,
    }
    if found is not None:
        mark_sent(reply, x_post_id=found, now=now, proof={**proof, "found": found})
        return reply
    is_absent = now - reply.sending_at >= ABSENT_AFTER and reply.reconcile_attempts >= ABSENT_READS
    if is_absent and reply.reason_code == "duplicate_content":
        # X says it has the text, the timeline says it has not: a person decides.
        Reply.objects.filter(pk=reply.pk, state=ReplyState.UNKNOWN).update(
            proof=proof, updated_at=now
        )
        reply.refresh_from_db()
    elif is_absent:
        mark_queued_again(
            reply,
            code="proved_absent",
            sentence="X does not have the earlier attempt; it is sent again.",
            now=now,
            delay=timedelta(0),
            # This attempt's: a look held up past a later attempt says nothing about that one.
            lease=reply.lease,
            from_state=ReplyState.UNKNOWN,
            proof={**proof, "found": None},
        )
    return reply


def find_unknown(*, now: datetime, limit: int = 100) -> list[str]:
    """Ids of rows that are due for a look."""
    return list(
        Reply.objects.filter(state=ReplyState.UNKNOWN, not_before__lte=now)
        .order_by("not_before")
        .values_list("pk", flat=True)[:limit]
    )


def _claim_check(reply_id: str, now: datetime) -> Reply | None:
    """Book the next look before this one, so that two workers do not look at once."""
    reply = Reply.objects.filter(pk=reply_id, state=ReplyState.UNKNOWN).first()
    if reply is None or reply.not_before > now:
        return None
    attempts = reply.reconcile_attempts
    delay = _CHECK_DELAYS[min(attempts, len(_CHECK_DELAYS) - 1)]
    is_booked = Reply.objects.filter(
        pk=reply.pk, state=ReplyState.UNKNOWN, reconcile_attempts=attempts
    ).update(reconcile_attempts=attempts + 1, not_before=now + timedelta(seconds=delay))
    if not is_booked:
        return None
    return Reply.objects.get(pk=reply_id)


def _unclaimed(ids: Iterable[str], reply: Reply) -> str | None:
    """The first of ``ids`` that no other row of ours already stands for."""
    for x_id in ids:
        others = Reply.objects.filter(
            account_id=reply.account_id, state=ReplyState.SENT, x_post_id=x_id
        ).exclude(pk=reply.pk)
        if not others.exists():
            return x_id
    return None


def _find_post(
    client: XClient, reply: Reply, message: Message, since: datetime
) -> tuple[str | None, int]:
    targets = {message.post_id, message.reply_target_id}
    wanted = normalise_for_match(reply.text)
    token, count = None, 0
    matches = []
    for _ in range(MAX_PAGES):
        page = client.get_user_posts(
            reply.account.twitter_id, since_id=first_post_id_at(since), pagination_token=token
        )
        count += len(page.posts)
        matches += [
            post.id
            for post in page.posts
            if post.get_reference("replied_to") in targets
            and normalise_for_match(post.text, post.urls) == wanted
        ]
        token = page.next_token
        if token is None or matches:
            break
    else:
        # More was posted than we read: absence is not proved, so do not conclude it.
        if not matches:
            raise XError("Too many own posts to prove that this one is absent.", code="too_many")
    return _unclaimed(matches, reply), count


def _find_dm(
    client: XClient, reply: Reply, message: Message, since: datetime
) -> tuple[str | None, int]:
    wanted = normalise_for_match(reply.text)
    token, count = None, 0
    for _ in range(MAX_PAGES):
        page = client.get_dm_events(message.user, pagination_token=token)
        count += len(page.events)
        matches = [
            event.id
            for event in page.events
            if event.sender_id == reply.account.twitter_id
            and event.created_at >= since
            and normalise_for_match(event.text, event.urls) == wanted
        ]
        if found := _unclaimed(matches, reply):
            return found, count
        token = page.next_token
        if token is None or any(event.created_at < since for event in page.events):
            return None, count
    raise XError("Too many messages to prove that this one is absent.", code="too_many")
