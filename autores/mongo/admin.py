"""The admin's writes as real transactions, and its lookups as MongoDB takes them."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.db import router
from django.http import HttpRequest, HttpResponseRedirect

from .transactions import run_in_transaction

_COMPARISONS = frozenset({"exact", "in", "isnull", "gt", "gte", "lt", "lte"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class BoundedLookupsMixin(ModelAdmin):
    """A ``ModelAdmin`` whose addresses take what its filters offer, and lead from the rest to the
    whole list.

    Django takes any lookup of any field of the model: ``?access_token__startswith=`` would tell a
    secret letter by letter, a pattern reads the whole collection, and a lookup that MongoDB does
    not know is an error of the server.
    """

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        offered = self.get_list_filter(request)
        # A class is a filter with a parameter of its own, the others are fields.
        if lookup in [getattr(item, "parameter_name", "") for item in offered]:
            return True
        name, *comparison = lookup.split("__")
        fields = [
            item if isinstance(item, str) else item[0]
            for item in offered
            if not isinstance(item, type)
        ]
        return name in fields and len(comparison) <= 1 and _COMPARISONS.issuperset(comparison)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().changelist_view(request, *args, **kwargs)
        except DisallowedModelAdminLookup:
            messages.warning(request, "This list has no such filter, so all of it is shown.")
            return HttpResponseRedirect(request.path)


class TransactionalAdminMixin(BoundedLookupsMixin):
    """A ``ModelAdmin`` whose add, change, delete, list-edit and action requests are all or nothing.

    Django wraps them in its own atomic, which does nothing on MongoDB: an error halfway leaves the
    form's object saved without its inlines, relations or history entry. Put the mixin before
    ``ModelAdmin``.

    A request that meets a concurrent write is processed again from its start
    (``transaction_attempts`` times in all), so ``save_model``, actions and signals must leave what
    is not a database write, such as starting a task, to ``autores.mongo.transactions.on_commit``.

    Not covered: a response that reads lazily (streaming) does so after the commit; an action that
    takes over 60 seconds is aborted by the server; what runs outside of these views (management
    commands, sign-in).
    """

    transaction_attempts = 3

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().changeform_view
        return self._run_view(request, lambda: view(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().delete_view
        return self._run_view(request, lambda: view(request, *args, **kwargs))

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        view = super().changelist_view
        return self._run_view(request, lambda: view(request, *args, **kwargs))

    def user_change_password(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Of ``UserAdmin`` only; other admins have no URL for it."""
        view = super().user_change_password
        return self._run_view(request, lambda: view(request, *args, **kwargs))

    def _run_view(self, request: HttpRequest, view: Callable[[], Any]) -> Any:
        if request.method in _SAFE_METHODS:
            return view()
        # Loaded once, outside: a repetition must not meet a half-read body.
        files = [file for name in request.FILES for file in request.FILES.getlist(name)]
        storage = getattr(request, "_messages", None)
        queued = list(getattr(storage, "_queued_messages", ()))

        def attempt() -> Any:
            for file in files:
                file.seek(0)
            if storage is not None:
                storage._queued_messages[:] = queued
            return view()

        return run_in_transaction(
            attempt,
            attempts=self.transaction_attempts,
            using=router.db_for_write(self.model),
        )
