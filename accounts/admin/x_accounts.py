"""The connected X accounts: their health, pausing, and connecting them."""

import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from accounts.admin.access import is_signed_in_staff
from accounts.browser import choose_cookie, set_cookie
from accounts.errors import AccountError, RefreshFencedError
from accounts.health import pause_account, resume_account
from accounts.linking import begin_link, hash_browser, list_missing_scopes
from accounts.models import AccountEvent, AccountStatus, Role, TwitterAccount
from accounts.permissions import account_ids_visible_to, has_role
from accounts.watch import is_unread, say_why_unread
from autores.mongo.admin import TransactionalAdminMixin
from autores.x.errors import XError

_SHOWN_EVENTS = 20
_STATUS_LABELS = {
    AccountStatus.ACTIVE: "success",
    AccountStatus.PAUSED: "info",
    AccountStatus.RATE_LIMITED: "warning",
    AccountStatus.TOKEN_EXPIRED: "danger",
    AccountStatus.ERROR: "danger",
}


class AccountForm(forms.ModelForm):
    """Refuses to write over what others changed since the person opened the page."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        for name in self.changed_data:
            seen = self.data.get(self[name].html_initial_name)
            now = self.initial.get(name)
            if seen is not None and self.fields[name].has_changed(_one_line_end(now), seen):
                self.add_error(
                    name,
                    "Somebody changed this since you opened the page: open it again, and compare.",
                )
        return cleaned


def _one_line_end(value: Any) -> Any:
    """As a browser sends it back."""
    return re.sub(r"\r\n?|\n", "\r\n", value) if isinstance(value, str) else value


@admin.register(TwitterAccount)
class TwitterAccountAdmin(TransactionalAdminMixin, ModelAdmin):
    """Members see their accounts, managers change them. Tokens are on no page."""

    form = AccountForm
    list_display = (
        "show_account",
        "display_name",
        "show_status",
        "show_reason",
        "last_polled_at",
        "complete_until",
        "token_expires_at",
    )
    list_filter = ("status",)
    search_fields = ("twitter_username", "display_name", "twitter_id")
    ordering = ("twitter_username",)
    show_full_result_count = False
    actions = ("pause_accounts", "resume_accounts")
    actions_list = ("connect_account",)
    actions_detail = ("reconnect_account",)
    # mentions.admin adds to these two.
    readonly_fields: tuple[str, ...] = (
        "twitter_username",
        "display_name",
        "twitter_id",
        "status",
        "status_reason",
        "status_changed_at",
        "blocked_until",
        "last_polled_at",
        "complete_until",
        "last_error_code",
        "last_error",
        "last_error_at",
        "show_history",
        "token_expires_at",
        "show_fence",
        "show_scopes",
        "show_missing_scopes",
        "created_at",
        "updated_at",
    )
    fieldsets: Any = (
        (None, {"fields": ("twitter_username", "display_name", "twitter_id")}),
        (
            "Health",
            {
                "fields": (
                    "status",
                    "status_reason",
                    "status_changed_at",
                    "blocked_until",
                    "last_polled_at",
                    "complete_until",
                    "last_error_code",
                    "last_error",
                    "last_error_at",
                    "show_history",
                )
            },
        ),
        ("Drafts", {"fields": ("voice", "drafts_automatically")}),
        (
            "Connection",
            {
                "fields": (
                    "token_expires_at",
                    "show_fence",
                    "show_scopes",
                    "show_missing_scopes",
                    "created_at",
                    "updated_at",
                )
            },
        ),
    )

    @display(description="status", ordering="status", label=_STATUS_LABELS)
    def show_status(self, account: TwitterAccount) -> tuple[str, str]:
        return account.status, AccountStatus(account.status).label

    @admin.display(description="account", ordering="twitter_username")
    def show_account(self, account: TwitterAccount) -> str:
        # One that was taken over has no name before its first call.
        return str(account)

    @admin.display(description="reason", ordering="status_reason")
    def show_reason(self, account: TwitterAccount) -> str:
        told = [account.status_reason]
        if account.is_fenced:
            told.append("The former system refreshes its tokens.")
        if is_unread(account, now=timezone.now()):
            told.append(f"Not read: {say_why_unread(account)}.")
        return " ".join(filter(None, told))

    @admin.display(description="history")
    def show_history(self, account: TwitterAccount) -> SafeString | str:
        events = list(AccountEvent.objects.filter(account_id=account.pk)[:_SHOWN_EVENTS])
        rows = (
            (
                date_format(event.at, "DATETIME_FORMAT"),
                event.get_before_display(),
                event.get_after_display(),
                event.reason or event.event,
            )
            for event in events
        )
        lines = format_html_join(SafeString("<br>"), "{}: {} → {}. {}", rows)
        return lines if events else "nothing happened yet"

    @admin.display(description="former system")
    def show_fence(self, account: TwitterAccount) -> str:
        return RefreshFencedError.default_sentence if account.is_fenced else "not in the way"

    @admin.display(description="granted permissions")
    def show_scopes(self, account: TwitterAccount) -> str:
        return ", ".join(account.scopes) or "not known"

    @admin.display(description="missing permissions")
    def show_missing_scopes(self, account: TwitterAccount) -> str:
        if not account.scopes:
            return "not known"
        return ", ".join(list_missing_scopes(account)) or "none"

    @admin.action(description="Pause: no polling, no replies", permissions=["change"])
    def pause_accounts(self, request: HttpRequest, chosen: QuerySet[TwitterAccount]) -> None:
        reason = f"Paused by {request.user.get_username()}."
        now = timezone.now()
        accounts = self._managed(request, chosen)
        done = sum(
            pause_account(account, reason=reason, now=now, actor=request.user.pk)
            for account in accounts
        )
        if accounts:
            self.message_user(request, f"{done} of {len(accounts)} paused.")

    @admin.action(description="Resume", permissions=["change"])
    def resume_accounts(self, request: HttpRequest, chosen: QuerySet[TwitterAccount]) -> None:
        now = timezone.now()
        accounts = self._managed(request, chosen)
        done = sum(resume_account(account, now=now, actor=request.user.pk) for account in accounts)
        if accounts:
            self.message_user(request, f"{done} of {len(accounts)} resumed.")
        if any(account.status == AccountStatus.TOKEN_EXPIRED for account in accounts):
            self.message_user(
                request,
                "Resuming does not help an account that must be connected again.",
                messages.WARNING,
            )

    @action(description="Connect an account", icon="add_link", url_path="connect")
    def connect_account(self, request: HttpRequest) -> HttpResponse:
        return self._begin(request, reverse("admin:accounts_twitteraccount_changelist"))

    @action(description="Connect again", icon="sync", url_path="reconnect")
    def reconnect_account(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if self.get_object(request, object_id) is None:
            raise PermissionDenied("This takes a role on the account.")
        page = reverse("admin:accounts_twitteraccount_change", args=[quote(object_id)])
        return self._begin(request, page, reconnects=object_id)

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            # What the person saw comes back with the form: only what he changed is saved.
            field.show_hidden_initial = True
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[TwitterAccount]:
        ids = account_ids_visible_to(request.user)
        accounts = super().get_queryset(request)
        return accounts if ids is None else accounts.filter(pk__in=ids)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_signed_in_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: TwitterAccount | None = None) -> bool:
        if not is_signed_in_staff(request):
            return False
        return obj is None or has_role(request.user, obj.pk, Role.VIEWER)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # Accounts come by consent on X, never by a form.
        return False

    def has_change_permission(
        self, request: HttpRequest, obj: TwitterAccount | None = None
    ) -> bool:
        if not is_signed_in_staff(request):
            return False
        return obj is None or has_role(request.user, obj.pk, Role.MANAGER)

    def has_delete_permission(
        self, request: HttpRequest, obj: TwitterAccount | None = None
    ) -> bool:
        # Mentions, replies and their history hang on the account: it is paused instead.
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        # Only what the form shows: a refresh may store new tokens while the page is open.
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        if values:
            now = timezone.now()
            TwitterAccount.objects.filter(pk=obj.pk).update(**values, updated_at=now)

    def _managed(
        self, request: HttpRequest, chosen: QuerySet[TwitterAccount]
    ) -> list[TwitterAccount]:
        ids = account_ids_visible_to(request.user, role=Role.MANAGER)
        accounts = list(chosen)
        managed = [account for account in accounts if ids is None or account.pk in ids]
        if len(managed) < len(accounts):
            self.message_user(
                request,
                f"{len(accounts) - len(managed)} left out: that takes the manager's role.",
                messages.WARNING,
            )
        return managed

    def _begin(self, request: HttpRequest, return_to: str, *, reconnects: str = "") -> HttpResponse:
        # Unfold's buttons are links; a link on a foreign page must not start a flow.
        if request.headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}:
            self.message_user(request, "Use the button on this page.", messages.WARNING)
            return HttpResponseRedirect(return_to)
        cookie = choose_cookie(request)
        try:
            url = begin_link(
                user=request.user,
                browser_hash=hash_browser(cookie),
                return_to=return_to,
                reconnects=reconnects,
            )
        except (AccountError, XError) as error:
            self.message_user(request, error.sentence, messages.ERROR)
            return HttpResponseRedirect(return_to)
        response = HttpResponseRedirect(url)
        set_cookie(response, cookie)
        return response
