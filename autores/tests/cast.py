"""The people and accounts of the tests: ana (manager), bruno (responder), carla (stranger)."""

from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from django.conf import settings
from django.utils import timezone

from accounts.linking import begin_link, complete_link
from accounts.models import Membership, Role, TwitterAccount, User
from accounts.tokens import grant_fields
from autores.sandbox.server import RunningSandbox
from autores.x.types import TokenGrant

# Goes into forms and URLs as it is.
PASSWORD = "correct-horse-battery"


def create_person(username: str, *, is_staff: bool = True, **values: Any) -> User:
    """One who may open the admin, unless told otherwise; a superuser with ``is_superuser``."""
    return User.objects.create_user(
        username=username, password=PASSWORD, is_staff=is_staff, **values
    )


def connect_account(
    sandbox: RunningSandbox, username: str, *, by: User, **user_values: object
) -> TwitterAccount:
    """Connect an X account as ``by``, through the consent page and the callback's exchange."""
    sandbox.control.create_user(username, **user_values)
    sandbox.control.set_consent(username=username, decision="approve")
    consent_page = begin_link(user=by, browser_hash="")
    answer = requests.get(consent_page, allow_redirects=False, timeout=10)
    given = parse_qs(urlsplit(answer.headers["Location"]).query)
    linked = complete_link(code=given["code"][0], state=given["state"][0], user=by, browser_hash="")
    return linked.account


def add_account(
    sandbox: RunningSandbox, username: str, *, by: User, **user_values: object
) -> TwitterAccount:
    """A connected account of ``by`` with tokens of the sandbox, without the way to them: quick."""
    now = timezone.now()
    profile = sandbox.control.create_user(username, **user_values)
    tokens = sandbox.control.issue_tokens(username, scopes=settings.TWITTER_SCOPE.split())
    grant = TokenGrant(
        access_token=tokens["access_token"],
        refresh_token=tokens["refresh_token"],
        expires_at=now + timedelta(seconds=tokens["expires_in"]),
        scopes=frozenset(tokens["scope"].split()),
    )
    account = TwitterAccount.objects.create(
        twitter_id=profile["id"],
        twitter_username=profile["username"],
        display_name=profile["name"],
        **grant_fields(grant, now=now),
    )
    give_role(by, account, Role.MANAGER)
    return account


def give_role(user: User, account: TwitterAccount, role: Role) -> Membership:
    return Membership.objects.create(user=user, account=account, role=role)
