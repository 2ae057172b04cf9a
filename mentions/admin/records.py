"""What an operator looks up: audit, cursors, deletions."""

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from accounts.admin.names import person_name
from accounts.models import User
from mentions.admin.scope import (
    AccountFilter,
    AccountScopedAdmin,
    SuperuserOnlyAdmin,
)
from mentions.models import AuditEntry, Cursor, Gap, Tombstone, file_before_reading


@admin.register(AuditEntry)
class AuditEntryAdmin(AccountScopedAdmin):
    list_display = ("at", "action", "shown_actor", "object_type", "object_id")
    list_filter = (AccountFilter,)
    search_fields = ("message_id__exact", "object_id__exact", "actor__exact")
    search_help_text = "A person's name, an action, or the id of a message or an object"
    ordering = ("-at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        file_before_reading()
        return super().get_queryset(request)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet, search_term: str
    ) -> tuple[QuerySet, bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        term = search_term.strip()
        if term:
            people = list(User.objects.filter(username=term).values_list("pk", flat=True))
            found |= queryset.filter(Q(actor__in=people) | Q(action=term))
        return found, may_repeat

    @display(description="Who")
    def shown_actor(self, entry: AuditEntry) -> str:
        return person_name(entry.actor)


@admin.register(Cursor)
class CursorAdmin(AccountScopedAdmin):
    list_display = (
        "account",
        "newest_post_id",
        "complete_until",
        "last_poll_seen",
        "last_poll_new",
        "late_count",
        "possible_gap_at",
    )
    ordering = ("-updated_at",)


@admin.register(Gap)
class GapAdmin(AccountScopedAdmin):
    list_display = ("account", "from_at", "to_at", "state", "found", "searched_at", "created_at")
    list_filter = (AccountFilter, "state")
    ordering = ("-created_at",)


@admin.register(Tombstone)
class TombstoneAdmin(SuperuserOnlyAdmin):
    list_display = ("message_id", "deleted_by", "deleted_at")
    search_fields = ("message_id__exact",)
    ordering = ("-deleted_at",)
