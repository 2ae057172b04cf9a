"""The outbox: what is under way, what failed and why, what a person must decide."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote as quote_key
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin.cells import draw_excerpt, draw_moment
from accounts.admin.names import account_name
from accounts.errors import AccountError
from accounts.models import Role
from autores.x.errors import XError
from mentions.admin.scope import AccountFilter, AccountScopedAdmin
from mentions.models import Message, Reply, ReplyKind, ReplyState
from mentions.outbox.decide import Outcome, settle_reply
from mentions.outbox.errors import OutboxRefusedError
from mentions.outbox.settle import mark_hurried
from mentions.review import undo_reply
from mentions.tasks import nudge_delivery

_OUTCOMES: dict[str, Outcome] = {"sent": "sent", "absent": "absent", "abandoned": "abandoned"}
_DONE: dict[Outcome, str] = {
    "sent": "Settled as sent.",
    "absent": "It is sent again.",
    "abandoned": "Given up: it is not sent again.",
}
_POST_ADDRESS = re.compile(r"/status(?:es)?/([0-9]+)(?![0-9])", re.ASCII)
_NOT_READ = "X could not be read, so nothing was decided."


def _chosen_post(request: HttpRequest) -> str:
    """What was typed goes before the choice: the address of a post does as well as its id."""
    typed = request.POST.get("typed_id", "").strip()
    if not typed:
        return request.POST.get("x_post_id", "")
    address = _POST_ADDRESS.search(typed)
    return address[1] if address else typed


@admin.register(Reply)
class ReplyAdmin(AccountScopedAdmin):
    list_display = (
        "shown_text",
        "shown_addressee",
        "shown_kind",
        "shown_state",
        "reason",
        "shown_account",
        "shown_time",
    )
    list_filter = (
        AccountFilter,
        ("state", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
    )
    search_fields = ("text", "message__exact", "x_post_id__exact")
    ordering = ("-created_at",)
    actions = ("cancel_selected", "send_now", "settle_as_sent", "settle_as_absent")
    change_form_template = "admin/mentions/reply/change_form.html"
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
        return draw_excerpt(reply.text)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """With the author of the mention at each row: one query for all of a page."""
        page = super().get_changelist_instance(request)
        mentions = Message.objects.filter(pk__in=[reply.message_id for reply in page.result_list])
        people = {
            key: f"@{username}" if username else user
            for key, username, user in mentions.values_list("pk", "author_username", "user")
        }
        for reply in page.result_list:
            reply.addressee = people.get(reply.message_id, "—")
        return page

    @display(description="To")
    def shown_addressee(self, reply: Reply) -> str:
        return str(reply.addressee)

    @display(description="Kind", label={"public": "info", "dm": "warning"})
    def shown_kind(self, reply: Reply) -> tuple[str, str]:
        return reply.kind, "DM" if reply.kind == ReplyKind.DM else "Public"

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
        if reply.reason_code == "cancelled":
            return "undone", "Undone"
        return reply.state, reply.get_state_display()

    @display(description="Account")
    def shown_account(self, reply: Reply) -> str:
        return account_name(reply.account_id)

    @display(description="Created", ordering="created_at")
    def shown_time(self, reply: Reply) -> str:
        return draw_moment(reply.created_at)

    def has_act_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """For the bulk actions; each row is checked again by role."""
        return self.may_anywhere(request, Role.APPROVER)

    # -- one row ------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        reply = self.get_object(request, object_id)
        if reply is None:
            return super().change_view(request, object_id, form_url, extra_context)
        may_approve = self.may(request, reply, Role.APPROVER)
        if request.method == "POST":
            if not may_approve:
                raise PermissionDenied("This needs the role “approver” on the account.")
            return self._decide(request, reply)
        mention = reply.message
        target = mention.reply_target_id
        return super().change_view(
            request,
            object_id,
            form_url,
            {
                **(extra_context or {}),
                "may_approve": may_approve,
                "mention": mention,
                "mention_url": reverse(
                    "admin:mentions_message_change", args=[quote_key(mention.pk)]
                ),
                "requester": reply.requested_by,
                "parent_url": f"https://x.com/i/status/{target}" if target.isdigit() else "",
            },
        )

    def _decide(self, request: HttpRequest, reply: Reply) -> HttpResponse:
        act, now = request.POST.get("act", ""), timezone.now()
        try:
            if act == "cancel":
                undo_reply(reply, user=request.user, now=now)
                messages.success(request, "Undone: it is not sent.")
            elif outcome := _OUTCOMES.get(act):
                settle_reply(
                    reply,
                    outcome=outcome,
                    x_post_id=_chosen_post(request) if outcome == "sent" else "",
                    user=request.user,
                    now=now,
                )
                messages.success(request, _DONE[outcome])
            else:
                messages.error(request, "Nothing was done: use one of the buttons.")
        except OutboxRefusedError as error:
            messages.error(request, error.sentence)
        except (XError, AccountError) as error:
            messages.error(request, f"{_NOT_READ} {error.sentence}")
        return redirect(reverse("admin:mentions_reply_change", args=[reply.pk]))

    # -- many ---------------------------------------------------------------------------------

    @admin.action(description="Undo: cancel what has not been sent", permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._for_each(
            request,
            queryset,
            lambda reply: undo_reply(reply, user=request.user, now=timezone.now()),
            done="cancelled",
        )

    @admin.action(description="Try queued ones now", permissions=["act"])
    def send_now(self, request: HttpRequest, queryset: QuerySet) -> None:
        now = timezone.now()
        count = scheduled = 0
        for reply in queryset:
            if reply.state != ReplyState.QUEUED or not self.may(request, reply, Role.APPROVER):
                continue
            if reply.not_before > now and not reply.reason_code:
                # Nothing is in its way but the time a person chose, or may still undo it in.
                scheduled += 1
            elif mark_hurried(reply, now=now, actor=request.user.pk):
                count += 1
                nudge_delivery(reply)
        self.message_user(request, f"{count} will be tried now.", messages.SUCCESS)
        if scheduled:
            self.message_user(
                request,
                f"{scheduled} left out: their time has not come. Undo one to send it anew at once.",
                messages.WARNING,
            )

    @admin.action(description="Unknown: I saw it on X, it was sent", permissions=["act"])
    def settle_as_sent(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._for_each(
            request,
            queryset,
            lambda reply: settle_reply(
                reply, outcome="sent", user=request.user, now=timezone.now()
            ),
            done="settled as sent",
        )

    @admin.action(description="Unknown: it is not on X, send it again", permissions=["act"])
    def settle_as_absent(self, request: HttpRequest, queryset: QuerySet) -> None:
        self._for_each(
            request,
            queryset,
            lambda reply: settle_reply(
                reply, outcome="absent", user=request.user, now=timezone.now()
            ),
            done="queued again",
        )

    def _for_each(
        self,
        request: HttpRequest,
        queryset: QuerySet,
        decide: Callable[[Reply], object],
        *,
        done: str,
    ) -> None:
        decided = 0
        for reply in queryset:
            if not self.may(request, reply, Role.APPROVER):
                self.message_user(
                    request, f"{reply}: you need the role “approver”.", messages.WARNING
                )
                continue
            try:
                decide(reply)
            except OutboxRefusedError as error:
                self.message_user(request, f"{reply}: {error.sentence}", messages.WARNING)
            except (XError, AccountError) as error:
                self.message_user(
                    request, f"{reply}: {_NOT_READ} {error.sentence}", messages.WARNING
                )
            else:
                decided += 1
        if decided:
            self.message_user(request, f"{decided} {done}.", messages.SUCCESS)
