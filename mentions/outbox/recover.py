"""After an older state of the database was restored: what was sent since stands on X alone.

Rows that wait in the restored state may have been sent since the backup was taken: they become
``unknown``, and reconciliation settles them as it does any send whose answer was lost. Public
replies that were decided on after the backup have no row at all: they are found among the
account's own posts, and get one. Run while no worker and no beat run; may be repeated.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import IntegrityError
from django.db.models import F, Q
from django.utils import timezone

from accounts.clients import XClient, call_x
from accounts.errors import AccountError
from accounts.models import TwitterAccount, new_id
from autores.mongo.transactions import run_in_transaction
from autores.x.errors import XError
from autores.x.ids import first_post_id_at
from autores.x.posts import Post, PostPage
from autores.x.text import normalise_for_match, unescape_text
from mentions.models import (
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    ReplyState,
    is_claimed,
    record_audit,
)
from mentions.outbox.lookback import CLOCK_MARGIN, RESTORED, unreadable
from mentions.outbox.settle import (
    ACTOR,
    mark_failed,
    mark_sent,
    move_reply,
    refuse_claimed,
    supersede_draft,
)

logger = logging.getLogger(__name__)

_TOGETHER = 100


@dataclass
class Recovery:
    """What was done: rows that are looked up now, replies found on X by (mention, post id), and
    accounts that could not be read, with the reason.
    """

    doubtful: int = 0
    found: list[tuple[str, str]] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


def recover_replies(
    *, since: datetime, poll: Callable[[TwitterAccount], object], is_dry_run: bool = False
) -> Recovery:
    """``since``: when the backup was begun. ``poll`` brings an account's mentions up to date first,
    also those that came after the backup.
    """
    recovery = Recovery()
    # Also what was put off: whoever put it off may have sent it at once since.
    waiting = Reply.objects.filter(state__in=[ReplyState.QUEUED, ReplyState.SENDING])
    for reply in waiting.order_by("pk"):
        if is_dry_run or _doubt(reply, since=since, now=timezone.now()):
            recovery.doubtful += 1
    for account in TwitterAccount.objects.order_by("pk"):
        try:
            if not is_dry_run:
                poll(account)
            own = list(_read_own_replies(account, since=since))
        except (XError, AccountError) as error:
            recovery.unread.append((str(account), error.sentence))
            continue
        for message, post in _match(account, own):
            if is_dry_run or _adopt(message, post):
                recovery.found.append((message.pk, post.id))
    return recovery


def _read_own_replies(account: TwitterAccount, *, since: datetime) -> Iterator[Post]:
    """Oldest first: of two replies to one mention, the first is the one that answered it."""
    posts: list[Post] = []
    since_id = first_post_id_at(since - CLOCK_MARGIN)

    def read(client: XClient, token: str | None = None) -> PostPage:
        return client.get_user_posts(account.twitter_id, since_id=since_id, pagination_token=token)

    page = call_x(account, read)
    while True:
        if page.unreadable_ids:
            raise unreadable(page)
        posts += [post for post in page.posts if post.get_reference("replied_to")]
        if page.next_token is None:
            return reversed(posts)
        page = call_x(account, partial(read, token=page.next_token))


def _match(account: TwitterAccount, posts: list[Post]) -> Iterator[tuple[Message, Post]]:
    """The posts that answer a mention and stand for no row yet."""
    # The versions in between stand in no column; edited mentions are few.
    edited = Message.objects.filter(account_id=account.pk, latest_post_id__gt="")
    by_version = dict(_by_target(edited.iterator())) if posts else {}
    for start in range(0, len(posts), _TOGETHER):
        some = posts[start : start + _TOGETHER]
        parents = {post.get_reference("replied_to") for post in some}
        rows = Message.objects.filter(account_id=account.pk).filter(
            Q(post_id__in=list(parents)) | Q(latest_post_id__in=list(parents))
        )
        messages = by_version | dict(_by_target(rows))
        for post in some:
            message = messages.get(post.get_reference("replied_to") or "")
            if message is not None and not is_claimed(
                account_id=account.pk, x_post_id=post.id, by_other_than=""
            ):
                yield message, post


def _by_target(messages: Iterable[Message]) -> Iterator[tuple[str, Message]]:
    for message in messages:
        for target in message.version_ids:
            yield target, message


def _adopt(message: Message, post: Post) -> bool:
    """Give the post a row: the one that waits with its words, or a new one; False if it has one."""
    standing = Reply.objects.filter(live_key=f"{message.pk}:{ReplyKind.PUBLIC}").first()
    if standing is not None:
        now = timezone.now()
        if standing.state != ReplyState.UNKNOWN:
            return False
        if normalise_for_match(standing.text) == normalise_for_match(post.text, post.urls):
            return _mark_found(standing, post, now=now)
        mark_failed(
            standing,
            code="already_replied",
            sentence="X shows another reply of the account to this mention, sent after the backup.",
            now=now,
            from_state=ReplyState.UNKNOWN,
        )
    try:
        is_adopted: bool = run_in_transaction(
            lambda: _insert_sent(
                message,
                x_post_id=post.id,
                text=_read_words(post),
                sent_at=post.created_at,
                now=timezone.now(),
            )
        )
    except IntegrityError:
        logger.info("%s got a row meanwhile", post.id)
        return False
    return is_adopted


def _mark_found(standing: Reply, post: Post, *, now: datetime) -> bool:
    proof = {"read_at": now.isoformat(), "found": post.id, "by": "recover_replies"}
    try:
        return mark_sent(standing, x_post_id=post.id, now=now, proof=proof)
    except IntegrityError:
        logger.info("%s got a row meanwhile", post.id)
        return False


def _read_words(post: Post) -> str:
    """What was typed: without the handles X puts in front, its short links and its escapes."""
    start = (post.display_text_range or (0, 0))[0]
    text = post.text[start:].strip() or post.text
    for entity in post.urls:
        if entity.expanded_url:
            text = text.replace(entity.url, entity.expanded_url)
    return unescape_text(text)


def _doubt(reply: Reply, *, since: datetime, now: datetime) -> bool:
    """It waits in a state of the database that was restored: it may have been sent after ``since``.

    Reconciliation proves or disproves it.
    """
    return move_reply(
        reply,
        {"state__in": [ReplyState.QUEUED, ReplyState.SENDING]},
        {
            "state": ReplyState.UNKNOWN,
            "reason_code": RESTORED,
            "reason": "An older state was restored: whether it was sent since is read from X.",
            # Read from the backup on; and absent only when X has had its time from now.
            "sending_at": now,
            "first_sending_at": min(reply.first_sending_at or since, since),
            "departures": F("departures") + 1,
            "has_departed": True,
            "lease_until": None,
            "reconcile_attempts": 0,
            "not_before": now,
        },
        now=now,
        actor=ACTOR,
    )


def _insert_sent(
    message: Message, *, x_post_id: str, text: str, sent_at: datetime, now: datetime
) -> bool:
    """A row for a public reply that X shows and nobody here has any more; in a transaction.

    False if the mention is gone. Raises IntegrityError if another row stands for the post, or for
    the mention's reply.
    """
    row_id = new_id()
    is_there = Message.objects.filter(pk=message.pk).update(
        status=MessageStatus.REPLIED,
        public_response=text,
        has_replies=True,
        version=F("version") + 1,
        updated_at=now,
    )
    if not is_there:
        return False
    reply = Reply.objects.create(
        id=row_id,
        message=message,
        account_id=message.account_id,
        kind=ReplyKind.PUBLIC,
        live_key=f"{message.pk}:{ReplyKind.PUBLIC}",
        idempotency_key=row_id,
        text=text,
        state=ReplyState.SENT,
        not_before=sent_at,
        due_at=sent_at,
        sending_at=sent_at,
        first_sending_at=sent_at,
        sent_at=sent_at,
        x_post_id=x_post_id,
        proof={"read_at": now.isoformat(), "found": x_post_id, "by": "recover_replies"},
        created_at=now,
        updated_at=now,
    )
    refuse_claimed(reply, x_post_id)
    supersede_draft(message.pk, now=now)
    record_audit(
        f"reply.{ReplyState.SENT}.{ReplyKind.PUBLIC}",
        actor=ACTOR,
        object_type="reply",
        object_id=row_id,
        account_id=message.account_id,
        message_id=message.pk,
        after={"state": ReplyState.SENT.value, "text": text, "x_post_id": x_post_id},
        note="Found on X after an older state was restored.",
    )
    return True
