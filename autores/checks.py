"""System checks: a wrong deployment is found by ``manage.py check``, and refused at start.

E001 covers every value that cannot be read (the message names the variable); the others are
rules between settings. Ids are stable, and docs/settings.md lists them.
"""

import base64
import ipaddress
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.http.request import validate_host
from pymongo.errors import PyMongoError
from pymongo.uri_parser import parse_uri

from autores.crypto import CipherError, TokenCipher

TAG = "autores"
_REQUIRED_SCOPES = {"tweet.read", "tweet.write", "users.read", "offline.access"}
_FEWEST_DISTINCT_BYTES = 12


def _error(number: str, message: str, hint: str) -> checks.CheckMessage:
    return checks.Error(message, hint=hint, id=f"autores.E{number}")


def _warning(number: str, message: str, hint: str) -> checks.CheckMessage:
    return checks.Warning(message, hint=hint, id=f"autores.W{number}")


@checks.register(TAG)
def check_environment(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E001: a variable that cannot be read. W002: a name in .env that is nearly one of ours."""
    found: list[checks.CheckMessage] = [
        checks.Error(problem.message, hint=problem.hint, id="autores.E001", obj=problem.name)
        for problem in settings.ENV.problems
    ]
    found += [
        _warning("002", f"{typo.name} in .env is no setting.", f"{typo.meant} was meant?")
        for typo in settings.ENV.typos
    ]
    return found


@checks.register(TAG)
def check_secrets(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E010: SECRET_KEY. E011 and E012: TOKEN_ENCRYPTION_KEYS. What is missing, E001 says."""
    found: list[checks.CheckMessage] = []
    key = settings.SECRET_KEY
    if settings.IS_PRODUCTION and "SECRET_KEY" in settings.ENV.given:
        is_short = len(key) < 50 or len(set(key)) < _FEWEST_DISTINCT_BYTES
        is_public = key == settings.DEVELOPMENT_SECRET_KEY or key.startswith("django-insecure-")
        if is_short or is_public:
            found.append(
                _error(
                    "010",
                    "SECRET_KEY is too weak for production.",
                    "Use at least 50 random characters: python -c "
                    "'import secrets; print(secrets.token_urlsafe(50))'",
                )
            )
    keys = settings.TOKEN_ENCRYPTION_KEYS
    if not keys and settings.IS_PRODUCTION:
        return found
    try:
        TokenCipher(keys)
    except CipherError as error:
        hint = "The first key encrypts; keep the former ones behind it until they are rotated out."
        return [*found, _error("011", str(error), hint)]
    weak = [key for key in keys if len(set(base64.urlsafe_b64decode(key))) < _FEWEST_DISTINCT_BYTES]
    if weak and settings.IS_PRODUCTION:
        found.append(
            _error(
                "012",
                "TOKEN_ENCRYPTION_KEYS holds a key that is not random.",
                "Make one with: python -c 'from cryptography.fernet import Fernet; "
                "print(Fernet.generate_key().decode())'",
            )
        )
    return found


@checks.register(TAG)
def check_databases(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E013: a MONGODB_URL that the driver does not take. E014: pool sizes that contradict."""
    found: list[checks.CheckMessage] = []
    url = settings.DATABASES["default"]["HOST"]
    # The driver would ask the name server about an mongodb+srv:// URL.
    if url.startswith("mongodb://"):
        try:
            parse_uri(url, warn=False)
        except (PyMongoError, ValueError) as error:
            found.append(
                _error(
                    "013",
                    f"MONGODB_URL is refused by the driver ({type(error).__name__}).",
                    "It is mongodb://[user:password@]host[:port],…/[database]?replicaSet=<name>; "
                    "special characters of user and password are written as %XX.",
                )
            )
    options = settings.DATABASES["default"]["OPTIONS"]
    if options["minPoolSize"] > options["maxPoolSize"]:
        found.append(
            _error(
                "014",
                "MONGODB_MIN_POOL_SIZE is larger than MONGODB_MAX_POOL_SIZE.",
                "Lower the one or raise the other.",
            )
        )
    return found


@checks.register(TAG)
def check_web(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E020: CORS for everybody with cookies. W021: any Host header in production.

    W022: a proxy that hides its callers.
    """
    found: list[checks.CheckMessage] = []
    if settings.CORS_ALLOW_ALL_ORIGINS and settings.CORS_ALLOW_CREDENTIALS:
        found.append(
            _error(
                "020",
                'BACKEND_CORS_ORIGINS is "*" while CORS_ALLOW_CREDENTIALS is true: any page '
                "could act as the signed-in person.",
                "List the origins, or set CORS_ALLOW_CREDENTIALS=false.",
            )
        )
    if settings.IS_PRODUCTION and "*" in settings.ALLOWED_HOSTS:
        found.append(
            _warning(
                "021",
                'ALLOWED_HOSTS is "*": addresses in answers follow whatever Host a caller sends.',
                "List the host names that people use.",
            )
        )
    if settings.ENV["BEHIND_TLS_PROXY"] and not settings.ENV["TRUSTED_PROXIES"]:
        found.append(
            _warning(
                "022",
                "BEHIND_TLS_PROXY is true while TRUSTED_PROXIES is 0: every caller has the proxy's "
                "address, and all share one limit of requests and of wrong passwords.",
                "Set TRUSTED_PROXIES to the number of your proxies that append to X-Forwarded-For.",
            )
        )
    return found


@checks.register(TAG)
def check_x(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """E030 and E031: addresses. E032 and W033: scopes. E034: the app's keys. W035: the callback.

    W036: polls and their budget. W037: the callback's path.
    """
    found: list[checks.CheckMessage] = []
    polls = settings.TWITTER_MENTIONS_WINDOW / settings.TWITTER_POLLING_INTERVAL
    if polls > settings.TWITTER_MENTIONS_RATE_LIMIT:
        found.append(
            _warning(
                "036",
                f"TWITTER_POLLING_INTERVAL asks for {polls:.0f} polls per window, and "
                f"TWITTER_MENTIONS_RATE_LIMIT allows {settings.TWITTER_MENTIONS_RATE_LIMIT}: "
                "reading will stop before each window ends.",
                "Poll less often, or raise the limit (X itself allows 300 per 15 minutes).",
            )
        )
    for name in ("X_API_BASE_URL", "X_AUTHORIZE_URL", "OPENAI_BASE_URL", "TWITTER_CALLBACK_URL"):
        url = getattr(settings, name)
        if settings.IS_PRODUCTION and (_is_this_machine(url) or not url.startswith("https://")):
            found.append(
                _error(
                    "030",
                    f"{name} is {url}: production talks to the real services, over https.",
                    "The sandbox and plain http are for development and tests.",
                )
            )
        elif url.startswith("http://") and not _is_this_machine(url):
            found.append(
                _error(
                    "031",
                    f"{name} sends secrets over plain http to {urlsplit(url).hostname}.",
                    "Use https; plain http is allowed to this machine only.",
                )
            )
    scopes = set(settings.TWITTER_SCOPE.split())
    if missing := _REQUIRED_SCOPES - scopes:
        found.append(
            _error(
                "032",
                f"TWITTER_SCOPE lacks {', '.join(sorted(missing))}.",
                "Scopes are separated by spaces. It is offline.access with a dot; without it "
                "tokens cannot be refreshed.",
            )
        )
    if "dm.write" in scopes and "dm.read" not in scopes:
        found.append(
            _warning(
                "033",
                "TWITTER_SCOPE has dm.write without dm.read: X refuses direct messages then.",
                "Add dm.read; accounts connected before must be connected again for it.",
            )
        )
    if settings.IS_PRODUCTION:
        found += _check_x_app()
    return found


_CALLBACK_PATH = "/auth/twitter/callback"


def _check_x_app() -> list[checks.CheckMessage]:
    found = [
        _error(
            "034",
            f"{name} must be set in production.",
            "It is in X's developer console, among the app's OAuth 2.0 keys.",
        )
        for name in ("TWITTER_CLIENT_ID", "TWITTER_CLIENT_SECRET")
        if not getattr(settings, name)
    ]
    host = urlsplit(settings.TWITTER_CALLBACK_URL).hostname or ""
    if settings.ALLOWED_HOSTS and not validate_host(host, settings.ALLOWED_HOSTS):
        found.append(
            _warning(
                "035",
                f"TWITTER_CALLBACK_URL leads to {host}, which ALLOWED_HOSTS refuses.",
                "X sends the browser there after consent: add the host, or correct the URL.",
            )
        )
    if not urlsplit(settings.TWITTER_CALLBACK_URL).path.rstrip("/").endswith(_CALLBACK_PATH):
        found.append(
            _warning(
                "037",
                f"TWITTER_CALLBACK_URL does not end with {_CALLBACK_PATH}.",
                "That is where Autores takes the browser back from X; another path needs a proxy "
                "that leads there.",
            )
        )
    return found


@checks.register(TAG)
def check_drafts(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    """W040: drafts are wanted in production, and there is no key to make them with. W041: the
    model's address has no path.
    """
    found = []
    if settings.IS_PRODUCTION and settings.DRAFT_AUTOMATICALLY and not settings.OPENAI_API_KEY:
        found.append(
            _warning(
                "040",
                "OPENAI_API_KEY is not set: no drafts will be made.",
                "Set it, or say with DRAFT_AUTOMATICALLY=false that none are wanted.",
            )
        )
    if not urlsplit(settings.OPENAI_BASE_URL).path.strip("/"):
        found.append(
            _warning(
                "041",
                "OPENAI_BASE_URL has no path: drafts are asked "
                "for at /responses there, which OpenAI answers with 404.",
                "OpenAI's own is https://api.openai.com/v1; most gateways have /v1, too.",
            )
        )
    return found


def refuse_broken_settings() -> None:
    """Stop a server's start when a deployment rule is broken, saying all of them.

    Raises ImproperlyConfigured. Servers do not run Django's system checks by themselves.
    """
    found = checks.run_checks(tags=[TAG])
    errors = [message for message in found if message.level >= checks.ERROR]
    if errors:
        lines = "\n".join(f"  {error.id}: {error.msg} {error.hint or ''}" for error in errors)
        raise ImproperlyConfigured(f"Autores cannot start with these settings:\n{lines}")


def _is_this_machine(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
