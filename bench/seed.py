"""The same messages for both sides: deterministic, in nine scripts, with emoji and links.

Ours has every column that ingest writes, X's JSON included; the peer the legacy columns alone. So
ours reads and sends more for the same row.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo import MongoClient, ReplaceOne
from pymongo.collection import Collection

from bench.databases import OURS, PEER, Databases
from bench.legacy_data import make_messages

LEGACY_FIELDS = (
    *("_id", "timestamp", "user", "text", "status", "public_response", "dm_response"),
    *("credits_used", "redirected", "created_at", "updated_at"),
)
# Raised when the data changes: kept data of another version is made anew.
_VERSION = 3
_SAMPLES = 1000
_BATCH = 5000
_MARK = "seeded.json"


@dataclass(frozen=True)
class Seeded:
    """What is in the databases. ``read_ids`` and ``patch_ids`` are spread over all messages."""

    version: int
    messages: int
    accounts: int
    read_ids: list[str]
    patch_ids: list[str]

    @classmethod
    def load(cls, folder: Path) -> "Seeded | None":
        try:
            return cls(**json.loads((folder / _MARK).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def save(self, folder: Path) -> None:
        (folder / _MARK).write_text(json.dumps(asdict(self)))


def is_usable(found: Seeded | None, *, messages: int, accounts: int) -> bool:
    return found is not None and (found.version, found.messages, found.accounts) == (
        _VERSION,
        messages,
        accounts,
    )


def seed_databases(databases: Databases, folder: Path, *, messages: int, accounts: int) -> Seeded:
    """Fill both databases; Django must be set up. Indexes are built last, as the import does."""
    from django.core.management import call_command

    from accounts.models import TwitterAccount

    (folder / _MARK).unlink(missing_ok=True)
    with MongoClient[dict[str, Any]](databases.mongodb_url, w=1) as client:
        client.drop_database(OURS)
        client.drop_database(PEER)
        call_command("migrate", verbosity=0)
        for number in range(accounts):
            TwitterAccount(
                id=_account_id(number),
                twitter_id=str(10**17 + number),
                twitter_username=f"team{number}",
            ).save(force_insert=True)
        ours, peer = client[OURS]["messages"], client[PEER]["messages"]
        ours.drop_indexes()
        statuses: Counter[str] = Counter()
        read_ids, patch_ids = [], []
        step = max(messages // _SAMPLES, 2)
        for number, document in enumerate(_insert(ours, peer, messages, accounts)):
            statuses[document["status"]] += 1
            if number % step == 0:
                read_ids.append(document["_id"])
            elif number % step == 1:
                patch_ids.append(document["_id"])
        client[PEER]["status_counters"].insert_many(
            [{"_id": status, "count": count} for status, count in statuses.items()]
        )
    seeded = Seeded(_VERSION, messages, accounts, read_ids, patch_ids)
    seeded.save(folder)
    return seeded


def prepare_ours(*, accounts: int) -> str:
    """Bring what is stored up to this version of the code; the access token of a person who is an
    approver on each account.
    """
    from django.core.management import call_command, get_commands

    from accounts.api.authentication import issue_access_token
    from accounts.models import Membership, Role, User

    call_command("migrate", verbosity=0)
    call_command("restore_indexes", verbosity=0, stdout=_Silence())
    if "reconcile_counters" in get_commands():
        call_command("reconcile_counters", verbosity=0, stdout=_Silence())
    person, _ = User.objects.get_or_create(username="bench", defaults={"is_active": True})
    for number in range(accounts):
        Membership.objects.get_or_create(
            user=person, account_id=_account_id(number), defaults={"role": Role.APPROVER}
        )
    return issue_access_token(person)


@contextlib.contextmanager
def keep_rows(client: MongoClient[dict[str, Any]], seeded: Seeded, folder: Path) -> Iterator[None]:
    """Put the rows that are to be changed back in the end; kept data that was not put back, because
    the run was killed, is not used again.
    """
    kept = [
        (collection, list(collection.find({"_id": {"$in": seeded.patch_ids}})))
        for collection in (client[OURS]["messages"], client[PEER]["messages"])
    ]
    (folder / _MARK).unlink()
    try:
        yield
    finally:
        for collection, documents in kept:
            collection.bulk_write([ReplaceOne({"_id": row["_id"]}, row) for row in documents])
        seeded.save(folder)


class _Silence:
    def write(self, text: str) -> None:
        pass


def _account_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _insert(
    ours: Collection[dict[str, Any]],
    peer: Collection[dict[str, Any]],
    messages: int,
    accounts: int,
) -> Iterator[dict[str, Any]]:
    held: list[dict[str, Any]] = []

    def flush() -> None:
        if held:
            peer.insert_many(held, ordered=False)
            ours.insert_many(
                [widen(row, account_id=_account_id(hash_of(row) % accounts)) for row in held],
                ordered=False,
            )
            held.clear()

    for row in make_messages(messages):
        document = dict(zip(LEGACY_FIELDS, row, strict=True))
        if document["redirected"] is not None:
            document["redirected"] = bool(document["redirected"])
        held.append(document)
        yield document
        if len(held) == _BATCH:
            flush()
    flush()


def hash_of(row: dict[str, Any]) -> int:
    """A number that is the same in every process."""
    return int(row["user"])


def widen(row: dict[str, Any], *, account_id: str) -> dict[str, Any]:
    post_id, made = row["_id"], row["timestamp"]
    username = f"person{hash_of(row) % 50_000}"
    return {
        **row,
        "account_id": account_id,
        "post_id": post_id,
        "author_username": username,
        "author_name": f"{username.title()} 🌍",
        "lang": "en",
        "kind": "direct",
        "conversation_id": post_id,
        "in_reply_to_post_id": "",
        "quoted_post_id": "",
        "latest_post_id": "",
        "is_replyable": True,
        "replyable_code": "mentioned",
        "replyable_reason": "The author mentioned the account.",
        "draft_state": "none",
        "draft_not_before": None,
        "draft_attempts": 0,
        "claimed_by": "",
        "claimed_at": None,
        "has_replies": None,
        "unfiled_at": None,
        "version": 1,
        "raw": _make_raw(row, made),
        "found_by": "poll",
        "seen_at": made + timedelta(minutes=3),
        "is_late": False,
        "x_state": "",
        "x_checked_at": None,
        "recheck_at": None,
        "deleted_found_at": None,
        "redacted_at": None,
        # Counted when all are there: `reconcile_counters` follows.
        "tally": "",
    }


def _make_raw(row: dict[str, Any], made: datetime) -> dict[str, Any]:
    post_id = row["_id"]
    return {
        "id": post_id,
        "text": row["text"],
        "author_id": row["user"],
        "created_at": made.replace(tzinfo=UTC).isoformat(),
        "conversation_id": post_id,
        "edit_history_tweet_ids": [post_id],
        "lang": "en",
        "reply_settings": "everyone",
        "display_text_range": [0, len(row["text"])],
        "entities": {"mentions": [{"start": 0, "end": 5, "username": "team", "id": "1"}]},
    }
