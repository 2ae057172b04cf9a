"""The outbox: what is under way, what failed and why, what a person must decide."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.models import Role
from mentions.admin.scope import AccountFilter, AccountScopedAdmin, account_names
from mentions.models import Reply, ReplyState
from mentions.outbox.settle import mark_failed
from mentions.tasks import nudge_delivery


@admin.register(Reply)
class ReplyAdmin(AccountScopedAdmin):
    list_display = (
        "shown_text",
        "shown_kind",
        "shown_state",
        "reason",
        "shown_account",
        "attempts",
        "created_at",
    )
    list_filter = (
        AccountFilter,
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
    )
    search_fields = ("text", "=message_id", "=x_post_id")
    ordering = ("-created_at",)
    actions = ("cancel_selected", "send_now")
    fields = (
        ("kind", "state", "attempts"),
        "text",
        ("reason_code", "reason"),
        ("x_post_id", "sent_at"),
        ("not_before", "sending_at"),
        ("created_at", "updated_at"),
        "proof",
    )

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        self._names = account_names(request)
        return super().changelist_view(request, extra_context)

    @display(description="Text")
    def shown_text(self, reply: Reply) -> str:
        return reply.text[:100]

    @display(description="To", label={"public": "info", "dm": "warning"})
    def shown_kind(self, reply: Reply) -> tuple[str, str]:
        return reply.kind, reply.get_kind_display()

    @display(
        description="State",
        label={
            ReplyState.QUEUED: "info",
            ReplyState.SENDING: "info",
            ReplyState.SENT: "success",
            ReplyState.FAILED: "danger",
            ReplyState.UNKNOWN: "warning",
        },
    )
    def shown_state(self, reply: Reply) -> tuple[str, str]:
        return reply.state, reply.get_state_display()

    @display(description="Account")
    def shown_account(self, reply: Reply) -> str:
        return self._names.get(reply.account_id, "—")

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    @admin.action(description="Cancel what has not been sent", permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        cancelled = 0
        for reply in queryset:
            if not self.may(request, reply, Role.APPROVER):
                self.message_user(request, f"{reply}: you may not.", messages.WARNING)
                continue
            cancelled += mark_failed(
                reply,
                code="cancelled",
                sentence="Cancelled before it was sent.",
                now=timezone.now(),
                from_state=ReplyState.QUEUED,
                actor=request.user.pk,
            )
        self.message_user(
            request,
            f"{cancelled} cancelled. What is being sent or was sent cannot be called back.",
            messages.SUCCESS if cancelled else messages.WARNING,
        )

    @admin.action(description="Try queued ones now", permissions=["act"])
    def send_now(self, request: HttpRequest, queryset: QuerySet) -> None:
        now = timezone.now()
        ids = [
            reply.pk
            for reply in queryset
            if reply.state == ReplyState.QUEUED and self.may(request, reply, Role.APPROVER)
        ]
        Reply.objects.filter(pk__in=ids, state=ReplyState.QUEUED).update(
            not_before=now, updated_at=now
        )
        for reply in Reply.objects.filter(pk__in=ids):
            nudge_delivery(reply)
        self.message_user(request, f"{len(ids)} will be tried now.", messages.SUCCESS)
