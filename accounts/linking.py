"""Connecting an X account: begin a consent flow, and end it in the browser that began it.

The state is stored as its SHA-256 and taken by deleting it, so that of two callbacks with one
state a single one goes on. A flow belongs to the person who began it, or to the browser that
holds the cookie: otherwise somebody could finish his own flow in another person's session, or
have another person's account attached to himself. A flow taken over from the former system
belongs to nobody, so it may only renew an account that the person signed in manages already.
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, connection
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme

from accounts.clients import oauth_client, x_client
from accounts.errors import LinkRefusedError
from accounts.models import Membership, OAuthState, Role, TwitterAccount, User
from accounts.permissions import has_role
from accounts.signals import announce
from accounts.stored_tokens import token_cipher
from accounts.tokens import grant_fields, store_grant
from autores.x.errors import XError
from autores.x.types import TokenGrant
from autores.x.types import User as XUser

logger = logging.getLogger(__name__)

# Without these an account cannot be worked at all; others are stored and shown when missing.
REQUIRED_SCOPES = frozenset({"tweet.read", "tweet.write", "users.read", "offline.access"})


# What the import adds to a document it brings; see ``mentions.legacy.state``.
_IMPORTED = "imported"


@dataclass(frozen=True, slots=True)
class LinkedAccount:
    """The account, the person it was connected for, and where the flow wanted to go."""

    account: TwitterAccount
    person: User
    is_new: bool
    return_to: str = ""


def hash_browser(cookie: str) -> str:
    """What is stored of the browser's cookie; empty for no cookie."""
    return hashlib.sha256(cookie.encode()).hexdigest() if cookie else ""


def begin_link(
    *, user: User | None, browser_hash: str, return_to: str = "", reconnects: str = ""
) -> str:
    """X's consent page for a new flow, to be opened by the person.

    return_to   a path inside the admin to end at; LinkRefusedError for anything else
    reconnects  the id of an account: the flow ends with an error if another one consents
    """
    if return_to and not is_admin_path(return_to):
        raise LinkRefusedError(
            "return_to must be a path inside the admin, such as /admin/.", code="invalid_return_to"
        )
    state = secrets.token_urlsafe(32)
    authorization = oauth_client().begin(state)
    OAuthState.objects.create(
        state=_digest(state),
        code_verifier=token_cipher().encrypt(authorization.code_verifier),
        user=user,
        browser_hash=browser_hash,
        redirect_uri=settings.TWITTER_CALLBACK_URL,
        return_to=return_to,
        reconnects=reconnects,
    )
    return authorization.url


def complete_link(
    *,
    code: str,
    state: str,
    error: str = "",
    error_description: str = "",
    user: User | None,
    browser_hash: str,
    now: datetime | None = None,
) -> LinkedAccount:
    """End the flow of ``state``: exchange the code, and store or refresh the account.

    Raises LinkRefusedError for our reasons, XError for X's (denied, code expired, X down).
    Tokens of a flow refused after the exchange are revoked at X.
    """
    moment = now or timezone.now()
    flow, is_taken_over = _take_state(state, now=moment)
    if is_taken_over:
        person = user
        if person is None:
            raise _begin_again()
    else:
        person = _check_binding(flow, user=user, browser_hash=browser_hash)
    client = oauth_client(redirect_uri=flow.redirect_uri)
    params = {
        "state": state,
        "code": code,
        "error": error,
        "error_description": error_description,
    }
    one_time_code = client.read_callback(params, expected_state=state)
    verifier = token_cipher().decrypt(flow.code_verifier)
    grant = client.exchange(one_time_code, code_verifier=verifier)
    try:
        return _accept_grant(grant, person, flow=flow, now=moment, is_renewal=is_taken_over)
    except BaseException:
        _revoke(grant)
        raise


def list_missing_scopes(account: TwitterAccount) -> list[str]:
    """What was asked of the account's owner and not granted; none while that is not known."""
    asked = set(settings.TWITTER_SCOPE.split()) | REQUIRED_SCOPES
    return sorted(asked - set(account.scopes)) if account.scopes else []


def find_return_to(state: str) -> str:
    """Where the flow of ``state`` wants to end, without taking it; empty if there is none."""
    flow = OAuthState.objects.filter(pk=_digest(state)).first() if state else None
    return _safe_path(flow.return_to) if flow is not None else ""


def is_admin_path(path: str) -> bool:
    """Whether ``path`` is a plain relative path inside the admin: no host, no way out of it."""
    return (
        path.startswith(reverse("admin:index"))
        and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
        and not any(part in path for part in ("//", "..", "\\", "%", "\n", "\r", "\t"))
        and path != reverse("admin:logout")
    )


def _take_state(state: str, *, now: datetime) -> tuple[OAuthState, bool]:
    """The flow, removed from the store: nobody finds it a second time.

    Also when it turns out to be somebody else's: the code that came along is of an account whose
    owner may have been lured here, and must not be good for whoever began the flow.

    And whether the import brought it from the former system.
    """
    if not state:
        raise LinkRefusedError(
            "The callback came without a state. Start again from the connect page.",
            code="state_missing",
        )
    collection = connection.get_collection(OAuthState._meta.db_table)
    found: dict[str, Any] | None = collection.find_one_and_delete({"_id": _digest(state)})
    if found is None:
        raise LinkRefusedError(
            "This sign-in was not begun here, was finished already, or is too old. Start again.",
            code="state_unknown",
        )
    flow = OAuthState(
        state=found["_id"],
        code_verifier=found["code_verifier"],
        user_id=found.get("user_id"),
        browser_hash=found.get("browser_hash") or "",
        redirect_uri=found.get("redirect_uri") or "",
        return_to=_safe_path(found.get("return_to") or ""),
        reconnects=found.get("reconnects") or "",
        expires_at=_aware(found["expires_at"]),
    )
    if flow.expires_at <= now:
        raise LinkRefusedError(
            "This sign-in was begun more than 10 minutes ago. Start again.",
            code="state_expired",
        )
    return flow, _IMPORTED in found


def _check_binding(flow: OAuthState, *, user: User | None, browser_hash: str) -> User | None:
    """The person the account is connected for; None for somebody who is not signed in."""
    if user is not None and flow.user_id not in (None, user.pk):
        raise LinkRefusedError(
            "This sign-in was begun by somebody else. Start again.",
            code="other_person",
            status_code=403,
        )
    is_same_browser = bool(flow.browser_hash) and compare_digest(flow.browser_hash, browser_hash)
    if not is_same_browser and (user is None or flow.user_id is None):
        raise LinkRefusedError(
            "This sign-in was begun in another browser. Start again, in this one.",
            code="other_browser",
            status_code=403,
        )
    if flow.user_id is None:
        return user
    person = User.objects.filter(pk=flow.user_id, is_active=True).first()
    if person is None:
        raise _person_inactive()
    return person


def _accept_grant(
    grant: TokenGrant, person: User | None, *, flow: OAuthState, now: datetime, is_renewal: bool
) -> LinkedAccount:
    missing = REQUIRED_SCOPES - grant.scopes
    if missing or grant.refresh_token is None:
        missing = missing or frozenset({"offline.access"})
        raise LinkRefusedError(
            f"X did not grant: {', '.join(sorted(missing))}. Start again and allow everything "
            "asked for; if X does not ask, check the app's permissions in X's developer console.",
            code="scope_missing",
            status_code=403,
        )
    profile = x_client(grant.access_token, scopes=sorted(grant.scopes)).get_me()
    known = TwitterAccount.objects.filter(twitter_id=profile.id).first()
    if flow.reconnects and (known is None or known.pk != flow.reconnects):
        wanted = TwitterAccount.objects.filter(pk=flow.reconnects).first()
        raise LinkRefusedError(
            f"On X you were signed in as @{profile.username}, and it is {wanted or 'another one'} "
            "that was to be connected again. Nothing was changed: sign in on X as that account, "
            "or use “Connect an account” for this one.",
            code="other_account",
            status_code=403,
        )
    if is_renewal and not (known and person and has_role(person, known.pk, Role.MANAGER)):
        raise _begin_again()
    if person is None:
        if known is None and not settings.X_OPEN_SIGN_UP:
            raise LinkRefusedError(
                f"@{profile.username} is not known here. Sign in first and connect it then, or "
                "ask an administrator to.",
                code="sign_up_closed",
                status_code=403,
            )
        person = _find_owner(profile)
    account, is_new = _save_account(profile, known, grant, now=now)
    # After the tokens: a crash between the two leaves an account that connecting again completes.
    managers = Membership.objects.filter(account_id=account.pk, role=Role.MANAGER)
    ids = list(managers.values_list("user_id", flat=True))
    if not User.objects.filter(pk__in=ids, is_active=True).exists():
        _make_manager(person, account)
    announce(
        "account.connected" if is_new else "account.reconnected",
        account_id=account.pk,
        actor=person.pk,
        after={"username": account.twitter_username, "scopes": " ".join(sorted(grant.scopes))},
    )
    logger.info("Account %s connected for person %s", account.pk, person.pk)
    return LinkedAccount(account=account, person=person, is_new=is_new, return_to=flow.return_to)


def _make_manager(person: User, account: TwitterAccount) -> None:
    """Of an account that nobody manages. Who else renews its consent has proved that he can sign in
    on X, and not that the team wants him: the manager gives him a role, or has taken it from him.
    """
    try:
        Membership.objects.update_or_create(
            user_id=person.pk, account_id=account.pk, defaults={"role": Role.MANAGER}
        )
    except IntegrityError:
        logger.debug("Somebody made this membership at the same moment")


def _save_account(
    profile: XUser, known: TwitterAccount | None, grant: TokenGrant, *, now: datetime
) -> tuple[TwitterAccount, bool]:
    names = {"twitter_username": profile.username, "display_name": profile.name}
    if known is None:
        try:
            # With its tokens in the same write: a poll may begin the moment the row is there.
            created = TwitterAccount.objects.create(
                twitter_id=profile.id, **names, **grant_fields(grant, now=now)
            )
        except IntegrityError:
            known = TwitterAccount.objects.get(twitter_id=profile.id)
        else:
            return created, True
    store_grant(known.pk, grant, now=now)
    TwitterAccount.objects.filter(pk=known.pk).update(
        **known.name_changes(profile.username, profile.name, now=now)
    )
    known.refresh_from_db()
    return known, False


def _find_owner(profile: XUser) -> User:
    """The person who signs in through this X account; made on the first time."""
    owner = User.objects.filter(x_user_id=profile.id).first()
    if owner is None:
        name = f"@{profile.username}"
        if User.objects.filter(username=name).exists():
            name = f"@{profile.username}-{profile.id}"
        try:
            owner = User.objects.create(
                username=name,
                first_name=profile.name[:150],
                x_user_id=profile.id,
                password=make_password(None),
            )
        except IntegrityError:
            owner = User.objects.get(x_user_id=profile.id)
    if not owner.is_active:
        raise _person_inactive()
    return owner


def _begin_again() -> LinkRefusedError:
    return LinkRefusedError(
        "This sign-in was begun in the former system, so it can only renew an account that you, "
        "signed in here, manage already. Sign in and begin again from the connect page.",
        code="begun_elsewhere",
        status_code=403,
    )


def _person_inactive() -> LinkRefusedError:
    return LinkRefusedError(
        "This person may not sign in any more. Ask an administrator.",
        code="person_inactive",
        status_code=403,
    )


def _revoke(grant: TokenGrant) -> None:
    for token in (grant.refresh_token, grant.access_token):
        if token is None:
            continue
        try:
            oauth_client().revoke(token)
        except XError as error:
            logger.warning("A token of a refused connection was not revoked: %s", error.code)


def _safe_path(return_to: str) -> str:
    # Checked on the way in; checked again, as the row has been out of our hands since.
    return return_to if is_admin_path(return_to) else ""


def _digest(state: str) -> str:
    return hashlib.sha256(state.encode()).hexdigest()


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
