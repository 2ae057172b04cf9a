"""What stands on X for an outbox row that is gone: no other row may be settled with it."""

from collections.abc import Iterable
from datetime import datetime

from django.db import models
from django.utils import timezone

from mentions.models.reply import Reply


class ClaimedPost(models.Model):
    """One post or DM event of a deleted reply, keyed ``<account id>:<post or DM event id>``.

    A sent row stands for what it put on X. Deleting its message deletes the row, and the same
    words lost on their way to the same person later must not be taken for that earlier message.
    """

    id = models.CharField(primary_key=True, max_length=130, db_column="_id", editable=False)
    reply_id = models.CharField(max_length=64, editable=False)
    claimed_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        verbose_name = "claimed post"

    def __str__(self) -> str:
        return self.id


def _key(account_id: str, x_post_id: str) -> str:
    return f"{account_id}:{x_post_id}"


def keep_claims(replies: Iterable[Reply], *, now: datetime) -> None:
    """Called with rows that are deleted in the same transaction."""
    ClaimedPost.objects.bulk_create(
        ClaimedPost(id=_key(reply.account_id, reply.x_post_id), reply_id=reply.pk, claimed_at=now)
        for reply in replies
        if reply.x_post_id
    )


def is_claimed(*, account_id: str, x_post_id: str, by_other_than: str) -> bool:
    """Whether another row stands for it, or one that is deleted did."""
    rows = Reply.objects.filter(account_id=account_id, x_post_id=x_post_id)
    return rows.exclude(pk=by_other_than).exists() or is_left_behind(
        account_id=account_id, x_post_id=x_post_id
    )


def is_left_behind(*, account_id: str, x_post_id: str) -> bool:
    """Whether a row that is deleted stood for it."""
    return ClaimedPost.objects.filter(pk=_key(account_id, x_post_id)).exists()
