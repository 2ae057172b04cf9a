"""Names of people and accounts on list pages, without a join: a team and its accounts are few."""

from contextvars import ContextVar
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts.models import TwitterAccount, User
from autores.mongo.admin import BoundedLookupsMixin

# Columns are made without the request, in a class that all threads share.
# Their defaults are never changed in place: B039 does not apply.
_shown_accounts: ContextVar[dict[str, str]] = ContextVar("shown_accounts", default={})  # noqa: B039
_shown_people: ContextVar[dict[str, str]] = ContextVar("shown_people", default={})  # noqa: B039


def account_name(account_id: str | None) -> str:
    """@name of an account of the list that is being shown."""
    return _shown_accounts.get().get(account_id or "", "—")


def person_name(person_id: str) -> str:
    """A person's name on the list that is being shown; other actors as they are."""
    return _shown_people.get().get(person_id, person_id)


class NamedRowsMixin(BoundedLookupsMixin, admin.ModelAdmin):
    """A list whose columns ask ``account_name`` and ``person_name``: read once, not once a row."""

    def read_account_names(self, request: HttpRequest) -> dict[str, str]:
        """@name by account id."""
        return {account.pk: str(account) for account in TwitterAccount.objects.all()}

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        _shown_accounts.set(self.read_account_names(request))
        _shown_people.set(dict(User.objects.values_list("pk", "username")))
        return super().changelist_view(request, extra_context)

    @admin.display(description="person", ordering="user_id")
    def shown_person(self, row: Any) -> str:
        return person_name(row.user_id) if row.user_id else "—"

    @admin.display(description="account", ordering="account_id")
    def shown_account(self, row: Any) -> str:
        return account_name(row.account_id)
