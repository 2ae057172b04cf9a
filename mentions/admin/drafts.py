"""Drafts as a list: what waits for approval, and what became of the rest."""

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from accounts.admin.cells import draw_excerpt, draw_moment
from accounts.admin.names import account_name
from mentions.admin.scope import AccountFilter, AccountScopedAdmin
from mentions.models import Draft, DraftState


@admin.register(Draft)
class DraftAdmin(AccountScopedAdmin):
    list_display = ("shown_text", "shown_account", "shown_state", "shown_violations", "shown_time")
    list_filter = (AccountFilter, ("state", ChoicesDropdownFilter))
    search_fields = ("text", "message__exact")
    ordering = ("-created_at",)

    @display(description="Draft")
    def shown_text(self, draft: Draft) -> str:
        return draw_excerpt(draft.text or f"({draft.kind}: {draft.note})")

    @display(description="Account")
    def shown_account(self, draft: Draft) -> str:
        return account_name(draft.account_id)

    @display(
        description="State",
        label={
            DraftState.PROPOSED: "info",
            DraftState.EDITED: "info",
            DraftState.SUBMITTED: "warning",
            DraftState.APPROVED: "success",
            DraftState.REJECTED: "danger",
        },
    )
    def shown_state(self, draft: Draft) -> tuple[str, str]:
        return draft.state, draft.get_state_display()

    @display(description="Held by the gate")
    def shown_violations(self, draft: Draft) -> str:
        # One code may be met at several places of a text.
        codes = dict.fromkeys(str(item["code"]) for item in draft.violations)
        return ", ".join(codes).replace("_", " ") or "—"

    @display(description="Created", ordering="created_at")
    def shown_time(self, draft: Draft) -> str:
        return draw_moment(draft.created_at)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict | None = None,
    ) -> HttpResponse:
        """A draft is worked where its mention can be read."""
        draft = self.get_object(request, object_id)
        if draft is None:
            return super().change_view(request, object_id, form_url, extra_context)
        return redirect(reverse("admin:mentions_message_change", args=[quote(draft.message_id)]))
