"""Every variable there is."""

from autores.env.values import (
    addresses,
    boolean,
    choice,
    database_name,
    decimal,
    host_names,
    integer,
    origins,
    string_list,
    text,
    token,
    url,
)
from autores.env.variable import Variable
from autores.env.x import X_VARIABLES

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
        decimal(or_equal=True, at_most=60),
        10.0,
        "How long an API call waits for X to confirm a reply before it answers 202.",
        "API",
    ),
    *X_VARIABLES,
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
        addresses,
        [],
        "Who is mailed when something needs an operator, comma separated.",
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
        "OPENAI_API_KEY", token, "", "Without it no drafts are made.", "Drafts", is_secret=True
    ),
    Variable(
        "OPENAI_BASE_URL",
        url("http", "https"),
        "https://api.openai.com/v1",
        "Where the model's API is.",
        "Drafts",
    ),
    Variable("OPENAI_MODEL", token, "gpt-5-mini", "The model that drafts.", "Drafts"),
    Variable(
        "OPENAI_TIMEOUT_SECONDS",
        decimal(at_most=600),
        30.0,
        "How long the model may be silent while it makes a draft.",
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
