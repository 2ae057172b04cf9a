"""Who is calling: the API's own access token (JWT), or a personal token of a script."""

from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any, cast

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import status
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken
from rest_framework_simplejwt.tokens import AccessToken

from accounts.models import PersonalToken, User
from accounts.personal import PERSONAL_PREFIX, digest_personal_token
from accounts.verified import SignIn, sign_ins
from autores.problems import ApiProblem

_CHALLENGE = 'Bearer realm="api"'
# Part of the session hash, which changes with the password: old access tokens end with it.
_EPOCH_CLAIM = "epoch"
_EPOCH_LENGTH = 24
_LAST_USED_STEP = timedelta(minutes=1)


class SignInProblem(ApiProblem, AuthenticationFailed):
    """A refusal that DRF answers with 401 and WWW-Authenticate."""

    def __init__(self, code: str, detail: str, **members: Any) -> None:
        super().__init__(code, detail, status_code=status.HTTP_401_UNAUTHORIZED, **members)


def issue_access_token(user: User) -> str:
    """A signed access token; it ends after ACCESS_TOKEN_EXPIRE_MINUTES, or with the password."""
    token = AccessToken.for_user(user)
    token[_EPOCH_CLAIM] = _epoch_of(user)
    return str(token)


class AccessTokenAuthentication(JWTAuthentication):
    """``Authorization: Bearer <JWT>``."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        if _read_personal_token(request) is not None:
            return None
        header = get_authorization_header(request)
        return sign_ins.recall(header, lambda: self._verify(request)) if header else None

    def get_raw_token(self, header: bytes) -> bytes | None:
        # The scheme's case means nothing (RFC 9110), and ``token_type`` says "bearer".
        scheme, blank, value = header.partition(b" ")
        is_ours = scheme.lower() == b"bearer"
        raw: bytes | None = super().get_raw_token(b"Bearer" + blank + value if is_ours else header)
        return raw

    def _verify(self, request: Request) -> SignIn | None:
        try:
            found = super().authenticate(request)
        except InvalidToken:
            raise SignInProblem(
                "token_not_valid", "The access token is expired or not valid. Sign in again."
            ) from None
        except SignInProblem:
            raise
        except AuthenticationFailed as error:
            detail = error.detail
            inner = detail.get("detail", detail) if isinstance(detail, dict) else detail
            raise SignInProblem("bad_authorization_header", str(inner)) from None
        if found is None:
            return None
        user, token = found
        return SignIn(cast(User, user), token, ends_at=float(token["exp"]))

    def get_user(self, validated_token: Any) -> User:
        user = User.objects.filter(pk=str(validated_token.get("sub", ""))).first()
        if user is None or not user.is_active:
            raise SignInProblem("person_inactive", "This person may not sign in any more.")
        if not compare_digest(str(validated_token.get(_EPOCH_CLAIM, "")), _epoch_of(user)):
            raise SignInProblem("token_not_valid", "The password was changed since. Sign in again.")
        return user

    def authenticate_header(self, request: Request) -> str:
        return _CHALLENGE


class PersonalTokenAuthentication(BaseAuthentication):
    """``Authorization: Bearer atr_…`` or ``Authorization: Token atr_…``."""

    def authenticate(self, request: Request) -> tuple[User, Any] | None:
        value = _read_personal_token(request)
        if value is None:
            return None
        return sign_ins.recall(get_authorization_header(request), lambda: self._verify(value))

    def _verify(self, value: str) -> SignIn:
        now = timezone.now()
        token = PersonalToken.objects.filter(pk=digest_personal_token(value)).first()
        if token is None or token.revoked_at is not None:
            raise SignInProblem(
                "token_not_valid", "This personal token does not exist or was revoked."
            )
        if token.expires_at is not None and token.expires_at <= now:
            raise SignInProblem("token_expired", "This personal token expired. Make a new one.")
        user = User.objects.filter(pk=token.user_id).first()
        if user is None or not user.is_active:
            raise SignInProblem("person_inactive", "This person may not sign in any more.")
        _record_use(token, now=now)
        ends_at = token.expires_at.timestamp() if token.expires_at else float("inf")
        return SignIn(user, token, ends_at=ends_at)

    def authenticate_header(self, request: Request) -> str:
        return _CHALLENGE


def _read_personal_token(request: Request) -> str | None:
    parts = get_authorization_header(request).split()
    if len(parts) != 2 or parts[0].lower() not in (b"bearer", b"token"):
        return None
    if parts[0].lower() == b"bearer" and not parts[1].startswith(PERSONAL_PREFIX.encode()):
        return None
    return parts[1].decode("latin-1")


def _record_use(token: PersonalToken, *, now: datetime) -> None:
    if token.last_used_at is not None and now - token.last_used_at < _LAST_USED_STEP:
        return
    is_due = Q(last_used_at=None) | Q(last_used_at__lte=now - _LAST_USED_STEP)
    PersonalToken.objects.filter(is_due, pk=token.pk).update(last_used_at=now)


def _epoch_of(user: User) -> str:
    return user.get_session_auth_hash()[:_EPOCH_LENGTH]


# drf-spectacular's base is untyped.
class AccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = AccessTokenAuthentication
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "From POST /api/v1/auth/token, or from connecting an X account.",
        }


# Likewise.
class PersonalTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = PersonalTokenAuthentication
    name = "personalToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "atr_…",
            "description": "A token for scripts, from POST /api/v1/auth/tokens.",
        }
