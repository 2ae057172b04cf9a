"""What an operator looks up: audit, cursors, imports, deletions."""

from django.contrib import admin
from unfold.decorators import display

from mentions.admin.scope import (
    AccountFilter,
    AccountScopedAdmin,
    SuperuserOnlyAdmin,
    person_name,
)
from mentions.models import AuditEntry, Cursor, ImportReject, ImportRun, Tombstone


@admin.register(AuditEntry)
class AuditEntryAdmin(AccountScopedAdmin):
    list_display = ("at", "action", "shown_actor", "object_type", "object_id")
    list_filter = (AccountFilter,)
    search_fields = ("=message_id", "=object_id", "=actor")
    search_help_text = "A message's id, an object's id or a person's id"
    ordering = ("-at",)

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


@admin.register(ImportRun)
class ImportRunAdmin(SuperuserOnlyAdmin):
    list_display = ("started_at", "finished_at", "shown_state", "is_dry_run", "source")
    ordering = ("-started_at",)

    @display(description="State", label={"done": "success", "failed": "danger"})
    def shown_state(self, run: ImportRun) -> str:
        return run.state


@admin.register(ImportReject)
class ImportRejectAdmin(SuperuserOnlyAdmin):
    list_display = ("table", "legacy_id", "reasons", "rejected_at")
    list_filter = ("table",)
    ordering = ("table", "run_id")


@admin.register(Tombstone)
class TombstoneAdmin(SuperuserOnlyAdmin):
    list_display = ("message_id", "deleted_by", "deleted_at")
    search_fields = ("=message_id",)
    ordering = ("-deleted_at",)
