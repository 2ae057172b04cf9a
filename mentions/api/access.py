"""Who sees and does what. What a person may not see does not exist for them: 404, not 403."""

from typing import Any, NoReturn, cast

from accounts.models import Role, TwitterAccount, User
from accounts.permissions import account_ids_visible_to, has_role
from autores.problems import ApiProblem
from mentions.api.encoding import EncodedMessage
from mentions.api.queries import Document, find_encoded, find_message
from mentions.api.seen import seen_messages
from mentions.models import Draft, Message, Reply

_PURPOSES = {
    Role.VIEWER: "reads",
    Role.RESPONDER: "works on messages and drafts",
    Role.APPROVER: "sends",
    Role.MANAGER: "deletes",
}


def person_of(request: Any) -> User:
    return cast(User, request.user)


def list_account_ids(user: User, *, role: Role = Role.VIEWER) -> list[str] | None:
    """Accounts on which the person has at least this role; None for all of them."""
    return account_ids_visible_to(user, role=role)


def _may(user: User, account_id: str | None, role: Role) -> bool:
    if user.is_superuser:
        return True
    return account_id is not None and has_role(user, account_id, role)


def _refuse_unknown(what: str, key: str) -> NoReturn:
    raise ApiProblem(
        f"{what}_not_found",
        f"There is no {what} {key[:80]!r} on an account you have a role on.",
        status_code=404,
    )


def require_role(user: User, account_id: str | None, role: Role) -> None:
    """Raise 403 ``role_too_low`` unless the person, who may see the account, has the role."""
    if not _may(user, account_id, role):
        raise role_too_low(role)


def role_too_low(role: Role, *, where: str = "on this account") -> ApiProblem:
    return ApiProblem(
        "role_too_low",
        f"Only one with the role {role.value} (or above) {where} {_PURPOSES[role]}: "
        "ask a manager of the account.",
        status_code=403,
        required_role=role.value,
    )


def load_document(user: User, message_id: str, *, role: Role = Role.VIEWER) -> Document:
    """The stored message, for one who may see it and has the role."""
    document = find_message(message_id)
    if document is None or not _may(user, document.get("account_id"), Role.VIEWER):
        _refuse_unknown("message", message_id)
    if role is not Role.VIEWER:
        require_role(user, document.get("account_id"), role)
    return document


def recall_document(user: User, message_id: str, *, role: Role) -> Document | None:
    """The message as this process saw it last, out of date perhaps, if the person had the role
    then; None otherwise. Who changes it by this names account and version in the change.
    """
    document = seen_messages.recall(message_id)
    if document is None or not _may(user, document.get("account_id"), role):
        return None
    return document


def load_encoded(user: User, message_id: str) -> EncodedMessage:
    """The message as JSON, for one who may see it."""
    message = find_encoded(message_id)
    if message is None or not _may(user, message.account_id, Role.VIEWER):
        _refuse_unknown("message", message_id)
    return message


def load_message(user: User, message_id: str, *, role: Role = Role.VIEWER) -> Message:
    """The same as a model instance, for the stages."""
    message = Message.objects.filter(pk=message_id).first()
    if message is None or not _may(user, message.account_id, Role.VIEWER):
        _refuse_unknown("message", message_id)
    require_role(user, message.account_id, role)
    return message


def load_draft(user: User, draft_id: str, *, role: Role = Role.VIEWER) -> Draft:
    draft = Draft.objects.filter(pk=draft_id).first()
    if draft is None or not _may(user, draft.account_id, Role.VIEWER):
        _refuse_unknown("draft", draft_id)
    document = find_message(draft.message_id)
    if document is not None and not _may(user, document.get("account_id"), Role.VIEWER):
        # The message was given to another account since.
        _refuse_unknown("draft", draft_id)
    require_role(user, draft.account_id, role)
    return draft


def load_reply(user: User, reply_id: str, *, role: Role = Role.VIEWER) -> Reply:
    reply = Reply.objects.filter(pk=reply_id).first()
    if reply is None or not _may(user, reply.account_id, Role.VIEWER):
        _refuse_unknown("reply", reply_id)
    require_role(user, reply.account_id, role)
    return reply


def load_account(user: User, account_id: str, *, role: Role) -> TwitterAccount:
    account = TwitterAccount.objects.filter(pk=account_id).first()
    if account is None or not _may(user, account.pk, Role.VIEWER):
        _refuse_unknown("account", account_id)
    require_role(user, account.pk, role)
    return account
