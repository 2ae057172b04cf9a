"""Work on accounts that nobody waits for."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from accounts.errors import AccountError
from accounts.models import AccountStatus, AppPause, TwitterAccount
from accounts.tokens import access_token_for
from autores.x.errors import XError

logger = logging.getLogger(__name__)

# Two runs of the schedule: a token missed by one is met by the next, before a call needs it.
_AHEAD = timedelta(minutes=15)


@shared_task(name="accounts.refresh_expiring_tokens")
def refresh_expiring_tokens() -> None:
    """Refresh the tokens about to expire, so that no call has to wait for it.

    One account's failure is logged and leaves the others alone. Paused and disconnected accounts
    are passed over, and those that a former system may still refresh.
    """
    now = timezone.now()
    if AppPause.current(now=now) is not None:
        return
    due = TwitterAccount.objects.filter(
        status__in=(AccountStatus.ACTIVE, AccountStatus.RATE_LIMITED, AccountStatus.ERROR),
        token_expires_at__lte=now + _AHEAD,
        fenced_since=None,
    ).exclude(refresh_token="")
    for account in list(due):
        try:
            access_token_for(account, ahead=_AHEAD)
        except (AccountError, XError) as error:
            logger.warning("Token of account %s not refreshed: %s", account.pk, error.code)
