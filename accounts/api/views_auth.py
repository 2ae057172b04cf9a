"""Signing in: through X, by password, and with personal tokens."""

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import authenticate
from django.http import HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.authentication import SignInProblem, issue_access_token
from accounts.api.permissions import require_account
from accounts.api.problems import problem_for
from accounts.api.serializers import (
    AccessTokenSerializer,
    AccountBriefSerializer,
    AuthorizationSerializer,
    ConnectedSerializer,
    CredentialsSerializer,
    NewPersonalTokenSerializer,
    PersonalTokenSerializer,
    PersonSerializer,
    RefreshedSerializer,
    RefreshRequestSerializer,
)
from accounts.browser import choose_cookie, read_browser_hash, set_cookie
from accounts.errors import AccountError, AppPausedError
from accounts.guessing import seconds_until_retry
from accounts.linking import (
    begin_link,
    complete_link,
    find_return_to,
    hash_browser,
    list_missing_scopes,
)
from accounts.models import AppPause, PersonalToken, Role, User
from accounts.personal import create_personal_token
from accounts.tokens import access_token_for
from accounts.verified import forget_sign_ins
from autores.problems import ApiProblem
from autores.x.errors import XError

TAG = ["Sign-in"]
MAX_PERSONAL_TOKENS = 50


def signed_in(request: Request) -> User | None:
    return request.user if isinstance(request.user, User) else None


def token_members(user: User) -> dict[str, Any]:
    """The API's own access token, as OAuth 2.0 names its parts."""
    return {
        "access_token": issue_access_token(user),
        "token_type": "bearer",
        "expires_in": settings.ACCESS_TOKEN_EXPIRE_MINUTES * 60,
    }


def require_sign_in(request: Request, act: str) -> None:
    """Refuse a personal token what would let whoever found one outlive its revocation."""
    if isinstance(request.auth, PersonalToken):
        raise ApiProblem(
            "sign_in_needed",
            f"A personal token cannot {act}. Sign in with your password or X.",
            status_code=status.HTTP_403_FORBIDDEN,
        )


class AuthorizeView(APIView):
    """Begin to connect an X account."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="twitter_authorize",
        summary="Begin to connect an X account",
        description="Open the returned address in the browser that made this call: the callback "
        "checks its cookie, or that the same person is signed in. The flow ends after 10 minutes. "
        "A personal token cannot begin or finish one.",
        tags=TAG,
        request=None,
        responses=AuthorizationSerializer,
    )
    def post(self, request: Request) -> Response:
        require_sign_in(request, "connect an account")
        cookie = choose_cookie(request)
        try:
            url = begin_link(user=signed_in(request), browser_hash=hash_browser(cookie))
        except (AccountError, XError) as error:
            raise problem_for(error) from None
        response = Response(
            {
                "authorization_url": url,
                "message": "Open this address to allow Autores to work for your X account.",
            },
            headers={"Cache-Control": "no-store"},
        )
        set_cookie(response, cookie)
        return response


class CallbackView(APIView):
    """Where X sends the browser back."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="twitter_callback",
        summary="Finish connecting an X account",
        description="Gives the account and an access token for the API. A flow begun in the "
        "admin is redirected there instead.",
        tags=TAG,
        parameters=[
            OpenApiParameter("code", str, description="X's one-time code."),
            OpenApiParameter("state", str, required=True),
            OpenApiParameter("error", str, description="What X gives instead of a code."),
        ],
        responses={200: ConnectedSerializer, 302: OpenApiResponse(description="To the admin.")},
    )
    def get(self, request: Request) -> Response | HttpResponseRedirect:
        # The answer holds an access token.
        require_sign_in(request, "connect an account")
        given = {
            name: request.query_params.get(name, "")
            for name in ("code", "state", "error", "error_description")
        }
        return_to = find_return_to(given["state"])
        try:
            linked = complete_link(
                **given, user=signed_in(request), browser_hash=read_browser_hash(request)
            )
        except (AccountError, XError) as error:
            if page := return_to or _find_admin_page(request):
                messages.error(request._request, error.sentence)
                return HttpResponseRedirect(page)
            raise problem_for(error) from None
        message = f"{linked.account} is connected."
        if missing := list_missing_scopes(linked.account):
            message += f" Not granted: {', '.join(missing)}."
        if linked.return_to:
            tell = messages.warning if missing else messages.success
            tell(request._request, message)
            return HttpResponseRedirect(linked.return_to)
        return Response(
            {
                "message": message,
                "account": AccountBriefSerializer(linked.account).data,
                **token_members(linked.person),
            },
            headers={"Cache-Control": "no-store"},
        )


def _find_admin_page(request: Request) -> str:
    """Where a person in a browser goes on whose flow is not known (any more)."""
    user = signed_in(request)
    is_browser = request.accepted_renderer.format == "api"
    if user is None or not user.is_staff or not is_browser:
        return ""
    return reverse("admin:accounts_twitteraccount_changelist")


class RefreshView(APIView):
    """Renew X's token of an account."""

    @extend_schema(
        operation_id="twitter_refresh",
        summary="Renew X's token of an account now",
        description="Autores renews tokens by itself; this forces it. Needs the manager's role.",
        tags=TAG,
        parameters=[OpenApiParameter("account_id", str, description="Or in the JSON body.")],
        request=RefreshRequestSerializer,
        responses=RefreshedSerializer,
    )
    def post(self, request: Request) -> Response:
        account_id = request.query_params.get("account_id")
        given = {"account_id": account_id} if account_id else request.data
        serializer = RefreshRequestSerializer(data=given)
        serializer.is_valid(raise_exception=True)
        account = require_account(
            request.user, serializer.validated_data["account_id"], role=Role.MANAGER
        )
        try:
            if (pause := AppPause.current()) is not None:
                raise AppPausedError(f"All calls to X are paused: {pause.reason}")
            access_token_for(account, must_refresh=True)
        except (AccountError, XError) as error:
            raise problem_for(error) from None
        account.refresh_from_db()
        return Response(
            RefreshedSerializer(
                {
                    "message": f"The token of {account} is renewed.",
                    "expires_at": account.token_expires_at,
                    "account_username": account.twitter_username,
                }
            ).data
        )


class TokenView(APIView):
    """An access token for a name and a password."""

    authentication_classes: ClassVar[list[Any]] = []
    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="sign_in",
        summary="Sign in with name and password",
        tags=TAG,
        request={
            "application/json": CredentialsSerializer,
            "application/x-www-form-urlencoded": CredentialsSerializer,
        },
        responses=AccessTokenSerializer,
        auth=[],
    )
    def post(self, request: Request) -> Response:
        serializer = CredentialsSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        username = serializer.validated_data["username"]
        user = authenticate(
            request._request, username=username, password=serializer.validated_data["password"]
        )
        if wait := seconds_until_retry(request._request):
            raise ApiProblem(
                "too_many_attempts",
                f"Too many failed attempts to sign in. Try again in {round(wait)} seconds.",
                status_code=status.HTTP_429_TOO_MANY_REQUESTS,
                retry_after=wait,
            )
        if not isinstance(user, User):
            raise SignInProblem("invalid_credentials", "The name or the password is wrong.")
        User.objects.filter(pk=user.pk).update(last_login=timezone.now())
        return Response(token_members(user), headers={"Cache-Control": "no-store"})

    def get_authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class PersonalTokensView(APIView):
    """The caller's tokens for scripts."""

    @extend_schema(
        operation_id="personal_tokens_list",
        summary="List your personal tokens",
        tags=TAG,
        responses=PersonalTokenSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        tokens = PersonalToken.objects.filter(user_id=request.user.pk).order_by("-created_at")
        return Response(PersonalTokenSerializer(tokens, many=True).data)

    @extend_schema(
        operation_id="personal_tokens_create",
        summary="Make a personal token",
        description="The value is in this answer only. A personal token cannot make another.",
        tags=TAG,
        request=PersonalTokenSerializer,
        responses={201: NewPersonalTokenSerializer},
    )
    def post(self, request: Request) -> Response:
        require_sign_in(request, "make another one")
        serializer = PersonalTokenSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        live = PersonalToken.objects.filter(user_id=request.user.pk, revoked_at=None)
        if live.count() >= MAX_PERSONAL_TOKENS:
            raise ApiProblem(
                "too_many_tokens",
                f"You have {MAX_PERSONAL_TOKENS} personal tokens. Revoke one first.",
                status_code=status.HTTP_409_CONFLICT,
            )
        token, value = create_personal_token(
            request.user,
            name=serializer.validated_data["name"],
            expires_at=serializer.validated_data.get("expires_at"),
        )
        body = {**PersonalTokenSerializer(token).data, "token": value}
        return Response(body, status=201, headers={"Cache-Control": "no-store"})


class PersonalTokenView(APIView):
    """One of the caller's tokens."""

    @extend_schema(
        operation_id="personal_tokens_revoke",
        summary="Revoke a personal token",
        tags=TAG,
        parameters=[OpenApiParameter("id", OpenApiTypes.STR, OpenApiParameter.PATH)],
        responses={204: None},
    )
    def delete(self, request: Request, id: str) -> Response:
        tokens = PersonalToken.objects.filter(pk=id, user_id=request.user.pk)
        if not tokens.exists():
            raise ApiProblem(
                "personal_token_not_found",
                "You have no such personal token.",
                status_code=status.HTTP_404_NOT_FOUND,
            )
        tokens.filter(revoked_at=None).update(revoked_at=timezone.now())
        forget_sign_ins()
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(APIView):
    """Who is calling."""

    @extend_schema(
        operation_id="me",
        summary="Who you are, and your roles",
        tags=TAG,
        responses=PersonSerializer,
    )
    def get(self, request: Request) -> Response:
        return Response(PersonSerializer(request.user).data)
