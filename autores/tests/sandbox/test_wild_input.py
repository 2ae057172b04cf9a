"""Whatever is sent, the answer is one X's documents know; the sandbox never breaks."""

from __future__ import annotations

import json

import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autores.tests.x_openapi.validator import validate_response

wild = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30),
    st.sampled_from(["1", "9" * 19, "0", "-1", "everyone", "following", "\u0000", "@acme"]),
)
keys = st.sampled_from(
    ["text", "reply", "in_reply_to_tweet_id", "exclude_reply_user_ids", "quote_tweet_id",
     "reply_settings", "media", "poll", "attachments", "x"]
)  # fmt: skip
bodies = st.recursive(
    scalars,
    lambda children: st.one_of(
        st.dictionaries(keys, children, max_size=4), st.lists(children, max_size=3)
    ),
    max_leaves=8,
)
parameters = st.dictionaries(
    st.sampled_from(
        ["max_results", "since_id", "until_id", "start_time", "end_time", "pagination_token",
         "tweet.fields", "post.fields", "expansions", "user.fields", "query", "ids", "foo"]
    ),
    st.one_of(
        st.text(max_size=20),
        st.sampled_from(
            ["5", "100", "9" * 19, "0", "author_id,created_at", "referenced_posts", "from:acme",
             "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
             "2026-01-01", '-"a b" -is:reply', "from:", "conversation_id:x"]
        ),
    ),
    max_size=4,
)  # fmt: skip


@wild
@given(body=bodies)
@example(body={"text": "\ud800"})
@example(body={"text": "x", "reply": {"in_reply_to_tweet_id": "9" * 19}})
def test_create_post_answers_in_contract_when_the_body_is_wild(sandbox, acme, body):
    sandbox.control.set_limits(preset="unlimited")
    answer = acme.call("POST", "/2/tweets", data=json.dumps(body).encode())
    assert answer.status_code in (201, 400, 403)


@wild
@given(raw=st.binary(max_size=60))
def test_send_message_answers_in_contract_when_the_body_is_no_json(sandbox, acme, raw):
    sandbox.control.set_limits(preset="unlimited")
    answer = acme.call("POST", "/2/dm_conversations/with/1/messages", data=raw)
    assert answer.status_code == 400


@wild
@given(
    params=parameters,
    path=st.sampled_from(
        ["/2/users/{me}/mentions", "/2/users/{me}/tweets", "/2/tweets", "/2/users",
         "/2/tweets/search/recent", "/2/users/9999999999999999999/mentions", "/2/dm_events",
         "/2/tweets/9999999999999999999", "/2/users/me"]
    ),
)  # fmt: skip
def test_reads_answer_in_contract_when_the_parameters_are_wild(sandbox, acme, params, path):
    sandbox.control.set_limits(preset="unlimited")
    sandbox.control.create_mention(account="acme", author="ana")
    path = path.format(me=acme.user_id)
    answer = acme.get(path, params, check=None)
    assert answer.status_code in (200, 400), answer.text
    body = answer.json()
    shown = json.dumps(body)
    names = [name for name in ("post", "tweet") if f"edit_history_{name}_ids" in shown]
    if len(names) < 2:
        host = "tweet" if "api.twitter.com" in shown else "post"
        validate_response("GET", path, answer.status_code, body, names[0] if names else host)


@wild
@given(
    form=st.dictionaries(
        st.sampled_from(["grant_type", "code", "redirect_uri", "code_verifier", "refresh_token"]),
        st.one_of(st.text(max_size=30), st.sampled_from(["authorization_code", "refresh_token"])),
    ),
    header=st.one_of(st.none(), st.text(st.characters(max_codepoint=126, min_codepoint=33))),
)
def test_token_endpoint_refuses_when_the_form_is_wild(sandbox, acme, form, header):
    headers = {} if header is None else {"Authorization": header}
    answer = acme.call("POST", "/2/oauth2/token", check=None, data=form, headers=headers)
    assert answer.status_code in (400, 401)
    assert set(answer.json()) == {"error", "error_description"}
    answer = acme.call(
        "POST", "/2/oauth2/token", check=None, data=form, auth=("sandbox-client", "sandbox-secret")
    )
    assert answer.status_code == 400


@wild
@given(
    route=st.sampled_from(
        ["users", "mentions", "consent", "faults", "limits", "clock", "settings", "autopilot",
         "dms", "tokens/issue", "tokens/revoke", "clients"]
    ),
    body=st.dictionaries(
        st.sampled_from(
            ["username", "account", "count", "kind", "route", "fault", "times", "preset", "name",
             "params", "user_id", "scopes", "every_seconds", "created_at", "blocks", "callbacks",
             "probability", "from", "to", "text", "decision", "vocabulary"]
        ),
        scalars,
        max_size=4,
    ),
)  # fmt: skip
def test_control_refuses_with_a_sentence_when_the_body_is_wild(sandbox, route, body):
    answer = requests.post(f"{sandbox.url}/_sandbox/{route}", json=body, timeout=10)
    assert answer.status_code in (200, 201, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()["error"]
    assert requests.get(f"{sandbox.url}/", timeout=10).status_code == 200
    sandbox.control.reset()
