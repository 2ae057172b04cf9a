"""Celery's way into the stages. Tasks carry ids only; the rows are the queue.

A task that is lost, run twice or run late changes nothing: each stage claims its row.
"""

import logging
from collections.abc import Callable

from celery import shared_task
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from accounts.errors import AccountError
from accounts.models import AppPause, TwitterAccount
from autores.mongo.errors import TransactionConflictError
from autores.mongo.instances import find_instance
from autores.x.errors import CreditsDepletedError, UsageCapError, XError
from mentions.drafting.pause import find_pause
from mentions.drafting.queue import draft_wanted, find_wanted
from mentions.ingest import poll, sweep
from mentions.ingest.due import NOT_POLLED, claim_due_accounts
from mentions.legacy.lease import is_import_running
from mentions.models import Reply, file_entries
from mentions.outbox.deliver import deliver_reply as deliver
from mentions.outbox.deliver import recover_abandoned
from mentions.outbox.dispatch import find_due, find_unknown, has_room
from mentions.outbox.reconcile import reconcile_reply as reconcile
from mentions.recheck.check import check_account
from mentions.recheck.queue import find_unconfirmed
from mentions.recheck.redact import resume_redactions
from mentions.tallies import are_counters_exact, fold_marked, reconcile_counters

logger = logging.getLogger(__name__)

_ROUND_SECONDS = 15
# A worker keeps a task that is to start later; what is put off for longer is beat's to find.
_LONGEST_COUNTDOWN = 30.0
_MOST_FOLDS = 40
_NUDGED_DRAFTS = 20


def _pollable_ids() -> list[str]:
    if AppPause.current() is not None:
        return []
    return list(TwitterAccount.objects.exclude(status__in=NOT_POLLED).values_list("pk", flat=True))


@shared_task(name="mentions.poll_due_accounts")
def poll_due_accounts() -> int:
    """One task per account that is due, so that one account's trouble stays its own."""
    if AppPause.current() is not None:
        return 0
    ids = claim_due_accounts(now=timezone.now())
    for account_id in ids:
        poll_account.apply_async((account_id,), expires=300)
    return len(ids)


@shared_task(name="mentions.poll_accounts")
def poll_accounts() -> int:
    """Every account at once, due or not: for an operator who does not want to wait."""
    ids = _pollable_ids()
    for account_id in ids:
        poll_account.apply_async((account_id,), expires=300)
    return len(ids)


@shared_task(name="mentions.poll_account")
def poll_account(account_id: str) -> None:
    _read_account(account_id, poll.poll_account)


@shared_task(name="mentions.sweep_accounts")
def sweep_accounts() -> int:
    ids = _pollable_ids()
    for account_id in ids:
        sweep_account.apply_async((account_id,), expires=1800)
    return len(ids)


@shared_task(name="mentions.sweep_account")
def sweep_account(account_id: str) -> None:
    _read_account(account_id, sweep.sweep_account)


@shared_task(name="mentions.search_accounts")
def search_accounts() -> int:
    """The accounts whose daily search is due, or that have a gap the search may fill."""
    due = set(sweep.find_search_due(now=timezone.now()))
    ids = [account_id for account_id in _pollable_ids() if account_id in due] if due else []
    for account_id in ids:
        search_account.apply_async((account_id,), expires=300)
    return len(ids)


@shared_task(name="mentions.search_account")
def search_account(account_id: str) -> None:
    def put_off(error: XError | AccountError) -> None:
        sweep.put_off_search(
            account_id,
            now=timezone.now(),
            seconds=error.retry_after,
            # What stops the account or the app ends at a time of its own; nothing is asked of X
            # before that, as such accounts are passed over.
            is_passing=error.retryable
            or isinstance(error, (AccountError, CreditsDepletedError, UsageCapError)),
        )

    if sweep.claim_search(account_id, now=timezone.now()):
        _read_account(account_id, sweep.search_account, on_error=put_off)


def _read_account(
    account_id: str,
    read: Callable[..., poll.PollResult],
    *,
    on_error: Callable[[XError | AccountError], None] = lambda error: None,
) -> None:
    account = find_instance(TwitterAccount, {"_id": account_id})
    if account is None:
        return
    try:
        result = read(account, now=timezone.now())
    except (XError, AccountError) as error:
        # Recorded on the account already; the next poll reads the same pages again.
        logger.warning("account %s not read: %s", account_id, error.code)
        on_error(error)
        return
    # Beat finds wanted drafts by itself; this only spares the first of its own the wait. Of all
    # that are wanted, each poll would send the same ones again while drafting lags behind.
    new_ids = result.new_message_ids[:_NUDGED_DRAFTS]
    for message_id in find_wanted(now=timezone.now(), among=new_ids) if new_ids else ():
        draft_message.apply_async((message_id,), expires=60)


@shared_task(name="mentions.recheck_accounts")
def recheck_accounts() -> int:
    """One task per account; what an earlier run left half removed is gone on with at once."""
    now = timezone.now()
    resume_redactions(now=now)
    ids = _pollable_ids()
    if not settings.X_RECHECK_INTERVAL:
        ids = sorted(find_unconfirmed(now=now).intersection(ids))
    for account_id in ids:
        recheck_account.apply_async((account_id,), expires=900)
    return len(ids)


@shared_task(name="mentions.recheck_account")
def recheck_account(account_id: str) -> None:
    account = TwitterAccount.objects.filter(pk=account_id).first()
    if account is None:
        return
    try:
        check_account(account, now=timezone.now())
    except (XError, AccountError) as error:
        logger.warning("mentions of account %s not checked: %s", account_id, error.code)


@shared_task(name="mentions.deliver_due_replies")
def deliver_due_replies() -> int:
    """What no task was nudged for, or whose time has come; and rows whose sender died.

    While all calls to X are paused nothing is taken up; when the pause is to be probed, one row
    is.
    """
    now = timezone.now()
    recover_abandoned(now=now)
    pause = AppPause.standing()
    if pause is not None and pause.is_in_force(now=now):
        return 0
    ids = find_due(now=now) if pause is None else find_due(now=now, limit=1)
    for reply_id in ids:
        # What is still waiting when the next round comes is found by it, in its turn.
        deliver_reply.apply_async((reply_id,), expires=_ROUND_SECONDS)
    return len(ids)


@shared_task(name="mentions.deliver_reply")
def deliver_reply(reply_id: str) -> None:
    try:
        deliver(reply_id, now=timezone.now())
    except TransactionConflictError as error:
        # A worker died inside a transaction: MongoDB frees its rows within a minute, and the
        # row, queued or sending, is found again by beat.
        logger.warning("reply %s is blocked for now: %s", reply_id, error)


@shared_task(name="mentions.reconcile_unknown_replies")
def reconcile_unknown_replies() -> int:
    now = timezone.now()
    ids = find_unknown(now=now) if AppPause.current(now=now) is None else []
    for reply_id in ids:
        reconcile_reply.apply_async((reply_id,), expires=60)
    return len(ids)


@shared_task(name="mentions.reconcile_reply")
def reconcile_reply(reply_id: str) -> None:
    reconcile(reply_id, now=timezone.now())


@shared_task(name="mentions.draft_new_mentions")
def draft_new_mentions() -> int:
    ids = [] if find_pause() else find_wanted(now=timezone.now())
    for message_id in ids:
        draft_message.apply_async((message_id,), expires=60)
    return len(ids)


@shared_task(name="mentions.draft_message")
def draft_message(message_id: str) -> None:
    draft_wanted(message_id, now=timezone.now())


@shared_task(name="mentions.fold_tallies")
def fold_tallies() -> int:
    """Count what is marked; build the counters where there are none to trust."""
    if not are_counters_exact():
        if not is_import_running():
            reconcile_counters()
        return 0
    folded = 0
    for _ in range(_MOST_FOLDS):
        try:
            count = fold_marked()
        except TransactionConflictError:
            # Whoever writes goes first; the next round is soon.
            break
        folded += count
        if not count:
            break
    return folded


@shared_task(name="mentions.file_audit_entries")
def file_audit_entries() -> int:
    """Move what single commands left on messages to the audit; of how many messages."""
    filed = 0
    for _ in range(_MOST_FOLDS):
        try:
            count = file_entries()
        except TransactionConflictError:
            logger.info("Audit entries wait for the next round: others write to their messages")
            break
        filed += count
        if not count:
            break
    return filed


@shared_task(name="mentions.check_tallies")
def check_tallies() -> bool:
    """Prove the counters once a day; what differs is repaired, and told."""
    if is_import_running():
        return False
    found = reconcile_counters()
    if found.were_exact and found.differences:
        logger.error(
            "%d counters of messages were wrong, such as %s, and are repaired: something wrote "
            "messages without a mark",
            len(found.differences),
            found.differences[0],
        )
    return found.is_right


def nudge_delivery(reply: Reply) -> None:
    """Send the row when it is due instead of at beat's next look.

    Without a broker, beat's look must do; so it must for an account with more rows waiting than
    its lane holds, or its nudges would stand before everybody else's.
    """
    now = timezone.now()
    wait = max(0.0, (reply.not_before - now).total_seconds())
    if wait > _LONGEST_COUNTDOWN or not has_room(reply.account_id, now=now):
        return
    try:
        deliver_reply.apply_async(
            (reply.pk,), countdown=wait or None, expires=wait + 60, retry=False
        )
    except (OperationalError, RedisError, OSError):
        logger.warning("no broker to nudge the delivery of %s", reply.pk)
