"""Looks an account's mentions up on X, and acts on what X says of each.

Only X's own "not found", said twice with time between, counts as deleted. An X that fails, that
answers something else or says nothing of a post never removes anything.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from accounts.clients import call_x
from accounts.models import TwitterAccount
from autores.x.types import PostLookup
from mentions.ingest.classify import classify_post
from mentions.models import CONFIRM_AFTER, GONE_STATES, Message, XState, find_ids_of_posts
from mentions.recheck.queue import find_due, next_check, read_budget, spend_budget
from mentions.recheck.redact import mark_deleted, redact_message
from mentions.recheck.verdicts import Verdict, judge_lookup

logger = logging.getLogger(__name__)

_AGAIN_AFTER = timedelta(hours=1)
# 2,000 posts: beat comes again in a quarter of an hour.
_MAX_CALLS = 20
_SENTENCES = {
    XState.HIDDEN: "X does not show this post to the account any more: its author protected it, "
    "blocked the account, or is suspended.",
    XState.MISSING: "X does not find this post. It is looked up again before it counts as deleted.",
}


@dataclass(slots=True)
class CheckResult:
    """What a run did: posts looked up, and what came of them."""

    checked: int = 0
    deleted: int = 0
    hidden: int = 0
    restored: int = 0


def check_account(account: TwitterAccount, *, now: datetime) -> CheckResult:
    """Look up what is due, 100 posts a call, as far as the day's budget goes.

    Each answer is stored before the next call. Raises what ``accounts.clients.call_x`` raises.
    """
    result = CheckResult()
    for _ in range(_MAX_CALLS):
        # Where nothing is looked up by itself, what X did not find is all the same.
        limit = read_budget(account.pk, now=now) if settings.X_RECHECK_INTERVAL else 0
        due = find_due(account.pk, now=now, limit=limit)
        rows = [row for row in due if _can_be_asked(row)]
        if not due:
            break
        if rows:
            ids = [row.reply_target_id for row in rows]
            lookup = _look_up(account, ids)
            spend_budget(account.pk, len(lookup.shown_ids), now=now)
            verdicts = judge_lookup(ids, lookup)
            for row in rows:
                _apply(account, row, verdicts[row.reply_target_id], result, now=now)
            result.checked += len(rows)
    if result.checked:
        logger.info(
            "checked %d mentions of %s: %d deleted, %d hidden",
            result.checked,
            account.twitter_id,
            result.deleted,
            result.hidden,
        )
    return result


def _look_up(account: TwitterAccount, ids: list[str]) -> PostLookup:
    return call_x(account, lambda client: client.look_up_posts(ids))


def _can_be_asked(row: Message) -> bool:
    if row.reply_target_id.isdigit() and len(row.reply_target_id) <= 19:
        return True
    Message.objects.filter(pk=row.pk).update(recheck_at=None)
    return False


def _apply(
    account: TwitterAccount, row: Message, verdict: Verdict, result: CheckResult, *, now: datetime
) -> None:
    rows = Message.objects.filter(pk=row.pk).exclude(x_state__in=GONE_STATES)
    if verdict == "shown":
        if not row.x_state:
            rows.update(x_checked_at=now, recheck_at=next_check(row, now=now))
            return
        # Whatever comes of the next call: "not found" has to be said twice from here on.
        _mark(row, XState.HIDDEN, now=now, again_at=now + _AGAIN_AFTER)
        _restore(account, row, now=now)
        result.restored += 1
    elif verdict == "unsaid":
        rows.update(recheck_at=now + _AGAIN_AFTER)
    elif verdict == "hidden":
        result.hidden += _mark(row, XState.HIDDEN, now=now, again_at=next_check(row, now=now))
    elif row.x_state != XState.MISSING:
        _mark(row, XState.MISSING, now=now, again_at=now + CONFIRM_AFTER)
    else:
        # One post may be several accounts' mention.
        for message in Message.objects.filter(pk__in={row.pk, *find_ids_of_posts([row.post_id])}):
            mark_deleted(message, now=now)
            redact_message(message.pk, now=now)
        result.deleted += 1


def _mark(row: Message, state: XState, *, now: datetime, again_at: datetime | None) -> int:
    """It cannot be answered for now; 1 if that is news."""
    changes = {"x_checked_at": now, "recheck_at": again_at}
    if row.x_state == state:
        return 0 * Message.objects.filter(pk=row.pk, x_state=state).update(**changes)
    return int(
        Message.objects.filter(pk=row.pk, x_state=row.x_state).update(
            **changes,
            x_state=state,
            is_replyable=False,
            replyable_code=f"{state.value}_on_x",
            replyable_reason=_SENTENCES[state],
            version=F("version") + 1,
            updated_at=now,
        )
    )


def _restore(account: TwitterAccount, row: Message, *, now: datetime) -> None:
    """X shows it again: whether it can be answered is asked anew."""
    page = call_x(
        account, lambda client: client.get_posts([row.reply_target_id], expand_references=True)
    )
    for post in page.posts:
        verdict = classify_post(
            post,
            account_x_id=account.twitter_id,
            account_username=account.twitter_username,
            referenced=page.referenced,
        )
        Message.objects.filter(pk=row.pk, x_state=XState.HIDDEN).update(
            x_state="",
            x_checked_at=now,
            recheck_at=next_check(row, now=now),
            is_replyable=verdict.is_replyable,
            replyable_code=verdict.code,
            replyable_reason=verdict.reason,
            version=F("version") + 1,
            updated_at=now,
        )
