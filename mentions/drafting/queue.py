"""Which mentions still want a draft: a queue of rows, claimed one by one.

``Message.draft_state``: none, wanted, drafting (claimed until ``draft_not_before``), done, failed.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import F, Q

from autores.llm.errors import LlmError
from autores.mongo.reads import find_page
from autores.mongo.transactions import run_in_transaction
from mentions.drafting.generate import (
    DraftStandsError,
    MessageClosedError,
    MessageEditedError,
    MessageGoneError,
    find_open_draft,
    generate_draft,
)
from mentions.drafting.pause import (
    GIVE_UP_AFTER,
    PAUSE,
    end_pause,
    find_pause,
    may_ask,
    pause_drafting,
)
from mentions.drafting.prompt import PromptInputError
from mentions.models import EPOCH, Draft, Message, MessageStatus, record_audit

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
# The audit entries that say why a mention was left without a draft.
SKIPPED, FAILED = "draft.skipped", "draft.failed"
_FIRST_DELAY = timedelta(seconds=30)


def find_wanted(
    *, now: datetime, among: Sequence[str] | None = None, limit: int = 100
) -> list[str]:
    """Ids of mentions whose draft is due, or whose claim ran out with the worker that had it."""
    due: dict[str, Any] = {
        "draft_state": {"$in": ["wanted", "drafting"]},
        # From EPOCH, as the index has no others.
        "draft_not_before": {"$gt": EPOCH, "$lte": now},
    }
    if among is not None:
        due["_id"] = {"$in": list(among)}
    found = find_page(Message, filter=due, projection={"_id": 1}, limit=limit)
    return [row["_id"] for row in found]


def draft_wanted(message_id: str, *, now: datetime) -> Draft | None:
    """Draft one mention if it still wants it; a failure is put off, or given up, on its row.

    The number of attempts does not count where an operator is needed: it is no fault of the row.
    """
    if find_pause():
        return None
    if not _claim(message_id, now=now):
        return None
    message = Message.objects.get(pk=message_id)
    if message.status != MessageStatus.PENDING or not message.is_replyable:
        _release(message, "none", None)
        return None
    if find_open_draft(message_id):
        # A person wrote one meanwhile: theirs is the one that is decided on.
        _release(message, "done", None)
        return None
    if message.draft_attempts > MAX_ATTEMPTS:
        _give_up(message, "Each attempt ended in an error: the worker's log has it.")
        return None
    if _is_over_cap(message):
        run_in_transaction(lambda: _skip(message))
        return None
    if not may_ask():
        Message.objects.filter(pk=message_id).update(draft_attempts=F("draft_attempts") - 1)
        _release(message, "wanted", now + _FIRST_DELAY)
        return None
    try:
        draft = generate_draft(message, now=now)
    except MessageGoneError:
        logger.info("%s was deleted while it was drafted", message_id)
    except MessageEditedError:
        logger.info("%s was edited while it was drafted", message_id)
        _release(message, "wanted", now + _FIRST_DELAY)
    except DraftStandsError:
        logger.info("%s got a person's draft while it was drafted", message_id)
        _release(message, "done", None)
    except MessageClosedError:
        logger.info("%s was answered or ignored while it was drafted", message_id)
        _release(message, "none", None)
    except PromptInputError as error:
        logger.warning("no draft for %s: %s", message_id, error)
        _give_up(message, str(error))
    except LlmError as error:
        logger.warning("no draft for %s: %s", message_id, error.code)
        if error.needs_operator:
            pause_drafting(error)
            Message.objects.filter(pk=message_id).update(draft_attempts=F("draft_attempts") - 1)
        if _is_final(error, message, now=now):
            _give_up(message, error.sentence)
        else:
            _release(message, "wanted", now + _choose_delay(error, message))
    else:
        end_pause()
        return draft
    return None


def _claim(message_id: str, *, now: datetime) -> bool:
    """By MongoDB's clock, so that the claims of several machines have one order."""
    lease = timedelta(seconds=60 + 2 * settings.OPENAI_TIMEOUT_SECONDS)
    claimed = connection.get_collection(Message._meta.db_table).update_one(
        {
            "_id": message_id,
            "draft_state": {"$in": ["wanted", "drafting"]},
            "draft_not_before": {"$lte": now},
        },
        [
            {
                "$set": {
                    "draft_state": "drafting",
                    "draft_not_before": {"$add": ["$$NOW", lease // timedelta(milliseconds=1)]},
                    "draft_attempts": {"$add": [{"$ifNull": ["$draft_attempts", 0]}, 1]},
                }
            }
        ],
        session=connection.session,
    )
    return bool(claimed.modified_count)


def _is_final(error: LlmError, message: Message, *, now: datetime) -> bool:
    if error.needs_operator:
        return now - (message.created_at or message.timestamp) >= GIVE_UP_AFTER
    return not error.retryable or message.draft_attempts >= MAX_ATTEMPTS


def _choose_delay(error: LlmError, message: Message) -> timedelta:
    if error.needs_operator:
        return PAUSE
    # What OpenAI asks for may be a second, and its busy time a quarter of an hour.
    own = _FIRST_DELAY * 2 ** (message.draft_attempts - 1)
    return max(own, timedelta(seconds=error.retry_after or 0))


def _is_over_cap(message: Message) -> bool:
    """Whether this author's mentions of this account had their drafts for the day, UTC.

    By the day the mentions were posted, so that it does not matter in which order they are drafted.
    """
    cap = settings.DRAFTS_PER_AUTHOR_PER_DAY
    if not cap:
        return False
    day = message.timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
    of_author = Message.objects.filter(
        user=message.user, timestamp__gte=day, timestamp__lt=day + timedelta(days=1)
    )
    others = of_author.filter(account_id=message.account_id).exclude(pk=message.pk)
    # What failed was paid for as well. Of those that are drafted at this moment, only who was
    # claimed before this one: else each of them would take the others for the day's last.
    asked = others.filter(
        Q(draft_state__in=["done", "failed"])
        | Q(draft_state="drafting", draft_not_before__lt=message.draft_not_before)
        | Q(
            draft_state="drafting",
            draft_not_before=message.draft_not_before,
            pk__lt=message.pk,
        )
    )
    return asked.count() >= cap


def _skip(message: Message) -> None:
    _release(message, "none", None)
    _note(
        message,
        SKIPPED,
        "No draft was made by itself: this author's mentions had "
        f"{settings.DRAFTS_PER_AUTHOR_PER_DAY} today (DRAFTS_PER_AUTHOR_PER_DAY). "
        "You can ask for one.",
    )


def _give_up(message: Message, sentence: str) -> None:
    def move() -> None:
        _release(message, "failed", None)
        _note(message, FAILED, f"No draft could be made. {sentence}")

    run_in_transaction(move)


def _note(message: Message, action: str, note: str) -> None:
    record_audit(
        action,
        actor="system:drafting",
        object_type="message",
        object_id=message.pk,
        account_id=message.account_id,
        message_id=message.pk,
        note=note,
    )


def _release(message: Message, state: str, not_before: datetime | None) -> None:
    """Unless the claim ran out, and another worker drafts it by now."""
    Message.objects.filter(
        pk=message.pk, draft_state="drafting", draft_not_before=message.draft_not_before
    ).update(draft_state=state, draft_not_before=not_before)
