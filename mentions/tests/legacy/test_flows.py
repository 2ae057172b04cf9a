"""Consent flows begun in the former system, taken over and ended here, against the sandbox."""

import hashlib
import json
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.clients import oauth_client
from accounts.models import Membership, OAuthState, Role, TwitterAccount
from accounts.stored_tokens import token_cipher
from autores.tests.cast import create_person
from mentions.legacy.rollback import roll_back
from mentions.tests.legacy.database import ACCESS_TOKEN

STATE = "state-of-the-former-system"
CALLBACK = "/api/v1/auth/twitter/callback"


@pytest.fixture
def begun(legacy, run_import, sandbox):
    """A person at X's consent page, sent there by the former system, whose data is here now."""
    user = sandbox.control.create_user("acme", name="Acme")
    legacy.add_user(twitter_id=user["id"])
    # The same app at X as the former system's.
    authorization = oauth_client().begin(STATE)
    legacy.add_state(
        STATE,
        code_verifier=authorization.code_verifier,
        created_at=timezone.now().replace(tzinfo=None),
    )
    report = run_import()
    assert report["exit_code"] == 0
    return authorization.url


def consent(sandbox, url, username="acme"):
    """What X sends the browser back with."""
    sandbox.control.set_consent(username=username, decision="approve")
    answer = requests.get(url, allow_redirects=False, timeout=10)
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))


def count_exchanges(sandbox):
    return len(sandbox.control.list_calls(route="token", limit=1000))


def test_account_is_renewed_when_its_manager_ends_a_flow_of_the_former_system(begun, sandbox):
    ana = create_person("ana")
    Membership.objects.create(user=ana, account_id="account-1", role=Role.MANAGER)
    client = Client()
    client.force_login(ana)

    answer = client.get(CALLBACK, consent(sandbox, begun))

    assert answer.status_code == 200, answer.content
    account = TwitterAccount.objects.get()
    assert (account.pk, account.twitter_username) == ("account-1", "acme")
    assert token_cipher().decrypt(account.access_token) != ACCESS_TOKEN
    assert account.fenced_since is None
    assert not OAuthState.objects.exists()


def test_person_is_told_to_begin_again_when_not_signed_in_here(begun, sandbox):
    answer = Client().get(CALLBACK, consent(sandbox, begun))

    assert answer.status_code == 403
    assert answer.json()["code"] == "begun_elsewhere"
    assert "begin again" in answer.json()["detail"]
    # Nothing went to X, and the flow is used up.
    assert count_exchanges(sandbox) == 0
    assert not OAuthState.objects.exists()
    assert token_cipher().decrypt(TwitterAccount.objects.get().access_token) == ACCESS_TOKEN


@pytest.mark.parametrize("role", [None, Role.RESPONDER])
def test_tokens_are_given_back_when_the_account_is_not_the_persons(begun, sandbox, role):
    carla = create_person("carla")
    if role is not None:
        Membership.objects.create(user=carla, account_id="account-1", role=role)
    client = Client()
    client.force_login(carla)

    answer = client.get(CALLBACK, consent(sandbox, begun))

    assert (answer.status_code, answer.json()["code"]) == (403, "begun_elsewhere")
    assert token_cipher().decrypt(TwitterAccount.objects.get().access_token) == ACCESS_TOKEN
    assert len(sandbox.control.list_calls(route="revoke", limit=10)) == 2


def test_another_account_is_not_attached_when_a_manager_is_lured_to_the_callback(begun, sandbox):
    ana = create_person("ana")
    Membership.objects.create(user=ana, account_id="account-1", role=Role.MANAGER)
    client = Client()
    client.force_login(ana)
    sandbox.control.create_user("mallory")

    answer = client.get(CALLBACK, consent(sandbox, begun, "mallory"))

    assert (answer.status_code, answer.json()["code"]) == (403, "begun_elsewhere")
    assert TwitterAccount.objects.count() == 1


def test_flow_is_refused_when_it_is_too_old(begun, sandbox):
    OAuthState.objects.update(expires_at=timezone.now())
    client = Client()
    client.force_login(create_person("ana", is_superuser=True))
    answer = client.get(CALLBACK, consent(sandbox, begun))
    assert answer.json()["code"] in {"state_expired", "state_unknown"}


def test_state_is_a_hash_wherever_it_is_kept(begun, legacy, run_import):
    legacy.execute("ALTER TABLE oauth_states MODIFY code_verifier VARCHAR(255) NULL")
    bad = "rejected-state-of-a-live-flow"
    legacy.add_state(bad, code_verifier=None, created_at=timezone.now().replace(tzinfo=None))
    report = run_import()
    database = connection.database
    everything = json.dumps(report) + "".join(
        json.dumps(found, default=str)
        for name in database.list_collection_names()
        for found in database[name].find()
    )
    assert STATE not in everything
    assert bad not in everything
    assert hashlib.sha256(STATE.encode()).hexdigest() in everything
    assert report["tables"]["oauth_states"]["rejected"] == 1
    assert report["verification"]["is_proven"]


def test_comparison_holds_when_states_are_many_used_and_unusual(legacy, run_import):
    now = timezone.now().replace(tzinfo=None)
    legacy.add_user()
    for number in range(40):
        legacy.add_state(f"{'Aa'[number % 2]}-{number}-ß", created_at=now, code_verifier="x" * 255)
    legacy.add_state("s" * 255, created_at=now)
    legacy.add_state("old", created_at="2020-01-01 00:00:00")
    assert run_import("--chunk-size", "7")["verification"]["is_proven"]
    # One is used here, one there, one is spoiled.
    collection = connection.get_collection("oauth_states")
    keys = [hashlib.sha256(f"A-{number}-ß".encode()).hexdigest() for number in (0, 2)]
    collection.delete_one({"_id": keys[0]})
    collection.update_one({"_id": keys[1]}, {"$set": {"code_verifier": "v1:broken"}})

    report = run_import("--verify-only")

    table = report["verification"]["tables"]["oauth_states"]
    assert (table["in_mysql"], table["equal"]) == (42, 39)
    assert (table["skipped"], table["deleted_here"], table["differing"]) == (1, 1, 1)
    (item,) = table["listed"]["differing"]
    assert item["id"] == f"sha256:{keys[1][:16]}"
    legacy.execute("DELETE FROM oauth_states WHERE state = 'a-1-ß'")
    report = run_import("--delta")
    assert report["deleted"]["oauth_states"] == 1


def test_flows_go_when_the_run_is_rolled_back(legacy, run_import):
    legacy.add_state(STATE, created_at=timezone.now().replace(tzinfo=None))
    run = run_import()["run"]
    report = roll_back(run)
    assert report.removed == 1
    assert not OAuthState.objects.exists()
    assert not re.search(STATE, json.dumps(report.to_json()))
    assert run_import()["tables"]["oauth_states"]["created"] == 1
