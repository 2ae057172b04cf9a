"""Sign-ins that were verified a moment ago, kept in this process.

A kept sign-in is used for ``KEPT_SECONDS``, then verified anew. So what ends a sign-in (a revoked
token, an inactive person, another password, another role) ends it within that time in every
process, and at once in the one where it was done.
"""

import time
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from accounts.models import Membership, PersonalToken, User
from accounts.permissions import KnownRoles
from autores.mongo.transactions import on_commit

KEPT_SECONDS = 3.0
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who is calling, and by what; ``ends_at`` (seconds of the epoch) is the token's own end."""

    user: User
    auth: Any
    ends_at: float = float("inf")


@dataclass(frozen=True, slots=True)
class _Kept:
    sign_in: SignIn
    roles: KnownRoles
    until: float
    # Whom reads on the short way ask, which change nothing of him.
    reader: User


class VerifiedSignIns:
    """By the header that brought them, of which only a hash is kept."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: dict[bytes, _Kept] = {}
        self._round = 0

    def recall(self, header: bytes, verify: Callable[[], SignIn | None]) -> tuple[User, Any] | None:
        """Who sends ``header``, by ``verify`` unless that is known; None if it does not know.

        The person is the caller's own copy, and knows his roles. Raises what ``verify`` raises.
        """
        key = sha256(header).digest()
        kept = self._find(key) or self._verify(key, verify)
        return None if kept is None else _hand_out(kept)

    def peek(self, header: bytes) -> tuple[User, Any] | None:
        """As ``recall``, of what is kept alone: None if it would have to be verified.

        The person is everybody's: to be read, and never changed.
        """
        kept = self._find(sha256(header).digest())
        return None if kept is None else (kept.reader, kept.sign_in.auth)

    def _find(self, key: bytes) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is None or kept.until <= self._clock() or kept.sign_in.ends_at <= time.time():
            return None
        return kept

    def forget_all(self) -> None:
        self._round += 1
        self._kept.clear()

    def _verify(self, key: bytes, verify: Callable[[], SignIn | None]) -> _Kept | None:
        # What was read before a change must not be kept after it.
        began_in, now = self._round, self._clock()
        self._kept.pop(key, None)
        sign_in = verify()
        if sign_in is None:
            return None
        roles = KnownRoles(sign_in.user.pk)
        reader = _copy(sign_in.user, roles)
        kept = _Kept(sign_in, roles, now + KEPT_SECONDS, reader)
        if began_in == self._round:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[key] = kept
        return kept


def _hand_out(kept: _Kept) -> tuple[User, Any]:
    return _copy(kept.sign_in.user, kept.roles), kept.sign_in.auth


def _copy(person: User, roles: KnownRoles) -> User:
    # What copy() would make, in a tenth of its time.
    user = User.__new__(User)
    user.__dict__.update(person.__dict__, known_roles=roles)
    user._state = copy(user._state)
    return user


sign_ins = VerifiedSignIns()


def forget_sign_ins(**kwargs: Any) -> None:
    """Something that sign-ins depend on was changed here; a receiver of signals, too."""
    on_commit(sign_ins.forget_all)


def listen() -> None:
    """Forget what is kept whenever this process saves or deletes what it depends on."""
    from django.db.models.signals import post_delete, post_save

    for model in (User, PersonalToken, Membership):
        for signal in (post_save, post_delete):
            signal.connect(forget_sign_ins, sender=model, dispatch_uid="accounts.verified")
