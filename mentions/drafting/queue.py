"""Which mentions still want a draft: a queue of rows, claimed one by one.

``Message.draft_state``: none, wanted, drafting (claimed until ``draft_not_before``), done, failed.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F

from autores.llm.errors import LlmError
from mentions.drafting.generate import MessageGoneError, generate_draft
from mentions.drafting.prompt import PromptInputError
from mentions.models import Draft, Message, MessageStatus

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 6
_FIRST_DELAY = timedelta(seconds=30)


def find_wanted(*, now: datetime, limit: int = 100) -> list[str]:
    """Ids of mentions whose draft is due, or whose claim ran out with the worker that had it."""
    return list(
        Message.objects.filter(
            draft_state__in=["wanted", "drafting"], draft_not_before__lte=now
        ).values_list("pk", flat=True)[:limit]
    )


def draft_wanted(message_id: str, *, now: datetime) -> Draft | None:
    """Draft one mention if it still wants it; a failure is put off, or given up, on its row."""
    lease = timedelta(seconds=60 + 2 * settings.OPENAI_TIMEOUT_SECONDS)
    is_claimed = Message.objects.filter(
        pk=message_id, draft_state__in=["wanted", "drafting"], draft_not_before__lte=now
    ).update(
        draft_state="drafting", draft_not_before=now + lease, draft_attempts=F("draft_attempts") + 1
    )
    if not is_claimed:
        return None
    message = Message.objects.get(pk=message_id)
    if message.status != MessageStatus.PENDING:
        _release(message_id, "none", None)
        return None
    try:
        return generate_draft(message, now=now)
    except MessageGoneError:
        logger.info("%s was deleted while it was drafted", message_id)
    except PromptInputError as error:
        logger.warning("no draft for %s: %s", message_id, error)
        _release(message_id, "failed", None)
    except LlmError as error:
        is_final = not error.retryable or message.draft_attempts >= MAX_ATTEMPTS
        logger.warning("no draft for %s: %s", message_id, error.code)
        delay = (
            timedelta(seconds=error.retry_after)
            if error.retry_after is not None
            else _FIRST_DELAY * 2 ** (message.draft_attempts - 1)
        )
        if is_final:
            _release(message_id, "failed", None)
        else:
            _release(message_id, "wanted", now + delay)
    return None


def _release(message_id: str, state: str, not_before: datetime | None) -> None:
    Message.objects.filter(pk=message_id, draft_state="drafting").update(
        draft_state=state, draft_not_before=not_before
    )
