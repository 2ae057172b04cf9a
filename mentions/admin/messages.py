"""The queue of mentions: the list, its columns, and what is done to many at once."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin.cells import draw_excerpt, draw_moment
from accounts.admin.names import account_name, person_name
from accounts.models import Role
from mentions.admin.desk import REFUSALS, STATUS_VARIANTS, MessageDesk, say, send_time
from mentions.admin.scope import (
    AccountFilter,
)
from mentions.models import (
    GONE_STATES,
    Draft,
    Message,
    MessageStatus,
    ReplyKind,
)
from mentions.outbox.preflight import check_reply
from mentions.review import approve_draft
from mentions.tasks import nudge_delivery
from mentions.triage import ReviewConflictError, ignore_message, reopen_message


@admin.register(Message)
class MessageAdmin(MessageDesk):
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
    fieldsets = (
        (
            "Details",
            {
                "classes": ("collapse",),
                "fields": (
                    ("id", "post_id"),
                    ("latest_post_id", "conversation_id"),
                    ("in_reply_to_post_id", "quoted_post_id"),
                    ("user", "author_username"),
                    ("author_name", "lang"),
                    ("kind", "status"),
                    ("credits_used", "redirected"),
                    ("version", "claimed_at"),
                    ("created_at", "updated_at"),
                    ("seen_at", "found_by"),
                    ("is_late", "x_state"),
                    ("x_checked_at", "deleted_found_at"),
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
            # A name may hold marks that turn the direction of what comes after it.
            '<bdi class="block font-normal">{}</bdi>'
            '<span class="block text-base-500">{}</span></span>',
            message.author_name or handle,
            handle if message.author_name else "",
        )

    @display(description="Mention")
    def shown_text(self, message: Message) -> str:
        if message.x_state in GONE_STATES:
            return "deleted on X"
        return draw_excerpt(message.text)

    @display(description="Account")
    def shown_account(self, message: Message) -> str:
        return account_name(message.account_id)

    @display(description="Status", ordering="status", label=STATUS_VARIANTS)
    def shown_status(self, message: Message) -> tuple[str, str]:
        shown = message.get_status_display()
        if message.status == MessageStatus.PROCESSING and message.claimed_by:
            shown = f"{shown} · {person_name(message.claimed_by)}"
        return message.status, shown

    @display(description="Kind", label=True)
    def shown_kind(self, message: Message) -> str:
        return message.kind

    @display(description="Answerable", boolean=True)
    def shown_answer(self, message: Message) -> bool:
        return message.is_replyable

    @display(description="Posted", ordering="timestamp")
    def shown_time(self, message: Message) -> str:
        return draw_moment(message.timestamp)

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
        return self.may_anywhere(request, Role.RESPONDER)

    def has_send_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_anywhere(request, Role.APPROVER)

    # -- bulk actions -------------------------------------------------------------------------

    @admin.action(description="Approve and send the proposed drafts …", permissions=["send"])
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
                not_before=send_time(),
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
            elif message.is_edited_since(draft.target_post_id):
                left_out.append((message, "It was made before the author edited the mention."))
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
            except REFUSALS as error:
                refused.append(f"{message}: {say(error)}")
            else:
                succeeded += 1
        if succeeded:
            self.message_user(request, f"{succeeded} {done}.", messages.SUCCESS)
        for line in refused[:10]:
            self.message_user(request, line, messages.WARNING)
        if len(refused) > 10:
            self.message_user(request, f"… and {len(refused) - 10} more.", messages.WARNING)
