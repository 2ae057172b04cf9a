"""What an account is called on X: its owner may rename it at any time, and nobody tells us."""

import logging
from datetime import datetime, timedelta
from typing import Any

from accounts.clients import call_x
from accounts.models import TwitterAccount
from accounts.signals import announce

logger = logging.getLogger(__name__)

# X's search reaches back seven days: to posts that say the name of then.
_REMEMBERED = timedelta(days=8)


def read_name(account: TwitterAccount, *, now: datetime) -> None:
    """Ask X for the account's names, and keep them; written into ``account``, too.

    Raises what ``accounts.clients.call_x`` raises.
    """
    profile = call_x(account, lambda client: client.get_me(), now=now)
    if profile.id != account.twitter_id:
        logger.error("X calls the account %s by the id %s", account.twitter_id, profile.id)
        return
    changes: dict[str, Any] = {"twitter_username": profile.username, "display_name": profile.name}
    before = account.twitter_username
    if before == profile.username and account.display_name == profile.name:
        return
    is_renamed = bool(before) and before.lower() != profile.username.lower()
    if is_renamed:
        changes |= {"former_username": before, "renamed_at": now}
    TwitterAccount.objects.filter(pk=account.pk).update(**changes)
    for name, value in changes.items():
        setattr(account, name, value)
    if is_renamed:
        announce(
            "account.renamed",
            account_id=account.pk,
            before={"username": before},
            after={"username": profile.username},
        )


def list_names(account: TwitterAccount, *, now: datetime) -> list[str]:
    """By which posts that X still finds may mention the account; the present one first."""
    names = [account.twitter_username]
    if account.renamed_at is not None and account.renamed_at > now - _REMEMBERED:
        names.append(account.former_username)
    return [name for name in names if name]
