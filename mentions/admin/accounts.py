"""The page of an X account, with what the mentions of the account say of it."""

from datetime import timedelta

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin.x_accounts import TwitterAccountAdmin
from accounts.models import TwitterAccount
from mentions.ingest.coverage import read_coverage

_SHOWN_DAYS = 7

admin.site.unregister(TwitterAccount)


@admin.register(TwitterAccount)
class CoveredAccountAdmin(TwitterAccountAdmin):
    """The account, and how completely its mentions were seen."""

    readonly_fields = (*TwitterAccountAdmin.readonly_fields, "show_days", "show_gaps")
    fieldsets = (
        *TwitterAccountAdmin.fieldsets[:2],
        ("Coverage", {"fields": ("show_days", "show_gaps")}),
        *TwitterAccountAdmin.fieldsets[2:],
    )

    @admin.display(description="seen by day")
    def show_days(self, account: TwitterAccount) -> SafeString | str:
        today = timezone.now().date()
        since = today - timedelta(days=_SHOWN_DAYS - 1)
        days = read_coverage(account.pk, since=since, until=today).days
        if not days:
            return f"no mention in the last {_SHOWN_DAYS} days"
        rows = (
            (
                f"{day.day:%Y-%m-%d}: {day.total} mentions, {day.by_baseline} by the first poll, "
                f"{day.by_poll} by polls, "
                f"{day.by_sweep} by sweeps, {day.by_search} by search, {day.late} late",
            )
            for day in days
        )
        return format_html_join(SafeString("<br>"), "{}", rows)

    @admin.display(description="what X did not show")
    def show_gaps(self, account: TwitterAccount) -> SafeString | str:
        today = timezone.now().date()
        found = read_coverage(account.pk, since=today, until=today)
        address = f"{reverse('admin:mentions_gap_changelist')}?account={account.pk}"
        return format_html(
            '<a href="{}">{} gaps to be searched, {} lost</a>',
            address,
            found.open_gaps,
            found.lost_gaps,
        )
