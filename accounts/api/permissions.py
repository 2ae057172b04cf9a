"""Access to one account, as API answers: 404 for strangers, 403 for a role too low."""

from accounts.models import Role, TwitterAccount
from accounts.permissions import Person, role_on
from autores.problems import ApiProblem


def require_account(user: Person, account_id: str, *, role: Role = Role.VIEWER) -> TwitterAccount:
    """The account, if ``user`` holds ``role`` or more on it.

    Raises ``account_not_found`` without any role: a stranger does not learn what exists.
    """
    account = TwitterAccount.objects.filter(pk=account_id).first()
    held = role_on(user, account_id) if account is not None else None
    if account is None or held is None:
        raise ApiProblem(
            "account_not_found",
            "There is no such account, or you are not a member of it.",
            status_code=404,
        )
    if not held.includes(role):
        raise ApiProblem(
            "role_too_low",
            f"This needs the role {role.value} on {account}; yours is {held.value}.",
            status_code=403,
            required_role=role.value,
        )
    return account
