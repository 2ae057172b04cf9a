"""Kept sign-ins: spared reads, and how soon a revoked one is refused."""

import threading
from typing import Any

import pytest
from django.utils import timezone

from accounts.api.authentication import PersonalTokenAuthentication, SignInProblem
from accounts.models import Membership, PersonalToken, Role, TwitterAccount, User
from accounts.permissions import account_ids_visible_to, role_on
from accounts.personal import create_personal_token
from accounts.tests.conftest import client_of
from accounts.verified import KEPT_SECONDS, SignIn, VerifiedSignIns
from autores.mongo.plans import recorded_plans
from autores.mongo.transactions import run_in_transaction
from autores.tests.cast import give_role

pytestmark = pytest.mark.django_db(transaction=True)

ME = "/api/v1/auth/me"
MESSAGES = "/api/v1/messages/"


class Process:
    """What another process keeps, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.kept = VerifiedSignIns(clock=lambda: self.now)

    def sign_in(self, value: str) -> Any:
        def verify() -> SignIn:
            return PersonalTokenAuthentication()._verify(value)

        return self.kept.recall(value.encode(), verify)


def revoke(token: PersonalToken) -> None:
    PersonalToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())


def test_revoked_token_is_refused_within_seconds_in_every_process(ana: User) -> None:
    token, value = create_personal_token(ana, name="x")
    processes = [Process(), Process()]
    for process in processes:
        assert process.sign_in(value)[0] == ana

    revoke(token)

    for process in processes:
        process.now += KEPT_SECONDS
        with pytest.raises(SignInProblem, match="revoked"):
            process.sign_in(value)


def test_person_is_refused_within_seconds_when_no_longer_active(ana: User) -> None:
    _, value = create_personal_token(ana, name="x")
    process = Process()
    process.sign_in(value)
    User.objects.filter(pk=ana.pk).update(is_active=False)

    process.now += KEPT_SECONDS

    with pytest.raises(SignInProblem, match="not sign in any more"):
        process.sign_in(value)


def test_sign_in_is_not_kept_when_it_was_revoked_while_verified(ana: User) -> None:
    token, value = create_personal_token(ana, name="x")
    kept, has_read, may_end = VerifiedSignIns(), threading.Event(), threading.Event()

    def verify_slowly() -> SignIn:
        sign_in = PersonalTokenAuthentication()._verify(value)
        has_read.set()
        assert may_end.wait(20)
        return sign_in

    reader = threading.Thread(target=lambda: kept.recall(b"key", verify_slowly))
    reader.start()
    assert has_read.wait(20)
    revoke(token)
    kept.forget_all()
    may_end.set()
    reader.join(20)

    with pytest.raises(SignInProblem):
        kept.recall(b"key", lambda: PersonalTokenAuthentication()._verify(value))


def test_sign_in_ends_with_its_token_though_it_is_kept(ana: User) -> None:
    kept = VerifiedSignIns()
    kept.recall(b"key", lambda: SignIn(ana, None, ends_at=1.0))

    assert kept.recall(b"key", lambda: None) is None


def test_caller_gets_a_person_of_his_own(ana: User) -> None:
    kept = VerifiedSignIns()
    first, _ = kept.recall(b"key", lambda: SignIn(ana, None)) or (None, None)
    first.username = "changed"
    second, _ = kept.recall(b"key", lambda: None) or (None, None)

    assert second.username == "ana"


def test_nothing_is_read_when_the_sign_in_is_fresh(ana: User) -> None:
    client = client_of(ana)
    client.get(MESSAGES)

    with recorded_plans() as plans:
        assert client.get(MESSAGES).status_code == 200

    assert [plan.description for plan in plans] == []


@pytest.fixture
def acme_id(bruno: User) -> str:
    acme = TwitterAccount.objects.create(twitter_id="9001", twitter_username="acme")
    give_role(bruno, acme, Role.RESPONDER)
    return str(acme.pk)


def test_change_counts_at_once_in_the_process_that_made_it(bruno: User, acme_id: str) -> None:
    client = client_of(bruno)
    assert client.get(f"/api/v1/accounts/{acme_id}").status_code == 200

    run_in_transaction(lambda: Membership.objects.filter(user=bruno).delete())

    assert client.get(f"/api/v1/accounts/{acme_id}").status_code == 404
    client.get(ME)
    bruno.set_password("another-good-one-9")
    bruno.save()
    assert client.get(ME).status_code == 401


def test_known_roles_are_those_of_the_rows(bruno: User, acme_id: str) -> None:
    kept = VerifiedSignIns()
    person, _ = kept.recall(b"key", lambda: SignIn(bruno, None)) or (None, None)

    for role in Role:
        expected = account_ids_visible_to(bruno, role=role)
        assert account_ids_visible_to(person, role=role) == expected
    assert role_on(person, acme_id) == role_on(bruno, acme_id)
    assert role_on(person, "none") is None
