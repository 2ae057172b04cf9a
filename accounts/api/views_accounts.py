"""The connected X accounts that the caller may see, and their health."""

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.permissions import require_account
from accounts.api.serializers import (
    AccountChangeSerializer,
    AccountEventSerializer,
    AccountSerializer,
)
from accounts.health import pause_account, resume_account
from accounts.models import AccountEvent, AccountStatus, Membership, Role, TwitterAccount
from accounts.permissions import Person, account_ids_visible_to
from autores.problems import ApiProblem

TAG = ["Accounts"]
_MAX_EVENTS = 200
_ID = OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)


def _roles_of(user: Person) -> dict[str, str] | None:
    """Role by account id; None for a superuser, who manages all."""
    if user.is_superuser:
        return None
    found = Membership.objects.filter(user_id=user.pk).values_list("account_id", "role")
    return dict(found)


class AccountsView(APIView):
    """The accounts the caller is a member of."""

    @extend_schema(
        operation_id="accounts_list",
        summary="List your X accounts and their health",
        tags=TAG,
        responses=AccountSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        ids = account_ids_visible_to(request.user)
        accounts = TwitterAccount.objects.order_by("twitter_username")
        if ids is not None:
            accounts = accounts.filter(pk__in=ids)
        context = {"roles": _roles_of(request.user)}
        return Response(AccountSerializer(accounts, many=True, context=context).data)


class AccountView(APIView):
    """One account."""

    @extend_schema(
        operation_id="accounts_get",
        summary="Read an X account and its health",
        tags=TAG,
        parameters=[_ID],
        responses=AccountSerializer,
    )
    def get(self, request: Request, id: str) -> Response:
        return self._answer(request, require_account(request.user, id))

    @extend_schema(
        operation_id="accounts_change",
        summary="Pause or resume an account, or set its voice",
        description="Needs the manager's role.",
        tags=TAG,
        parameters=[_ID],
        request=AccountChangeSerializer,
        responses=AccountSerializer,
    )
    def patch(self, request: Request, id: str) -> Response:
        account = require_account(request.user, id, role=Role.MANAGER)
        serializer = AccountChangeSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        changes = dict(serializer.validated_data)
        now = timezone.now()
        wanted = changes.pop("status", None)
        if wanted == AccountStatus.PAUSED:
            pause_account(
                account,
                reason=f"Paused by {request.user.get_username()}.",
                now=now,
                actor=request.user.pk,
            )
        elif wanted == AccountStatus.ACTIVE:
            _resume(account, actor=request.user.pk)
        if changes:
            TwitterAccount.objects.filter(pk=account.pk).update(**changes, updated_at=now)
        account.refresh_from_db()
        return self._answer(request, account)

    def _answer(self, request: Request, account: TwitterAccount) -> Response:
        context = {"roles": _roles_of(request.user)}
        return Response(AccountSerializer(account, context=context).data)


class AccountHistoryView(APIView):
    """What happened to an account's health."""

    @extend_schema(
        operation_id="accounts_history",
        summary="The history of an account's health, newest first",
        description="The newest 200 changes of status, of the last half year.",
        tags=TAG,
        parameters=[_ID],
        responses=AccountEventSerializer(many=True),
    )
    def get(self, request: Request, id: str) -> Response:
        account = require_account(request.user, id)
        events = AccountEvent.objects.filter(account_id=account.pk).order_by("-at")[:_MAX_EVENTS]
        return Response(AccountEventSerializer(events, many=True).data)


def _resume(account: TwitterAccount, *, actor: str) -> None:
    if resume_account(account, now=timezone.now(), actor=actor):
        return
    account.refresh_from_db()
    if account.status == AccountStatus.ACTIVE:
        return
    sentences = {
        AccountStatus.TOKEN_EXPIRED: "Resuming does not help: connect the account again.",
        AccountStatus.RATE_LIMITED: "X's limit is reached; the account goes on by itself.",
    }
    raise ApiProblem(
        f"account_{account.status}",
        sentences.get(AccountStatus(account.status), "The account cannot be resumed now."),
        status_code=409,
    )
