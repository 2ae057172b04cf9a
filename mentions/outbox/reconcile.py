"""Settles an unknown send by reading X back: found means sent; absent long enough means not.

What was read stays on the row as ``proof``, with the own posts that look most like ours, so that a
person can decide where X's answers contradict each other.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.errors import AccountError
from autores.x.errors import XError
from autores.x.ids import first_post_id_at
from autores.x.text import normalise_for_match
from mentions.models import Message, Reply, ReplyKind, ReplyState
from mentions.outbox.likeness import Candidate, find_nearest
from mentions.outbox.settle import mark_failed, mark_queued_again, mark_sent

logger = logging.getLogger(__name__)

# X's clock and ours may differ; a margin costs a few posts of reading, its lack a double reply.
CLOCK_MARGIN = timedelta(minutes=5)
ABSENT_READS = 3
# X says it has the text, and it is not where ours would be: look where it stands, this far back.
TWIN_SPAN = timedelta(hours=24)
MAX_PAGES = 5
_CHECK_DELAYS = (5, 10, 20, 40, 60, 120, 300)
_DUPLICATE = "duplicate_content"


def absent_after() -> timedelta:
    """X shows a new post in the timeline within seconds, sometimes after a minute or two."""
    return timedelta(seconds=settings.REPLY_ABSENT_SECONDS)


@dataclass(slots=True)
class _Look:
    """What X showed. ``matches`` have our parent and text; ``twins`` our text elsewhere."""

    count: int = 0
    matches: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    seen: list[Candidate] = field(default_factory=list)


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
    since = (reply.first_sending_at or reply.sending_at) - CLOCK_MARGIN
    is_duplicate = reply.reason_code == _DUPLICATE and reply.kind == ReplyKind.PUBLIC
    if is_duplicate:
        since = min(since, reply.sending_at - TWIN_SPAN)
    read = _read_dms if reply.kind == ReplyKind.DM else _read_posts
    try:
        look = call_x(reply.account, lambda client: read(client, reply, message, since))
    except (XError, AccountError) as error:
        logger.warning("reconciling %s: %s", reply.pk, error.code)
        return reply
    now = timezone.now()
    found = _first_unclaimed(look.matches, reply)
    proof: dict[str, Any] = {
        "read_at": now.isoformat(),
        "since": since.isoformat(),
        "items_read": look.count,
        "attempts": reply.reconcile_attempts,
        "reads": _count_earlier_reads(reply) + 1,
        "lease": reply.lease,
        "found": found,
    }
    if found is not None:
        _settle_found(reply, message, found, proof=proof, now=now)
        return reply
    proof["candidates"] = [candidate.to_json() for candidate in find_nearest(reply.text, look.seen)]
    is_absent = now - reply.sending_at >= absent_after() and proof["reads"] >= ABSENT_READS
    if not is_absent:
        _keep_proof(reply, proof)
    elif is_duplicate and look.twins:
        mark_failed(
            reply,
            code=_DUPLICATE,
            sentence="X refused this text because the account posted the same one to somebody else "
            "within a day. Change the text.",
            now=now,
            from_state=ReplyState.UNKNOWN,
            lease=reply.lease,
            proof={**proof, "twin": look.twins[0]},
        )
    elif is_duplicate:
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
    if reply.kind == ReplyKind.DM and _is_rival_sending(reply, message):
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
    is_booked = Reply.objects.filter(
        pk=reply.pk, state=ReplyState.UNKNOWN, reconcile_attempts=attempts
    ).update(reconcile_attempts=attempts + 1, not_before=now + timedelta(seconds=delay))
    if not is_booked:
        return None
    return Reply.objects.get(pk=reply_id)


def _first_unclaimed(ids: Iterable[str], reply: Reply) -> str | None:
    """The first of ``ids`` that no other row of ours already stands for."""
    for x_id in ids:
        others = Reply.objects.filter(account_id=reply.account_id, x_post_id=x_id)
        if not others.exclude(pk=reply.pk).exists():
            return x_id
    return None


def _is_rival_sending(reply: Reply, message: Message) -> bool:
    """Whether another row is sending the same message to the same person at this moment.

    Asked after X was read: whoever's message stands there had departed by then.
    """
    wanted = normalise_for_match(reply.text)
    sending = Reply.objects.filter(
        account_id=reply.account_id, state=ReplyState.SENDING, kind=ReplyKind.DM
    ).exclude(pk=reply.pk)
    ids = [row.message_id for row in sending if normalise_for_match(row.text) == wanted]
    return bool(ids) and Message.objects.filter(pk__in=ids, user=message.user).exists()


def _read_posts(client: XClient, reply: Reply, message: Message, since: datetime) -> _Look:
    targets = {message.post_id, message.reply_target_id}
    wanted = normalise_for_match(reply.text)
    look, token = _Look(), None
    for _ in range(MAX_PAGES):
        page = client.get_user_posts(
            reply.account.twitter_id, since_id=first_post_id_at(since), pagination_token=token
        )
        look.count += len(page.posts)
        for post in page.posts:
            text = normalise_for_match(post.text, post.urls)
            parent = post.get_reference("replied_to")
            if text == wanted:
                (look.matches if parent in targets else look.twins).append(post.id)
            look.seen.append(
                Candidate(post.id, post.text, text, post.created_at, parent, parent in targets)
            )
        token = page.next_token
        if token is None or look.matches:
            return look
    # More was posted than we read: absence is not proved, so do not conclude it.
    raise XError("Too many own posts to prove that this one is absent.", code="too_many")


def _read_dms(client: XClient, reply: Reply, message: Message, since: datetime) -> _Look:
    wanted = normalise_for_match(reply.text)
    look, token = _Look(), None
    for _ in range(MAX_PAGES):
        page = client.get_dm_events(message.user, pagination_token=token)
        look.count += len(page.events)
        for event in page.events:
            if event.sender_id != reply.account.twitter_id or event.created_at < since:
                continue
            text = normalise_for_match(event.text, event.urls)
            if text == wanted:
                look.matches.append(event.id)
            look.seen.append(Candidate(event.id, event.text, text, event.created_at, None, True))
        token = page.next_token
        if token is None or any(event.created_at < since for event in page.events):
            return look
    raise XError("Too many messages to prove that this one is absent.", code="too_many")
