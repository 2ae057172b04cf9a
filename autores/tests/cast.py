"""The people and accounts of the tests: ana (manager), bruno (responder), carla (stranger)."""

from urllib.parse import parse_qs, urlsplit

import requests

from accounts.linking import begin_link, complete_link
from accounts.models import Membership, Role, TwitterAccount, User
from autores.sandbox.server import RunningSandbox

PASSWORD = "correct horse battery"


def create_person(username: str, *, is_staff: bool = True, is_superuser: bool = False) -> User:
    make = User.objects.create_superuser if is_superuser else User.objects.create_user
    extra = {} if is_superuser else {"is_staff": is_staff}
    return make(username=username, password=PASSWORD, **extra)


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


def give_role(user: User, account: TwitterAccount, role: Role) -> Membership:
    return Membership.objects.create(user=user, account=account, role=role)
