import base64
import json
import signal
import string
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from autores.observability import redaction
from autores.observability.redaction import MASK, protect_values, redact, redact_value

URL_SAFE = string.ascii_letters + string.digits + "-_"


def texts(alphabet: str, *, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


def mixed(*, least: int, most: int) -> st.SearchStrategy[str]:
    """What token_urlsafe makes: letters of both cases and digits, always some of each."""
    return texts(URL_SAFE, least=least - 3, most=most - 3).map(lambda body: f"a{body}B7")


fernet_keys = st.binary(min_size=32, max_size=32).map(
    lambda key: base64.urlsafe_b64encode(key).decode()
)
json_web_tokens = st.tuples(
    texts(URL_SAFE, least=10, most=60),
    texts(URL_SAFE, least=10, most=200),
    texts(URL_SAFE, least=20, most=80),
).map(lambda parts: f"eyJ{parts[0]}.{parts[1]}.{parts[2]}")
# X's OAuth 2.0 tokens: URL-safe base64, about 90 characters.
x_tokens = mixed(least=80, most=120)
shapes = st.one_of(
    x_tokens,
    json_web_tokens,
    fernet_keys,
    mixed(least=20, most=60).map(lambda body: f"sk-proj-{body}"),
    mixed(least=43, most=44).map(lambda body: f"atr_{body}"),
    st.text(min_size=1, max_size=80).map(lambda t: Fernet(FERNET_KEY).encrypt(t.encode()).decode()),
)
FERNET_KEY = Fernet.generate_key()
surroundings = st.sampled_from(
    ["{}", "token {} was refused", "got {}, then stopped", "<{}>", "'{}'", '"{}"', "({})", "{}\n"]
)


@given(secret=shapes, around=surroundings)
def test_secret_is_gone_when_its_shape_is_known(secret: str, around: str) -> None:
    shown = redact(around.format(secret))

    assert secret not in shown
    assert MASK in shown


words = st.one_of(
    shapes,
    st.sampled_from(
        [
            *("authorization", "Authorization:", "Bearer", "bearer", "basic", "Token"),
            *("token=", '"token":', "api_key=", "secret:", "password", "passwd=", "cookie"),
            *("sessionid", "autores_browser", "code_verifier", "oauth_verifier"),
            *("code=", "code:", "?code=", "state=", "&state=", "https://ana:pass@host"),
            *("sk-", "atr_", "gAAAAA", "eyJ", "%20", "%2Fatr_"),
            *("=", ":", "@", '"', "'", "\\", MASK),
            # What a pattern takes for an s, a k and an i.
            *("pa\u017f\u017fword=", "\u212aey=", "ap\u0131_key="),
        ]
    ),
    texts(URL_SAFE + " .:=/@%\"'", least=1, most=100),
    st.text(max_size=10),
)


@given(parts=st.lists(words, max_size=8), between=st.sampled_from(["", " ", "\n", "="]))
def test_the_same_is_masked_when_no_shape_is_passed_over(parts: list[str], between: str) -> None:
    text = between.join(parts)
    searched_for_all = text
    for shape in redaction._SHAPES:
        searched_for_all = shape.regex.sub(shape.replacement, searched_for_all)

    assert redact(text) == searched_for_all


@given(
    name=st.sampled_from(
        [
            "access_token",
            "refresh_token",
            "client_secret",
            "code_verifier",
            "api_key",
            "password",
            "TWITTER_CLIENT_SECRET",
            "OPENAI_API_KEY",
            "SECRET_KEY",
            "csrfmiddlewaretoken",
            "X-Api-Key",
            "x-auth-token",
            "X-CSRF-Token",
            "access-token",
            "Client-Secret",
        ]
    ),
    secret=mixed(least=8, most=60),
    form=st.sampled_from(
        [
            "{}={}",
            "?x=1&{}={}&y=2",
            '{{"{}": "{}"}}',
            "{{'{}': '{}'}}",
            '"{}":"{}"',
            "{}: {}",
            "{}='{}'",
            '{{\\"{}\\": \\"{}\\"}}',
        ]
    ),
)
def test_secret_is_gone_when_it_stands_behind_its_name(name: str, secret: str, form: str) -> None:
    assert secret not in redact(form.format(name, secret))


@given(secret=texts(string.ascii_letters + string.digits + " !?*+,;&=-", least=1, most=40))
def test_whole_password_is_gone_when_it_is_quoted(secret: str) -> None:
    shown = redact(json.dumps({"user": "ana", "password": f"<{secret}>"}))

    assert f"<{secret}>" not in shown
    assert "<" not in shown
    assert "ana" in shown


@given(secret=mixed(least=12, most=120), scheme=st.sampled_from(["Bearer", "Basic", "bearer"]))
def test_credentials_are_gone_when_in_an_authorization_header(secret: str, scheme: str) -> None:
    for text in (
        f"Authorization: {scheme} {secret}",
        f"{{'Authorization': '{scheme} {secret}'}}",
        f'"authorization": "{scheme} {secret}"',
        f"sent {scheme} {secret} to X",
    ):
        assert secret not in redact(text), text


@given(
    scheme=st.sampled_from(["mongodb", "mongodb+srv", "redis", "rediss", "mysql+pymysql", "https"]),
    user=st.sampled_from(["", "autores"]),
    secret=texts(URL_SAFE + "!$*@%.", least=3, most=30).map(lambda body: f"p9{body}"),
)
def test_password_is_gone_when_in_a_url(scheme: str, user: str, secret: str) -> None:
    shown = redact(f"cannot reach {scheme}://{user}:{secret}@db.example.com:27017/autores?x=1")

    assert secret not in shown
    assert "db.example.com:27017/autores?x=1" in shown


@given(code=mixed(least=8, most=100), state=mixed(least=8, most=60))
def test_oauth_code_and_state_are_gone_when_in_a_query(code: str, state: str) -> None:
    shown = redact(f'"GET /api/v1/auth/twitter/callback?state={state}&code={code} HTTP/1.1" 200 12')

    assert code not in shown
    assert state not in shown
    assert shown.startswith('"GET /api/v1/auth/twitter/callback?state=')
    assert shown.endswith(' HTTP/1.1" 200 12')


@pytest.mark.parametrize(
    "text",
    [
        "code=404",
        "state=queued",
        "status code: 12345678",
        "state: rate_limited, code: credits_depleted",
        "code=idempotency_key_reused",
        "?state=queued&status=replied",
        "/api/v1/messages/?status=pending&limit=100",
        "polled 2124620353413054465: 12 seen, 3 new",
        "public 6984e1ef-7016-4157-899e-0cf8a0993461: rate_limited -> queued",
        "password: This field is required.",
        "The password is too similar to the username.",
        "Token of account 42 not refreshed: x_unreachable",
        "the access token expired; a bearer token is needed",
        "basic authentication required",
        "https://example.com:8443/path?x=1",
        "mongodb://127.0.0.1:27017/?replicaSet=rs0",
        "redis://cache.example.com:6379/0",
        "mail ana@example.com",
        "Task mentions.poll_account[0b9f2f6c-8f0d-4b8e-9d2e-6d9f5a3f3c11] succeeded in 0.12s: None",
        "tokens: 812 in, 45 out",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "authorization_url",
        "access-token: refused",
        "the api-key is missing",
        "SECRET_KEY must be set in production.",
        "自动回复 code=7 état=prêt",
    ],
)
def test_text_is_unchanged_when_harmless(text: str) -> None:
    assert redact(text) == text


@given(text=st.text(max_size=200))
def test_nothing_changes_when_redacted_again(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


@given(words=st.lists(texts(string.ascii_lowercase, least=1, most=12), max_size=20))
def test_plain_words_stay_when_no_secret_is_named(words: list[str]) -> None:
    text = "said: " + " ".join(words)

    assert redact(text) == text


@pytest.fixture
def _forget() -> Iterator[None]:
    kept = redaction._known_secrets
    yield
    protect_values(kept)


@pytest.mark.usefixtures("_forget")
def test_configured_secret_is_gone_when_it_has_no_shape() -> None:
    protect_values(["correct horse", "correct horse battery", "ab"])

    assert redact("it is correct horse battery, about") == f"it is {MASK}, about"


def test_running_settings_secrets_are_known_when_django_is_up() -> None:
    from django.conf import settings

    assert settings.SECRET_KEY not in redact(f"made with {settings.SECRET_KEY}!")
    assert settings.TWITTER_CLIENT_SECRET not in redact(f"({settings.TWITTER_CLIENT_SECRET})")


def test_secrets_are_gone_when_deep_in_a_structure() -> None:
    value = {
        "headers": {"Authorization": "Bearer abcdefgh12345678", "Accept": "json"},
        "items": [("x", "refresh_token=abcdef123456"), {"password": "x"}],
        "api_key": 12345,
        "X-Api-Key": "plain",
        "count": 3,
        "error": ValueError("client_secret=abcdef123456"),
    }

    shown = redact_value(value)

    assert json.loads(json.dumps(shown)) == shown
    assert shown["count"] == 3
    assert shown["headers"]["Accept"] == "json"
    assert shown["api_key"] == shown["X-Api-Key"] == MASK
    text = json.dumps(shown)
    assert "abcdef" not in text
    assert "12345678" not in text
    assert shown["items"][1] == {"password": MASK}


@pytest.mark.parametrize(
    "piece",
    [
        "a-",
        "a.",
        "a+",
        "a_",
        "password=",
        "password:",
        "x-api-key: ",
        "auth-",
        "://a:",
        "a://b:c",
        "-eyJaaaaaaaaa",
        "code=",
    ],
)
def test_a_long_text_is_searched_in_bounded_time_when_a_stranger_chose_it(piece: str) -> None:
    def give_up(*_: object) -> None:
        raise TimeoutError(f"the search grows with the square of a text of {piece!r}")

    # Far above what a search needs that is linear, far below what another one takes.
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(30)
    try:
        redact(piece * (400_000 // len(piece)))
        redact_value({"x": piece * (60_000 // len(piece))})
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def test_no_half_secret_is_left_where_a_text_is_cut() -> None:
    token = "sk-" + "s3cretS" * 20
    for padding in range(65_380, 65_560, 7):
        assert "s3cret" not in redact("x" * padding + " " + token + " " + "y" * 500)
