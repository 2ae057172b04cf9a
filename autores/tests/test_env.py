from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autores import env

LEGACY = """\
MONGODB_URL="mongodb://autores:pa%40ss@mongo.example.com:27017/?replicaSet=rs0"
MONGODB_DB_NAME=autores
TWITTER_CLIENT_ID=abc
TWITTER_CLIENT_SECRET='s3cr3t-${NOT_REPLACED}'
TWITTER_CALLBACK_URL=https://autores.example.com/api/v1/auth/twitter/callback
TWITTER_SCOPE='tweet.read tweet.write users.read offline.access dm.write'
TWITTER_MENTIONS_RATE_LIMIT=50
TWITTER_MENTIONS_WINDOW=15
TWITTER_POLLING_INTERVAL=5
OPENAI_API_KEY=sk-legacy
SECRET_KEY=legacy-secret
ALGORITHM=HS256
ACCESS_TOKEN_EXPIRE_MINUTES=120  # two hours
ENVIRONMENT=development
BACKEND_CORS_ORIGINS='["*"]'
RATE_LIMIT_PER_MINUTE=60
MYSQL_DATABASE_URL=mysql+pymysql://user:pass@host/db
"""
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "x" * 50,
    "ALLOWED_HOSTS": "autores.example.com",
    "MONGODB_URL": "mongodb://db.example.com/?replicaSet=rs0",
    "REDIS_URL": "redis://cache.example.com:6379/0",
    "TOKEN_ENCRYPTION_KEYS": "k",
}


def messages(loaded: env.Environment) -> list[str]:
    return [problem.message for problem in loaded.problems]


def test_every_value_has_its_type_when_a_legacy_file_is_moved_over(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(LEGACY)

    loaded = env.load({}, dotenv_path=path)

    assert loaded.problems == []
    assert loaded.typos == []
    assert len(loaded.given) == len(LEGACY.splitlines())
    assert loaded["BACKEND_CORS_ORIGINS"] == ["*"]
    assert loaded["ACCESS_TOKEN_EXPIRE_MINUTES"] == 120
    assert loaded["TWITTER_MENTIONS_WINDOW"] == 15.0
    assert loaded["TWITTER_SCOPE"].split()[-1] == "dm.write"
    assert loaded["TWITTER_CLIENT_SECRET"] == "s3cr3t-${NOT_REPLACED}"
    assert loaded["MONGODB_URL"].startswith("mongodb://autores:pa%40ss@")


def test_file_is_read_when_an_editor_of_windows_wrote_it(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfMONGODB_DB_NAME=other\r\nLOG_LEVEL=debug\r\n")

    loaded = env.load({}, dotenv_path=path)

    assert (loaded["MONGODB_DB_NAME"], loaded["LOG_LEVEL"]) == ("other", "DEBUG")


def test_environment_wins_when_the_file_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("from_secret_file\n")
    path = tmp_path / ".env"
    path.write_text("MONGODB_DB_NAME=from_dotenv\nOPENAI_MODEL=from-dotenv\n")

    loaded = env.load(
        {"MONGODB_DB_NAME_FILE": str(tmp_path / "db"), "OPENAI_MODEL": ""}, dotenv_path=path
    )

    assert loaded["MONGODB_DB_NAME"] == "from_secret_file"
    assert loaded["OPENAI_MODEL"] == "from-dotenv"
    assert loaded.problems == []


def test_defaults_stand_when_there_is_no_file_and_no_variable(tmp_path: Path) -> None:
    loaded = env.load({}, dotenv_path=tmp_path / ".env")

    assert loaded.problems == []
    assert loaded.given == frozenset()
    assert loaded.values == {variable.name: variable.default for variable in env.VARIABLES}


@pytest.mark.parametrize(
    "variable",
    # No text says an empty default: an empty one counts as not given.
    [variable for variable in env.VARIABLES if variable.default not in ("", [])],
    ids=lambda variable: variable.name,
)
def test_default_would_be_accepted_when_given_as_text(variable: env.Variable) -> None:
    default: Any = variable.default
    text = ",".join(default) if isinstance(default, list) else str(default)

    assert variable.parse(text) == default


def test_every_variable_has_a_line_for_the_operator() -> None:
    assert [variable.name for variable in env.VARIABLES if len(variable.help) < 10] == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("ENVIRONMENT", "staging", "must be one of: development, test, production"),
        ("MONGODB_URL", "http://db", "must start with mongodb:// or mongodb+srv://"),
        ("MONGODB_URL", "mongodb://", "name a host"),
        ("MONGODB_URL", "mongodb://user:pw@/db", "name a host"),
        ("MONGODB_URL", "mongodb://user:p[w@host/", "is not a URL"),
        ("REDIS_URL", "localhost:6379", "must start with redis:// or rediss://"),
        ("REDIS_URL", "unix:///run/redis.sock", "must start with redis://"),
        ("MYSQL_DATABASE_URL", "postgres://u:p@h/d", "must start with mysql+pymysql://"),
        ("MONGODB_DB_NAME", "my.db", "without"),
        ("MONGODB_MAX_POOL_SIZE", "0", "must be from 1 to"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "two hours", "must be a whole number"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "99999999999", "must be from 1 to 1000000"),
        ("TWITTER_POLLING_INTERVAL", "0", "must be more than 0"),
        ("TWITTER_POLLING_INTERVAL", "nan", "must be more than 0"),
        ("TWITTER_POLLING_INTERVAL", "inf", "at most"),
        ("TWITTER_POLLING_INTERVAL", "5 minutes", "must be a number"),
        ("REPLY_WAIT_SECONDS", "-1", "must be at least 0"),
        ("REPLY_WAIT_SECONDS", "100000", "at most 60"),
        ("X_BASELINE_COUNT", "500", "from 5 to 100"),
        ("OPENAI_API_KEY", "sk-é", "without spaces and in plain ASCII"),
        ("OPENAI_MODEL", "gpt 5", "without spaces"),
        ("TWITTER_CLIENT_ID", "“abc”", "in plain ASCII"),
        ("REDIS_URL", "redis://cache/notanumber", "the number of a database"),
        ("ALERT_EMAILS", "nomail", "mail addresses such as ops@example.com"),
        ("X_API_BASE_URL", "https://api.x.com/2", "must end before the version"),
        ("X_OPEN_SIGN_UP", "maybe", "must be true or false"),
        ("ALGORITHM", "none", "must be one of: HS256"),
        ("X_API_BASE_URL", "api.x.com", "must start with http:// or https://"),
        ("X_API_BASE_URL", "https://api.x.com:port", "has a port"),
        ("X_API_BASE_URL", "https://user:hunter22@api.x.com", "must not hold a user name"),
        ("BACKEND_CORS_ORIGINS", '["https://a.example"', "must be a JSON array"),
        ("BACKEND_CORS_ORIGINS", "[1, 2]", "must be a JSON array of strings"),
        ("BACKEND_CORS_ORIGINS", "app.example.com", "must list origins"),
        ("BACKEND_CORS_ORIGINS", "https://a.example/path", "without a path"),
        ("CSRF_TRUSTED_ORIGINS", "*", "must list origins"),
        ("ALLOWED_HOSTS", "https://autores.example.com", "without https://"),
        ("ALLOWED_HOSTS", "autores.example.com:8000", "without https:// or port"),
        ("LOG_LEVEL", "LOUD", "must be one of: DEBUG"),
    ],
)
def test_problem_names_the_variable_and_the_rule_when_a_value_is_bad(
    name: str, text: str, said: str
) -> None:
    loaded = env.load({name: text})

    (problem,) = loaded.problems
    assert problem.name == name
    assert problem.message.startswith(f"{name} ")
    assert said in problem.message
    assert problem.hint
    assert loaded[name] == next(v.default for v in env.VARIABLES if v.name == name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ALERT_EMAILS", "Ops <ops@example.com>, root@localhost"),
        ("X_API_BASE_URL", "https://gateway.example.com/x"),
        ("REDIS_URL", "redis://cache:6379/0/"),
        ("REDIS_URL", "rediss://:pass%2Fword@cache:6380/1?ssl_cert_reqs=none"),
        ("REDIS_URL", "redis://cache"),
        ("OPENAI_API_KEY", "sk-proj_a.B~c+d/e=f"),
    ],
)
def test_value_is_taken_when_it_may_be_right(name: str, text: str) -> None:
    assert env.load({name: text}).problems == []


def test_both_forms_are_read_when_a_list_is_json_or_comma_separated() -> None:
    json_form = env.load(
        {"BACKEND_CORS_ORIGINS": '["https://a.example", "http://b.example:3000/"]'}
    )
    plain_form = env.load({"BACKEND_CORS_ORIGINS": "https://a.example , http://b.example:3000"})

    assert json_form["BACKEND_CORS_ORIGINS"] == ["https://a.example", "http://b.example:3000"]
    assert plain_form["BACKEND_CORS_ORIGINS"] == json_form["BACKEND_CORS_ORIGINS"]
    assert env.load({"ALLOWED_HOSTS": "a.example,.b.example,[::1],*"}).problems == []


# -- secrets ----------------------------------------------------------------------------------

SECRETS = [variable.name for variable in env.VARIABLES if variable.is_secret]


@given(
    name=st.sampled_from(SECRETS),
    value=st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=8).map(
        lambda text: f"p4ss{text.strip()}w0rd"
    ),
    form=st.sampled_from(["{}", "redis://u:{}@h:x/", "mongodb://u:{}@[", "ftp://u:{}@h", '["{}"']),
)
def test_no_secret_is_quoted_when_its_value_is_bad(name: str, value: str, form: str) -> None:
    loaded = env.load({name: form.format(value), "ENVIRONMENT": "production"})

    shown = repr(loaded) + repr(loaded.problems)
    assert value not in shown
    assert repr(value)[1:-1] not in shown


def test_secrets_are_those_that_hold_a_credential() -> None:
    telling = (
        "SECRET",
        "_KEY",
        "MONGODB_URL",
        "REDIS_URL",
        "MYSQL_DATABASE_URL",
        "SMTP_URL",
        "WEBHOOK",
    )
    assert [v.name for v in env.VARIABLES if any(word in v.name for word in telling)] == SECRETS


@pytest.mark.parametrize(
    "value",
    [
        "smtps://ops:hunter2/secret@mail.example.com:465",
        "smtp://mail.example.com:abc",
        "smtp://mail.example.com:99999",
        "smtp://mail.example.com:0",
    ],
)
def test_a_mail_server_without_a_port_that_is_one_is_a_problem_and_not_shown(value: str) -> None:
    loaded = env.load({"SMTP_URL": value})
    (problem,) = [problem for problem in loaded.problems if problem.name == "SMTP_URL"]
    assert "hunter2" not in repr(problem)
    assert loaded["SMTP_URL"] == "smtp://localhost:25"


def test_an_address_that_is_itself_the_secret_is_collected_whole() -> None:
    hook = "https://hooks.example.com/services/T0AB/SeCrEt"
    loaded = env.load({"ALERT_WEBHOOK_URL": hook})
    assert {hook, "/services/T0AB/SeCrEt"} <= loaded.secret_texts
    assert env.load({"ALERT_WEBHOOK_URL": "https://x.example.com/"}).secret_texts == {
        "https://x.example.com/"
    }


def test_passwords_are_collected_when_they_are_part_of_a_url() -> None:
    loaded = env.load(
        {
            "MONGODB_URL": "mongodb://autores:mongo-password@db.example.com/?replicaSet=rs0",
            "REDIS_URL": "redis://cache.example.com/0",
            "TOKEN_ENCRYPTION_KEYS": "first-key, second-key",
            "OPENAI_MODEL": "gpt-5-mini",
        }
    )

    assert {"mongo-password", "first-key", "second-key"} <= loaded.secret_texts
    assert "gpt-5-mini" not in loaded.secret_texts
    assert not any("db.example.com" in text for text in loaded.secret_texts)


def test_value_comes_from_the_file_when_the_name_ends_in_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret_key"
    secret.write_text("  a-mounted-secret\n")

    loaded = env.load({"SECRET_KEY_FILE": str(secret)})

    assert loaded["SECRET_KEY"] == "a-mounted-secret"
    assert "SECRET_KEY" in loaded.given
    assert "a-mounted-secret" in loaded.secret_texts


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file"), (b"", "it is empty"), (b" \n", "it is empty"), (b"\xff\xfe", "UTF-8")],
)
def test_problem_names_the_file_when_it_gives_no_value(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)

    loaded = env.load({**PRODUCTION, "SECRET_KEY": "", "SECRET_KEY_FILE": str(path)})

    (message,) = messages(loaded)
    assert message.startswith(f"SECRET_KEY_FILE names {path}, which cannot be used: ")
    assert reason in message
    assert loaded["SECRET_KEY"] == ""


def test_problem_is_told_when_value_and_file_are_both_given(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from-file")

    loaded = env.load({"SECRET_KEY": "direct", "SECRET_KEY_FILE": str(path)})

    assert messages(loaded) == ["SECRET_KEY and SECRET_KEY_FILE are both set."]


# -- production and the file ------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [variable.name for variable in env.VARIABLES if variable.is_required_in_production]
)
def test_problem_names_what_is_missing_when_in_production(name: str) -> None:
    given_names = {key: value for key, value in PRODUCTION.items() if key != name}

    assert messages(env.load(given_names)) == [f"{name} must be set in production."]
    assert env.load({**given_names, "ENVIRONMENT": "development"}).problems == []


def test_nothing_is_missing_when_production_is_complete() -> None:
    assert env.load(PRODUCTION).problems == []


def test_problem_is_told_when_the_named_file_cannot_be_read(tmp_path: Path) -> None:
    absent, binary = tmp_path / "absent.env", tmp_path / "binary.env"
    binary.write_bytes(b"SECRET_KEY=\xff\xfe")

    assert (
        "there is no such file"
        in messages(env.load({}, dotenv_path=absent, is_dotenv_required=True))[0]
    )
    assert (
        "it is no file" in messages(env.load({}, dotenv_path=tmp_path, is_dotenv_required=True))[0]
    )
    assert "not UTF-8" in messages(env.load({}, dotenv_path=binary))[0]


def test_typo_is_told_when_a_name_is_nearly_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("TWITER_CLIENT_ID=a\nMYSQL_ROOT_PASSWORD=b\nSECRET_KEY_FILE=\nOPENAI_KEY=\n")

    loaded = env.load({}, dotenv_path=path)

    assert loaded.typos == [env.Typo("TWITER_CLIENT_ID", "TWITTER_CLIENT_ID")]


def test_names_are_unique_when_all_variables_are_listed() -> None:
    names = [variable.name for variable in env.VARIABLES]
    assert len(names) == len(set(names))
