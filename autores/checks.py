"""System checks: a wrong deployment is found by ``manage.py check``, and refused at start.

E001 covers every value that cannot be read (the message names the variable); the others are
rules between settings. Ids are stable: operators may silence a warning by its id.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from autores.crypto import CipherError, TokenCipher

TAG = "autores"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_REQUIRED_SCOPES = {"tweet.read", "tweet.write", "users.read", "offline.access"}


@checks.register(TAG)
def check_environment(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    return [
        checks.Error(problem.message, hint=problem.hint, id="autores.E001", obj=problem.name)
        for problem in settings.ENV.problems
    ]


@checks.register(TAG)
def check_secrets(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    key = settings.SECRET_KEY
    if settings.IS_PRODUCTION and (
        len(key) < 50 or len(set(key)) < 5 or key == settings.DEVELOPMENT_SECRET_KEY
    ):
        found.append(
            checks.Error(
                "SECRET_KEY is too weak for production.",
                hint="Use at least 50 random characters: python -c "
                "'import secrets; print(secrets.token_urlsafe(50))'",
                id="autores.E010",
            )
        )
    try:
        TokenCipher(settings.TOKEN_ENCRYPTION_KEYS)
    except CipherError as error:
        found.append(checks.Error(str(error), id="autores.E011"))
    return found


@checks.register(TAG)
def check_cors(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    if settings.CORS_ALLOW_ALL_ORIGINS and settings.CORS_ALLOW_CREDENTIALS:
        return [
            checks.Error(
                'BACKEND_CORS_ORIGINS is "*" while CORS_ALLOW_CREDENTIALS is true: any page '
                "could act as the signed-in person.",
                hint="List the origins, or set CORS_ALLOW_CREDENTIALS=false.",
                id="autores.E020",
            )
        ]
    return []


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in _LOOPBACK


@checks.register(TAG)
def check_x(app_configs: object = None, **kwargs: object) -> list[checks.CheckMessage]:
    found: list[checks.CheckMessage] = []
    for name in ("X_API_BASE_URL", "X_AUTHORIZE_URL", "OPENAI_BASE_URL", "TWITTER_CALLBACK_URL"):
        url = getattr(settings, name)
        if settings.IS_PRODUCTION and (_is_loopback(url) or not url.startswith("https://")):
            found.append(
                checks.Error(
                    f"{name} is {url}: production talks to the real services, over https.",
                    hint="The sandbox and plain http are for development and tests.",
                    id="autores.E030",
                )
            )
        elif url.startswith("http://") and not _is_loopback(url):
            found.append(
                checks.Error(
                    f"{name} sends secrets over plain http to {urlsplit(url).hostname}.",
                    hint="Use https; plain http is allowed to this machine only.",
                    id="autores.E031",
                )
            )
    scopes = set(settings.TWITTER_SCOPE.split())
    if missing := _REQUIRED_SCOPES - scopes:
        found.append(
            checks.Error(
                f"TWITTER_SCOPE lacks {', '.join(sorted(missing))}.",
                hint="It is offline.access with a dot; without it tokens cannot be refreshed.",
                id="autores.E032",
            )
        )
    if "dm.write" in scopes and "dm.read" not in scopes:
        found.append(
            checks.Warning(
                "TWITTER_SCOPE has dm.write without dm.read: X refuses direct messages then.",
                hint="Add dm.read; accounts connected before must be connected again for it.",
                id="autores.W033",
            )
        )
    if settings.IS_PRODUCTION and not (
        settings.TWITTER_CLIENT_ID and settings.TWITTER_CLIENT_SECRET
    ):
        found.append(
            checks.Error(
                "TWITTER_CLIENT_ID and TWITTER_CLIENT_SECRET must be set in production.",
                hint="They are on the X developer portal, under the app's keys.",
                id="autores.E034",
            )
        )
    if not settings.OPENAI_API_KEY and settings.IS_PRODUCTION:
        found.append(
            checks.Warning(
                "OPENAI_API_KEY is not set: no drafts will be made.",
                hint="Set it, or DRAFT_AUTOMATICALLY=false and silence this warning.",
                id="autores.W040",
            )
        )
    return found


def refuse_broken_settings() -> None:
    """Stop a server's start on the first broken deployment rule, saying all of them.

    Raises ImproperlyConfigured. Servers do not run Django's system checks by themselves.
    """
    found: Sequence[checks.CheckMessage] = checks.run_checks(tags=[TAG])
    errors = [message for message in found if message.level >= checks.ERROR]
    if errors:
        lines = "\n".join(f"  {error.id}: {error.msg} {error.hint or ''}" for error in errors)
        raise ImproperlyConfigured(f"Autores cannot start with these settings:\n{lines}")
