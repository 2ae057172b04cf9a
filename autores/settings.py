"""Django's settings. Every deployment-specific value comes from the table of ``autores.env``."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from kombu.entity import Queue

from autores import env
from autores.crypto import key_from_passphrase
from autores.schedule import build_schedule

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = env.load_own(os.environ)

# Deployment
ENVIRONMENT: str = ENV["ENVIRONMENT"]
IS_PRODUCTION = ENVIRONMENT == "production"
DEBUG: bool = ENVIRONMENT == "development" and ENV["DEBUG"]
# Development and tests start without a .env; in production autores.E010 refuses this key.
DEVELOPMENT_SECRET_KEY = "development-only-" + "0123456789abcdef" * 3
SECRET_KEY: str = ENV["SECRET_KEY"] or DEVELOPMENT_SECRET_KEY
ALLOWED_HOSTS: list[str] = ENV["ALLOWED_HOSTS"] or (
    [] if IS_PRODUCTION else ["localhost", "127.0.0.1", "[::1]", "testserver"]
)
CSRF_TRUSTED_ORIGINS: list[str] = ENV["CSRF_TRUSTED_ORIGINS"]
ROOT_URLCONF = "autores.urls"
WSGI_APPLICATION = "autores.wsgi.application"
ASGI_APPLICATION = "autores.asgi.application"
LANGUAGE_CODE = "en-us"
# The database stores UTC, and __date/Trunc lookups refuse any other current time zone.
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
FORMAT_MODULE_PATH = ["autores.formats"]

INSTALLED_APPS = [
    "autores.apps.AutoresConfig",
    "accounts.apps.AccountsConfig",
    "mentions.apps.MentionsConfig",
    "unfold",
    "unfold.contrib.filters",
    "autores.apps.MongoAdminConfig",
    "autores.apps.MongoAuthConfig",
    "autores.apps.MongoContentTypesConfig",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "django_filters",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

# What shapes an answer, whoever gives it: Django, or the short way to the hot reads.
ANSWER_MIDDLEWARE = [
    "corsheaders.middleware.CorsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "autores.compression.CompressJSONMiddleware",
    "autores.csp.ContentSecurityPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
MIDDLEWARE = [
    "autores.observability.requests.RequestIdMiddleware",
    *ANSWER_MIDDLEWARE,
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "autores.parsers.ReadableQueryMiddleware",
    "autores.parsers.WholeBodyMiddleware",
    "autores.unmodified.UnmodifiedMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
# Every API path answers with and without the slash itself: a POST must not meet a redirect.
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # Those of the applications, of which ours come first.
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.admin.banner.add_pause",
            ],
        },
    },
]

# Databases
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "autores.mongo.backend",
        "NAME": ENV["MONGODB_DB_NAME"],
        "HOST": ENV["MONGODB_URL"],
        "OPTIONS": {
            "appname": "autores",
            "maxPoolSize": ENV["MONGODB_MAX_POOL_SIZE"],
            "minPoolSize": ENV["MONGODB_MIN_POOL_SIZE"],
            "maxIdleTimeMS": 30_000,
            "serverSelectionTimeoutMS": 5_000,
            "connectTimeoutMS": 10_000,
            "tz_aware": False,
            "w": "majority",
        },
        "TEST": {"NAME": f"test_{ENV['MONGODB_DB_NAME']}"},
    }
}
DATABASE_ROUTERS = ["django_mongodb_backend.routers.MongoRouter"]
DEFAULT_AUTO_FIELD = "django_mongodb_backend.fields.ObjectIdAutoField"
# Django's own migrations create integer keys, which MongoDB does not have.
MIGRATION_MODULES = {
    app: f"autores.contrib_migrations.{app}" for app in ("admin", "auth", "contenttypes")
}

REDIS_URL: str = ENV["REDIS_URL"]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "autores",
        # A Redis that hangs must not hang the API, which can do without it.
        "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
    }
}
# Not in the cache, too: the admin must open when Redis is away, and it is one read by key.
SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_NAME = "autores_session"
SESSION_COOKIE_AGE = 14 * 24 * 3600

MYSQL_DATABASE_URL: str = ENV["MYSQL_DATABASE_URL"]

# People
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.guessing.GuardedBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"
if ENVIRONMENT == "test":
    # A good hasher takes a third of a second for every person of every test.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The API
ACCESS_TOKEN_EXPIRE_MINUTES: int = ENV["ACCESS_TOKEN_EXPIRE_MINUTES"]
RATE_LIMIT_PER_MINUTE: int = ENV["RATE_LIMIT_PER_MINUTE"]
REPLY_WAIT_SECONDS: float = ENV["REPLY_WAIT_SECONDS"]
REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.api.authentication.AccessTokenAuthentication",
        "accounts.api.authentication.PersonalTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.api.throttling.PerMinuteThrottle"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "autores.renderers.KeptContentNegotiation",
    "DEFAULT_RENDERER_CLASSES": [
        "autores.renderers.ReadyJSONRenderer",
        "autores.browsable.BrowsableRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": [
        "autores.parsers.BoundedJSONParser",
        "autores.parsers.StrictFormParser",
        "autores.parsers.StrictMultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "autores.problems.handle_exception",
    "NUM_PROXIES": ENV["TRUSTED_PROXIES"],
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SIMPLE_JWT = {
    "ALGORITHM": ENV["ALGORITHM"],
    "SIGNING_KEY": SECRET_KEY,
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=ACCESS_TOKEN_EXPIRE_MINUTES),
    "USER_ID_CLAIM": "sub",
    "ISSUER": "autores",
    "AUTH_HEADER_TYPES": ("Bearer",),
    "UPDATE_LAST_LOGIN": False,
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Autores",
    "DESCRIPTION": "Works the mentions of a team's X accounts.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PREPROCESSING_HOOKS": ["autores.routes.drop_twins"],
    "ENUM_NAME_OVERRIDES": {
        "RoleEnum": "accounts.models.Role",
        "AccountStatusEnum": "accounts.models.AccountStatus",
    },
}

# CORS
_ORIGINS: list[str] = ENV["BACKEND_CORS_ORIGINS"]
CORS_ALLOW_ALL_ORIGINS = "*" in _ORIGINS
CORS_ALLOWED_ORIGINS = [origin.rstrip("/") for origin in _ORIGINS if origin != "*"]
CORS_ALLOW_CREDENTIALS: bool = ENV["CORS_ALLOW_CREDENTIALS"]
CORS_URLS_REGEX = r"^/api/"
CORS_ALLOW_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "x-csrftoken",
    "x-request-id",
)
CORS_EXPOSE_HEADERS = ("etag", "link", "location", "retry-after", "x-request-id")

# X
TWITTER_CLIENT_ID: str = ENV["TWITTER_CLIENT_ID"]
TWITTER_CLIENT_SECRET: str = ENV["TWITTER_CLIENT_SECRET"]
TWITTER_CALLBACK_URL: str = ENV["TWITTER_CALLBACK_URL"]
TWITTER_SCOPE: str = ENV["TWITTER_SCOPE"]
TWITTER_MENTIONS_RATE_LIMIT: int = ENV["TWITTER_MENTIONS_RATE_LIMIT"]
TWITTER_MENTIONS_WINDOW: float = ENV["TWITTER_MENTIONS_WINDOW"]
TWITTER_POLLING_INTERVAL: float = ENV["TWITTER_POLLING_INTERVAL"]
X_API_BASE_URL: str = ENV["X_API_BASE_URL"]
X_AUTHORIZE_URL: str = ENV["X_AUTHORIZE_URL"]
X_FIELD_VOCABULARY: str = ENV["X_FIELD_VOCABULARY"]
X_CONNECT_TIMEOUT_SECONDS: float = ENV["X_CONNECT_TIMEOUT_SECONDS"]
X_READ_TIMEOUT_SECONDS: float = ENV["X_READ_TIMEOUT_SECONDS"]
X_OPEN_SIGN_UP: bool = ENV["X_OPEN_SIGN_UP"]
X_SWEEP_INTERVAL: float = ENV["X_SWEEP_INTERVAL"]
X_SWEEP_OVERLAP: float = ENV["X_SWEEP_OVERLAP"]
X_POLL_OVERLAP: float = ENV["X_POLL_OVERLAP"]
X_SEARCH_INTERVAL: float = ENV["X_SEARCH_INTERVAL"]
X_BASELINE_COUNT: int = ENV["X_BASELINE_COUNT"]
X_RECHECK_INTERVAL: float = ENV["X_RECHECK_INTERVAL"]
X_RECHECK_DAYS: int = ENV["X_RECHECK_DAYS"]
X_RECHECK_POSTS_PER_DAY: int = ENV["X_RECHECK_POSTS_PER_DAY"]
X_APP_POSTS_PER_DAY: int = ENV["X_APP_POSTS_PER_DAY"]
X_APP_DMS_PER_DAY: int = ENV["X_APP_DMS_PER_DAY"]
X_PROBE_INTERVAL: float = ENV["X_PROBE_INTERVAL"]
REPLY_ABSENT_SECONDS: float = ENV["REPLY_ABSENT_SECONDS"]
REPLY_UNDO_SECONDS: float = ENV["REPLY_UNDO_SECONDS"]

# Alerts
ADMINS = [("", address) for address in ENV["ALERT_EMAILS"]]
ALERT_WEBHOOK_URL: str = ENV["ALERT_WEBHOOK_URL"]
_SMTP = urlsplit(ENV["SMTP_URL"])
EMAIL_HOST = _SMTP.hostname or "localhost"
EMAIL_PORT = _SMTP.port or (465 if _SMTP.scheme == "smtps" else 25)
EMAIL_HOST_USER = unquote(_SMTP.username or "")
EMAIL_HOST_PASSWORD = unquote(_SMTP.password or "")
EMAIL_USE_SSL = _SMTP.scheme == "smtps"
EMAIL_USE_TLS = bool(EMAIL_HOST_USER) and not EMAIL_USE_SSL
EMAIL_TIMEOUT = 15
EMAIL_SUBJECT_PREFIX = ""
SERVER_EMAIL = f"autores@{EMAIL_HOST}" if "@" not in EMAIL_HOST_USER else EMAIL_HOST_USER

# Drafts
OPENAI_API_KEY: str = ENV["OPENAI_API_KEY"]
OPENAI_BASE_URL: str = ENV["OPENAI_BASE_URL"]
OPENAI_MODEL: str = ENV["OPENAI_MODEL"]
OPENAI_TIMEOUT_SECONDS: float = ENV["OPENAI_TIMEOUT_SECONDS"]
DRAFT_AUTOMATICALLY: bool = ENV["DRAFT_AUTOMATICALLY"]
DRAFTS_PER_AUTHOR_PER_DAY: int = ENV["DRAFTS_PER_AUTHOR_PER_DAY"]

# Secrets at rest. In development a key derived from SECRET_KEY spares one more setting.
TOKEN_ENCRYPTION_KEYS: list[str] = ENV["TOKEN_ENCRYPTION_KEYS"] or (
    [] if IS_PRODUCTION else [key_from_passphrase(SECRET_KEY)]
)

# Celery
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A burst of mentions must not hold up what people decided to send: Redis serves queues in turn.
CELERY_TASK_QUEUES = [
    Queue(name)  # type: ignore[no-untyped-call]  # kombu has no types
    for name in ("celery", "ingest", "drafting", "outbox")
]
CELERY_TASK_ROUTES = {
    "mentions.poll_*": {"queue": "ingest"},
    "mentions.sweep_*": {"queue": "ingest"},
    "mentions.draft_*": {"queue": "drafting"},
    "mentions.deliver_*": {"queue": "outbox"},
    "mentions.reconcile_*": {"queue": "outbox"},
}
# A worker that died keeps its unacknowledged tasks this long; the rows lose nothing meanwhile.
# A request that nudges a worker must not hang while the broker is away, or hangs itself. Workers
# wait for tasks a second at a time, so that they bear the same.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "connect_retries_timeout": 1,
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_MAX_LOOP_INTERVAL = 5
CELERY_BEAT_SCHEDULE = build_schedule(sweep_minutes=X_SWEEP_INTERVAL)

# Static files
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "autores.static_storage.CompressedStorage"
        if IS_PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not IS_PRODUCTION
# Outside of production a file is looked up when it is asked for: listing all of them costs each
# new process, and each client of a test, tens of milliseconds.
WHITENOISE_AUTOREFRESH = not IS_PRODUCTION

# Security. A TLS proxy in front is told apart by its own setting, as the header can be forged.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SECURE_SSL_REDIRECT = IS_PRODUCTION
SECURE_HSTS_SECONDS = 31_536_000 if IS_PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_PRODUCTION
# Health checks come from inside the cluster, over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
if ENV["BEHIND_TLS_PROXY"]:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "autores.problems.csrf_failure"

DEFAULT_EXCEPTION_REPORTER_FILTER = "autores.observability.reports.RedactingReporterFilter"

LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "context": {"()": "autores.observability.logs.ContextFilter"},
        "refusals": {"()": "autores.observability.logs.RefusalFilter"},
    },
    "formatters": {
        "text": {"()": "autores.observability.logs.TextFormatter"},
        "json": {"()": "autores.observability.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": ENV["LOG_FORMAT"],
            "filters": ["context"],
        }
    },
    "root": {"handlers": ["console"], "level": ENV["LOG_LEVEL"]},
    "loggers": {
        "django": {"level": "INFO"},
        "django.request": {"filters": ["refusals"]},
        "django.security.DisallowedHost": {"filters": ["refusals"]},
        "django.security.SuspiciousOperation": {"filters": ["refusals"]},
        "django.server": {"handlers": ["console"], "propagate": False},
        "openai": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "httpx": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "celery": {"level": "INFO"},
    },
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Autores",
    "SITE_HEADER": "Autores",
    "SITE_SUBHEADER": "Mentions, answered once",
    "SITE_SYMBOL": "forum",
    "SHOW_HISTORY": False,
    "SHOW_VIEW_ON_SITE": False,
    "LOGIN": {"form": "accounts.sign_in.SignInForm"},
    "STYLES": ["autores.assets.find_stylesheet"],
    "SCRIPTS": ["autores.assets.find_script"],
    "SIDEBAR": {"show_search": False, "navigation": "autores.navigation.build_menu"},
}
