"""The desk: one mention, its draft and its answers, and what a person does about them."""

from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import messages
from django.contrib.admin.utils import quote as quote_key
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from accounts.models import AppPause, Role
from autores.llm.errors import LlmError
from mentions.admin.scope import (
    AccountScopedAdmin,
    account_names,
    name_actors,
    name_requesters,
)
from mentions.admin.typed import keep_typed, read_typed
from mentions.drafting.generate import (
    DraftingBusyError,
    DraftStandsError,
    MessageEditedError,
    MessageGoneError,
    NoReplyProposedError,
    generate_draft,
)
from mentions.drafting.pause import find_pause
from mentions.drafting.prompt import PromptInputError
from mentions.drafting.queue import FAILED, SKIPPED
from mentions.models import (
    MESSAGE_EDITED,
    OPEN_DRAFT_STATES,
    UNSETTLED_STATES,
    AuditEntry,
    Draft,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
    file_before_reading,
)
from mentions.outbox.enqueue import EDITED, enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.outlook import look_ahead
from mentions.outbox.preflight import MAX_WEIGHTED_LENGTH, check_reply
from mentions.review import (
    approve_draft,
    edit_draft,
    reject_draft,
    submit_draft,
    undo_reply,
    write_draft,
)
from mentions.tasks import nudge_delivery
from mentions.triage import (
    ReviewConflictError,
    claim_message,
    ignore_message,
    name_claimer,
    release_message,
    reopen_message,
)

REFUSALS = (
    *(ReviewConflictError, OutboxRefusedError, LlmError, PromptInputError),
    *(MessageGoneError, MessageEditedError, DraftStandsError),
    *(NoReplyProposedError, DraftingBusyError),
)
_ANSWERS = frozenset({"generate", "save", "submit", "send", "send_dm"})
IGNORED = "This mention is ignored: reopen it before you answer it."
NO_REPLY = "The model proposes no reply."
_THREAD_LENGTH = 20
_VERSION_DIGITS = 10
STATUS_VARIANTS = {
    MessageStatus.PENDING: "warning",
    MessageStatus.PROCESSING: "info",
    MessageStatus.REPLIED: "success",
    MessageStatus.ERROR: "danger",
}


def _find_edit(message: Message) -> AuditEntry | None:
    """What the mention said before its author edited it last."""
    if not message.latest_post_id:
        return None
    return AuditEntry.objects.filter(message_id=message.pk, action=MESSAGE_EDITED).first()


def _refuse_if_edited(request: HttpRequest, message: Message) -> None:
    """The page was opened when the mention still said something else."""
    if request.POST.get("seen_post", message.latest_post_id) != message.latest_post_id:
        raise ReviewConflictError("mention_edited", EDITED)


def say(error: Exception) -> str:
    return str(getattr(error, "sentence", "") or error)


class MessageDesk(AccountScopedAdmin):
    """The page of one mention; ``MessageAdmin`` adds the list."""

    change_form_template = "admin/mentions/message/change_form.html"

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        message = self.get_object(request, unquote(object_id))
        if message is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            return self._act(request, message)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **self._desk(request, message)}
        )

    def _desk(self, request: HttpRequest, message: Message) -> dict[str, Any]:
        now = timezone.now()
        typed = read_typed(request, message.pk)
        draft = Draft.objects.filter(open_key=message.pk, state__in=OPEN_DRAFT_STATES).first()
        thread = []
        if message.conversation_id:
            thread = [
                item
                for item in Message.objects.filter(
                    conversation_id=message.conversation_id, account_id=message.account_id
                )[:_THREAD_LENGTH]
                if item.pk != message.pk
            ]
            thread.sort(key=lambda item: item.timestamp)
        file_before_reading(message_id=message.pk)
        audit = name_actors(AuditEntry.objects.filter(message_id=message.pk)[:15])
        replies = name_requesters(Reply.objects.filter(message_id=message.pk)[:10])
        public = check_reply(message, kind=ReplyKind.PUBLIC, now=now)
        is_ignored = message.status == MessageStatus.IGNORED
        preflight = f"/api/v1/messages/{quote(message.pk, safe='')}/preflight"
        return {
            "title": f"Mention of {account_names(request).get(message.account_id or '', '—')}",
            "message_row": message,
            "draft": draft,
            "thread": thread,
            "replies": replies,
            "edit": _find_edit(message),
            "is_draft_outdated": draft and message.is_edited_since(draft.target_post_id),
            # What waits only for its undo is as good as sent.
            "soon": now + timedelta(minutes=1),
            "is_under_way": any(reply.state in UNSETTLED_STATES for reply in replies),
            "outlook": look_ahead(message, kind=ReplyKind.PUBLIC, text=None, now=now),
            "desk_data": {
                "preflight": f"{preflight}?kind=public&text=",
                "dm_preflight": f"{preflight}?kind=dm",
                "login": reverse("admin:login"),
                "max_length": MAX_WEIGHTED_LENGTH,
                "shown": [refusal.code for refusal in public.refusals],
                "under_way": [
                    (f"/api/v1/replies/{reply.pk}", reply.state)
                    for reply in replies
                    if reply.state in UNSETTLED_STATES
                ],
            },
            "audit": audit,
            "no_draft_reason": "" if draft else _explain_no_draft(message, audit),
            "claimer": name_claimer(message) if message.status == MessageStatus.PROCESSING else "",
            "is_mine": message.claimed_by == request.user.pk,
            "status_variant": STATUS_VARIANTS.get(message.status, ""),
            "is_ignored": is_ignored,
            "ignored_sentence": IGNORED,
            "can_answer": public.can_send and not is_ignored,
            "public_preflight": public,
            "dm_preflight": check_reply(message, kind=ReplyKind.DM, now=now),
            "may_respond": self.may(request, message, Role.RESPONDER),
            "may_approve": self.may(request, message, Role.APPROVER),
            "has_drafting": bool(settings.OPENAI_API_KEY),
            "post_url": f"https://x.com/i/status/{message.reply_target_id}"
            if message.reply_target_id.isdigit()
            else "",
            "desk_text": typed.get("text") or (draft.text if draft else ""),
            "desk_version": typed.get("draft_version")
            if draft and typed.get("draft") == draft.pk
            else None,
            "typed": typed,
        }

    def _act(self, request: HttpRequest, message: Message) -> HttpResponse:
        name = request.POST.get("act", "")
        # Who may, what it does, and which of the typed fields it uses up.
        actions: dict[str, tuple[Role, Callable[[HttpRequest, Message], str], Collection[str]]] = {
            "generate": (Role.RESPONDER, self._generate, ("text", "custom_prompt")),
            "save": (Role.RESPONDER, self._save_draft, ("text",)),
            "submit": (Role.RESPONDER, self._submit, ("text",)),
            "reject": (Role.RESPONDER, self._reject, ("text",)),
            "send": (Role.APPROVER, self._send, ("text",)),
            "send_dm": (Role.APPROVER, self._send_dm, ("dm_text",)),
            "claim": (Role.RESPONDER, self._claim, ()),
            "release": (Role.RESPONDER, self._release, ()),
            "ignore": (Role.RESPONDER, self._ignore, ()),
            "reopen": (Role.RESPONDER, self._reopen, ()),
            "undo": (Role.APPROVER, self._undo, ()),
        }
        if name not in actions:
            messages.error(request, "Nothing was done: use one of the buttons.")
            keep_typed(request, message.pk)
            return self._back(message)
        role, act, used = actions[name]
        if not self.may(request, message, role):
            raise PermissionDenied(f"This needs the role “{role.value}” on the account.")
        try:
            if used:
                _refuse_if_edited(request, message)
            if name in _ANSWERS and message.status == MessageStatus.IGNORED:
                raise ReviewConflictError("wrong_status", IGNORED)
            done = act(request, message)
            if name == "generate" and done == NO_REPLY:
                # What was typed is still the only answer that there is.
                used = ("custom_prompt",)
        except REFUSALS as error:
            messages.error(request, say(error))
            is_newer = getattr(error, "code", "") in {"draft_changed", "mention_edited"}
            keep_typed(request, message.pk, knows_newer=is_newer)
        else:
            messages.success(request, done)
            wanted = self._wanted_again(request, message)
            keep_typed(request, message.pk, used=used, wanted=wanted)
        return self._back(message)

    def _back(self, message: Message) -> HttpResponse:
        return redirect(reverse("admin:mentions_message_change", args=[quote_key(message.pk)]))

    def _open_draft(self, request: HttpRequest, message: Message) -> Draft | None:
        draft_id = request.POST.get("draft")
        if not draft_id:
            return None
        draft = Draft.objects.filter(pk=draft_id, message_id=message.pk).first()
        if draft is None:
            raise ReviewConflictError("draft_gone", "This draft is gone: look at the page again.")
        return draft

    def _version(self, request: HttpRequest) -> int | None:
        given = request.POST.get("draft_version", "")
        return int(given) if given.isdecimal() and len(given) < _VERSION_DIGITS else None

    def _generate(self, request: HttpRequest, message: Message) -> str:
        draft = generate_draft(
            message,
            custom_prompt=request.POST.get("custom_prompt", "").strip(),
            requested_by=request.user,
            seen=(request.POST.get("draft", ""), self._version(request) or 0),
            now=timezone.now(),
        )
        return "A draft is ready." if draft.kind == "reply" else NO_REPLY

    def _save_draft(self, request: HttpRequest, message: Message) -> str:
        draft = self._open_draft(request, message)
        if draft is None:
            draft = _new_draft(message, request)
            return "The draft is saved."
        edit_draft(
            draft,
            text=request.POST.get("text", ""),
            user=request.user,
            now=timezone.now(),
            version=self._version(request),
        )
        return "The draft is saved."

    def _submit(self, request: HttpRequest, message: Message) -> str:
        draft = self._open_draft(request, message) or _new_draft(message, request)
        text = request.POST.get("text", "").strip()
        version = self._version(request)
        if text != draft.text:
            edit_draft(draft, text=text, user=request.user, now=timezone.now(), version=version)
            version = draft.version
        submit_draft(draft, user=request.user, now=timezone.now(), version=version)
        return "Submitted: an approver can send it now."

    def _reject(self, request: HttpRequest, message: Message) -> str:
        draft = self._open_draft(request, message)
        if draft is None:
            raise ReviewConflictError("no_draft", "There is no draft to reject.")
        reject_draft(draft, user=request.user, now=timezone.now(), version=self._version(request))
        return "The draft is rejected."

    def _send(self, request: HttpRequest, message: Message) -> str:
        text = request.POST.get("text", "")
        draft = self._open_draft(request, message)
        now = timezone.now()
        if draft is not None:
            reply = approve_draft(
                draft,
                user=request.user,
                now=now,
                text=text,
                version=self._version(request),
                not_before=send_time(),
            )
        else:
            reply = enqueue_reply(
                message,
                kind=ReplyKind.PUBLIC,
                text=text,
                requested_by=request.user,
                not_before=send_time(),
                now=now,
            )
        nudge_delivery(reply)
        return f"The reply {_say_when()}; its state is shown below.{_undo_hint(reply)}"

    def _send_dm(self, request: HttpRequest, message: Message) -> str:
        reply = enqueue_reply(
            message,
            kind=ReplyKind.DM,
            text=request.POST.get("dm_text", ""),
            requested_by=request.user,
            not_before=send_time(),
            now=timezone.now(),
        )
        nudge_delivery(reply)
        return f"The direct message {_say_when()}; its state is shown below.{_undo_hint(reply)}"

    def _claim(self, request: HttpRequest, message: Message) -> str:
        claim_message(message, user=request.user, now=timezone.now())
        return "The mention is yours."

    def _release(self, request: HttpRequest, message: Message) -> str:
        release_message(message, user=request.user, now=timezone.now())
        return "The mention is pending again."

    def _ignore(self, request: HttpRequest, message: Message) -> str:
        ignore_message(message, user=request.user, now=timezone.now())
        return "The mention is ignored."

    def _reopen(self, request: HttpRequest, message: Message) -> str:
        reopen_message(message, user=request.user, now=timezone.now())
        return "The mention is pending again."

    def _undo(self, request: HttpRequest, message: Message) -> str:
        given = request.POST.get("reply", "")
        reply = Reply.objects.filter(pk=given, message_id=message.pk).first()
        if reply is None:
            raise ReviewConflictError("reply_gone", "This reply is gone: look at the page again.")
        undo_reply(reply, user=request.user, now=timezone.now())
        return "Undone: it is not sent."

    def _wanted_again(self, request: HttpRequest, message: Message) -> dict[str, str]:
        """The text of a reply that was undone, to be changed."""
        if request.POST.get("act") != "undo":
            return {}
        reply = Reply.objects.get(pk=request.POST["reply"], message_id=message.pk)
        return {"text" if reply.kind == ReplyKind.PUBLIC else "dm_text": reply.text}


def send_time() -> Any:
    return timezone.now() + timedelta(seconds=settings.REPLY_UNDO_SECONDS)


def _explain_no_draft(message: Message, audit: Iterable[AuditEntry]) -> str:
    """Why there is none (yet), for who would wait for it."""
    if message.draft_state in {"none", "failed"}:
        return next((entry.note for entry in audit if entry.action in {SKIPPED, FAILED}), "")
    if message.status != MessageStatus.PENDING or message.draft_state == "done":
        return ""
    if message.draft_state == "drafting":
        return "A draft is being written."
    return f"A draft is waited for. {find_pause()}".rstrip()


def _say_when() -> str:
    return "waits, as all calls to X are paused" if AppPause.current() else "is on its way"


def _undo_hint(reply: Reply) -> str:
    seconds = round((reply.not_before - timezone.now()).total_seconds())
    return f" It can be undone for {seconds} s." if seconds > 0 else ""


def _new_draft(message: Message, request: HttpRequest) -> Draft:
    return write_draft(
        message, text=request.POST.get("text", ""), user=request.user, now=timezone.now()
    )
