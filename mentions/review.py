"""What a person decides about a draft: edit, submit, approve, reject.

The only road from a draft to a reply. Every function is one conditional update with its audit
entry; who may call it is checked by the API and the admin (accounts.permissions).
"""

from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import F

from autores.mongo.transactions import run_in_transaction
from mentions.models import (
    GONE_STATES,
    OPEN_DRAFT_STATES,
    Draft,
    DraftState,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    record_audit,
)
from mentions.outbox.decide import cancel_reply
from mentions.outbox.enqueue import EDITED, enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.preflight import check_text, clean_text
from mentions.outbox.wanted import MentionGoneError
from mentions.triage import ANSWERABLE, ReviewConflictError


def _move_draft(
    draft: Draft,
    *,
    to: DraftState,
    user: Any,
    now: datetime,
    version: int | None = None,
    from_states: tuple[DraftState, ...] = OPEN_DRAFT_STATES,
    note: str = "",
    action: str = "",
    **changes: Any,
) -> None:
    def move() -> bool:
        expected: dict[str, Any] = {"state__in": from_states}
        if version is not None:
            expected["version"] = version
        matched = Draft.objects.filter(pk=draft.pk, **expected).update(
            state=to, updated_at=now, version=F("version") + 1, **changes
        )
        if matched:
            record_audit(
                action or f"draft.{to.value}",
                actor=user.pk,
                object_type="draft",
                object_id=draft.pk,
                account_id=draft.account_id,
                message_id=draft.message_id,
                before={"state": str(draft.state), "text": draft.text},
                after={"state": to.value, "text": changes.get("text", draft.text)},
                note=note,
            )
        return bool(matched)

    if not run_in_transaction(move):
        current = Draft.objects.get(pk=draft.pk)
        if version is not None and current.version != version:
            raise ReviewConflictError(
                "draft_changed",
                "This draft, or the mention it answers, was changed meanwhile: look at it again "
                "before you decide.",
            )
        raise ReviewConflictError(
            "draft_closed", f"This draft is {current.state}: it cannot be changed any more."
        )
    draft.refresh_from_db()


def write_draft(message: Message, *, text: str, user: Any, now: datetime) -> Draft:
    """A person's own draft, where there is none; ``message`` is what the person read. Raises as
    ``edit_draft`` does.
    """
    text = clean_text(text)
    _refuse_unsendable(text)

    def write() -> Draft:
        # Written, too: an edit or a removal at the same moment lets only one of both happen.
        as_read = Message.objects.filter(pk=message.pk, latest_post_id=message.latest_post_id)
        if not as_read.exclude(x_state__in=GONE_STATES).update(
            updated_at=now, version=F("version") + 1
        ):
            raise _not_as_read(message)
        draft = Draft.objects.create(
            message=message,
            account_id=message.account_id,
            open_key=message.pk,
            state=DraftState.EDITED,
            text=text,
            original_text=text,
            target_post_id=message.reply_target_id,
            created_by=user,
            created_at=now,
            updated_at=now,
        )
        record_audit(
            "draft.written",
            actor=user.pk,
            object_type="draft",
            object_id=draft.pk,
            account_id=message.account_id,
            message_id=message.pk,
            after={"text": text},
        )
        return draft

    try:
        return run_in_transaction(write)
    except IntegrityError as error:
        raise ReviewConflictError(
            "draft_exists", "There is a draft already: look at the page again."
        ) from error


def edit_draft(
    draft: Draft, *, text: str, user: Any, now: datetime, version: int | None = None
) -> Draft:
    """Replace the text. A person's own words are not gated, but must be sendable; what the gate
    found in the model's words stays a finding for as long as it stands in the text.

    Raises OutboxRefusedError for a text that X cannot take, ReviewConflictError.
    """
    text = clean_text(text)
    _refuse_unsendable(text)
    _move_draft(
        draft,
        to=DraftState.EDITED,
        user=user,
        now=now,
        version=version,
        text=text,
        # Without a version it is not known which words of the mention the person has read.
        target_post_id=draft.target_post_id if version is None else _target_of(draft),
        violations=_remaining_violations(draft, text),
        kind="reply",
    )
    return draft


def submit_draft(draft: Draft, *, user: Any, now: datetime, version: int | None = None) -> Draft:
    """Ask an approver to send it."""
    _refuse_ungated(draft)
    _move_draft(
        draft,
        to=DraftState.SUBMITTED,
        from_states=(DraftState.PROPOSED, DraftState.EDITED),
        user=user,
        now=now,
        version=version,
    )
    return draft


def reject_draft(
    draft: Draft, *, user: Any, now: datetime, note: str = "", version: int | None = None
) -> Draft:
    """This text is not to be sent."""
    _move_draft(
        draft,
        to=DraftState.REJECTED,
        user=user,
        now=now,
        version=version,
        note=note,
        open_key=draft.pk,
        decided_by=user,
        decision_note=note,
    )
    return draft


def approve_draft(
    draft: Draft,
    *,
    user: Any,
    now: datetime,
    text: str | None = None,
    version: int | None = None,
    not_before: datetime | None = None,
) -> Reply:
    """Approve the draft, as it stands or with ``text`` in its place, and queue the reply.

    Both or neither: the approval and the outbox row are one transaction.
    Raises ReviewConflictError, OutboxRefusedError.
    """
    final = draft.text if text is None else clean_text(text)
    _refuse_ungated(draft, final)
    _refuse_unsendable(final)

    def approve() -> Reply:
        message = Message.objects.get(pk=draft.message_id)
        if message.account_id != draft.account_id:
            # Whoever may approve it need have no role on the account that would answer.
            raise ReviewConflictError(
                "draft_of_another_account",
                "This draft was made for another account than the one the mention belongs to now: "
                "reject it, and write a new one.",
            )
        if version is None and message.is_edited_since(draft.target_post_id):
            # With a version it is known that the person has seen the draft since the edit.
            raise ReviewConflictError("mention_edited", EDITED)
        # Answered by a message alone, it can be answered in public, too: the outbox knows.
        if message.status not in (*ANSWERABLE, MessageStatus.REPLIED):
            raise ReviewConflictError(
                "wrong_status",
                f"This mention is {message.status}: reopen it before you approve a reply.",
            )
        _move_draft(
            draft,
            to=DraftState.APPROVED,
            user=user,
            now=now,
            version=version,
            open_key=draft.pk,
            text=final,
            # None is left in this text: when it is undone, it may be approved again.
            violations=[],
            decided_by=user,
        )
        return enqueue_reply(
            message,
            kind=ReplyKind.PUBLIC,
            text=final,
            requested_by=user,
            draft=draft,
            not_before=not_before,
            now=now,
        )

    try:
        return run_in_transaction(approve)
    except IntegrityError as error:
        raise ReviewConflictError(
            "reply_under_way", "Somebody else is answering this mention at this moment."
        ) from error
    finally:
        draft.refresh_from_db()


def _not_as_read(message: Message) -> ReviewConflictError:
    current = Message.objects.filter(pk=message.pk).first()
    if current is None:
        return ReviewConflictError("message_deleted", "This mention was deleted meanwhile.")
    if current.x_state in GONE_STATES:
        return ReviewConflictError(MentionGoneError.default_code, MentionGoneError.default_sentence)
    return ReviewConflictError("mention_edited", EDITED)


def _target_of(draft: Draft) -> str:
    return Message.objects.get(pk=draft.message_id).reply_target_id


def _refuse_unsendable(text: str) -> None:
    refusals, _ = check_text(ReplyKind.PUBLIC, text)
    if refusals:
        raise OutboxRefusedError(refusals[0].code, refusals[0].sentence)


def _remaining_violations(draft: Draft, text: str) -> list[dict[str, str]]:
    """Findings in the model's words that are still true of ``text``."""
    if not draft.violations or text == draft.text:
        return list(draft.violations)
    # Here, because its patterns take a fifth of a second to compile.
    from mentions.drafting.gate import check_draft

    message = draft.message
    account = message.account
    verdict = check_draft(
        text,
        mention_text=message.text,
        allowed_sources=[
            source for source in (account.voice if account else "", draft.custom_prompt) if source
        ],
        account_username=account.twitter_username if account else "",
        author_username=message.author_username or None,
    )
    known = {item["code"] for item in draft.violations}
    return [
        {"code": violation.code, "sentence": violation.sentence}
        for violation in verdict.violations
        if violation.code in known
    ]


def _refuse_ungated(draft: Draft, text: str | None = None) -> None:
    """The model's own words may carry a link or a promise that nobody allowed."""
    violations = _remaining_violations(draft, draft.text if text is None else text)
    if draft.kind != "reply" and not (draft.text or text):
        raise ReviewConflictError(
            "draft_has_no_text", "The model proposes no reply here: write one, or ignore it."
        )
    if violations:
        sentences = " ".join(str(item["sentence"]) for item in violations)
        raise ReviewConflictError(
            "draft_violates_rules", f"Edit this draft before it can be sent. {sentences}"
        )


def undo_reply(reply: Reply, *, user: Any, now: datetime) -> Reply:
    """Take a waiting reply back; the draft that it came of is open again, as edited.

    Raises OutboxRefusedError once it is on its way.
    """

    def undo() -> None:
        # A copy: an attempt that is rolled back must not leave its state on the caller's.
        cancel_reply(Reply.objects.get(pk=reply.pk), user=user, now=now)
        draft = Draft.objects.filter(pk=reply.draft_id, state=DraftState.APPROVED).first()
        if draft is None or Draft.objects.filter(open_key=draft.message_id).exists():
            # Another draft was begun meanwhile: the text stays on the cancelled row.
            return
        _move_draft(
            draft,
            to=DraftState.EDITED,
            from_states=(DraftState.APPROVED,),
            action="draft.reopened",
            user=user,
            now=now,
            open_key=draft.message_id,
            decided_by=None,
        )

    try:
        run_in_transaction(undo)
    except IntegrityError:
        # The other draft was begun at this moment; now it is there to be seen.
        run_in_transaction(undo)
    reply.refresh_from_db()
    return reply
