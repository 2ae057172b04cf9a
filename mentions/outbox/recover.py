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

from django.db import IntegrityError
from django.db.models import Q
from django.utils import timezone

from accounts.clients import call_x
from accounts.errors import AccountError
from accounts.models import TwitterAccount
from autores.mongo.transactions import run_in_transaction
from autores.x.errors import XError
from autores.x.ids import first_post_id_at
from autores.x.posts import Post
from autores.x.text import normalise_for_match
from mentions.models import Message, Reply, ReplyKind, ReplyState, is_claimed
from mentions.outbox.lookback import CLOCK_MARGIN
from mentions.outbox.settle import adopt_sent, mark_doubtful, mark_failed

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
    waiting = Reply.objects.filter(
        Q(state=ReplyState.SENDING) | Q(state=ReplyState.QUEUED, not_before__lte=timezone.now())
    )
    for reply in waiting.order_by("pk"):
        if is_dry_run or mark_doubtful(reply, since=since, now=timezone.now()):
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
    token: str | None = None
    while True:
        page = call_x(
            account,
            lambda client, token=token: client.get_user_posts(  # type: ignore[misc]  # bound now
                account.twitter_id,
                since_id=first_post_id_at(since - CLOCK_MARGIN),
                pagination_token=token,
            ),
        )
        posts += [post for post in page.posts if post.get_reference("replied_to")]
        token = page.next_token
        if token is None:
            return iter(reversed(posts))


def _match(account: TwitterAccount, posts: list[Post]) -> Iterator[tuple[Message, Post]]:
    """The posts that answer a mention and stand for no row yet."""
    for start in range(0, len(posts), _TOGETHER):
        some = posts[start : start + _TOGETHER]
        parents = {post.get_reference("replied_to") for post in some}
        rows = Message.objects.filter(account_id=account.pk).filter(
            Q(post_id__in=list(parents)) | Q(latest_post_id__in=list(parents))
        )
        messages = dict(_by_target(rows))
        for post in some:
            message = messages.get(post.get_reference("replied_to") or "")
            if message is not None and not is_claimed(
                account_id=account.pk, x_post_id=post.id, by_other_than=""
            ):
                yield message, post


def _by_target(messages: Iterable[Message]) -> Iterator[tuple[str, Message]]:
    for message in messages:
        yield message.post_id, message
        yield message.reply_target_id, message


def _adopt(message: Message, post: Post) -> bool:
    """Give the post a row, unless one stands for it or reconciliation will find it by its words."""
    standing = Reply.objects.filter(live_key=f"{message.pk}:{ReplyKind.PUBLIC}").first()
    if standing is not None:
        is_same = normalise_for_match(standing.text) == normalise_for_match(post.text, post.urls)
        if is_same or standing.state != ReplyState.UNKNOWN:
            return False
        mark_failed(
            standing,
            code="already_replied",
            sentence="X shows another reply of the account to this mention, sent after the backup.",
            now=timezone.now(),
            from_state=ReplyState.UNKNOWN,
        )
    start = (post.display_text_range or (0, 0))[0]
    try:
        is_adopted: bool = run_in_transaction(
            lambda: adopt_sent(
                message,
                x_post_id=post.id,
                text=post.text[start:].strip() or post.text,
                sent_at=post.created_at,
                now=timezone.now(),
            )
        )
    except IntegrityError:
        logger.info("%s got a row meanwhile", post.id)
        return False
    return is_adopted
