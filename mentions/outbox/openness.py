"""Whether a person takes direct messages of an account: asked of X once, and remembered a while."""

import logging

from accounts.clients import call_x
from accounts.counting import raise_counter, recall, remember
from accounts.errors import AccountError
from autores.x.errors import XError
from mentions.models import Message

logger = logging.getLogger(__name__)

REMEMBERED_SECONDS = 600
# X did not say: asked again sooner.
_UNKNOWN_SECONDS = 60
# Each look-up reads a person, which X bills; X's own limit is 900 in this time.
MOST_LOOKUPS = 100
_WINDOW_SECONDS = 900


def receives_dm(message: Message, *, may_ask: bool) -> bool | None:
    """None when X did not say, or was not asked (``may_ask``; the account's look-ups are spent)."""
    account = message.account
    if account is None or not message.user.isdigit():
        return None
    name = f"receives-dm:{account.pk}:{message.user}"
    known = recall(name)
    if known is not None:
        return {"yes": True, "no": False}.get(str(known))
    if not may_ask or not _has_lookups_left(account.pk):
        return None
    try:
        person = call_x(account, lambda client: client.get_user(message.user))
    except (XError, AccountError) as error:
        logger.info("whether %s takes messages is not known: %s", message.user, error.code)
        found = None
    else:
        found = person.receives_your_dm
    answer = {True: "yes", False: "no", None: "unknown"}[found]
    seconds = _UNKNOWN_SECONDS if found is None else REMEMBERED_SECONDS
    remember(name, seconds=seconds, value=answer)
    return found


def _has_lookups_left(account_id: str) -> bool:
    counted = raise_counter(f"dm-lookups:{account_id}", seconds=_WINDOW_SECONDS)
    return counted.count <= MOST_LOOKUPS
