"""What each person sees and may do in the admin: by membership, as in the API."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from accounts.admin.cells import draw_checkbox
from accounts.admin.names import NamedRowsMixin
from accounts.models import Role, TwitterAccount, User
from accounts.permissions import account_ids_visible_to, has_role
from autores.mongo.admin import BoundedLookupsMixin
from mentions.models import AuditEntry, Reply


def visible_account_ids(request: HttpRequest) -> list[str] | None:
    """The person's accounts, read once per request; None means all."""
    if not hasattr(request, "_visible_account_ids"):
        request._visible_account_ids = account_ids_visible_to(request.user)
    return request._visible_account_ids


def account_names(request: HttpRequest) -> dict[str, str]:
    """@name by account id, for the visible accounts: a list page then needs no join."""
    if not hasattr(request, "_account_names"):
        accounts = TwitterAccount.objects.all()
        ids = visible_account_ids(request)
        if ids is not None:
            accounts = accounts.filter(pk__in=ids)
        request._account_names = {account.pk: str(account) for account in accounts}
    return request._account_names


def name_actors(entries: Iterable[AuditEntry]) -> list[AuditEntry]:
    """The entries, each with ``actor_name``: who a person's id stands for."""
    found = list(entries)
    names = _find_names(entry.actor for entry in found)
    for entry in found:
        entry.actor_name = names.get(entry.actor, entry.actor)
    return found


def name_requesters(replies: Iterable[Reply]) -> list[Reply]:
    """The replies, each with ``requester``: the name of who asked for it."""
    found = list(replies)
    names = _find_names(reply.requested_by_id or "" for reply in found)
    for reply in found:
        reply.requester = names.get(reply.requested_by_id or "", "")
    return found


def _find_names(ids: Iterable[str]) -> dict[str, str]:
    return dict(User.objects.filter(pk__in=set(ids)).values_list("pk", "username"))


class AccountFilter(DropdownFilter):
    """Only the person's own accounts are offered."""

    title = "account"
    parameter_name = "account"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin
    ) -> Iterable[tuple[str, str]]:
        return sorted(account_names(request).items(), key=lambda item: item[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(account_id=self.value()) if self.value() else queryset


class AccountScopedAdmin(NamedRowsMixin, ModelAdmin):
    """A read-only list of rows that carry ``account_id``; subclasses add what may be done.

    Staff see the rows of accounts they are members of; superusers see all, also those without
    an account. Counting is left out: it would read the whole collection.
    """

    show_full_result_count = False
    paginator = InfinitePaginator
    list_per_page = 50
    list_disable_select_all = True
    list_fullwidth = True
    # Without its form a dropdown filter does nothing.
    list_filter_submit = True
    show_facets = admin.ShowFacets.NEVER
    compressed_fields = True
    account_field: ClassVar[str] = "account_id"

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        queryset = super().get_queryset(request)
        ids = visible_account_ids(request)
        return queryset if ids is None else queryset.filter(**{f"{self.account_field}__in": ids})

    @display(description=ModelAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Model) -> str:
        return draw_checkbox(str(obj.pk))

    def read_account_names(self, request: HttpRequest) -> dict[str, str]:
        return account_names(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        ids = visible_account_ids(request)
        return bool(request.user.is_active and request.user.is_staff and (ids is None or ids))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # get_queryset has already narrowed to what the person may see.
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may_anywhere(self, request: HttpRequest, role: Role) -> bool:
        """Whether the person holds ``role`` on some account: what is offered beside a list."""
        ids = account_ids_visible_to(request.user, role=role)
        return self.has_module_permission(request) and (ids is None or bool(ids))

    def may(self, request: HttpRequest, obj: Any, role: Role) -> bool:
        """Whether the person holds ``role`` on the row's account."""
        if request.user.is_superuser:
            return True
        account_id = getattr(obj, self.account_field)
        return bool(account_id) and has_role(request.user, account_id, role)


class SuperuserOnlyAdmin(BoundedLookupsMixin, ModelAdmin):
    """Records for operators: seen by superusers, changed by nobody."""

    show_full_result_count = False
    paginator = InfinitePaginator
    list_per_page = 50
    list_fullwidth = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_module_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
