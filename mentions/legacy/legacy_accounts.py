"""The accounts of the former system: which are one, and how they are called."""

from collections.abc import Collection, Sequence

from accounts.models import TwitterAccount
from mentions.legacy.attribution import AttributionError
from mentions.legacy.contract import USERS
from mentions.legacy.driver import Row
from mentions.legacy.mapping import show_key

_LISTED_ACCOUNTS = 10


class DistinctAccounts:
    """Finds X user ids that an earlier row of ``users`` has, as MySQL's collation compares blanks.

    Two rows with one X account would refresh each other's single-use tokens away. ``repeated``
    are the ids, less blanks at their end, to look for.
    """

    def __init__(self, repeated: Collection[bytes]) -> None:
        self._repeated = frozenset(repeated)
        self._holders: dict[bytes, bytes] = {}
        names = [column.name for column in USERS.columns]
        self._id_at = names.index(USERS.key)
        self._x_id_at = names.index("twitter_id")

    def find_repeated(self, rows: list[Row]) -> dict[int, str]:
        """Index -> reason of the rows that come too late."""
        refusals = {}
        for index, row in enumerate(rows):
            key, x_id = row[self._id_at], row[self._x_id_at]
            if key is None or not x_id or (same := x_id.rstrip(b" ")) not in self._repeated:
                continue
            holder = self._holders.setdefault(same, key)
            if holder != key:
                refusals[index] = (
                    f"twitter_id {show_key(x_id)!r} already belongs to {show_key(holder)!r}"
                )
        return refusals


def list_accounts(accounts: Sequence[tuple[str, str]]) -> str:
    listed = [f"{key} (X user {x_id})" for key, x_id in accounts[:_LISTED_ACCOUNTS]]
    if len(accounts) > _LISTED_ACCOUNTS:
        listed.append(f"and {len(accounts) - _LISTED_ACCOUNTS} more")
    return ", ".join(listed) or "none"


def find_account(chosen: str, accounts: Sequence[tuple[str, str]]) -> str:
    """The id of the account that a person named by its id or X user id, in the legacy users or
    here. Raises AttributionError.
    """
    for key, x_id in accounts:
        if chosen in (key, x_id):
            return key
    stored = (
        TwitterAccount.objects.filter(pk=chosen).first()
        or TwitterAccount.objects.filter(twitter_id=chosen).first()
    )
    if stored is None:
        raise AttributionError(
            f"Account {chosen} is neither in the legacy users nor connected here. "
            f"Accounts: {list_accounts(accounts)}"
        )
    return str(stored.pk)


def connected_handles() -> dict[str, str]:
    """Accounts connected here by their lower-case @name."""
    named = TwitterAccount.objects.exclude(twitter_username="")
    return {name.lower(): key for key, name in named.values_list("pk", "twitter_username")}
