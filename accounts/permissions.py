"""Who may do what with which account. The API and the admin ask here, and nowhere else."""

from typing import TypeAlias, Union

from django.contrib.auth.models import AnonymousUser

from accounts.models import Membership, Role, User


class KnownRoles:
    """A person's roles, read once, when the first is asked for.

    An attribute ``known_roles`` of a person spares the reads of the functions below. It is as old
    as whoever gave it to him says (``accounts.verified``).
    """

    def __init__(self, user_id: str) -> None:
        self._user_id = user_id
        self._roles: dict[str, Role] | None = None

    def by_account(self) -> dict[str, Role]:
        if self._roles is None:
            found = Membership.objects.filter(user_id=self._user_id)
            self._roles = {
                account_id: Role(role)
                for account_id, role in found.values_list("account_id", "role")
            }
        return self._roles


Person: TypeAlias = Union[User, AnonymousUser]  # noqa: UP007 - a type of Django is Any to mypy


def account_ids_visible_to(user: Person, *, role: Role = Role.VIEWER) -> list[str] | None:
    """Ids of the accounts on which ``user`` holds ``role`` or more; None means all of them."""
    if not user.is_active:
        return []
    if user.is_superuser:
        return None
    known: KnownRoles | None = getattr(user, "known_roles", None)
    if known is not None:
        return [key for key, held in known.by_account().items() if held.includes(role)]
    memberships = Membership.objects.filter(user_id=user.pk, role__in=role.and_above())
    return list(memberships.values_list("account_id", flat=True))


def role_on(user: Person, account_id: str) -> Role | None:
    """The person's role on the account, or None. A superuser counts as manager."""
    if not user.is_active:
        return None
    if user.is_superuser:
        return Role.MANAGER
    known: KnownRoles | None = getattr(user, "known_roles", None)
    if known is not None:
        return known.by_account().get(account_id)
    membership = Membership.objects.filter(user_id=user.pk, account_id=account_id).first()
    return Role(membership.role) if membership is not None else None


def has_role(user: Person, account_id: str, role: Role) -> bool:
    """Whether ``user`` holds ``role`` or more on the account."""
    held = role_on(user, account_id)
    return held is not None and held.includes(role)
