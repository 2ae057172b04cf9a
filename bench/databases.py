"""A mongod and a Valkey of the bench's own, and the environment of a deployment on them."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from autores.embedded.mongod import find_mongod, start_mongod
from autores.embedded.ports import reserve_port
from autores.embedded.processes import Group
from autores.embedded.valkey import find_valkey, start_valkey

OURS, PEER = "bench_ours", "bench_peer"
CACHE_GIGABYTES = 1.0
# Another one in each run: nothing that is kept is made with them.
_SECRET_KEY = secrets.token_urlsafe(50)
_FERNET_KEY = Fernet.generate_key().decode()


@dataclass(frozen=True)
class Databases:
    mongodb_url: str
    redis_url: str
    mongod_pid: int

    def list_environment(self, **changes: str) -> dict[str, str]:
        """A production environment: DEBUG off, TLS ended by a proxy, limits that never refuse."""
        return {
            **{key: value for key, value in os.environ.items() if not key.endswith("_proxy")},
            "AUTORES_DOTENV": "",
            "DJANGO_SETTINGS_MODULE": "autores.settings",
            "ENVIRONMENT": "production",
            "ALLOWED_HOSTS": "127.0.0.1",
            "BEHIND_TLS_PROXY": "true",
            "TRUSTED_PROXIES": "1",
            "SECRET_KEY": _SECRET_KEY,
            "TOKEN_ENCRYPTION_KEYS": _FERNET_KEY,
            "MONGODB_URL": self.mongodb_url,
            "MONGODB_DB_NAME": OURS,
            "REDIS_URL": self.redis_url,
            "BACKEND_CORS_ORIGINS": '["https://autores.example.com"]',
            "TWITTER_CALLBACK_URL": "https://autores.example.com/api/v1/auth/twitter/callback",
            "TWITTER_CLIENT_ID": "client",
            "TWITTER_CLIENT_SECRET": "client-secret",
            "OPENAI_API_KEY": "key",
            "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",
            # Counted for each request, and never reached.
            "RATE_LIMIT_PER_MINUTE": "1000000",
            "LOG_LEVEL": "WARNING",
            **changes,
        }


@contextlib.contextmanager
def run_databases(folder: Path) -> Iterator[Databases]:
    """Both servers on files in ``folder``, durable as in production; stopped in the end."""
    group = Group()
    try:
        mongod = start_mongod(
            find_mongod(),
            data_folder=folder / "mongod",
            log_path=folder / "logs" / "mongod.log",
            port=reserve_port(purpose="the bench's mongod"),
            cache_gigabytes=CACHE_GIGABYTES,
        )
        group.add(mongod.child)
        valkey = start_valkey(
            find_valkey(),
            data_folder=folder / "valkey",
            log_path=folder / "logs" / "valkey.log",
            port=reserve_port(purpose="the bench's Valkey"),
        )
        group.add(valkey.child)
        yield Databases(mongod.url, valkey.url, mongod.child.pid)
    finally:
        group.stop(seconds=60)


def connect_django(databases: Databases, **changes: str) -> None:
    """Let this process use Autores' models on them."""
    import django

    os.environ.update(databases.list_environment(**changes))
    django.setup()
