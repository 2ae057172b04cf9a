"""The import for an operator: runs with their sealed reports, and what waits for a person."""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.decorators import display

from mentions.admin.scope import SuperuserOnlyAdmin
from mentions.legacy.proof.page import render_fragment, render_html, report_style
from mentions.legacy.proof.runs import check_run
from mentions.models import ImportConflict, ImportPosition, ImportReject, ImportRun

_RUN_LABELS = {
    "done": "success",
    "verified": "success",
    "incomplete": "warning",
    "differs": "danger",
    "failed": "danger",
    "rolled_back": "info",
    "undo": "info",
    "exported": "info",
    "exported_in_part": "warning",
    "running": "warning",
}


@admin.register(ImportRun)
class ImportRunAdmin(SuperuserOnlyAdmin):
    """The runs of the import, each with its report as a page, and whether its seal holds."""

    list_display = ("started_at", "shown_state", "verdict", "shown_seal", "source", "finished_at")
    list_filter = ("state",)
    ordering = ("-started_at",)
    fieldsets = ((None, {"fields": ("id", "state", "source", "started_at", "finished_at")}),)

    @display(description="State", label=_RUN_LABELS)
    def shown_state(self, run: ImportRun) -> tuple[str, str]:
        return run.state, run.state.replace("_", " ")

    @display(description="Verdict")
    def verdict(self, run: ImportRun) -> str:
        report = run.report or {}
        if report.get("verification"):
            return str(report["verification"].get("verdict", ""))
        if written_back := report.get("export"):
            rest = "" if written_back["is_complete"] else ", some rows could not be"
            return f"{written_back['changes']} rows written back to MySQL{rest}"
        return str(report.get("stopped") or "not compared")

    @display(description="Seal", label={"intact": "success", "broken": "danger"})
    def shown_seal(self, run: ImportRun) -> str:
        return check_run(run, has_chain=False).state

    def get_urls(self) -> list[Any]:
        own = [
            path(
                "<path:object_id>/report.<str:kind>",
                self.admin_site.admin_view(self.send_report),
                name="mentions_importrun_report",
            )
        ]
        return [*own, *super().get_urls()]

    def send_report(self, request: HttpRequest, object_id: str, kind: str) -> HttpResponse:
        """The sealed report as a file: ``html`` or ``json``."""
        run = self.get_object(request, object_id)
        if run is None or kind not in {"html", "json"}:
            raise Http404
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        if kind == "html":
            response = HttpResponse(render_html(run.report, run_id=run.pk))
        else:
            text = json.dumps(run.report, indent=2, ensure_ascii=False)
            response = HttpResponse(text, content_type="application/json")
        name = f"import-{run.started_at:%Y%m%d-%H%M%S}.{kind}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if run is not None:
            name = "admin:mentions_importrun_report"
            context |= {
                "title": f"Import of {run.started_at:%Y-%m-%d %H:%M} UTC",
                # Both escape what they show: S308 does not apply.
                "report_html": mark_safe(render_fragment(run.report, run_id=run.pk)),  # noqa: S308
                "report_style": mark_safe(report_style()),  # noqa: S308
                "page_url": reverse(name, args=[run.pk, "html"]),
                "json_url": reverse(name, args=[run.pk, "json"]),
            }
        return super().change_view(request, object_id, form_url, context)


@admin.register(ImportReject)
class ImportRejectAdmin(SuperuserOnlyAdmin):
    """Rows of the former system that could not be taken over; secrets are masked."""

    list_display = ("table", "legacy_id", "shown_reasons", "rejected_at")
    list_filter = ("table",)
    ordering = ("table", "run_id")
    search_fields = ("legacy_id__exact",)
    search_help_text = "The row's id in the former system"
    fields = ("table", "legacy_id", "shown_reasons", "shown_hints", "shown_row", "rejected_at")

    @display(description="Why")
    def shown_reasons(self, reject: ImportReject) -> str:
        return "; ".join(reject.reasons)

    @display(description="What to do")
    def shown_hints(self, reject: ImportReject) -> str:
        return "; ".join(getattr(reject, "hints", None) or []) or "-"

    @display(description="Row")
    def shown_row(self, reject: ImportReject) -> str:
        return format_html_join(
            "",
            "<div><b>{}</b> {}</div>",
            ((name, _shown(value)) for name, value in reject.row.items()),
        )


@admin.register(ImportPosition)
class ImportPositionAdmin(SuperuserOnlyAdmin):
    """How far the binary log of a legacy database was applied."""

    list_display = ("id", "shown_phase", "shown_position", "row_count", "changed_at", "saved_at")
    ordering = ("-saved_at",)
    fields = (
        "id",
        "shown_phase",
        "shown_position",
        "run_id",
        "account_id",
        "row_count",
        "shown_counts",
        "changed_at",
        "writable_at",
        "frozen_at",
        "marked_at",
        "saved_at",
    )

    @display(description="Phase", label={"loading": "warning", "following": "success"})
    def shown_phase(self, position: ImportPosition) -> str:
        return position.phase

    @display(description="Position")
    def shown_position(self, position: ImportPosition) -> str:
        return f"{position.file}:{position.offset}"

    @display(description="Rows by what became of them")
    def shown_counts(self, position: ImportPosition) -> str:
        return format_html_join(
            "",
            "<div><b>{}</b> {}</div>",
            (
                (table, ", ".join(f"{count} {name}" for name, count in counts.items()) or "-")
                for table, counts in (position.counts or {}).items()
            ),
        )


@admin.register(ImportConflict)
class ImportConflictAdmin(SuperuserOnlyAdmin):
    """Changes of the legacy log that were not applied, because somebody works here already."""

    list_display = ("table", "legacy_id", "reason", "run_id")
    list_filter = ("table",)
    ordering = ("table", "id")
    search_fields = ("legacy_id__exact",)
    search_help_text = "The row's id in the former system"
    fields = ("table", "legacy_id", "reason", "shown_values", "run_id")

    @display(description="What differs")
    def shown_values(self, conflict: ImportConflict) -> str:
        return (
            format_html_join(
                "",
                "<div><b>{}</b>: {} there, {} here</div>",
                (
                    (name, _shown(found["legacy"]), _shown(found["here"]))
                    for name, found in (conflict.differing or {}).items()
                ),
            )
            or "-"
        )


def _shown(value: Any) -> str:
    return "NULL" if value is None else str(value)
