import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from autores import checks, env

ROOT = Path(settings.BASE_DIR)
RANDOM_KEY = secrets.token_urlsafe(50)
GOOD: dict[str, str] = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": RANDOM_KEY,
    "ALLOWED_HOSTS": "autores.example.com",
    "MONGODB_URL": "mongodb://autores:mongo-password@db.example.com/?replicaSet=rs0",
    "REDIS_URL": "redis://:redis-password@cache.example.com:6379/0",
    "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    "BACKEND_CORS_ORIGINS": '["https://app.example.com"]',
    "TWITTER_CALLBACK_URL": "https://autores.example.com/api/v1/auth/twitter/callback",
    "TWITTER_CLIENT_ID": "client",
    "TWITTER_CLIENT_SECRET": "client-secret",
    "OPENAI_API_KEY": "sk-openai-key",
}


def run_python(
    *arguments: str, given: dict[str, str], dotenv: Path | str = "", **options: Any
) -> subprocess.CompletedProcess[str]:
    ours = {variable.name for variable in env.VARIABLES}
    inherited = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**inherited, "AUTORES_DOTENV": str(dotenv), **given},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def check_deployment(given: dict[str, str], **options: Any) -> subprocess.CompletedProcess[str]:
    return run_python(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING", given=given, **options
    )


@pytest.fixture
def production(settings: Any) -> Any:
    """The settings of a good deployment, as far as the checks read them."""
    loaded = env.load(GOOD)
    assert loaded.problems == []
    settings.ENV = loaded
    settings.IS_PRODUCTION = True
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "TOKEN_ENCRYPTION_KEYS", "TWITTER_CALLBACK_URL"):
        setattr(settings, name, loaded[name])
    for name in ("X_API_BASE_URL", "X_AUTHORIZE_URL", "OPENAI_BASE_URL", "TWITTER_SCOPE"):
        setattr(settings, name, loaded[name])
    settings.TWITTER_CLIENT_ID, settings.TWITTER_CLIENT_SECRET = "client", "client-secret"
    settings.OPENAI_API_KEY = "sk-openai-key"
    settings.CORS_ALLOW_ALL_ORIGINS = settings.CORS_ALLOW_CREDENTIALS = False
    return settings


def find_ids() -> list[str]:
    return [message.id.removeprefix("autores.") for message in run_checks(tags=[checks.TAG])]


def test_nothing_is_found_when_production_is_set_up_well(production: Any) -> None:
    assert find_ids() == []
    checks.refuse_broken_settings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY", "short", "E010"),
        ("SECRET_KEY", "ab" * 40, "E010"),
        ("SECRET_KEY", settings.DEVELOPMENT_SECRET_KEY, "E010"),
        pytest.param(
            "SECRET_KEY", f"django-insecure-{RANDOM_KEY}", "E010", id="SECRET_KEY-of_startproject"
        ),
        ("TOKEN_ENCRYPTION_KEYS", ["too-short"], "E011"),
        ("TOKEN_ENCRYPTION_KEYS", [Fernet.generate_key().decode(), "too-short"], "E011"),
        ("TOKEN_ENCRYPTION_KEYS", ["A" * 43 + "="], "E012"),
        ("ALLOWED_HOSTS", ["*"], "W021"),
        ("X_API_BASE_URL", "https://127.0.0.1:8090", "E030"),
        ("X_API_BASE_URL", "https://127.8.0.1", "E030"),
        ("X_API_BASE_URL", "https://[::1]:8090", "E030"),
        ("X_API_BASE_URL", "https://sandbox.localhost", "E030"),
        ("X_API_BASE_URL", "http://api.x.com", "E030"),
        ("X_AUTHORIZE_URL", "http://localhost:8090/i/oauth2/authorize", "E030"),
        ("OPENAI_BASE_URL", "http://0.0.0.0:8090/v1", "E030"),
        ("TWITTER_CALLBACK_URL", "http://autores.example.com/api/v1/auth/twitter/callback", "E030"),
        ("TWITTER_CALLBACK_URL", "https://other.example.com/api/v1/auth/twitter/callback", "W035"),
        ("TWITTER_CALLBACK_URL", "https://autores.example.com/callback", "W037"),
        ("TWITTER_POLLING_INTERVAL", 0.25, "W036"),
        ("TWITTER_SCOPE", "tweet.read tweet.write users.read offline_access", "E032"),
        ("TWITTER_SCOPE", "tweet.read tweet.write users.read offline.access dm.write", "W033"),
        ("TWITTER_CLIENT_ID", "", "E034"),
        ("TWITTER_CLIENT_SECRET", "", "E034"),
        ("OPENAI_BASE_URL", "https://api.openai.com/", "W041"),
        ("OPENAI_API_KEY", "", "W040"),
    ],
)
def test_one_thing_is_found_when_one_thing_is_wrong(
    production: Any, name: str, value: Any, expected: str
) -> None:
    setattr(production, name, value)

    (message,) = run_checks(tags=[checks.TAG])

    assert message.id == f"autores.{expected}"
    assert name in message.msg
    assert message.hint


@pytest.mark.parametrize(
    ("url", "is_refused"),
    [
        ("mongodb://db.example.com:port/", True),
        ("mongodb://user:p@ss@db.example.com/", True),
        ("mongodb://db.example.com:99999/", True),
        ("mongodb://a.example.com:27017,b.example.com/?replicaSet=rs0", False),
        ("mongodb://user:p%40ss@db.example.com/legacy?authSource=admin", False),
    ],
)
def test_url_is_refused_when_the_driver_refuses_it(
    production: Any, monkeypatch: pytest.MonkeyPatch, url: str, is_refused: bool
) -> None:
    monkeypatch.setitem(production.DATABASES["default"], "HOST", url)

    assert find_ids() == (["E013"] if is_refused else [])


def test_pool_is_refused_when_its_least_is_above_its_most(
    production: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(production.DATABASES["default"]["OPTIONS"], "minPoolSize", 60)

    assert find_ids() == ["E014"]


def test_cors_is_refused_when_everybody_may_send_cookies(production: Any) -> None:
    production.CORS_ALLOW_ALL_ORIGINS = True
    assert find_ids() == []

    production.CORS_ALLOW_CREDENTIALS = True
    assert find_ids() == ["E020"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"BEHIND_TLS_PROXY": "true"}, ["W022"]),
        ({"BEHIND_TLS_PROXY": "true", "TRUSTED_PROXIES": "1"}, []),
        ({"TRUSTED_PROXIES": "1"}, []),
    ],
)
def test_proxy_is_warned_about_when_it_hides_its_callers(
    production: Any, given: dict[str, str], expected: list[str]
) -> None:
    production.ENV = env.load({**GOOD, **given})

    assert find_ids() == expected


def test_no_drafts_are_no_finding_when_none_are_wanted(production: Any) -> None:
    production.OPENAI_API_KEY = ""
    production.DRAFT_AUTOMATICALLY = False

    assert find_ids() == []


def test_sandbox_is_allowed_but_plain_http_elsewhere_is_not_when_developing(
    production: Any,
) -> None:
    production.IS_PRODUCTION = False
    production.X_API_BASE_URL = "http://127.0.0.1:8090"
    assert find_ids() == []

    production.X_API_BASE_URL = "http://sandbox.example.com"
    assert find_ids() == ["E031"]


def test_start_is_refused_with_every_error_when_several_things_are_wrong(
    production: Any,
) -> None:
    production.SECRET_KEY = "short-but-secret"
    production.X_API_BASE_URL = "http://127.0.0.1:8090"
    production.OPENAI_API_KEY = ""

    with pytest.raises(ImproperlyConfigured) as caught:
        checks.refuse_broken_settings()

    text = str(caught.value)
    assert "autores.E010: SECRET_KEY" in text
    assert "autores.E030: X_API_BASE_URL" in text
    assert "W040" not in text, "a warning stops no server"
    assert "short-but-secret" not in text


# -- real processes ---------------------------------------------------------------------------


def test_deployment_check_is_clean_when_production_is_set_up_well(tmp_path: Path) -> None:
    path = tmp_path / "secret_key"
    path.write_text(f"{RANDOM_KEY}\n")
    given = {name: value for name, value in GOOD.items() if name != "SECRET_KEY"}

    done = check_deployment({**given, "SECRET_KEY_FILE": str(path)})

    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_check_names_everything_at_once_when_production_is_bare() -> None:
    done = check_deployment({"ENVIRONMENT": "production"})

    assert done.returncode == 1
    for name in ("SECRET_KEY", "ALLOWED_HOSTS", "MONGODB_URL", "REDIS_URL"):
        assert f"(autores.E001) {name} must be set in production." in done.stderr
    assert "TOKEN_ENCRYPTION_KEYS must be set in production." in done.stderr
    assert "(autores.E034) TWITTER_CLIENT_ID must be set in production." in done.stderr
    assert "Traceback" not in done.stderr


def test_only_the_missing_scope_is_found_when_a_legacy_file_is_moved_over(tmp_path: Path) -> None:
    legacy = tmp_path / ".env"
    legacy.write_text(
        "MONGODB_URL=mongodb://127.0.0.1:27017/?replicaSet=rs0\nMONGODB_DB_NAME=autores\n"
        "TWITTER_CLIENT_ID=abc\nTWITTER_CLIENT_SECRET=def\n"
        "TWITTER_CALLBACK_URL=http://localhost:8000/api/v1/auth/twitter/callback\n"
        "TWITTER_SCOPE='tweet.read tweet.write users.read offline.access dm.write'\n"
        "TWITTER_MENTIONS_RATE_LIMIT=50\nTWITTER_MENTIONS_WINDOW=15\nTWITTER_POLLING_INTERVAL=5\n"
        "OPENAI_API_KEY=sk-abc\nSECRET_KEY=legacy\nALGORITHM=HS256\n"
        "ACCESS_TOKEN_EXPIRE_MINUTES=120\nENVIRONMENT=development\n"
        "BACKEND_CORS_ORIGINS='[\"*\"]'\nRATE_LIMIT_PER_MINUTE=60\n"
        "MYSQL_DATABASE_URL=mysql+pymysql://user:pass@host/db\nOPENAI_MODLE=gpt-5\n"
    )

    done = run_python("manage.py", "check", given={}, dotenv=legacy)

    assert done.returncode == 0
    assert done.stderr.count("autores.") == 2
    assert "(autores.W033) TWITTER_SCOPE has dm.write without dm.read" in done.stderr
    assert "(autores.W002) OPENAI_MODLE in .env is no setting." in done.stderr
    assert "HINT: OPENAI_MODEL was meant?" in done.stderr


def start_server(server: str, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    commands = {
        "web": ["-m", "autores.web", "--port", "0"],
        "worker": ["-m", "celery", "-A", "autores", "worker", "--pool", "threads"],
        "beat": ["-m", "celery", "-A", "autores", "beat", "-S", "redbeat.RedBeatScheduler"],
    }
    more = {"worker": ["--without-gossip", "--without-mingle"], "beat": ["--pidfile="]}
    return run_python(*commands[server], *more.get(server, []), given=given)


@pytest.mark.parametrize("server", ["web", "worker", "beat"])
def test_server_does_not_start_when_the_settings_are_broken(server: str, valkey_url: str) -> None:
    given = {
        **GOOD,
        "REDIS_URL": valkey_url,
        "SECRET_KEY": "weak-secret",
        "X_API_BASE_URL": "https://127.0.0.1:8090",
    }

    done = start_server(server, given)

    output = done.stdout + done.stderr
    assert done.returncode not in (0, None), output
    assert "autores.E010: SECRET_KEY is too weak for production." in output
    assert "autores.E030: X_API_BASE_URL is https://127.0.0.1:8090" in output
    for secret in ("weak-secret", "mongo-password", "client-secret", GOOD["TOKEN_ENCRYPTION_KEYS"]):
        assert secret not in output
