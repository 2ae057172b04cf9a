"""A legacy database of any size, the same for the same seed: many scripts, every column used.

Post ids carry their creation time as X's do, in milliseconds since 2010-11-04 01:42:54.657 UTC
above 22 bits, and ``timestamp`` agrees with it.
"""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql

_X_EPOCH_MILLISECONDS = 1_288_834_974_657
_FIRST_POST = datetime(2021, 1, 1, tzinfo=UTC)
PHRASES = (
    "@team my parcel has not moved for three days, could you have a look?",
    "@team Wann kommt die Bestellung endlich an? Grüße aus Köln",
    "@team ¿alguien puede ayudarme con la contraseña? ¡Gracias!",
    "@team merci beaucoup, le problème est réglé 🙏",
    "@team 注文した商品がまだ届きません。確認してもらえますか",
    "@team где мой заказ? уже неделя прошла",
    "@team أين طلبي؟ مر أسبوع كامل",
    "@team मेरा ऑर्डर कहाँ है? कृपया बताइए",
    "@team love the new release 👩‍🚀🏳️‍🌈🎉 https://t.co/a1B2c3D4e5",
    "@team 배송이 언제 되나요? 답변 부탁드립니다",
)
_STATUSES = (
    "pending",
    "pending",
    "pending",
    "processing",
    "replied",
    "replied",
    "ignored",
    "error",
)
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
_INSERT_ROWS = 2000


def make_messages(count: int, *, seed: int = 7) -> Iterator[tuple[Any, ...]]:
    """Rows of ``messages``, ascending by id."""
    chance = random.Random(seed)
    moment = _FIRST_POST
    for number in range(count):
        moment += timedelta(milliseconds=chance.randrange(1, 240_000))
        milliseconds = int(moment.timestamp() * 1000)
        key = str(((milliseconds - _X_EPOCH_MILLISECONDS) << 22) | chance.randrange(1 << 22))
        if number % 1000 == 999:
            key = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        status = chance.choice(_STATUSES)
        made = moment.replace(microsecond=0, tzinfo=None)
        answer = chance.choice(PHRASES)[6:] if status == "replied" else None
        yield (
            key,
            made,
            str(chance.randrange(10**17, 10**19)),
            " ".join(chance.choices(PHRASES, k=chance.randrange(1, 4))),
            status,
            answer,
            chance.choice((None, "We sent you the details 📦")) if answer else None,
            chance.choice((0, 0, 1, 2, None)),
            chance.choice((0, 0, 0, 1, None)),
            made + timedelta(seconds=chance.randrange(300)),
            made + timedelta(seconds=chance.randrange(300, 90_000)),
        )


def make_users(count: int, *, seed: int = 8) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(seed)
    for number in range(count):
        yield (
            str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            str(10**17 + number),
            f"access-{chance.getrandbits(640):0160x}",
            f"refresh-{chance.getrandbits(640):0160x}",
            datetime(2031, 1, 1) + timedelta(minutes=number),
            datetime(2023, 1, 1) + timedelta(minutes=number),
            datetime(2024, 1, 1) + timedelta(minutes=number),
        )


def make_states(count: int, *, seed: int = 9) -> Iterator[tuple[Any, ...]]:
    """Consent flows of long ago: all of them are skipped by an import."""
    chance = random.Random(seed)
    for number in range(count):
        yield (
            f"{chance.getrandbits(256):064x}",
            f"{chance.getrandbits(256):064x}",
            datetime(2024, 1, 1) + timedelta(minutes=number),
        )


def fill_database(server_url: str, *, name: str, messages: int, users: int, states: int) -> None:
    """Drop and make the database ``name`` with that many rows."""
    from urllib.parse import urlsplit

    parts = urlsplit(server_url)
    connection = pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username or "root",
        password=parts.password or "",
        charset="utf8mb4",
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {name}")
        cursor.execute("SET sql_log_bin = 0")
        for statement in SCHEMA:
            cursor.execute(statement)
        for table, rows in (
            ("users", make_users(users)),
            ("messages", make_messages(messages)),
            ("oauth_states", make_states(states)),
        ):
            _insert(connection, cursor, table, rows)
        cursor.execute("ANALYZE TABLE users, messages, oauth_states")


def _insert(connection: Any, cursor: Any, table: str, rows: Iterator[tuple[Any, ...]]) -> None:
    held: list[tuple[Any, ...]] = []

    def flush() -> None:
        if held:
            marks = ", ".join(["%s"] * len(held[0]))
            cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", held)
            connection.commit()
            held.clear()

    for row in rows:
        held.append(row)
        if len(held) >= _INSERT_ROWS:
            flush()
    flush()
