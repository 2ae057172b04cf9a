"""Work on accounts that nobody waits for."""

import logging
from datetime import datetime, timedelta

from celery import shared_task
from django.utils import timezone

from accounts import watch
from accounts.errors import AccountError
from accounts.models import AccountStatus, AppPause, TwitterAccount
from accounts.tokens import access_token_for
from autores.x.errors import XError

logger = logging.getLogger(__name__)

# Two runs of the schedule: a token missed by one is met by the next, before a call needs it.
_AHEAD = timedelta(minutes=15)


@shared_task(name="accounts.refresh_expiring_tokens")
def refresh_expiring_tokens() -> int:
    """One task per token about to expire, so that no call has to wait for it, and an X that does
    not answer for one account holds up no other.
    """
    ids = find_expiring(now=timezone.now())
    for account_id in ids:
        refresh_account_token.apply_async((account_id,), expires=300)
    return len(ids)


@shared_task(name="accounts.refresh_account_token")
def refresh_account_token(account_id: str) -> None:
    """Refresh it if it still is to expire; one process at a time does, by the account's lease."""
    account = TwitterAccount.objects.filter(pk=account_id).first()
    if account is None:
        return
    try:
        access_token_for(account, ahead=_AHEAD)
    except (AccountError, XError) as error:
        logger.warning("Token of account %s not refreshed: %s", account_id, error.code)


@shared_task(name="accounts.tell_unread")
def tell_unread() -> int:
    return watch.tell_unread(now=timezone.now())


def find_expiring(*, now: datetime) -> list[str]:
    """Accounts whose token is to be refreshed; none while all calls to X are paused.

    Paused and disconnected accounts are passed over, and those that a former system may still
    refresh.
    """
    if AppPause.current(now=now) is not None:
        return []
    due = TwitterAccount.objects.filter(
        status__in=(AccountStatus.ACTIVE, AccountStatus.RATE_LIMITED, AccountStatus.ERROR),
        token_expires_at__lte=now + _AHEAD,
        fenced_since=None,
    ).exclude(refresh_token="")
    return list(due.values_list("pk", flat=True))
