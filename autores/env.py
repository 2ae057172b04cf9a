"""The environment variables Autores reads: one table, typed, with every problem collected.

``settings.py`` takes its values from here; ``checks.py`` turns the problems into Django system
checks, so that a wrong deployment says everything that is wrong at once, by variable.
Pure: no Django, no network. Values come from the process environment, then from ``.env``;
``NAME_FILE`` may name a file that holds the value, as Docker and Kubernetes secrets do.
"""

import difflib
import json
import math
import re
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


@dataclass(frozen=True)
class Typo:
    """A name in the ``.env`` file that is nearly one of ours, and the name that was meant."""

    name: str
    meant: str


@dataclass
class Environment:
    """Parsed values by name, and the problems met on the way (the default stands in then).

    Its ``repr`` shows no value, as some are secrets. ``given`` holds the names that had a text,
    good or bad; ``secret_texts`` what a log line must never show.
    """

    values: dict[str, Any] = field(repr=False)
    problems: list[Problem] = field(default_factory=list)
    typos: list[Typo] = field(default_factory=list)
    given: frozenset[str] = frozenset()
    secret_texts: frozenset[str] = field(default=frozenset(), repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def text(value: str) -> str:
    return value


def integer(*, at_least: int = 0, at_most: int = 1_000_000) -> Parser:
    def parse(value: str) -> int:
        try:
            number = int(value)
        except ValueError:
            raise ValueError("must be a whole number") from None
        if not at_least <= number <= at_most:
            raise ValueError(f"must be from {at_least} to {at_most}")
        return number

    return parse


def decimal(*, above: float = 0.0, or_equal: bool = False, at_most: float = 1_000_000) -> Parser:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError("must be a number") from None
        is_in_range = number > above or (or_equal and number == above)
        # Not a number compares as False; a huge one would overflow a timedelta later.
        if not is_in_range or math.isinf(number) or number > at_most:
            least = f"at least {above:g}" if or_equal else f"more than {above:g}"
            raise ValueError(f"must be {least} and at most {at_most:.0f}")
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
    """One of ``options``, in capitals or not."""
    by_lowered = {option.lower(): option for option in options}

    def parse(value: str) -> str:
        try:
            return by_lowered[value.lower()]
        except KeyError:
            raise ValueError(f"must be one of: {', '.join(options)}") from None

    return parse


def url(*schemes: str) -> Parser:
    expected = " or ".join(f"{scheme}://" for scheme in schemes)

    def parse(value: str) -> str:
        try:
            parts = urlsplit(value)
            has_host = bool(parts.netloc.rpartition("@")[2].partition("/")[0].lstrip(":"))
        except ValueError:
            # Its message quotes the part before the path, password included.
            raise ValueError(
                "is not a URL; write special characters of a password as %XX"
            ) from None
        if parts.scheme not in schemes or not has_host:
            raise ValueError(f"must start with {expected} and name a host")
        if not parts.scheme.startswith("http"):
            return value
        if "@" in parts.netloc:
            raise ValueError("must not hold a user name or password")
        try:
            # Asking for the port is what checks it.
            assert parts.port != 0
        except (ValueError, AssertionError):
            raise ValueError("has a port that is not a number from 1 to 65535") from None
        return value.rstrip("/")

    return parse


def string_list(value: str) -> list[str]:
    """A JSON array of strings (the legacy form) or a comma-separated list."""
    if value.lstrip().startswith("["):
        try:
            items = json.loads(value)
        except ValueError:
            raise ValueError('must be a JSON array such as ["one", "two"]') from None
        if not all(isinstance(item, str) for item in items):
            raise ValueError("must be a JSON array of strings")
        return [item.strip() for item in items if item.strip()]
    return [item.strip() for item in value.split(",") if item.strip()]


def origins(*, allows_any: bool = False) -> Parser:
    """A list of origins, ``https://host[:port]``; with ``allows_any`` also ``*``."""

    def parse(value: str) -> list[str]:
        found = []
        for item in string_list(value):
            if item == "*" and allows_any:
                found.append(item)
                continue
            try:
                parts = urlsplit(item)
            except ValueError:
                parts = urlsplit("")
            has_more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
            if parts.scheme not in {"http", "https"} or not parts.netloc or has_more:
                raise ValueError(
                    "must list origins such as https://app.example.com, without a path"
                    + (', or "*"' if allows_any else "")
                )
            found.append(item.rstrip("/"))
        return found

    return parse


def host_names(value: str) -> list[str]:
    """A list of host names, without scheme, port or path; ``.example.com`` means all below it."""
    names = string_list(value)
    if any(re.search(r"[/\s@]|[^:\]]:\d+$", name) for name in names):
        raise ValueError(
            "must list host names such as autores.example.com, without https:// or port"
        )
    return names


def database_name(value: str) -> str:
    # MongoDB's own limits, less the "test_" that tests put before the name.
    if re.search(r"[/\\. \"$*<>:|?\x00]", value) or len(value.encode()) > 58:
        raise ValueError('must be at most 58 bytes, without / \\ . " $ * < > : | ? or a space')
    return value


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
        host_names,
        [],
        "Host names the web server answers to, comma separated. Development: any of this machine.",
        "Deployment",
        is_required_in_production=True,
    ),
    Variable(
        "CSRF_TRUSTED_ORIGINS",
        origins(),
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
    Variable(
        "DEBUG",
        boolean,
        False,
        "True shows the code around an error in the browser. In development only.",
        "Deployment",
    ),
    Variable(
        "LOG_LEVEL",
        choice("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "The least serious lines that are written.",
        "Deployment",
    ),
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
    Variable("MONGODB_DB_NAME", database_name, "autores", "The database's name.", "Databases"),
    Variable(
        "MONGODB_MAX_POOL_SIZE",
        integer(at_least=1, at_most=10_000),
        50,
        "At most so many connections to MongoDB, per process.",
        "Databases",
    ),
    Variable(
        "MONGODB_MIN_POOL_SIZE",
        integer(at_most=10_000),
        0,
        "So many connections are kept open, per process; others close after 30 idle seconds.",
        "Databases",
    ),
    Variable(
        "REDIS_URL",
        url("redis", "rediss"),
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
        origins(allows_any=True),
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
    Variable("X_API_BASE_URL", url("http", "https"), "https://api.x.com", "Where X's API is.", "X"),
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
    Variable(
        "X_CONNECT_TIMEOUT_SECONDS",
        decimal(at_most=300),
        5.0,
        "How long a connection to X may take.",
        "X",
    ),
    Variable(
        "X_READ_TIMEOUT_SECONDS",
        decimal(at_most=300),
        15.0,
        "How long X may be silent before a call counts as unanswered.",
        "X",
    ),
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
        "X_POLL_OVERLAP",
        decimal(or_equal=True, at_most=1440),
        15.0,
        "How far before its last time, in minutes, a poll reads again, for what X shows late.",
        "X",
    ),
    Variable(
        "X_SEARCH_INTERVAL",
        decimal(or_equal=True, at_most=144),
        24.0,
        "Hours between two searches for missed mentions, at most six days; 0 searches gaps only.",
        "X",
    ),
    Variable(
        "X_BASELINE_COUNT",
        integer(at_least=5),
        20,
        "How many earlier mentions a first poll takes over, instead of up to 800.",
        "X",
    ),
    Variable(
        "X_RECHECK_INTERVAL",
        decimal(or_equal=True, at_most=24),
        20.0,
        "Hours after which a mention is looked up again, to find it deleted; 0 does not look.",
        "X",
    ),
    Variable(
        "X_RECHECK_DAYS",
        integer(at_most=3650),
        7,
        "For how many days an answered or ignored mention is looked up; open ones always are.",
        "X",
    ),
    Variable(
        "X_RECHECK_POSTS_PER_DAY",
        integer(at_least=100, at_most=1_000_000),
        1000,
        "Posts an account may look up again per day (UTC): X charges each as a read.",
        "X",
    ),
    Variable(
        "X_APP_POSTS_PER_DAY",
        integer(at_most=100_000_000),
        10_000,
        "Posts the app may make in any 24 hours, all accounts together, as X's plan allows.",
        "X",
    ),
    Variable(
        "X_APP_DMS_PER_DAY",
        integer(at_most=100_000_000),
        1_440,
        "Direct messages the app may send in any 24 hours, all accounts together.",
        "X",
    ),
    Variable(
        "X_PROBE_INTERVAL",
        decimal(at_most=60),
        5.0,
        "Minutes until one call tries whether X takes calls again; doubled each time, to an hour.",
        "X",
    ),
    # -- replies
    Variable(
        "REPLY_ABSENT_SECONDS",
        decimal(at_most=86_400),
        180.0,
        "How long X must not show an unanswered send, in three looks, before it is sent again.",
        "Replies",
    ),
    Variable(
        "REPLY_UNDO_SECONDS",
        decimal(or_equal=True),
        5.0,
        "How long a reply approved in the admin waits before it is sent, so it can be undone.",
        "Replies",
    ),
    # -- alerts
    Variable(
        "ALERT_EMAILS",
        string_list,
        [],
        "Who is mailed when all calls to X are paused, comma separated.",
        "Alerts",
    ),
    Variable(
        "SMTP_URL",
        url("smtp", "smtps"),
        "smtp://localhost:25",
        "The mail server: smtp://user:pass@host:587 (STARTTLS with a user) or smtps://…:465.",
        "Alerts",
        is_secret=True,
    ),
    Variable(
        "ALERT_WEBHOOK_URL",
        url("http", "https"),
        "",
        'Where {"text": "…"} is posted then, as Slack and Mattermost take it.',
        "Alerts",
        is_secret=True,
    ),
    # -- drafting
    Variable(
        "OPENAI_API_KEY", text, "", "Without it no drafts are made.", "Drafts", is_secret=True
    ),
    Variable(
        "OPENAI_BASE_URL",
        url("http", "https"),
        "https://api.openai.com/v1",
        "Where the model's API is.",
        "Drafts",
    ),
    Variable("OPENAI_MODEL", text, "gpt-5-mini", "The model that drafts.", "Drafts"),
    Variable(
        "OPENAI_TIMEOUT_SECONDS",
        decimal(at_most=600),
        30.0,
        "How long the model may take for one draft.",
        "Drafts",
    ),
    Variable(
        "DRAFT_AUTOMATICALLY",
        boolean,
        True,
        "Draft a reply to each new mention that can be answered. A person still approves.",
        "Drafts",
    ),
    Variable(
        "DRAFTS_PER_AUTHOR_PER_DAY",
        integer(),
        10,
        "So many drafts at most for one author's mentions of one account, a UTC day; 0: no limit.",
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
    is_dotenv_required: bool = False,
    variables: tuple[Variable, ...] = VARIABLES,
) -> Environment:
    """Read every variable from ``environ``, then from the ``.env`` file, then its default.

    An empty value counts as not given. Never raises for a bad value: the default stands in and
    the problem is kept, for ``manage.py check`` and for the servers' start to refuse.
    """
    loaded = Environment(values={})
    sources: list[Mapping[str, str]] = [environ]
    if dotenv_path is not None:
        from_file = _read_dotenv(dotenv_path, is_required=is_dotenv_required, loaded=loaded)
        sources.append(from_file)
        loaded.typos = _find_typos(from_file, variables)
    given, secret_texts = set(), set()
    for variable in variables:
        loaded.values[variable.name] = variable.default
        raw = _find_text(variable, sources, loaded)
        if raw is None:
            continue
        given.add(variable.name)
        if variable.is_secret:
            secret_texts.update(_split_secret(raw))
        try:
            loaded.values[variable.name] = variable.parse(raw)
        except ValueError as error:
            shown = "" if variable.is_secret else f" (it is {_abridge(raw)})"
            loaded.problems.append(
                Problem(variable.name, f"{variable.name} {error}{shown}.", variable.help)
            )
    has_problem = {problem.name for problem in loaded.problems}
    if loaded["ENVIRONMENT"] == "production":
        loaded.problems += [
            Problem(variable.name, f"{variable.name} must be set in production.", variable.help)
            for variable in variables
            if variable.is_required_in_production and variable.name not in given | has_problem
        ]
    loaded.given, loaded.secret_texts = frozenset(given), frozenset(secret_texts)
    return loaded


def _read_dotenv(path: Path, *, is_required: bool, loaded: Environment) -> dict[str, str]:
    try:
        # Without interpolation: a secret may hold "${". The BOM is what Windows editors leave.
        values = dotenv_values(path, interpolate=False, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        hint = "Make the file readable for this user."
    else:
        if path.is_file() or not is_required:
            return {name: value for name, value in values.items() if value}
        reason = "it is no file" if path.exists() else "there is no such file"
        hint = "AUTORES_DOTENV names it: correct or unset that."
    loaded.problems.append(
        Problem("AUTORES_DOTENV", f"The settings in {path} cannot be read: {reason}.", hint)
    )
    return {}


def _find_text(
    variable: Variable, sources: list[Mapping[str, str]], loaded: Environment
) -> str | None:
    """The variable's text from the first source that has one, or None; a problem is recorded."""
    for source in sources:
        raw = source.get(variable.name, "").strip()
        path = source.get(f"{variable.name}_FILE", "").strip()
        if raw and path:
            message = f"{variable.name} and {variable.name}_FILE are both set."
            loaded.problems.append(Problem(variable.name, message, "Keep one of them."))
            return None
        if raw:
            return raw
        if path:
            return _read_secret_file(variable, Path(path), loaded)
    return None


def _read_secret_file(variable: Variable, path: Path, loaded: Environment) -> str | None:
    try:
        if raw := path.read_text(encoding="utf-8-sig").strip():
            return raw
        reason = "it is empty"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "it is not UTF-8 text"
    loaded.problems.append(
        Problem(
            variable.name,
            f"{variable.name}_FILE names {path}, which cannot be used: {reason}.",
            "Mount the secret, or make the file readable for this user.",
        )
    )
    return None


def _find_typos(from_file: Mapping[str, str], variables: tuple[Variable, ...]) -> list[Typo]:
    known = [variable.name for variable in variables]
    known += [f"{name}_FILE" for name in known]
    return [
        Typo(name, close[0])
        for name in from_file
        if name not in known and (close := difflib.get_close_matches(name, known, cutoff=0.9))
    ]


def _split_secret(raw: str) -> set[str]:
    """What must not be shown of a secret: the password of a URL, each key of a list, the text."""
    try:
        password = urlsplit(raw).password if "://" in raw else None
    except ValueError:
        return {raw}
    if "://" in raw:
        return {password} if password else set()
    try:
        return set(string_list(raw)) | {raw}
    except ValueError:
        return {raw}


def _abridge(raw: str) -> str:
    without_password = re.sub(r"//[^/@\s]*@", "//…@", raw)
    return repr(without_password if len(without_password) <= 80 else f"{without_password[:80]}…")
