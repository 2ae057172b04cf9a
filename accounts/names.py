"""What an account is called on X: its owner may rename it at any time, and nobody tells us."""

import logging
from datetime import datetime

from accounts.clients import call_x
from accounts.counting import is_remembered, remember
from accounts.errors import AccountBlockedError
from accounts.models import TwitterAccount
from accounts.signals import announce
from autores.x.errors import XError

logger = logging.getLogger(__name__)

# X bills it as a read of a person.
_ASKED_AGAIN_SECONDS = 20 * 3600


def read_name(account: TwitterAccount, *, now: datetime) -> None:
    """Ask X for the account's names, once a day, and keep them; written into ``account``, too.

    A name that is known stands where X does not tell. Raises XError and AccountBlockedError for an
    account without any.
    """
    asked = f"name-asked:{account.pk}"
    if account.twitter_username and is_remembered(asked):
        return
    try:
        profile = call_x(account, lambda client: client.get_me(), now=now)
    except (XError, AccountBlockedError) as error:
        if not account.twitter_username:
            raise
        logger.warning("the name of %s is not asked for: %s", account.twitter_id, error.code)
        return
    remember(asked, seconds=_ASKED_AGAIN_SECONDS)
    if profile.id != account.twitter_id:
        logger.error("X calls the account %s by the id %s", account.twitter_id, profile.id)
        return
    before = account.twitter_username
    if (before, account.display_name) == (profile.username, profile.name):
        return
    changes = account.name_changes(profile.username, profile.name, now=now)
    TwitterAccount.objects.filter(pk=account.pk).update(**changes)
    for name, value in changes.items():
        setattr(account, name, value)
    if "renamed_at" in changes:
        announce(
            "account.renamed",
            account_id=account.pk,
            before={"username": before},
            after={"username": profile.username},
        )


def list_names(account: TwitterAccount, *, since: datetime) -> list[str]:
    """By which posts made from then on may mention the account; the present one first.

    The former one only for a time in which it was the account's: who has it now has mentions, too.
    """
    names = [account.twitter_username]
    if account.renamed_at is not None and since < account.renamed_at:
        names.append(account.former_username)
    return [name for name in names if name]
