"""Each scripted fault, over real HTTP: what the caller sees and what took effect."""

from __future__ import annotations

import threading
import time

import pytest
import requests

from autores.sandbox.control import SandboxControlError
from autores.sandbox.faults import NAMES


def mentions_of(caller, **values):
    return caller.get(f"/2/users/{caller.user_id}/mentions", **values)


@pytest.mark.parametrize(
    ("fault", "params", "status", "kind"),
    [
        ("rate_limit_window", {}, 429, "about:blank"),
        ("rate_limit_user_day", {}, 429, "about:blank"),
        ("rate_limit_app_day", {}, 429, "about:blank"),
        ("usage_cap", {}, 429, "usage-capped"),
        ("credits_depleted", {}, 402, "credits"),
        ("credits_payment_required", {}, 402, "credits-depleted"),
        ("server_error", {}, 503, "about:blank"),
        ("server_error", {"status": 500}, 500, "about:blank"),
        ("unauthorized", {}, 401, "about:blank"),
        ("forbidden", {"detail": "Not today"}, 403, "about:blank"),
        ("duplicate", {}, 403, "about:blank"),
    ],
)
def test_refusal_comes_once_and_has_no_effect(sandbox, acme, fault, params, status, kind):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    sandbox.control.add_fault("create_post", fault, params=params)
    answer = acme.reply("Hello", mention["id"])
    assert answer.status_code == status
    assert answer.json()["type"].rsplit("/", 1)[-1] == kind
    assert sandbox.control.list_posts(in_reply_to=mention["id"]) == []
    assert acme.reply("Hello", mention["id"]).status_code == 201


def test_daily_limit_shows_only_in_its_own_headers_when_faked(sandbox, acme):
    sandbox.control.add_fault("mentions", "rate_limit_user_day", params={"reset_in_seconds": 60})
    answer = mentions_of(acme)
    assert answer.headers["x-user-limit-24hour-remaining"] == "0"
    assert 50 <= int(answer.headers["x-user-limit-24hour-reset"]) - time.time() <= 61
    assert int(answer.headers["x-rate-limit-remaining"]) > 290


def test_window_limit_can_wear_the_older_body(sandbox, acme):
    sandbox.control.add_fault("mentions", "rate_limit_window", params={"shape": "legacy"})
    answer = mentions_of(acme)
    assert answer.status_code == 429
    assert answer.json() == {"errors": [{"code": 88, "message": "Rate limit exceeded"}]}
    assert answer.headers["x-rate-limit-remaining"] == "0"


@pytest.mark.parametrize(
    ("fault", "is_applied"),
    [
        ("timeout_before", False),
        ("timeout_after", True),
        ("reset_before", False),
        ("reset_after", True),
        ("reset_mid_body", True),
    ],
)
def test_post_is_there_or_not_when_no_answer_came(sandbox, acme, fault, is_applied):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    sandbox.control.add_fault("create_post", fault)
    body = {"text": "Hello", "reply": {"in_reply_to_tweet_id": mention["id"]}}
    expected = requests.Timeout if fault.startswith("timeout") else requests.RequestException
    with pytest.raises(expected):
        acme.session.post(acme.base_url + "/2/tweets", json=body, timeout=0.5)
    assert bool(sandbox.control.list_posts(in_reply_to=mention["id"])) is is_applied
    (call,) = sandbox.control.list_calls(route="create_post")
    assert (call["status"], call["fault"]) == (None, fault)
    answer = acme.reply("Hello", mention["id"])
    assert answer.status_code == (403 if is_applied else 201)


def test_post_is_made_after_the_caller_hung_up_when_x_takes_its_time(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    params = {"seconds": 0, "effect_after": 1}
    sandbox.control.add_fault("create_post", "timeout_after", params=params)
    body = {"text": "Hello", "reply": {"in_reply_to_tweet_id": mention["id"]}}
    with pytest.raises(requests.Timeout):
        acme.session.post(acme.base_url + "/2/tweets", json=body, timeout=0.1)
    assert sandbox.control.list_posts(in_reply_to=mention["id"]) == []
    deadline = time.monotonic() + 30
    while not sandbox.control.list_posts(in_reply_to=mention["id"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_server_error_can_have_applied_the_call(sandbox, acme):
    mention = sandbox.control.create_mention(account="acme", author="ana")
    sandbox.control.add_fault("create_post", "server_error", params={"applied": True})
    assert acme.reply("Hello", mention["id"]).status_code == 503
    assert len(sandbox.control.list_posts(in_reply_to=mention["id"])) == 1


def test_answer_is_late_when_slow(sandbox, acme):
    sandbox.control.add_fault("me", "slow", params={"seconds": 0.4})
    began = time.monotonic()
    assert acme.get("/2/users/me").status_code == 200
    assert time.monotonic() - began >= 0.4


def test_answer_does_not_parse_when_malformed(sandbox, acme):
    sandbox.control.add_fault("me", "malformed_json")
    answer = acme.get("/2/users/me", check=None)
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()


def test_named_fields_are_missing_when_dropped(sandbox, acme):
    sandbox.control.create_mention(account="acme", author="ana")
    params = {"post.fields": "created_at,conversation_id", "expansions": "author_id"}
    sandbox.control.add_fault(
        "mentions", "missing_fields", params={"fields": ["author_id", "includes.users.username"]}
    )
    page = mentions_of(acme, params=params, check=None).json()
    assert "author_id" not in page["data"][0]
    assert "created_at" in page["data"][0]
    assert "username" not in page["includes"]["users"][0]
    assert "author_id" in mentions_of(acme, params=params).json()["data"][0]


def test_fault_waits_lets_through_and_ends_as_told(sandbox, acme):
    sandbox.control.add_fault("me", "server_error", after=2, times=2)
    codes = [acme.get("/2/users/me").status_code for _ in range(6)]
    assert codes == [200, 200, 503, 503, 200, 200]


def test_fault_hits_one_account_only_when_it_names_it(sandbox, acme, sign_in):
    zeta = sign_in("zeta")
    sandbox.control.add_fault("*", "server_error", account_id=zeta.user_id, times=None)
    assert acme.get("/2/users/me").status_code == 200
    assert [zeta.get("/2/users/me").status_code for _ in range(3)] == [503] * 3
    sandbox.control.clear_faults()
    assert zeta.get("/2/users/me").status_code == 200


def test_fault_fires_about_as_often_as_its_probability(sandbox, acme):
    sandbox.control.set_limits(preset="unlimited")
    sandbox.control.add_fault("me", "server_error", probability=0.5, times=None)
    codes = [acme.get("/2/users/me").status_code for _ in range(100)]
    assert 20 <= codes.count(503) <= 80


def test_refresh_burns_without_an_answer_when_the_token_call_times_out_after(sandbox):
    sandbox.control.create_user("acme")
    token = sandbox.control.issue_tokens("acme")["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": token}
    auth = ("sandbox-client", "sandbox-secret")
    url = f"{sandbox.url}/2/oauth2/token"
    sandbox.control.add_fault("token", "timeout_after")
    with pytest.raises(requests.Timeout):
        requests.post(url, data=form, auth=auth, timeout=0.5)
    assert requests.post(url, data=form, auth=auth, timeout=5).status_code == 400


def test_held_connections_end_at_once_when_the_caller_hangs_up(sandbox, acme):
    sandbox.control.add_fault("me", "timeout_before", times=20)
    before = threading.active_count()
    for _ in range(20):
        with pytest.raises(requests.Timeout):
            requests.get(f"{sandbox.url}/2/users/me", headers=acme.session.headers, timeout=0.05)
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 2


@pytest.mark.parametrize(
    ("route", "fault", "values", "words"),
    [
        ("nowhere", "slow", {}, "route"),
        ("me", "catch_fire", {}, "fault"),
        ("me", "slow", {"times": 0}, "times"),
        ("me", "slow", {"probability": 2}, "probability"),
        ("me", "slow", {"sometimes": True}, "unknown keys"),
    ],
)
def test_wrong_fault_is_refused_with_the_remedy(sandbox, route, fault, values, words):
    with pytest.raises(SandboxControlError, match=words):
        sandbox.control.add_fault(route, fault, **values)


def test_every_agreed_name_is_known():
    agreed = (
        "rate_limit_window rate_limit_user_day rate_limit_app_day usage_cap credits_depleted "
        "credits_payment_required server_error timeout_before timeout_after reset_before "
        "reset_after reset_mid_body unauthorized forbidden duplicate slow malformed_json "
        "missing_fields refuse_output invalid_output"
    )
    assert set(NAMES) == set(agreed.split())
