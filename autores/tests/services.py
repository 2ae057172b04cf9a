"""The servers of one test run: addresses fixed at once, processes started when first needed."""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psutil
from redis import Redis

from autores.embedded.errors import EmbeddedError
from autores.embedded.mariadb import find_mariadb, start_mariadb
from autores.embedded.mongod import REPLICA_SET, find_mongod, start_mongod
from autores.embedded.ports import LOOPBACK, PortReservation, reserve_port
from autores.embedded.processes import Group
from autores.embedded.valkey import find_valkey, start_valkey

_MARK = "AUTORES_TEST_RUN"
_FOLDER_PREFIX = "autores-tests-"
# Not for production: published here on purpose, for test data only.
_SECRET_KEY = "a-key-for-tests-only-and-long-enough-for-HS256"
_FERNET_KEY = "dGVzdHMtb25seS10ZXN0cy1vbmx5LXRlc3RzLW9ubHk="
# Test runs on a Redis that somebody else owns stay in this database of it.
_EXTERNAL_REDIS_DATABASE = 15


class TestServices:
    """MongoDB and Valkey of this run, and the sandbox's address; MariaDB on demand."""

    __test__ = False

    def __init__(self) -> None:
        remove_stale_folders()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER_PREFIX}{os.getpid()}-"))
        self._owner = os.getpid()
        self._group = Group()
        self._is_started = False
        self._mariadb_url: str | None = None
        self._mongo_port: PortReservation | None = None
        self._redis_port: PortReservation | None = None
        self.sandbox_port = reserve_port(purpose="the sandbox")
        mongodb_url, redis_url = os.environ.get("MONGODB_URL"), os.environ.get("REDIS_URL")
        if _MARK in os.environ:
            # A pytest within a pytest: the addresses are the outer run's, not the operator's.
            mongodb_url = redis_url = None
        if not mongodb_url:
            self._mongo_port = reserve_port(purpose="mongod")
            mongodb_url = f"mongodb://{LOOPBACK}:{self._mongo_port.port}/?replicaSet={REPLICA_SET}"
        self.mongodb_url = mongodb_url
        if redis_url:
            self.redis_url = urlunsplit(
                urlsplit(redis_url)._replace(path=f"/{_EXTERNAL_REDIS_DATABASE}")
            )
        else:
            self._redis_port = reserve_port(purpose="valkey")
            self.redis_url = f"redis://{LOOPBACK}:{self._redis_port.port}/0"

    @property
    def sandbox_url(self) -> str:
        return f"http://{LOOPBACK}:{self.sandbox_port.port}"

    @property
    def is_started(self) -> bool:
        return self._is_started

    def list_environment(self) -> dict[str, str]:
        """Return the variables the settings must see, whatever the shell or a .env file says."""
        return {
            _MARK: str(self._owner),
            "AUTORES_DOTENV": "",
            "ENVIRONMENT": "test",
            "SECRET_KEY": _SECRET_KEY,
            "TOKEN_ENCRYPTION_KEYS": _FERNET_KEY,
            "MONGODB_URL": self.mongodb_url,
            "MONGODB_DB_NAME": "autores",
            "REDIS_URL": self.redis_url,
            "BACKEND_CORS_ORIGINS": '["http://localhost:3000"]',
            # The sandbox's own defaults.
            "TWITTER_CLIENT_ID": "sandbox-client",
            "TWITTER_CLIENT_SECRET": "sandbox-secret",
            "TWITTER_CALLBACK_URL": "http://127.0.0.1:8000/api/v1/auth/twitter/callback",
            "X_API_BASE_URL": self.sandbox_url,
            "X_AUTHORIZE_URL": f"{self.sandbox_url}/i/oauth2/authorize",
            "OPENAI_BASE_URL": f"{self.sandbox_url}/v1",
            "OPENAI_API_KEY": "test-openai-key",
            # What is sent is sent at once, but where a test wants to undo it.
            "REPLY_UNDO_SECONDS": "0",
        }

    def start(self) -> None:
        """Start what is not running yet; raises EmbeddedError with the remedy."""
        if self._is_started:
            return
        if self._mongo_port is not None:
            mongod = start_mongod(
                find_mongod(),
                data_folder=self.folder / "mongod",
                log_path=self.folder / "logs" / "mongod.log",
                port=self._mongo_port,
                is_durable=False,
            )
            self._group.add(mongod.child)
        if self._redis_port is not None:
            valkey = start_valkey(
                find_valkey(),
                data_folder=self.folder / "valkey",
                log_path=self.folder / "logs" / "valkey.log",
                port=self._redis_port,
                is_durable=False,
            )
            self._group.add(valkey.child)
        elif self.count_redis_keys():
            raise EmbeddedError(
                f"REDIS_URL's database {_EXTERNAL_REDIS_DATABASE}, which the tests would empty, "
                "holds keys: empty it, or unset REDIS_URL so that the tests start their own server."
            )
        self._is_started = True

    def start_mariadb(self) -> str:
        """Return the URL of a MariaDB or MySQL server without a database's name."""
        external = os.environ.get("MYSQL_TEST_URL")
        if external:
            return external
        if self._mariadb_url is None:
            mariadb = start_mariadb(
                find_mariadb(),
                folder=self.folder / "mariadb",
                log_path=self.folder / "logs" / "mariadb.log",
                port=reserve_port(purpose="mariadb"),
            )
            self._group.add(mariadb.child)
            self._mariadb_url = mariadb.url
        return self._mariadb_url

    def count_redis_keys(self) -> int:
        with Redis.from_url(self.redis_url) as client:
            return int(client.dbsize())

    def empty_redis(self) -> None:
        with Redis.from_url(self.redis_url) as client:
            client.flushdb()

    def stop(self) -> None:
        """End every server and remove the folder; only in the process that started them.

        A server that is gone by itself is told of: it explains the tests that failed for it.
        """
        if os.getpid() != self._owner:
            return
        if ended := self._group.find_ended():
            sys.stderr.write(f"\n{ended.describe_end()}\n")
        self._group.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def remove_stale_folders() -> None:
    """Remove the folders of test runs that were killed before they could clean up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER_PREFIX}*"):
        pid = folder.name.removeprefix(_FOLDER_PREFIX).split("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
