"""Reads back from X what the account said: whether a send whose answer was lost did arrive."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.clients import XClient, call_x
from autores.x.errors import ContractError, XError
from autores.x.ids import first_post_id_at
from autores.x.posts import PostPage
from autores.x.text import normalise_for_match
from mentions.models import (
    UNSETTLED_STATES,
    Message,
    Reply,
    ReplyKind,
    ReplyState,
    is_claimed,
)
from mentions.outbox.likeness import Candidate, find_nearest

# X's clock and ours may differ; a margin costs a few posts of reading, its lack a double reply.
CLOCK_MARGIN = timedelta(minutes=5)
# X says it has the text, and it is not where ours would be: look where it stands, this far back.
TWIN_SPAN = timedelta(hours=24)
MAX_PAGES = 5
# All that X shows of a timeline: after a restore much may have been posted since the backup.
MAX_PAGES_AFTER_RESTORE = 32
RESTORED = "restored"
_LEAST_LIKENESS = 0.8
DUPLICATE = "duplicate_content"


def absent_after() -> timedelta:
    """X shows a new post in the timeline within seconds, sometimes after a minute or two."""
    return timedelta(seconds=settings.REPLY_ABSENT_SECONDS)


@dataclass(slots=True)
class Look:
    """What X showed. ``matches`` have our parent and text, ``twins`` our text elsewhere; ``seen``
    is all that the account said since ``since``. ``found`` is the first match that stands for no
    other row.
    """

    since: datetime
    read_at: datetime | None = None
    count: int = 0
    matches: list[str] = field(default_factory=list)
    twins: list[str] = field(default_factory=list)
    seen: list[Candidate] = field(default_factory=list)
    found: str | None = None

    def to_proof(self, text: str) -> dict[str, Any]:
        assert self.read_at is not None
        proof: dict[str, Any] = {
            "read_at": self.read_at.isoformat(),
            "since": self.since.isoformat(),
            "items_read": self.count,
            "found": self.found,
        }
        if self.found is None:
            nearest = find_nearest(text, self.seen)
            proof["candidates"] = [candidate.to_json() for candidate in nearest]
        return proof


def is_called_duplicate(reply: Reply) -> bool:
    return reply.reason_code == DUPLICATE and reply.kind == ReplyKind.PUBLIC


def look_back(reply: Reply, message: Message) -> Look:
    """Read what the account said since the row was sent first. Raises XError and AccountError."""
    assert reply.sending_at is not None
    since = (reply.first_sending_at or reply.sending_at) - CLOCK_MARGIN
    if is_called_duplicate(reply):
        since = min(since, reply.sending_at - TWIN_SPAN)
    read = _read_dms if reply.kind == ReplyKind.DM else _read_posts
    look = call_x(reply.account, lambda client: read(client, reply, message, since))
    look.read_at = timezone.now()
    look.found = _first_unclaimed(look.matches, reply)
    return look


def find_own(reply: Reply, message: Message, x_post_id: str) -> Candidate | None:
    """The post or message of this id, if it is the account's own, answers the row's mention (a
    message: has about its words) and was made since the row was sent first.

    Raises XError and AccountError.
    """
    if reply.kind == ReplyKind.DM:
        look = look_back(reply, message)
        own = next((item for item in look.seen if item.id == x_post_id), None)
        # Many messages to one person are nothing alike; X changes no words.
        return own if own is not None and _may_be_ours(reply, message, own) else None
    page = call_x(reply.account, lambda client: client.get_posts([x_post_id]))
    assert reply.sending_at is not None
    since = (reply.first_sending_at or reply.sending_at) - CLOCK_MARGIN
    for post in page.posts:
        parent = post.get_reference("replied_to")
        if (
            post.id == x_post_id
            and post.author_id == reply.account.twitter_id
            and parent in message.version_ids
            and post.created_at >= since
        ):
            text = normalise_for_match(post.text, post.urls)
            return Candidate(post.id, post.text, text, post.created_at, parent, True)
    return None


def _may_be_ours(reply: Reply, message: Message, own: Candidate) -> bool:
    """Whether a message has about the words of the row, and not those of another one under way."""
    if own.normal == normalise_for_match(reply.text):
        return True
    if find_nearest(reply.text, [own])[0].likeness < _LEAST_LIKENESS:
        return False
    others = Reply.objects.filter(
        account_id=reply.account_id, kind=ReplyKind.DM, state__in=UNSETTLED_STATES
    ).exclude(pk=reply.pk)
    ids = [row.message_id for row in others if normalise_for_match(row.text) == own.normal]
    return not ids or not Message.objects.filter(pk__in=ids, user=message.user).exists()


def is_rival_sending(reply: Reply, message: Message) -> bool:
    """Whether another row is sending the same message to the same person at this moment.

    Asked after X was read: whoever's message stands there had departed by then.
    """
    if reply.kind != ReplyKind.DM:
        return False
    wanted = normalise_for_match(reply.text)
    sending = Reply.objects.filter(
        account_id=reply.account_id, state=ReplyState.SENDING, kind=ReplyKind.DM
    ).exclude(pk=reply.pk)
    ids = [row.message_id for row in sending if normalise_for_match(row.text) == wanted]
    return bool(ids) and Message.objects.filter(pk__in=ids, user=message.user).exists()


def _first_unclaimed(ids: Iterable[str], reply: Reply) -> str | None:
    for x_id in ids:
        if not is_claimed(account_id=reply.account_id, x_post_id=x_id, by_other_than=reply.pk):
            return x_id
    return None


def unreadable(page: PostPage) -> ContractError:
    """Any of the account's own posts may be the one that is looked for."""
    return ContractError(
        f"X gave {len(page.unreadable_ids)} of the account's own posts in a form Autores does not "
        "understand: what is looked for may be one of them.",
        code="unreadable_posts",
    )


def _read_posts(client: XClient, reply: Reply, message: Message, since: datetime) -> Look:
    targets = message.version_ids
    wanted = normalise_for_match(reply.text)
    look, token = Look(since), None
    is_restored = reply.reason_code == RESTORED
    for _ in range(MAX_PAGES_AFTER_RESTORE if is_restored else MAX_PAGES):
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
        if look.matches:
            return look
        if page.unreadable_ids:
            raise unreadable(page)
        if token is None:
            return look
    # More was posted than we read: absence is not proved, so do not conclude it.
    raise XError("Too many own posts to prove that this one is absent.", code="too_many")


def _read_dms(client: XClient, reply: Reply, message: Message, since: datetime) -> Look:
    wanted = normalise_for_match(reply.text)
    look, token = Look(since), None
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
