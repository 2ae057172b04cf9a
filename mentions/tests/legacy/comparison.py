"""Compares the legacy tables with the documents, by its own reading of both: shares no code with
the importer, so that a mistake of the importer is not made twice."""

import base64
import hashlib
import os
from datetime import UTC, datetime, timedelta

import pymysql
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection
from pymongo import MongoClient

MESSAGE_COLUMNS = (
    "timestamp",
    "user",
    "text",
    "status",
    "public_response",
    "dm_response",
    "credits_used",
    "redirected",
    "created_at",
    "updated_at",
)


def compare(legacy, *, account_id="account-1"):
    """``find_differences`` for the databases of this test."""
    return find_differences(
        host=legacy.host,
        port=legacy.port,
        database=legacy.name,
        mongodb_url=os.environ["MONGODB_URL"],
        mongodb_name=connection.settings_dict["NAME"],
        fernet_key=settings.TOKEN_ENCRYPTION_KEYS[0],
        account_id=account_id,
    )


def find_differences(
    *, host, port, database, mongodb_url, mongodb_name, fernet_key, account_id
) -> list[str]:
    """Every difference in the three tables, as a sentence; an empty list means equal."""
    rows = _read_tables(host, port, database)
    with MongoClient(mongodb_url) as client:
        stored = client[mongodb_name]
        differences = _compare(
            "messages",
            {key: {**row, "account_id": account_id} for key, row in rows["messages"].items()},
            {
                item["_id"]: {
                    **{name: _spell(item[name]) for name in MESSAGE_COLUMNS},
                    "account_id": item["account_id"],
                }
                for item in stored["messages"].find()
            },
        )
        differences += _compare_states(rows["oauth_states"], stored, fernet_key)
        return differences + _compare(
            "users",
            rows["users"],
            {
                item["_id"]: {
                    "twitter_id": item["twitter_id"],
                    "access_token": _decrypt(item["access_token"], fernet_key),
                    "refresh_token": _decrypt(item["refresh_token"], fernet_key),
                    "token_expires_at": _spell(item["token_expires_at"]),
                }
                for item in stored["users"].find()
            },
        )


def _read_tables(host, port, database):
    connection = pymysql.connect(
        host=host, port=port, user="root", database=database, charset="utf8mb4"
    )
    with connection, connection.cursor(pymysql.cursors.DictCursor) as cursor:
        cursor.execute("SELECT * FROM messages")
        messages = {
            row["id"]: {
                **{name: _spell(row[name]) for name in MESSAGE_COLUMNS},
                "redirected": None if row["redirected"] is None else bool(row["redirected"]),
            }
            for row in cursor.fetchall()
        }
        cursor.execute(
            "SELECT id, twitter_id, access_token, refresh_token, token_expires_at FROM users"
        )
        users = {
            row.pop("id"): {name: _spell(value) for name, value in row.items()}
            for row in cursor.fetchall()
        }
        cursor.execute("SELECT state, code_verifier, created_at FROM oauth_states")
        states = {
            hashlib.sha256(row.pop("state").encode()).hexdigest(): row for row in cursor.fetchall()
        }
    return {"messages": messages, "users": users, "oauth_states": states}


def _compare_states(rows, stored, fernet_key):
    """Flows live ten minutes: those about to die, or dead, may be here or not."""
    here = {
        item["_id"]: {
            "code_verifier": _decrypt(item["code_verifier"], fernet_key),
            "created_at": _spell(item["created_at"]),
        }
        for item in stored["oauth_states"].find()
    }
    born_after = datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=7)
    live = {
        key: {name: _spell(value) for name, value in row.items()}
        for key, row in rows.items()
        if row["created_at"] > born_after
    }
    return _compare(
        "oauth_states",
        live,
        {key: item for key, item in here.items() if key in live or key not in rows},
    )


def _compare(table, expected, found):
    differences = [f"{table} {key}: missing here" for key in expected.keys() - found.keys()]
    differences += [f"{table} {key}: only here" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        for name, value in expected[key].items():
            here = found[key][name]
            # 0 equals False, and a whole number has a type of its own in BSON.
            if here != value or isinstance(here, bool) != isinstance(value, bool):
                differences.append(f"{table} {key}: {name} is {here!r} instead of {value!r}")
    return differences


def _spell(value):
    """Times as text in milliseconds, whichever zone the driver gave them."""
    if isinstance(value, datetime):
        value = value.astimezone(UTC) if value.tzinfo else value
        return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
    return value


def _decrypt(value, key):
    token = value if isinstance(value, str) else base64.b64encode(value).decode()
    return Fernet(key).decrypt(token.rpartition(":")[2].encode()).decode()
