"""A legacy database of its own on a real MariaDB, with the former system's tables."""

import uuid
from typing import Any
from urllib.parse import urlsplit

from mentions.legacy.driver import Connection

SCHEMA = (
    """
    CREATE TABLE users (
      id VARCHAR(36) NOT NULL, twitter_id VARCHAR(255) NOT NULL,
      access_token VARCHAR(255) NOT NULL, refresh_token VARCHAR(255) NOT NULL,
      token_expires_at DATETIME NOT NULL,
      created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
      updated_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
      PRIMARY KEY (id), UNIQUE KEY uq_users_twitter_id (twitter_id)
    ) DEFAULT CHARSET = utf8mb4
    """,
    """
    CREATE TABLE messages (
      id VARCHAR(36) NOT NULL, `timestamp` DATETIME NOT NULL, `user` VARCHAR(255) NOT NULL,
      `text` TEXT NOT NULL, status VARCHAR(50) NOT NULL DEFAULT 'pending',
      public_response TEXT NULL, dm_response TEXT NULL, credits_used INT NULL DEFAULT 0,
      redirected TINYINT(1) NULL DEFAULT 0,
      created_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
      updated_at DATETIME NULL DEFAULT CURRENT_TIMESTAMP,
      PRIMARY KEY (id), KEY ix_messages_timestamp (`timestamp`)
    ) DEFAULT CHARSET = utf8mb4
    """,
    """
    CREATE TABLE oauth_states (
      state VARCHAR(255) NOT NULL, code_verifier VARCHAR(255) NOT NULL,
      created_at DATETIME NOT NULL, PRIMARY KEY (state)
    ) DEFAULT CHARSET = utf8mb4
    """,
)
ACCESS_TOKEN = "legacy-access-" + "a" * 180
REFRESH_TOKEN = "legacy-refresh-" + "r" * 180


class LegacyDatabase:
    """One database; ``drop`` it afterwards. The session takes zero dates, as old servers did."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self.name = f"legacy_{uuid.uuid4().hex[:12]}"
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 3306
        self.url = f"{server_url.rstrip('/')}/{self.name}"
        self._user, self._password = parts.username or "root", parts.password or ""
        self._connection = self._connect()
        self.execute(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb4")
        self.execute(f"USE {self.name}")
        for statement in SCHEMA:
            self.execute(statement)

    def reconnect(self) -> None:
        """After a restart of the server."""
        self._connection = self._connect()
        self.execute(f"USE {self.name}")

    def execute(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())

    def add_user(self, key: str = "account-1", **values: Any) -> None:
        self._insert(
            "users",
            {
                "id": key,
                "twitter_id": "1001",
                "access_token": ACCESS_TOKEN,
                "refresh_token": REFRESH_TOKEN,
                "token_expires_at": "2030-01-02 03:04:05",
                "created_at": "2024-01-01 00:00:00",
                "updated_at": "2024-06-01 00:00:00",
                **values,
            },
        )

    def add_message(self, key: str, **values: Any) -> None:
        self._insert(
            "messages",
            {
                "id": key,
                "timestamp": "2025-03-04 05:06:07",
                "user": "2002",
                "text": "hello",
                "status": "pending",
                "created_at": "2025-03-04 05:10:00",
                "updated_at": "2025-03-04 05:10:00",
                **values,
            },
        )

    def add_messages(self, count: int, *, first: int = 1_500_000_000_000_000_000) -> None:
        rows = [(str(first + number), f"mention {number}") for number in range(count)]
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO messages (id, `timestamp`, `user`, `text`) "
                "VALUES (%s, '2025-03-04 05:06:07', '2002', %s)",
                rows,
            )

    def add_state(self, state: str, *, created_at: Any, code_verifier: str = "verifier") -> None:
        self._insert(
            "oauth_states",
            {"state": state, "code_verifier": code_verifier, "created_at": created_at},
        )

    def drop(self) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {self.name}")
        self._connection.close()

    def _connect(self) -> Any:
        return Connection(
            host=self.host,
            port=self.port,
            user=self._user,
            password=self._password,
            charset="utf8mb4",
            autocommit=True,
            sql_mode="NO_ENGINE_SUBSTITUTION",
        )

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        names = ", ".join(f"`{name}`" for name in values)
        marks = ", ".join(["%s"] * len(values))
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", *values.values())
