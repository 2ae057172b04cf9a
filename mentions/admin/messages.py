"""The queue of mentions, and the desk where one is read and answered."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin.names import account_name
from accounts.models import Role
from autores.llm.errors import LlmError
from mentions.admin.scope import (
    AccountFilter,
    AccountScopedAdmin,
    account_names,
    name_actors,
)
from mentions.drafting.generate import MessageGoneError, generate_draft
from mentions.drafting.prompt import PromptInputError
from mentions.drafting.queue import SKIPPED
from mentions.models import (
    GONE_STATES,
    OPEN_DRAFT_STATES,
    UNSETTLED_STATES,
    AuditEntry,
    Draft,
    Message,
    MessageStatus,
    Reply,
    ReplyKind,
)
from mentions.outbox.enqueue import enqueue_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.outlook import look_ahead
from mentions.outbox.preflight import check_reply
from mentions.review import (
    ReviewConflictError,
    approve_draft,
    claim_message,
    edit_draft,
    ignore_message,
    reject_draft,
    release_message,
    reopen_message,
    submit_draft,
    undo_reply,
    write_draft,
)
from mentions.tasks import nudge_delivery

_REFUSALS = (ReviewConflictError, OutboxRefusedError, LlmError, PromptInputError, MessageGoneError)
_THREAD_LENGTH = 20
_VERSION_DIGITS = 10
_STATUS_VARIANTS = {
    MessageStatus.PENDING: "warning",
    MessageStatus.PROCESSING: "info",
    MessageStatus.REPLIED: "success",
    MessageStatus.ERROR: "danger",
}


def _sentence(error: Exception) -> str:
    return str(getattr(error, "sentence", "") or error)


@admin.register(Message)
class MessageAdmin(AccountScopedAdmin):
    list_display = (
        "shown_author",
        "shown_text",
        "shown_status",
        "shown_account",
        "shown_time",
        "shown_kind",
        "shown_answer",
    )
    list_display_links = ("shown_author", "shown_text")
    list_filter = (
        AccountFilter,
        ("status", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        "is_replyable",
    )
    search_fields = ("text", "author_username", "post_id__exact")
    search_help_text = "Text, @name or post id"
    ordering = ("-timestamp", "-id")
    actions = ("approve_selected", "ignore_selected", "reopen_selected")
    change_form_template = "admin/mentions/message/change_form.html"
    fieldsets = (
        (
            "Details",
            {
                "classes": ("collapse",),
                "fields": (
                    ("id", "post_id", "latest_post_id"),
                    ("conversation_id", "in_reply_to_post_id", "quoted_post_id"),
                    ("user", "author_username", "author_name"),
                    ("lang", "kind", "credits_used"),
                    ("status", "redirected", "version"),
                    ("created_at", "updated_at", "claimed_at"),
                    ("seen_at", "found_by", "is_late"),
                    ("x_state", "x_checked_at", "deleted_found_at"),
                    "replyable_reason",
                ),
            },
        ),
    )

    # -- columns ------------------------------------------------------------------------------

    @display(description="From", ordering="author_username")
    def shown_author(self, message: Message) -> str:
        handle = f"@{message.author_username}" if message.author_username else message.user
        # unfold's two-line cell goes through a template for each row.
        return format_html(
            '<span class="flex flex-col text-right lg:text-left">'
            '<strong class="block font-normal">{}</strong>'
            '<span class="block text-base-500">{}</span></span>',
            message.author_name or handle,
            handle if message.author_name else "",
        )

    @display(description="Mention")
    def shown_text(self, message: Message) -> str:
        if message.x_state in GONE_STATES:
            return "deleted on X"
        text = message.text if len(message.text) <= 110 else f"{message.text[:109]}…"
        # Bounded on all sides, or one long word pushes the status out of the window.
        return format_html(
            '<span dir="auto" style="display: -webkit-box; -webkit-box-orient: vertical; '
            "-webkit-line-clamp: 2; overflow: hidden; overflow-wrap: anywhere; "
            'min-width: 14rem; max-width: 26rem">{}</span>',
            text,
        )

    @display(description="Account")
    def shown_account(self, message: Message) -> str:
        return account_name(message.account_id)

    @display(description="Status", ordering="status", label=_STATUS_VARIANTS)
    def shown_status(self, message: Message) -> tuple[str, str]:
        return message.status, message.get_status_display()

    @display(description="Kind", label=True)
    def shown_kind(self, message: Message) -> str:
        return message.kind

    @display(description="Answerable", boolean=True)
    def shown_answer(self, message: Message) -> bool:
        return message.is_replyable

    @display(description="Posted (UTC)", ordering="timestamp")
    def shown_time(self, message: Message) -> str:
        return format_html(
            '<span class="whitespace-nowrap">{}</span>',
            date_format(message.timestamp, "DATETIME_FORMAT"),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        # Names are kept without the sign that people write before them.
        if handle := re.fullmatch(r"@(\w+)", search_term.strip()):
            found |= queryset.filter(author_username__icontains=handle[1])
        return found, may_repeat

    # -- permissions --------------------------------------------------------------------------

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For the bulk actions; each row is checked again by role."""
        return self.has_module_permission(request)

    # -- bulk actions -------------------------------------------------------------------------

    @admin.action(description="Approve and send the proposed drafts …", permissions=["act"])
    def approve_selected(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        """Shows every text first; only what was shown, in the version shown, is sent."""
        if "confirmed" not in request.POST:
            return self._show_drafts(request, queryset)
        seen = set(request.POST.getlist("seen"))

        def approve(message: Message) -> None:
            draft = Draft.objects.filter(open_key=message.pk).first()
            if draft is None or f"{draft.pk}:{draft.version}" not in seen:
                raise ReviewConflictError(
                    "draft_changed", "The draft was not shown, or changed meanwhile."
                )
            reply = approve_draft(
                draft,
                user=request.user,
                now=timezone.now(),
                version=draft.version,
                not_before=_send_time(),
            )
            nudge_delivery(reply)

        self._for_each(request, queryset, Role.APPROVER, approve, done="approved and queued")
        return None

    def _show_drafts(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse:
        sendable, left_out = [], []
        for message in queryset:
            draft = Draft.objects.filter(open_key=message.pk).first()
            if draft is None or draft.kind != "reply" or not draft.text:
                left_out.append((message, "There is no proposed reply."))
            elif draft.violations:
                left_out.append((message, str(draft.violations[0]["sentence"])))
            elif refusal := check_reply(
                message, kind=ReplyKind.PUBLIC, text=draft.text, now=timezone.now()
            ).first_refusal:
                left_out.append((message, refusal.sentence))
            elif not self.may(request, message, Role.APPROVER):
                left_out.append((message, "You need the role “approver”."))
            else:
                sendable.append((message, draft))
        return TemplateResponse(
            request,
            "admin/mentions/message/approve_selected.html",
            {
                **self.admin_site.each_context(request),
                "title": "Approve and send",
                "opts": self.opts,
                "sendable": sendable,
                "left_out": left_out,
            },
        )

    @admin.action(description="Ignore", permissions=["act"])
    def ignore_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._for_each(
            request,
            queryset,
            Role.RESPONDER,
            lambda message: ignore_message(message, user=request.user, now=timezone.now()),
            done="ignored",
        )

    @admin.action(description="Reopen", permissions=["act"])
    def reopen_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._for_each(
            request,
            queryset,
            Role.RESPONDER,
            lambda message: reopen_message(message, user=request.user, now=timezone.now()),
            done="reopened",
        )

    def _for_each(
        self,
        request: HttpRequest,
        queryset: QuerySet,
        role: Role,
        act: Callable[[Message], Any],
        *,
        done: str,
    ) -> None:
        succeeded, refused = 0, []
        for message in queryset:
            if not self.may(request, message, role):
                refused.append(f"{message}: you need the role “{role.value}”.")
                continue
            try:
                act(message)
            except _REFUSALS as error:
                refused.append(f"{message}: {_sentence(error)}")
            else:
                succeeded += 1
        if succeeded:
            self.message_user(request, f"{succeeded} {done}.", messages.SUCCESS)
        for line in refused[:10]:
            self.message_user(request, line, messages.WARNING)
        if len(refused) > 10:
            self.message_user(request, f"… and {len(refused) - 10} more.", messages.WARNING)

    # -- the desk -----------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        message = self.get_object(request, object_id)
        if message is None:
            return super().change_view(request, object_id, form_url, extra_context)
        if request.method == "POST":
            return self._act(request, message)
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **self._desk(request, message)}
        )

    def _desk(self, request: HttpRequest, message: Message) -> dict[str, Any]:
        now = timezone.now()
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
        audit = name_actors(AuditEntry.objects.filter(message_id=message.pk)[:15])
        replies = list(Reply.objects.filter(message_id=message.pk)[:10])
        public = check_reply(message, kind=ReplyKind.PUBLIC, now=now)
        preflight = f"/api/v1/messages/{quote(message.pk, safe='')}/preflight"
        return {
            "title": f"Mention of {account_names(request).get(message.account_id or '', '—')}",
            "message_row": message,
            "draft": draft,
            "thread": thread,
            "replies": replies,
            "outlook": look_ahead(message, kind=ReplyKind.PUBLIC, text=None, now=now),
            "desk_data": {
                "preflight": f"{preflight}?kind=public&text=",
                "dm_preflight": f"{preflight}?kind=dm",
                "shown": [refusal.code for refusal in public.refusals],
                "under_way": [
                    (f"/api/v1/replies/{reply.pk}", reply.state)
                    for reply in replies
                    if reply.state in UNSETTLED_STATES
                ],
            },
            "audit": audit,
            "no_draft_reason": next((entry.note for entry in audit if entry.action == SKIPPED), "")
            if draft is None and message.draft_state == "none"
            else "",
            "status_variant": _STATUS_VARIANTS.get(message.status, ""),
            "public_preflight": public,
            "dm_preflight": check_reply(message, kind=ReplyKind.DM, now=now),
            "may_respond": self.may(request, message, Role.RESPONDER),
            "may_approve": self.may(request, message, Role.APPROVER),
            "has_drafting": bool(settings.OPENAI_API_KEY),
            "post_url": f"https://x.com/i/status/{message.reply_target_id}"
            if message.reply_target_id.isdigit()
            else "",
            "desk_text": request.session.pop(f"typed:{message.pk}", draft.text if draft else ""),
        }

    def _act(self, request: HttpRequest, message: Message) -> HttpResponse:
        name = request.POST.get("act", "")
        actions: dict[str, tuple[Role, Callable[[HttpRequest, Message], str]]] = {
            "generate": (Role.RESPONDER, self._generate),
            "save": (Role.RESPONDER, self._save_draft),
            "submit": (Role.RESPONDER, self._submit),
            "reject": (Role.RESPONDER, self._reject),
            "send": (Role.APPROVER, self._send),
            "send_dm": (Role.APPROVER, self._send_dm),
            "claim": (Role.RESPONDER, self._claim),
            "release": (Role.RESPONDER, self._release),
            "ignore": (Role.RESPONDER, self._ignore),
            "reopen": (Role.RESPONDER, self._reopen),
            "undo": (Role.APPROVER, self._undo),
        }
        if name not in actions:
            messages.error(request, "Nothing was done: use one of the buttons.")
            return self._back(message)
        role, act = actions[name]
        if not self.may(request, message, role):
            raise PermissionDenied(f"This needs the role “{role.value}” on the account.")
        try:
            done = act(request, message)
        except _REFUSALS as error:
            messages.error(request, _sentence(error))
            # What was typed must survive a refusal.
            request.session[f"typed:{message.pk}"] = request.POST.get("text", "")
        else:
            messages.success(request, done)
        return self._back(message)

    def _back(self, message: Message) -> HttpResponse:
        return redirect(reverse("admin:mentions_message_change", args=[message.pk]))

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
            now=timezone.now(),
        )
        return "A draft is ready." if draft.kind == "reply" else "The model proposes no reply."

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
                not_before=_send_time(),
            )
        else:
            reply = enqueue_reply(
                message,
                kind=ReplyKind.PUBLIC,
                text=text,
                requested_by=request.user,
                not_before=_send_time(),
                now=now,
            )
        nudge_delivery(reply)
        return f"The reply is on its way; its state is shown below.{_undo_hint(reply)}"

    def _send_dm(self, request: HttpRequest, message: Message) -> str:
        reply = enqueue_reply(
            message,
            kind=ReplyKind.DM,
            text=request.POST.get("dm_text", ""),
            requested_by=request.user,
            not_before=_send_time(),
            now=timezone.now(),
        )
        nudge_delivery(reply)
        return f"The direct message is on its way; its state is shown below.{_undo_hint(reply)}"

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
        if reply.kind == ReplyKind.PUBLIC:
            # What was written is wanted again, to be changed.
            request.session[f"typed:{message.pk}"] = reply.text
        return "Undone: it is not sent."


def _send_time() -> Any:
    return timezone.now() + timedelta(seconds=settings.REPLY_UNDO_SECONDS)


def _undo_hint(reply: Reply) -> str:
    seconds = round((reply.not_before - timezone.now()).total_seconds())
    return f" It can be undone for {seconds} s." if seconds > 0 else ""


def _new_draft(message: Message, request: HttpRequest) -> Draft:
    return write_draft(
        message, text=request.POST.get("text", ""), user=request.user, now=timezone.now()
    )
