"""What Celery's beat starts, and how often. Imported by the settings: no Django here."""

from datetime import timedelta
from typing import Any

_SECOND, _MINUTE, _HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
# The task, how often, and how long it may wait for a worker: the next round does the same work.
_ROUNDS = (
    # Each account every TWITTER_POLLING_INTERVAL minutes: a round takes those that are due.
    ("mentions.poll_due_accounts", 5 * _SECOND, 30 * _SECOND),
    ("mentions.search_accounts", 5 * _MINUTE, 5 * _MINUTE),
    ("mentions.recheck_accounts", 15 * _MINUTE, 15 * _MINUTE),
    ("mentions.deliver_due_replies", 5 * _SECOND, 30 * _SECOND),
    ("mentions.reconcile_unknown_replies", 20 * _SECOND, _MINUTE),
    ("mentions.fold_tallies", 10 * _SECOND, 30 * _SECOND),
    ("mentions.file_audit_entries", 5 * _SECOND, 30 * _SECOND),
    ("mentions.check_tallies", 24 * _HOUR, _HOUR),
    ("mentions.draft_new_mentions", 10 * _SECOND, 30 * _SECOND),
    ("accounts.refresh_expiring_tokens", 5 * _MINUTE, 5 * _MINUTE),
    ("accounts.tell_unread", 10 * _MINUTE, 10 * _MINUTE),
)


def build_schedule(*, sweep_minutes: float) -> dict[str, dict[str, Any]]:
    """Celery's ``beat_schedule``; an entry is called as its task, with dashes.

    ``sweep_minutes``: how often each account's whole timeline is read again.
    """
    sweep = sweep_minutes * _MINUTE
    return {
        task.partition(".")[2].replace("_", "-"): {
            "task": task,
            "schedule": every,
            "options": {"expires": int(waits.total_seconds())},
        }
        for task, every, waits in (*_ROUNDS, ("mentions.sweep_accounts", sweep, sweep))
    }
