"""Tells the operators of accounts that do not work, without one alert for each of ten thousand.

An account that a person must mend is told of at once, up to a handful an hour. Accounts whose
polls fail although nothing else is wrong with them show up by not having been read for long.
"""

import logging
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

from django.conf import settings
from django.db.models import Q, QuerySet

from accounts.alerts import send_alert
from accounts.counting import is_remembered, raise_counter, recall, remember
from accounts.models import AccountStatus, AppPause, TwitterAccount

logger = logging.getLogger(__name__)

_MOST_ALERTS_AN_HOUR = 5
_NAMED = 10
_FEWEST_MINUTES = 30
_MISSED_POLLS = 3
_TOLD, _SEEN = "unread-accounts-told", "unread-accounts-seen"
# The next round, ten minutes later, tells of them.
_SEEN_FOR = timedelta(minutes=25)
_TOLD_AGAIN_AFTER = timedelta(hours=6)
_READ = (AccountStatus.ACTIVE, AccountStatus.RATE_LIMITED, AccountStatus.ERROR)


def patience() -> timedelta:
    """An account that no poll of came through for so long is not read any more."""
    return timedelta(
        minutes=max(_FEWEST_MINUTES, _MISSED_POLLS * settings.TWITTER_POLLING_INTERVAL)
    )


def is_unread(account: TwitterAccount, *, now: datetime) -> bool:
    """Whether it should be polled, and none came through for ``patience()``."""
    since = account.last_polled_at or account.created_at
    return account.status in _READ and not now - patience() < since <= now + patience()


def say_why_unread(account: TwitterAccount) -> str:
    """The last error, if it came after the last poll."""
    since, failed_at = account.last_polled_at, account.last_error_at
    if account.last_error and failed_at is not None and (since is None or failed_at > since):
        return account.last_error.rstrip(".")
    return "no poll came through"


def find_unread(*, now: datetime) -> QuerySet[TwitterAccount]:
    """Accounts for which ``is_unread`` holds."""
    long_ago = now - patience()
    never = Q(last_polled_at=None, created_at__lte=long_ago)
    # By a clock that was ahead once: nobody knows since when.
    in_future = Q(last_polled_at__gt=now + patience())
    return TwitterAccount.objects.filter(
        Q(last_polled_at__lte=long_ago) | never | in_future, status__in=_READ
    ).order_by("pk")


def tell_unread(*, now: datetime) -> int:
    """Log and tell what is not read, once in six hours unless more join; how many there are."""
    if AppPause.current(now=now) is not None:
        # Told already, and the reason.
        return 0
    unread = find_unread(now=now)
    count = unread.count()
    told = int(recall(_TOLD) or 0)
    # One that was told of must not keep others quiet; of hundreds, one more is no news.
    if count - told < max(1, told // 4):
        if count < told:
            # Others that come in place of these are news.
            remember(_TOLD, seconds=int(_TOLD_AGAIN_AFTER.total_seconds()), value=count)
        return count
    if not is_remembered(_SEEN):
        # After a stop nothing was read for long, and the first polls are about to come.
        remember(_SEEN, seconds=int(_SEEN_FOR.total_seconds()))
        return count
    remember(_TOLD, seconds=int(_TOLD_AGAIN_AFTER.total_seconds()), value=count)
    logger.error("%s accounts are not read", count)
    listed = [f"{account}: {say_why_unread(account)}" for account in unread[:_NAMED]]
    send_alert(
        f"Autores: {count} accounts are not read",
        f"No poll of them came through for {patience().total_seconds() / 60:.0f} minutes. "
        + "; ".join(listed)
        + (f"; and {count - _NAMED} more." if count > _NAMED else "."),
    )
    return count


def tell_trouble(sender: Any, *, account_id: str, action: str, note: str, **kwargs: Any) -> None:
    """Receiver of ``accounts.signals.account_changed``: what a person must mend."""
    if action not in {"account.token_expired", "account.error"}:
        return
    # A read that works ends a lock here, and the next send meets it again.
    known = f"account-told:{account_id}:{crc32(note.encode()):x}"
    if is_remembered(known):
        return
    remember(known, seconds=int(_TOLD_AGAIN_AFTER.total_seconds()))
    told = raise_counter("account-alerts", seconds=3600).count
    if told <= _MOST_ALERTS_AN_HOUR:
        account = TwitterAccount.objects.filter(pk=account_id).first()
        send_alert(f"Autores: {account or account_id} does not work", note)
    elif told == _MOST_ALERTS_AN_HOUR + 1:
        send_alert(
            "Autores: more accounts do not work",
            "See X accounts in the admin; others are not told of within this hour.",
        )
