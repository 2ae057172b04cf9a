"""Personal tokens, consent flows under way, and the pause of all calls to X."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import ModelAdmin

from accounts.admin.access import SuperuserOnlyMixin, is_signed_in_staff
from accounts.admin.names import NamedRowsMixin
from accounts.models import AppPause, OAuthState, PersonalToken
from accounts.pauses import OPERATOR_PAUSE, resume_app
from accounts.personal import fill_personal_token
from accounts.signals import announce
from accounts.verified import forget_sign_ins
from autores.mongo.admin import TransactionalAdminMixin


@admin.register(PersonalToken)
class PersonalTokenAdmin(TransactionalAdminMixin, NamedRowsMixin, ModelAdmin):
    """Staff make and revoke their own; superusers see and revoke everybody's."""

    list_display = (
        *("name", "prefix", "shown_person", "created_at", "last_used_at", "expires_at", "state"),
    )
    ordering = ("-created_at",)
    show_full_result_count = False
    actions = ("revoke_tokens",)
    fields = ("name", "expires_at")

    @admin.display(description="state")
    def state(self, token: PersonalToken) -> str:
        if token.revoked_at is not None:
            return "revoked"
        has_ended = token.expires_at is not None and token.expires_at <= timezone.now()
        return "expired" if has_ended else "valid"

    @admin.action(description="Revoke", permissions=["view"])
    def revoke_tokens(self, request: HttpRequest, chosen: QuerySet[PersonalToken]) -> None:
        keys = list(chosen.values_list("pk", flat=True))
        live = PersonalToken.objects.filter(pk__in=keys, revoked_at=None)
        self.message_user(request, f"{live.update(revoked_at=timezone.now())} revoked.")
        forget_sign_ins()

    def get_queryset(self, request: HttpRequest) -> QuerySet[PersonalToken]:
        tokens = super().get_queryset(request)
        return tokens if request.user.is_superuser else tokens.filter(user_id=request.user.pk)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.user = request.user
        request.new_token_value = fill_personal_token(obj)
        obj.save(force_insert=True)

    def response_add(
        self, request: HttpRequest, obj: PersonalToken, post_url_continue: str | None = None
    ) -> HttpResponse:
        """The value, on this page and nowhere else: a message would be stored to be shown."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Your new token",
            "token": obj,
            "value": request.new_token_value,
            "opts": self.opts,
        }
        response = TemplateResponse(request, "admin/accounts/personaltoken/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_signed_in_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: PersonalToken | None = None) -> bool:
        if not is_signed_in_staff(request):
            return False
        return obj is None or request.user.is_superuser or obj.user_id == request.user.pk

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_signed_in_staff(request)

    def has_change_permission(self, request: HttpRequest, obj: PersonalToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: PersonalToken | None = None) -> bool:
        # Revoked tokens stay: they tell what had access, and when.
        return False


@admin.register(OAuthState)
class OAuthStateAdmin(SuperuserOnlyMixin, NamedRowsMixin, ModelAdmin):
    """Read-only. The key is a hash of the state, of no use to finish the flow with."""

    list_display = ("created_at", "shown_person", "return_to", "expires_at")
    ordering = ("-created_at",)
    show_full_result_count = False
    fields = ("created_at", "user", "redirect_uri", "return_to", "expires_at")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(AppPause)
class AppPauseAdmin(TransactionalAdminMixin, ModelAdmin):
    """Staff see why nothing goes out; superusers stop and resume it."""

    list_display = ("reason", "code", "paused_at", "until", "probes", "is_in_force")
    fields = ("reason", "until")
    actions = ("resume_calls",)
    show_full_result_count = False

    @admin.display(description="in force", boolean=True)
    def is_in_force(self, pause: AppPause) -> bool:
        return pause.is_in_force()

    @admin.action(description="Resume all calls to X", permissions=["delete"])
    def resume_calls(self, request: HttpRequest, chosen: QuerySet[AppPause]) -> None:
        if resume_app(actor=request.user.pk):
            self.message_user(request, "Calls to X go out again.")
        else:
            self.message_user(request, "Nothing was paused.", messages.WARNING)

    def save_model(self, request: HttpRequest, obj: AppPause, form: Any, change: bool) -> None:
        obj.pk, obj.code, obj.paused_at = AppPause.KEY, OPERATOR_PAUSE, timezone.now()
        obj.is_probed = False
        # One that is over may stand there.
        AppPause.objects.filter(pk=AppPause.KEY).delete()
        obj.save(force_insert=True)
        announce(
            "app.paused",
            account_id="",
            actor=request.user.pk,
            after={"code": obj.code},
            note=obj.reason,
        )

    def delete_model(self, request: HttpRequest, obj: AppPause) -> None:
        resume_app(actor=request.user.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[AppPause]) -> None:
        resume_app(actor=request.user.pk)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_signed_in_staff(request)

    def has_view_permission(self, request: HttpRequest, obj: AppPause | None = None) -> bool:
        return is_signed_in_staff(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser) and AppPause.current() is None

    def has_change_permission(self, request: HttpRequest, obj: AppPause | None = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: AppPause | None = None) -> bool:
        return bool(request.user.is_superuser)
