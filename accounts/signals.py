"""What happened to an account, for whoever keeps the record: this package knows no listener."""

from django.dispatch import Signal

# Sent after the write with: account_id, action ("account.paused" …), actor (a person's id or
# "system:accounts"), before and after (changed fields; never a secret), note (a sentence).
account_changed = Signal()

SYSTEM = "system:accounts"


def announce(
    action: str,
    *,
    account_id: str,
    actor: str = SYSTEM,
    before: dict[str, str] | None = None,
    after: dict[str, str] | None = None,
    note: str = "",
) -> None:
    """Tell the listeners. Their errors are logged, never raised: the change is made already."""
    account_changed.send_robust(
        sender=None,
        account_id=account_id,
        action=action,
        actor=actor,
        before=before or {},
        after=after or {},
        note=note,
    )
