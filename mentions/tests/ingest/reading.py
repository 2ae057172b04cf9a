"""Reads for an account, and looks at what came of it."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import TwitterAccount
from mentions.ingest.poll import poll_account
from mentions.models import Message


def poll(account: TwitterAccount, **later: float):
    return poll_account(account, now=timezone.now() + timedelta(**later))


def stored_ids() -> set[str]:
    return set(Message.objects.values_list("pk", flat=True))


def ids_of(posts: list[dict[str, Any]]) -> list[str]:
    return [post["id"] for post in posts]


def complete_until(account: TwitterAccount):
    return TwitterAccount.objects.values_list("complete_until", flat=True).get(pk=account.pk)


def reopen(account: TwitterAccount) -> None:
    """The window of X's limit is over."""
    TwitterAccount.objects.filter(pk=account.pk).update(closed_endpoints=[], blocked_until=None)
