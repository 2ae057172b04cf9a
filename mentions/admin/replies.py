"""The outbox: what is under way, what failed and why, what a person must decide."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin.names import account_name
from accounts.models import Role
from mentions.admin.scope import AccountFilter, AccountScopedAdmin
from mentions.models import Reply, ReplyState
from mentions.outbox.settle import mark_failed, mark_queued_again, mark_sent
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
    actions = ("cancel_selected", "send_now", "settle_as_sent", "settle_as_absent")
    fields = (
        ("kind", "state", "attempts"),
        "text",
        ("reason_code", "reason"),
        ("x_post_id", "sent_at"),
        ("not_before", "sending_at"),
        ("created_at", "updated_at"),
        "proof",
    )

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
        return account_name(reply.account_id)

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

    @admin.action(description="Unknown: I saw it on X, it was sent", permissions=["act"])
    def settle_as_sent(self, request: HttpRequest, queryset: QuerySet) -> None:
        def settle(reply: Reply) -> bool:
            return mark_sent(
                reply,
                x_post_id=reply.x_post_id,
                now=timezone.now(),
                proof={**reply.proof, "settled_by": request.user.pk, "found": "by a person"},
                actor=request.user.pk,
            )

        self._settle(request, queryset, settle, done="settled as sent")

    @admin.action(description="Unknown: it is not on X, send it again", permissions=["act"])
    def settle_as_absent(self, request: HttpRequest, queryset: QuerySet) -> None:
        def settle(reply: Reply) -> bool:
            return mark_queued_again(
                reply,
                code="proved_absent",
                sentence="A person looked on X and did not find it; it is sent again.",
                now=timezone.now(),
                delay=timedelta(0),
                from_state=ReplyState.UNKNOWN,
                proof={**reply.proof, "settled_by": request.user.pk, "found": None},
                actor=request.user.pk,
            )

        self._settle(request, queryset, settle, done="queued again")

    def _settle(
        self,
        request: HttpRequest,
        queryset: QuerySet,
        settle: Callable[[Reply], bool],
        *,
        done: str,
    ) -> None:
        """Only an unknown outcome is a person's to decide; X or the sender settle the others."""
        settled = 0
        for reply in queryset:
            if reply.state != ReplyState.UNKNOWN or not self.may(request, reply, Role.APPROVER):
                self.message_user(
                    request,
                    f"{reply}: left as it is. It must be unknown, and you an approver.",
                    messages.WARNING,
                )
                continue
            settled += settle(reply)
        if settled:
            self.message_user(request, f"{settled} {done}.", messages.SUCCESS)
