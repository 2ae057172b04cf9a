"""Rate limits: the window of a user, the app's, and the two daily ones, each in its headers."""

from __future__ import annotations

import time

import pytest


def test_headers_count_down_when_calls_are_made(acme):
    path = f"/2/users/{acme.user_id}/mentions"
    headers = [acme.get(path).headers for _ in range(3)]
    assert [h["x-rate-limit-limit"] for h in headers] == ["300"] * 3
    assert [h["x-rate-limit-remaining"] for h in headers] == ["299", "298", "297"]
    assert 890 <= int(headers[0]["x-rate-limit-reset"]) - time.time() <= 901


def test_window_is_refused_and_opens_again_when_it_is_spent(sandbox, acme):
    sandbox.control.set_limits(route="mentions", user_window=2)
    path = f"/2/users/{acme.user_id}/mentions"
    assert [acme.get(path).status_code for _ in range(3)] == [200, 200, 429]
    refused = acme.get(path)
    assert refused.headers["x-rate-limit-remaining"] == "0"
    assert "retry-after" not in refused.headers
    sandbox.control.advance_clock(901)
    assert acme.get(path).status_code == 200


def test_one_user_is_untouched_when_another_spent_its_window(sandbox, acme, sign_in):
    zeta = sign_in("zeta")
    sandbox.control.set_limits(route="me", user_window=1)
    assert [acme.get("/2/users/me").status_code for _ in range(2)] == [200, 429]
    assert zeta.get("/2/users/me").status_code == 200


def test_app_window_is_spent_by_app_calls_only(sandbox, acme):
    sandbox.control.set_limits(route="mentions", app_window=1)
    path = f"/2/users/{acme.user_id}/mentions"
    assert [acme.get(path).status_code for _ in range(3)] == [200, 200, 200]
    acme.session.headers["Authorization"] = "Bearer sandbox-app-bearer"
    assert [acme.get(path).status_code for _ in range(2)] == [200, 429]


def test_app_day_is_shared_by_all_users_and_the_window_looks_healthy(sandbox, acme, sign_in):
    zeta = sign_in("zeta")
    sandbox.control.set_limits(route="create_post", app_day=2)
    for number, caller in enumerate((acme, zeta)):
        answer = caller.call("POST", "/2/tweets", json={"text": f"post {number}"})
        assert answer.status_code == 201
    refused = acme.call("POST", "/2/tweets", json={"text": "one too many"})
    assert refused.status_code == 429
    assert refused.headers["x-app-limit-24hour-remaining"] == "0"
    assert int(refused.headers["x-app-limit-24hour-reset"]) > time.time() + 86_000
    assert int(refused.headers["x-rate-limit-remaining"]) > 90
    sandbox.control.advance_clock(901)
    assert acme.call("POST", "/2/tweets", json={"text": "again"}).status_code == 429


def test_dm_headers_carry_all_three_families(sandbox, acme):
    ana = sandbox.control.create_user("ana")
    answer = acme.call(
        "POST", f"/2/dm_conversations/with/{ana['id']}/messages", json={"text": "Hello"}
    )
    assert answer.headers["x-rate-limit-limit"] == "15"
    assert answer.headers["x-user-limit-24hour-limit"] == "1440"
    assert answer.headers["x-app-limit-24hour-remaining"] == "1439"


@pytest.mark.parametrize(("preset", "limit"), [("free", 1), ("basic", 10), ("pay_per_use", 300)])
def test_presets_change_the_numbers(sandbox, acme, preset, limit):
    sandbox.control.set_limits(preset=preset)
    answer = acme.get(f"/2/users/{acme.user_id}/mentions")
    assert answer.headers["x-rate-limit-limit"] == str(limit)


def test_no_limit_holds_when_unlimited(sandbox, acme):
    sandbox.control.set_limits(preset="unlimited")
    answer = acme.get("/2/users/me")
    assert not [name for name in answer.headers if "limit" in name.lower()]
