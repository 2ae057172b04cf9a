"""Makes a draft: prompt, model, gate, row."""

import functools
import logging
import math
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.db.models import F
from django.db.models.functions import Coalesce

from accounts.counting import forget, raise_counter, take_turn
from accounts.models import new_id
from autores.llm.client import DraftingModel
from autores.llm.errors import KeyRejectedError
from autores.llm.types import AnswerKind, DraftAnswer, DraftRequest
from autores.mongo.transactions import run_in_transaction
from mentions.drafting.prompt import MAX_THREAD_POSTS, Prompt, ThreadPost, build_prompt
from mentions.models import (
    GONE_STATES,
    OPEN_DRAFT_STATES,
    Draft,
    DraftState,
    Message,
    MessageStatus,
    record_audit,
)

logger = logging.getLogger(__name__)

# Each is billed; a person who works fast asks for one or two a minute.
MOST_ASKED_AN_HOUR = 120
# What a person saw where there was none: id and version.
_NO_DRAFT = ("", 0)


class MessageGoneError(Exception):
    """The mention was deleted while the model was writing; the draft is not kept."""


class MessageEditedError(Exception):
    """The author edited the mention while the model was writing; the draft is not kept."""

    sentence = "The author edited this mention while the draft was made: look at it, and try again."

    def __init__(self) -> None:
        super().__init__(self.sentence)


class MessageClosedError(Exception):
    """The mention was answered or ignored while the model was writing, and nobody had asked for the
    draft: it is not kept.
    """


class DraftStandsError(Exception):
    """There is an open draft that nobody asked to replace, or another than was seen: the new one is
    not kept.
    """

    code = "draft_changed"
    sentence = "Somebody wrote or changed a draft meanwhile: look at it, and ask again if need be."

    def __init__(self) -> None:
        super().__init__(self.sentence)


class NoReplyProposedError(Exception):
    """The model proposes none, and a draft stands that has a text: that one is kept."""

    code = "no_reply_proposed"

    def __init__(self, answer: DraftAnswer) -> None:
        reasons = " ".join(answer.reasons)
        self.sentence = (
            f"The model proposes no reply; your draft stands as it was. {reasons}".strip()
        )
        super().__init__(self.sentence)


class DraftingBusyError(Exception):
    """A draft is being made for this mention, or the person has asked for too many: then
    ``retry_after`` says when more can be had.
    """

    def __init__(self, code: str, sentence: str, *, retry_after: float | None = None) -> None:
        self.code = code
        self.sentence = sentence
        self.retry_after = retry_after
        super().__init__(sentence)


@functools.lru_cache(maxsize=2)
def _model(api_key: str, base_url: str, name: str, timeout: float) -> DraftingModel:
    """One client per process: it pools connections and is safe to share between threads."""
    return DraftingModel(api_key=api_key, base_url=base_url, model=name, read_timeout=timeout)


def drafting_model() -> DraftingModel:
    """The model the settings name. Raises KeyRejectedError when they hold no key, or what cannot
    be one.
    """
    if not settings.OPENAI_API_KEY:
        raise KeyRejectedError("No drafts without a key: set OPENAI_API_KEY.")
    try:
        return _model(
            settings.OPENAI_API_KEY,
            settings.OPENAI_BASE_URL,
            settings.OPENAI_MODEL,
            settings.OPENAI_TIMEOUT_SECONDS,
        )
    except ValueError as error:
        raise KeyRejectedError(str(error)) from None


def generate_draft(
    message: Message,
    *,
    custom_prompt: str = "",
    requested_by: Any = None,
    seen: tuple[str, int] | None = None,
    now: datetime,
) -> Draft:
    """Ask the model for a reply to ``message`` and store it; an earlier open draft is superseded.

    ``seen``: id and version of the open draft that the person saw, ("", 0) for none; without it,
    whatever is open is superseded.

    The draft's ``violations`` say what the gate found in the text: it is kept, so that a person
    sees it, and cannot be approved unedited.

    Without ``requested_by`` an open draft stands, and so does another than ``seen``:
    DraftStandsError. Raises LlmError, MessageGoneError, MessageEditedError, MessageClosedError,
    NoReplyProposedError, DraftingBusyError, and PromptInputError when the custom prompt or the
    account's voice is too long.
    """
    if requested_by is None:
        return _generate(message, custom_prompt, None, seen, now)
    if message.x_state in GONE_STATES:
        raise MessageGoneError
    if seen is not None and seen != _name_open_draft(message.pk):
        # Before it is paid for; and again when it is stored.
        raise DraftStandsError
    asked = raise_counter(f"drafts-asked:{requested_by.pk}", seconds=3600)
    if asked.count > MOST_ASKED_AN_HOUR:
        raise DraftingBusyError(
            "too_many_drafts",
            f"You have asked for {MOST_ASKED_AN_HOUR} drafts within the hour; more can be had in "
            f"{math.ceil(asked.seconds_left / 60)} minutes.",
            retry_after=asked.seconds_left,
        )
    turn = f"draft-asked:{message.pk}"
    if not take_turn(turn, seconds=int(60 + 2 * settings.OPENAI_TIMEOUT_SECONDS)):
        raise DraftingBusyError(
            "draft_under_way", "A draft is being made for this mention at this moment."
        )
    try:
        return _generate(message, custom_prompt, requested_by, seen, now)
    finally:
        forget(turn)


def _generate(
    message: Message,
    custom_prompt: str,
    requested_by: Any,
    seen: tuple[str, int] | None,
    now: datetime,
) -> Draft:
    account = message.account
    voice = account.voice if account else ""
    username = account.twitter_username if account else ""
    prompt = build_prompt(
        mention_text=message.text,
        author_username=message.author_username,
        account_username=username,
        account_voice=voice or None,
        custom_prompt=custom_prompt or None,
        thread=_read_thread(message, username),
        language_hint=message.lang or None,
    )
    answer = drafting_model().draft_answer(DraftRequest(system=prompt.system, user=prompt.user))
    violations = []
    if answer.kind == AnswerKind.REPLY:
        # Here, because its patterns take a fifth of a second to compile.
        from mentions.drafting.gate import check_draft

        verdict = check_draft(
            answer.text,
            mention_text=message.text,
            allowed_sources=[source for source in (voice, custom_prompt) if source],
            account_username=username,
            author_username=message.author_username or None,
        )
        violations = [
            {"code": violation.code, "sentence": violation.sentence}
            for violation in verdict.violations
        ]
    for attempt in (1, 2, 3):
        try:
            draft: Draft | None = run_in_transaction(
                lambda: _store(
                    message, answer, prompt, violations, custom_prompt, requested_by, seen, now
                )
            )
        except IntegrityError:
            # Another draft of this message was stored at the same moment: supersede it.
            if attempt == 3:
                raise
        else:
            if draft is None:
                raise NoReplyProposedError(answer)
            return draft
    raise AssertionError("unreachable")


def find_open_draft(message_id: str) -> bool:
    """Whether somebody's or the model's draft waits for a decision."""
    return Draft.objects.filter(open_key=message_id, state__in=OPEN_DRAFT_STATES).exists()


def _name_open_draft(message_id: str) -> tuple[str, int]:
    rows = Draft.objects.filter(open_key=message_id, state__in=OPEN_DRAFT_STATES)
    found: tuple[str, int] | None = rows.values_list("pk", "version").first()
    return found or _NO_DRAFT


def _read_thread(message: Message, account_username: str) -> list[ThreadPost]:
    """The earlier mentions of the conversation that we have, with what we answered."""
    if not message.conversation_id or message.account_id is None:
        return []
    earlier = Message.objects.filter(
        conversation_id=message.conversation_id,
        account_id=message.account_id,
        timestamp__lt=message.timestamp,
    ).order_by("-timestamp")[:MAX_THREAD_POSTS]
    thread = []
    for item in reversed(list(earlier)):
        thread.append(ThreadPost(author_username=item.author_username, text=item.text))
        if item.public_response:
            thread.append(
                ThreadPost(author_username=account_username, text=item.public_response, is_own=True)
            )
    return thread


def _store(
    message: Message,
    answer: DraftAnswer,
    prompt: Prompt,
    violations: list[dict[str, str]],
    custom_prompt: str,
    requested_by: Any,
    seen: tuple[str, int] | None,
    now: datetime,
) -> Draft | None:
    """None if what stands is kept."""
    actor = requested_by.pk if requested_by else "system:drafting"
    there = Message.objects.filter(pk=message.pk).exclude(x_state__in=GONE_STATES)
    as_read = there.filter(latest_post_id=message.latest_post_id)
    if requested_by is None:
        as_read = as_read.exclude(status__in=[MessageStatus.REPLIED, MessageStatus.IGNORED])
    if not as_read.update(
        draft_state="done",
        draft_not_before=None,
        credits_used=Coalesce("credits_used", 0) + 1,
        version=F("version") + 1,
        updated_at=now,
    ):
        current = there.first()
        if current is None:
            raise MessageGoneError
        is_edited = current.latest_post_id != message.latest_post_id
        raise MessageEditedError if is_edited else MessageClosedError
    standing = Draft.objects.filter(open_key=message.pk, state__in=OPEN_DRAFT_STATES).first()
    found = (standing.pk, standing.version) if standing is not None else _NO_DRAFT
    if (seen is not None and found != seen) or (requested_by is None and standing is not None):
        raise DraftStandsError
    if standing is not None and standing.text and not answer.text:
        return None
    if standing is not None:
        Draft.objects.filter(pk=standing.pk, version=standing.version).update(
            state=DraftState.SUPERSEDED,
            open_key=standing.pk,
            version=F("version") + 1,
            updated_at=now,
        )
        record_audit(
            "draft.superseded",
            actor=actor,
            object_type="draft",
            object_id=standing.pk,
            account_id=message.account_id,
            message_id=message.pk,
            before={"state": str(standing.state), "text": standing.text},
            after={"state": DraftState.SUPERSEDED.value},
            note="Another was asked of the model.",
        )
    draft_id = new_id()
    draft = Draft.objects.create(
        id=draft_id,
        open_key=message.pk,
        message=message,
        account_id=message.account_id,
        text=answer.text,
        original_text=answer.text,
        target_post_id=message.reply_target_id,
        kind=answer.kind.value,
        note=" ".join(answer.reasons),
        custom_prompt=custom_prompt,
        model=answer.model,
        prompt_version=prompt.version,
        context_hash=prompt.context_hash,
        response_id=answer.response_id,
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        violations=violations,
        created_by=requested_by,
        created_at=now,
        updated_at=now,
    )
    record_audit(
        "draft.proposed",
        actor=actor,
        object_type="draft",
        object_id=draft_id,
        account_id=message.account_id,
        message_id=message.pk,
        after={"text": answer.text, "kind": answer.kind.value, "model": answer.model},
    )
    return draft
