"""Who may open which page. Roles decide about accounts; Django's own permissions are not used."""

from typing import Any

from django.http import HttpRequest


def is_signed_in_staff(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_staff)


class SuperuserOnlyMixin:
    """Pages on which a mistake or an ill will would give rights away."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self._is_allowed(request)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_allowed(request)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_allowed(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_allowed(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._is_allowed(request)

    def _is_allowed(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)
