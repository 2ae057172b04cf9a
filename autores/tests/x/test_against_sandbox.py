"""The client and the stand-in X, each as it is, over HTTP: flows rather than single bytes."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from autores.sandbox.control import SandboxControl
from autores.sandbox.server import RunningSandbox, start_in_thread
from autores.x import errors
from autores.x.client import XClient
from autores.x.ids import created_at_of
from autores.x.oauth import OAuthClient
from autores.x.text import normalise_for_match
from autores.x.transport import build_session

CALLBACK = "http://localhost:8000/api/v1/auth/twitter/callback"
STATE = "a-state-nobody-can-guess"
# As the setting writes them.
SCOPES = "tweet.read tweet.write users.read offline.access dm.read dm.write".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    running = start_in_thread(port=0, data=":memory:")
    yield running
    running.stop()


@pytest.fixture
def control(sandbox: RunningSandbox) -> Iterator[SandboxControl]:
    sandbox.control.reset()
    yield sandbox.control
    sandbox.control.clear_faults()


@pytest.fixture
def oauth(sandbox: RunningSandbox, control: SandboxControl) -> OAuthClient:
    control.register_client(callbacks=[CALLBACK], client_id="app", client_secret="app-secret")
    return OAuthClient(
        base_url=sandbox.url,
        authorize_url=f"{sandbox.url}/i/oauth2/authorize",
        client_id="app",
        client_secret="app-secret",
        redirect_uri=CALLBACK,
        scopes=SCOPES,
        allow_insecure_loopback=True,
    )


def _consent(control: SandboxControl, oauth: OAuthClient, **consent: Any) -> tuple[str, str]:
    """Sends a browser through the consent page; gives the code and the verifier."""
    control.set_consent(username="ana_team", client_id="app", **consent)
    begun = oauth.begin(STATE)
    answer = requests.get(begun.url, allow_redirects=False, timeout=5)
    params = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    return oauth.read_callback(params, expected_state=STATE), begun.code_verifier


@pytest.fixture
def ana(control: SandboxControl) -> dict[str, Any]:
    return control.create_user("ana_team")


@pytest.fixture
def make_client(
    sandbox: RunningSandbox, control: SandboxControl, oauth: OAuthClient, ana: dict[str, Any]
) -> Iterator[Callable[..., XClient]]:
    code, verifier = _consent(control, oauth)
    grant = oauth.exchange(code, code_verifier=verifier)
    with build_session() as session:
        yield lambda **options: XClient(
            base_url=sandbox.url,
            access_token=grant.access_token,
            granted_scopes=grant.scopes,
            session=session,
            **({"read_timeout": 1.0} | options),
        )


@pytest.mark.parametrize("vocabulary", ["post", "tweet"])
def test_a_mention_is_answered_and_found_again_when_all_goes_well(
    make_client: Any, control: SandboxControl, ana: dict[str, Any], vocabulary: str
) -> None:
    client = make_client(vocabulary=vocabulary)
    assert client.get_me().id == ana["id"]
    asked = control.create_mention(account="ana_team", author="carla", text="Is it open today?")
    (mention,) = client.get_mentions(ana["id"]).posts
    assert mention.id == asked["id"]
    assert mention.author is not None
    assert mention.author.username == "carla"
    assert mention.mentions[0].user_id == ana["id"]
    text = "Yes & until 9: https://example.com/hours"
    created = client.create_reply(text, in_reply_to_post_id=mention.id)
    own = client.get_user_posts(ana["id"], since_id=mention.id).posts
    (found,) = [post for post in own if post.get_reference("replied_to") == mention.id]
    assert found.id == created.id
    assert found.author_id == ana["id"]
    assert normalise_for_match(found.text, found.urls) == normalise_for_match(text)
    assert abs(created_at_of(created.id) - datetime.now(UTC)) < timedelta(minutes=1)
    client.delete_post(created.id)
    page = client.get_posts([created.id, mention.id])
    assert [post.id for post in page.posts] == [mention.id]
    assert page.partial_errors[0].resource_id == created.id


@pytest.mark.parametrize("vocabulary", ["post", "tweet"])
def test_pages_lead_to_the_end_when_there_are_many_mentions(
    make_client: Any, control: SandboxControl, ana: dict[str, Any], vocabulary: str
) -> None:
    control.create_mentions(account="ana_team", author="carla", text="Hello", count=23)
    client, seen, token = make_client(vocabulary=vocabulary), [], None
    while True:
        page = client.get_mentions(ana["id"], max_results=10, pagination_token=token)
        seen += [post.id for post in page.posts]
        token = page.next_token
        if token is None:
            break
    assert len(set(seen)) == len(seen) == 23
    assert seen == sorted(seen, key=int, reverse=True)
    assert client.get_mentions(ana["id"], since_id=seen[0]).posts == ()


@pytest.mark.parametrize("vocabulary", ["post", "tweet"])
def test_a_message_is_sent_and_found_again_when_the_inbox_is_open(
    make_client: Any, control: SandboxControl, ana: dict[str, Any], vocabulary: str
) -> None:
    client = make_client(vocabulary=vocabulary)
    carla = control.create_user("carla", receives_your_dm=True)
    assert client.get_user(carla["id"]).receives_your_dm is True
    sent = client.send_dm("Here is the link", participant_id=carla["id"])
    (event,) = client.get_dm_events(carla["id"]).events
    assert (event.id, event.sender_id, event.text) == (sent.event_id, ana["id"], "Here is the link")


@pytest.mark.parametrize(
    ("fault", "error_class", "code"),
    [
        ("rate_limit_window", errors.RateLimitedError, "rate_limited_window"),
        ("rate_limit_user_day", errors.RateLimitedError, "rate_limited_user_day"),
        ("rate_limit_app_day", errors.RateLimitedError, "rate_limited_app_day"),
        ("usage_cap", errors.UsageCapError, "usage_cap"),
        ("credits_depleted", errors.CreditsDepletedError, "credits_depleted"),
        ("credits_payment_required", errors.CreditsDepletedError, "credits_depleted"),
        ("server_error", errors.ServerError, "server_error"),
        ("unauthorized", errors.UnauthorizedError, "unauthorized"),
        ("forbidden", errors.ForbiddenError, "forbidden"),
        ("duplicate", errors.DuplicateContentError, "duplicate_content"),
        ("timeout_before", errors.NoAnswerError, "no_answer"),
        ("timeout_after", errors.NoAnswerError, "no_answer"),
        ("reset_before", errors.NoAnswerError, "no_answer"),
        ("reset_after", errors.NoAnswerError, "no_answer"),
        ("reset_mid_body", errors.NoAnswerError, "no_answer"),
        ("malformed_json", errors.ContractError, "not_json"),
    ],
)
def test_the_error_is_typed_when_posting_meets(
    make_client: Any, control: SandboxControl, ana: dict[str, Any], fault: str,
    error_class: type[errors.XError], code: str,
) -> None:  # fmt: skip
    mention = control.create_mention(account="ana_team", author="carla", text="Hello?")
    control.add_fault("create_post", fault)
    with pytest.raises(error_class) as caught:
        make_client(read_timeout=0.5).create_reply("Hi", in_reply_to_post_id=mention["id"])
    assert caught.value.code == code
    posts = control.list_posts(in_reply_to=mention["id"])
    may_exist = caught.value.is_outcome_unknown
    assert may_exist or posts == [], "the error promises that nothing was posted"
    assert len(posts) == (fault in {"timeout_after", "reset_after", "reset_mid_body",
                                    "malformed_json"})  # fmt: skip


def test_the_wait_is_told_when_the_apps_day_is_spent(
    make_client: Any, control: SandboxControl, ana: dict[str, Any]
) -> None:
    control.add_fault("mentions", "rate_limit_app_day")
    with pytest.raises(errors.RateLimitedError) as caught:
        make_client().get_mentions(ana["id"])
    assert caught.value.scope == "app"
    assert caught.value.retry_after is not None
    assert 900 < caught.value.retry_after <= 86_460


@pytest.mark.parametrize("field", ["author_id", "created_at", "conversation_id"])
def test_the_field_is_named_when_x_stops_sending(
    make_client: Any, control: SandboxControl, ana: dict[str, Any], field: str
) -> None:
    for text in ("Hello", "Anybody?"):
        control.create_mention(account="ana_team", author="carla", text=text)
    control.add_fault("mentions", "missing_fields", params={"fields": [field]})
    with pytest.raises(errors.ContractError, match=rf"data\[0\]\.{field}"):
        make_client().get_mentions(ana["id"])


def test_refusals_are_told_apart_when_x_gives_its_own_words(
    make_client: Any, control: SandboxControl, ana: dict[str, Any]
) -> None:
    client = make_client()
    mention = control.create_mention(account="ana_team", author="carla", text="Hello")
    client.create_reply("Hi", in_reply_to_post_id=mention["id"])
    with pytest.raises(errors.DuplicateContentError):
        client.create_reply("Hi", in_reply_to_post_id=mention["id"])
    stranger = control.create_mention(account="ana_team", author="bo", kind="implicit")
    with pytest.raises(errors.NotSummonedError):
        client.create_reply("Well", in_reply_to_post_id=stranger["id"])
    gone = control.create_mention(account="ana_team", author="carla", text="Oops")
    control.delete_post(gone["id"])
    with pytest.raises(errors.ReplyTargetGoneError):
        client.create_reply("Hm", in_reply_to_post_id=gone["id"])
    closed = control.create_user("dora", receives_your_dm=False)
    with pytest.raises(errors.RecipientClosedError):
        client.send_dm("Hi", participant_id=closed["id"])
    assert client.get_user(closed["id"]).receives_your_dm is False
    control.revoke_tokens(ana["id"])
    with pytest.raises(errors.UnauthorizedError):
        client.get_me()


def test_a_refresh_token_works_once_when_tokens_rotate(
    control: SandboxControl, oauth: OAuthClient, ana: dict[str, Any]
) -> None:
    code, verifier = _consent(control, oauth)
    first = oauth.exchange(code, code_verifier=verifier)
    assert first.scopes == set(SCOPES)
    assert first.refresh_token is not None
    second = oauth.refresh(first.refresh_token)
    assert second.refresh_token not in (None, first.refresh_token)
    with pytest.raises(errors.InvalidGrantError) as caught:
        oauth.refresh(first.refresh_token)
    assert caught.value.code == "refresh_token_rejected"
    oauth.revoke(second.access_token)


def test_a_code_works_once_and_only_with_its_verifier_when_exchanged(
    control: SandboxControl, oauth: OAuthClient, ana: dict[str, Any]
) -> None:
    code, verifier = _consent(control, oauth)
    oauth.exchange(code, code_verifier=verifier)
    with pytest.raises(errors.InvalidGrantError):
        oauth.exchange(code, code_verifier=verifier)
    code, _ = _consent(control, oauth)
    with pytest.raises(errors.InvalidGrantError) as caught:
        oauth.exchange(code, code_verifier="v" * 64)
    assert caught.value.code == "verifier_mismatch"
    code, verifier = _consent(control, oauth)
    control.advance_clock(60)
    with pytest.raises(errors.InvalidGrantError):
        oauth.exchange(code, code_verifier=verifier)


def test_the_refusal_is_typed_when_a_person_says_no_or_less(
    control: SandboxControl, oauth: OAuthClient, ana: dict[str, Any]
) -> None:
    with pytest.raises(errors.AccessDeniedError):
        _consent(control, oauth, decision="deny")
    code, verifier = _consent(control, oauth, scopes=["tweet.read", "users.read"])
    grant = oauth.exchange(code, code_verifier=verifier)
    with pytest.raises(errors.MissingScopeError):
        oauth.check_scopes(grant)
    assert grant.refresh_token is None


def test_the_app_is_blamed_when_its_secret_or_address_is_wrong(
    sandbox: RunningSandbox, control: SandboxControl, oauth: OAuthClient, ana: dict[str, Any]
) -> None:
    code, verifier = _consent(control, oauth)
    facts: dict[str, Any] = {
        "base_url": sandbox.url,
        "authorize_url": f"{sandbox.url}/i/oauth2/authorize",
        "client_id": "app",
        "scopes": SCOPES,
        "allow_insecure_loopback": True,
    }
    moved = OAuthClient(**facts, client_secret="app-secret", redirect_uri=CALLBACK + "/moved")
    with pytest.raises(errors.RedirectMismatchError):
        moved.exchange(code, code_verifier=verifier)
    wrong = OAuthClient(**facts, client_secret="wrong", redirect_uri=CALLBACK)
    with pytest.raises(errors.InvalidClientError):
        wrong.exchange(code, code_verifier=verifier)
