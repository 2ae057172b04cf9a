"""People, groups, and who has which role on which account."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import Field, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts.admin.access import SuperuserOnlyMixin, is_signed_in_staff
from accounts.admin.names import NamedRowsMixin
from accounts.models import Membership, Role, TwitterAccount, User
from accounts.permissions import account_ids_visible_to, has_role
from accounts.signals import announce
from autores.mongo.admin import TransactionalAdminMixin

admin.site.unregister(Group)

_OWN_RIGHTS = ("is_active", "is_staff", "is_superuser")


@admin.register(User)
class UserAdmin(TransactionalAdminMixin, SuperuserOnlyMixin, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    show_full_result_count = False
    list_display = ("username", "first_name", "email", "is_staff", "is_active", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active")
    search_fields = ("username", "first_name", "last_name", "email")
    ordering = ("username",)
    readonly_fields = ("x_user_id", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email", "x_user_id")}),
        (
            "Rights",
            {
                "fields": ("is_active", "is_staff", "is_superuser"),
                "description": "What a person may do with an account is said by roles.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # Whoever is the last to set people up could shut all of them out.
        own = obj is not None and obj.pk == request.user.pk
        return (*self.readonly_fields, *(_OWN_RIGHTS if own else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_own = obj is not None and obj.pk == request.user.pk
        return not is_own and super().has_delete_permission(request, obj)


@admin.register(Group)
class GroupAdmin(TransactionalAdminMixin, SuperuserOnlyMixin, DjangoGroupAdmin, ModelAdmin):
    show_full_result_count = False


@admin.register(Membership)
class MembershipAdmin(TransactionalAdminMixin, NamedRowsMixin, ModelAdmin):
    """Superusers see all; a manager gives roles on the accounts he manages."""

    list_display = ("shown_person", "shown_account", "role", "created_at")
    list_filter = ("role",)
    show_full_result_count = False
    ordering = ("account_id", "user_id")
    fields = ("user", "account", "role")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        ids = account_ids_visible_to(request.user, role=Role.MANAGER)
        memberships = super().get_queryset(request)
        return memberships if ids is None else memberships.filter(account_id__in=ids)

    def formfield_for_foreignkey(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField:
        if db_field.name == "account":
            ids = account_ids_visible_to(request.user, role=Role.MANAGER)
            accounts = TwitterAccount.objects.order_by("twitter_username")
            kwargs["queryset"] = accounts if ids is None else accounts.filter(pk__in=ids)
        elif db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_active=True).order_by("username")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("user", "account")

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        kwargs.setdefault("form", MembershipForm)
        return super().get_form(request, obj, change, **kwargs)

    def save_model(
        self, request: HttpRequest, obj: Membership, form: forms.ModelForm, change: bool
    ) -> None:
        before = Membership.objects.filter(pk=obj.pk).values_list("role", flat=True).first()
        super().save_model(request, obj, form, change)
        _tell(request, obj, before=before or "", after=obj.role)
        if not obj.user.is_staff:
            messages.warning(
                request,
                f"{obj.user} works by the API alone: a superuser gives the right to sign in to the "
                "admin (staff status).",
            )

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        role, key = obj.role, obj.pk
        super().delete_model(request, obj)
        obj.pk = key
        _tell(request, obj, before=role, after="")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Membership]) -> None:
        for membership in queryset:
            self.delete_model(request, membership)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._manages_any(request)

    def has_view_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        return self._manages(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self._manages_any(request)

    def has_change_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        return self._manages(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        return self._manages(request, obj)

    def _manages_any(self, request: HttpRequest) -> bool:
        if not is_signed_in_staff(request):
            return False
        ids = account_ids_visible_to(request.user, role=Role.MANAGER)
        return ids is None or bool(ids)

    def _manages(self, request: HttpRequest, obj: Membership | None) -> bool:
        if obj is None:
            return self._manages_any(request)
        return is_signed_in_staff(request) and has_role(request.user, obj.account_id, Role.MANAGER)


def _tell(request: HttpRequest, membership: Membership, *, before: str, after: str) -> None:
    """For the record: who may send in a team's name is the weightiest thing said here."""
    if before == after:
        return
    announce(
        "account.role_changed",
        account_id=membership.account_id,
        actor=request.user.pk,
        before={"role": before},
        after={"role": after},
        note=f"{membership.user}: {before or 'no role'} before, {after or 'no role'} now.",
    )


class MembershipForm(forms.ModelForm):
    """Says that a person is a member already, which the index alone would say with an error."""

    class Meta:
        model = Membership
        fields: ClassVar[list[str]] = ["user", "account", "role"]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        user, account = cleaned.get("user"), cleaned.get("account")
        if user and account and Membership.objects.filter(user=user, account=account).exists():
            raise forms.ValidationError(
                f"{user} is a member of {account} already: change that role instead.",
                code="already_member",
            )
        return cleaned
