"""The environment variables Autores reads: one table, typed, with every problem collected.

``settings.py`` takes its values from here; ``checks.py`` turns the problems into Django system
checks, so that a wrong deployment says everything that is wrong at once, by variable.
Pure: no Django, no network. Values come from the process environment, then from ``.env``;
``NAME_FILE`` may name a file that holds the value, as Docker and Kubernetes secrets do.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

Parser = Callable[[str], Any]


@dataclass(frozen=True)
class Variable:
    """One setting: its name, how its text is read, its default, and a line for the operator."""

    name: str
    parse: Parser
    default: Any
    help: str
    group: str
    is_secret: bool = False
    is_required_in_production: bool = False


@dataclass(frozen=True)
class Problem:
    """A variable whose value cannot be used. ``message`` never quotes the value of a secret."""

    name: str
    message: str
    hint: str


@dataclass
class Environment:
    """Parsed values by name, and the problems met on the way (the default stands in then)."""

    values: dict[str, Any]
    problems: list[Problem] = field(default_factory=list)
    given: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def text(value: str) -> str:
    return value


def integer(*, at_least: int = 0) -> Parser:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if number < at_least:
            raise ValueError(f"must be at least {at_least}")
        return number

    return parse


def decimal(*, above: float = 0.0, or_equal: bool = False) -> Parser:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        if not (number > above or (or_equal and number == above)) or number == float("inf"):
            raise ValueError(f"must be {'at least' if or_equal else 'more than'} {above:g}")
        return number

    return parse


def boolean(value: str) -> bool:
    lowered = value.lower()
    if lowered in {"1", "true", "yes", "on"}:
        return True
    if lowered in {"0", "false", "no", "off"}:
        return False
    raise ValueError("must be true or false")


def choice(*options: str) -> Parser:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError(f"must be one of: {', '.join(options)}")
        return value

    return parse


def url(*schemes: str) -> Parser:
    def parse(value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in schemes or not parts.netloc:
            expected = " or ".join(f"{scheme}://" for scheme in schemes)
            raise ValueError(f"must start with {expected} and name a host")
        return value.rstrip("/") if parts.scheme.startswith("http") else value

    return parse


def string_list(value: str) -> list[str]:
    """A JSON array of strings (the legacy form) or a comma-separated list."""
    if value.lstrip().startswith("["):
        try:
            items = json.loads(value)
        except json.JSONDecodeError:
            raise ValueError('must be a JSON array such as ["https://a.example"]') from None
        if not all(isinstance(item, str) for item in items):
            raise ValueError("must be a JSON array of strings")
        return [item.strip() for item in items if item.strip()]
    return [item.strip() for item in value.split(",") if item.strip()]


_MYSQL = ("mysql+pymysql", "mysql", "mariadb", "mariadb+pymysql")

VARIABLES: tuple[Variable, ...] = (
    # -- deployment
    Variable(
        "ENVIRONMENT",
        choice("development", "test", "production"),
        "development",
        "development, test or production. Production refuses every unsafe default.",
        "Deployment",
    ),
    Variable(
        "SECRET_KEY",
        text,
        "",
        "Signs sessions and access tokens. At least 50 random characters in production.",
        "Deployment",
        is_secret=True,
        is_required_in_production=True,
    ),
    Variable(
        "ALLOWED_HOSTS",
        string_list,
        [],
        "Host names the web server answers to, comma separated. Development: any of this machine.",
        "Deployment",
        is_required_in_production=True,
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        string_list,
        [],
        "Origins (https://host) from which the admin's forms are posted, when behind a proxy.",
        "Deployment",
    ),
    Variable(
        "BEHIND_TLS_PROXY",
        boolean,
        False,
        "True when a proxy in front ends TLS and sets X-Forwarded-Proto itself.",
        "Deployment",
    ),
    Variable(
        "TRUSTED_PROXIES",
        integer(),
        0,
        "How many proxies of yours append to X-Forwarded-For; 0 ignores the header.",
        "Deployment",
    ),
    Variable("LOG_LEVEL", choice("DEBUG", "INFO", "WARNING", "ERROR"), "INFO", "", "Deployment"),
    Variable(
        "LOG_FORMAT",
        choice("text", "json"),
        "text",
        "json writes one object per line, for a log collector.",
        "Deployment",
    ),
    # -- databases
    Variable(
        "MONGODB_URL",
        url("mongodb", "mongodb+srv"),
        "mongodb://127.0.0.1:27017/?replicaSet=rs0",
        "The MongoDB replica set (6.0 or later; one node is enough).",
        "Databases",
        is_secret=True,
        is_required_in_production=True,
    ),
    Variable("MONGODB_DB_NAME", text, "autores", "The database's name.", "Databases"),
    Variable("MONGODB_MAX_POOL_SIZE", integer(at_least=1), 50, "Per process.", "Databases"),
    Variable("MONGODB_MIN_POOL_SIZE", integer(), 0, "Per process.", "Databases"),
    Variable(
        "REDIS_URL",
        url("redis", "rediss", "unix"),
        "redis://127.0.0.1:6379/0",
        "Redis or Valkey: Celery's broker, the cache, the rate limits.",
        "Databases",
        is_secret=True,
        is_required_in_production=True,
    ),
    Variable(
        "MYSQL_DATABASE_URL",
        url(*_MYSQL),
        "",
        "The legacy database that migrate_from_mysql reads: mysql+pymysql://user:pass@host/db",
        "Databases",
        is_secret=True,
    ),
    # -- the API
    Variable("ALGORITHM", choice("HS256"), "HS256", "How access tokens are signed.", "API"),
    Variable(
        "ACCESS_TOKEN_EXPIRE_MINUTES",
        integer(at_least=1),
        120,
        "How long an access token lives.",
        "API",
    ),
    Variable(
        "BACKEND_CORS_ORIGINS",
        string_list,
        ["*"],
        'Origins whose pages may call the API. ["*"] allows any, without cookies.',
        "API",
    ),
    Variable(
        "CORS_ALLOW_CREDENTIALS",
        boolean,
        False,
        "Lets those origins send cookies. Needs a list of origins instead of *.",
        "API",
    ),
    Variable(
        "RATE_LIMIT_PER_MINUTE",
        integer(at_least=1),
        60,
        "API requests a minute for each person, token or, unauthenticated, address.",
        "API",
    ),
    Variable(
        "REPLY_WAIT_SECONDS",
        decimal(or_equal=True),
        10.0,
        "How long an API call waits for X to confirm a reply before it answers 202.",
        "API",
    ),
    # -- X
    Variable("TWITTER_CLIENT_ID", text, "", "The X app's OAuth 2.0 client id.", "X"),
    Variable(
        "TWITTER_CLIENT_SECRET",
        text,
        "",
        "The X app's OAuth 2.0 client secret.",
        "X",
        is_secret=True,
    ),
    Variable(
        "TWITTER_CALLBACK_URL",
        url("http", "https"),
        "http://127.0.0.1:8000/api/v1/auth/twitter/callback",
        "Where X sends the browser back, exactly as registered with X.",
        "X",
    ),
    Variable(
        "TWITTER_SCOPE",
        text,
        "tweet.read tweet.write users.read offline.access dm.read dm.write",
        "What is asked of the account's owner. dm.write needs dm.read beside it.",
        "X",
    ),
    Variable(
        "TWITTER_MENTIONS_RATE_LIMIT",
        integer(at_least=1),
        50,
        "Mention requests an account may make per window (X itself allows 300).",
        "X",
    ),
    Variable(
        "TWITTER_MENTIONS_WINDOW",
        decimal(),
        15.0,
        "That window, in minutes.",
        "X",
    ),
    Variable(
        "TWITTER_POLLING_INTERVAL",
        decimal(),
        5.0,
        "Minutes between two polls of an account; 0.25 is fifteen seconds.",
        "X",
    ),
    Variable("X_API_BASE_URL", url("http", "https"), "https://api.x.com", "X's API.", "X"),
    Variable(
        "X_AUTHORIZE_URL",
        url("http", "https"),
        "https://x.com/i/oauth2/authorize",
        "X's consent page.",
        "X",
    ),
    Variable(
        "X_FIELD_VOCABULARY",
        choice("post", "tweet"),
        "post",
        "Which names are asked of X: post.fields (current) or tweet.fields (before 2026-08).",
        "X",
    ),
    Variable("X_CONNECT_TIMEOUT_SECONDS", decimal(), 5.0, "", "X"),
    Variable("X_READ_TIMEOUT_SECONDS", decimal(), 15.0, "", "X"),
    Variable(
        "X_OPEN_SIGN_UP",
        boolean,
        False,
        "True lets anybody connect an X account unknown here; false asks for a signed-in person.",
        "X",
    ),
    Variable(
        "X_SWEEP_INTERVAL",
        decimal(),
        60.0,
        "Minutes between two sweeps, which re-read what X may have shown late.",
        "X",
    ),
    Variable(
        "X_SWEEP_OVERLAP",
        decimal(),
        180.0,
        "How far back, in minutes, a sweep re-reads.",
        "X",
    ),
    Variable(
        "X_BASELINE_COUNT",
        integer(at_least=5),
        20,
        "How many earlier mentions a first poll takes over, instead of up to 800.",
        "X",
    ),
    # -- replies
    Variable(
        "REPLY_UNDO_SECONDS",
        decimal(or_equal=True),
        0.0,
        "How long a reply approved in the admin waits before it is sent, so it can be undone.",
        "Replies",
    ),
    # -- drafting
    Variable(
        "OPENAI_API_KEY", text, "", "Without it no drafts are made.", "Drafts", is_secret=True
    ),
    Variable(
        "OPENAI_BASE_URL",
        url("http", "https"),
        "https://api.openai.com/v1",
        "The model's API.",
        "Drafts",
    ),
    Variable("OPENAI_MODEL", text, "gpt-5-mini", "The model that drafts.", "Drafts"),
    Variable("OPENAI_TIMEOUT_SECONDS", decimal(), 30.0, "", "Drafts"),
    Variable(
        "DRAFT_AUTOMATICALLY",
        boolean,
        True,
        "Draft a reply to each new mention that can be answered. A person still approves.",
        "Drafts",
    ),
    # -- secrets at rest
    Variable(
        "TOKEN_ENCRYPTION_KEYS",
        string_list,
        [],
        "Fernet keys, comma separated: the first encrypts X's tokens, all decrypt.",
        "Secrets",
        is_secret=True,
        is_required_in_production=True,
    ),
)


def load(
    environ: Mapping[str, str],
    *,
    dotenv_path: Path | None = None,
    variables: tuple[Variable, ...] = VARIABLES,
) -> Environment:
    """Read every variable from ``environ``, then from the ``.env`` file, then its default.

    An empty value counts as not given. Never raises for a bad value: the default stands in and
    the problem is kept, for ``manage.py check`` and for the servers' start to refuse.
    """
    from_file = dotenv_values(dotenv_path) if dotenv_path and dotenv_path.is_file() else {}
    given = {name: value for name, value in from_file.items() if value}
    given.update({name: value for name, value in environ.items() if value})

    loaded = Environment(values={})
    seen = set()
    for variable in variables:
        loaded.values[variable.name] = variable.default
        raw = given.get(variable.name)
        path = given.get(f"{variable.name}_FILE")
        if raw is None and path is not None:
            try:
                raw = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "is not UTF-8 text"
                loaded.problems.append(
                    Problem(
                        variable.name,
                        f"{variable.name}_FILE names {path}, which cannot be read: {reason}.",
                        "Mount the secret, or make the file readable for this user.",
                    )
                )
                continue
        if not raw:
            continue
        seen.add(variable.name)
        try:
            loaded.values[variable.name] = variable.parse(raw.strip())
        except ValueError as error:
            shown = "" if variable.is_secret else f" (it is {raw!r})"
            loaded.problems.append(
                Problem(
                    variable.name,
                    f"{variable.name} {error}{shown}.",
                    variable.help or "See docs/settings.md.",
                )
            )
    loaded.given = frozenset(seen)
    if loaded["ENVIRONMENT"] == "production":
        for variable in variables:
            if variable.is_required_in_production and variable.name not in seen:
                loaded.problems.append(
                    Problem(
                        variable.name,
                        f"{variable.name} must be set in production.",
                        variable.help,
                    )
                )
    return loaded
