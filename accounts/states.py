"""The health of an account as a state machine: what may happen in which state, and its history.

Every change of ``TwitterAccount.status`` goes through ``move_account``: one conditional update and
the entry of the history, in one transaction. What is not in the table does not happen; a late
answer of one worker does not undo what a person or another worker did meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from accounts.models import AccountEvent, AccountStatus, TwitterAccount
from accounts.signals import SYSTEM
from autores.mongo.transactions import run_in_transaction

_ACTIVE = AccountStatus.ACTIVE
_PAUSED = AccountStatus.PAUSED
_LIMITED = AccountStatus.RATE_LIMITED
_EXPIRED = AccountStatus.TOKEN_EXPIRED
_ERROR = AccountStatus.ERROR


@dataclass(frozen=True, slots=True)
class Transition:
    """``event`` leads from any of ``sources`` to ``target``, and is nothing in other states."""

    sources: frozenset[AccountStatus]
    target: AccountStatus


_ALL = frozenset(AccountStatus)
TRANSITIONS: Mapping[str, Transition] = {
    # What X answered.
    "limited": Transition(frozenset({_ACTIVE, _LIMITED, _ERROR}), _LIMITED),
    "suspended": Transition(frozenset({_ACTIVE, _LIMITED, _ERROR}), _ERROR),
    "refused": Transition(frozenset({_ACTIVE, _LIMITED, _ERROR}), _ERROR),
    "recovered": Transition(frozenset({_LIMITED, _ERROR}), _ACTIVE),
    # What became of the tokens. A person's pause outlives it: the next call after it tells again.
    "token_rejected": Transition(_ALL - {_PAUSED}, _EXPIRED),
    "token_unreadable": Transition(frozenset({_ACTIVE, _LIMITED, _ERROR}), _ERROR),
    "token_stored": Transition(frozenset({_EXPIRED}), _ACTIVE),
    "reconnected": Transition(_ALL - {_PAUSED}, _ACTIVE),
    # What a person said.
    "paused": Transition(_ALL - {_PAUSED}, _PAUSED),
    "resumed": Transition(frozenset({_PAUSED, _ERROR}), _ACTIVE),
}


def move_account(
    account_id: str,
    event: str,
    *,
    now: datetime,
    reason: str = "",
    code: str = "",
    actor: str = SYSTEM,
    expected: Any = None,
    **changes: Any,
) -> AccountStatus | None:
    """Apply ``event``; the status before it, or None if it is nothing in the present one.

    expected  a Q that must hold of the row, too
    changes   further columns to write with it
    """
    transition = TRANSITIONS[event]

    def move() -> AccountStatus | None:
        rows = TwitterAccount.objects.filter(pk=account_id)
        before = rows.values_list("status", flat=True).first()
        if before not in transition.sources:
            return None
        matching = rows.filter(status=before)
        if expected is not None:
            matching = matching.filter(expected)
        if not matching.update(
            status=transition.target,
            status_reason=reason,
            status_changed_at=now,
            updated_at=now,
            **changes,
        ):
            return None
        if before != transition.target:
            AccountEvent.objects.create(
                account_id=account_id,
                at=now,
                event=event,
                before=before,
                after=transition.target,
                code=code,
                reason=reason,
                actor=actor,
            )
        return AccountStatus(before)

    return run_in_transaction(move)
