"""Writes mapped rows into MongoDB, without ever overwriting what was changed here.

Three digests decide about a row: of the legacy row now (s), of the document now (t), and of what
the import wrote last (d, kept in the document itself; see ``mentions.legacy.state``).

    no document, never taken over   created
    no document, but taken over     deleted here: stays deleted
    s == t                          unchanged
    s == d, t != d                  changed here: kept
    s != d, t == d                  changed there: updated
    otherwise                       conflict: reported, the document stays as it is
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, models
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.write_concern import WriteConcern

from accounts.models import AccountStatus, OAuthState, TwitterAccount
from autores.crypto import CipherError, TokenCipher
from mentions.legacy.checkpoint import Checkpoints
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS, Table
from mentions.legacy.mapping import (
    MESSAGE_COMPARED,
    OAUTH_STATE_COMPARED,
    USER_COMPARED,
    MappedRow,
    RejectedRow,
    digest_values,
)
from mentions.legacy.report import TableReport
from mentions.legacy.state import STATE_FIELD, build_state, read_state
from mentions.models import ImportReject, MentionKind, Message, Tombstone
from mentions.models.tombstone import tombstone_key

DUPLICATE = 11000
_SHOWN = 200
# What is acknowledged survives the loss of the primary.
WRITE_CONCERN = WriteConcern(w="majority")


@dataclass(frozen=True)
class Target:
    """Where one legacy table goes."""

    table: Table
    model: type[models.Model]
    secrets: tuple[str, ...] = ()
    # Unique here beside the key; two rows with the same values cannot both be stored.
    unique: tuple[str, ...] = ()
    # The fields that tell whether a document is still what an import wrote.
    compared: tuple[str, ...] = ()


TARGETS = (
    Target(
        USERS,
        TwitterAccount,
        ("access_token", "refresh_token"),
        ("twitter_id",),
        compared=USER_COMPARED,
    ),
    Target(MESSAGES, Message, (), ("account_id", "post_id"), compared=MESSAGE_COMPARED),
    Target(OAUTH_STATES, OAuthState, ("code_verifier",), compared=OAUTH_STATE_COMPARED),
)


def record_key(table: Table, key: str) -> str:
    """The id of a reject; for a consent flow, ``key`` is its state's hash."""
    return f"{table.name}:{key}"


class DocumentWriter:
    """Builds complete documents of one model: a field that is left out would load as None."""

    def __init__(self, model: type[models.Model], *, constants: Mapping[str, Any]) -> None:
        self._fields = {field.attname: field for field in model._meta.concrete_fields}
        instance = model(**constants)
        self._template = {
            field.column: field.get_db_prep_save(getattr(instance, name), connection)
            for name, field in self._fields.items()
        }

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The given fields alone, by column."""
        return {
            self._fields[name].column: self._fields[name].get_db_prep_save(value, connection)
            for name, value in values.items()
        }

    def build(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A whole document: defaults, then the given fields."""
        return {**self._template, **self.encode(values)}

    def decode(self, document: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
        """Field values of a stored document; times become aware."""
        values = {}
        for name in names:
            value = document.get(self._fields[name].column)
            values[name] = value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        return values

    def column(self, name: str) -> str:
        return self._fields[name].column


class Loader:
    """Loads mapped rows of one table. A dry run decides all the same, and writes nothing.

    ``deleted`` collects the keys found deleted here.
    """

    def __init__(
        self,
        target: Target,
        *,
        cipher: TokenCipher,
        run_id: str,
        now: datetime,
        is_dry_run: bool,
        report: TableReport,
        refuse: Callable[[RejectedRow], None],
    ) -> None:
        self.target = target
        self.writer = DocumentWriter(target.model, constants=self._constants(now))
        self.documents = connection.get_collection(target.model._meta.db_table).with_options(
            write_concern=WRITE_CONCERN
        )
        self.deleted: set[str] = set()
        self._cipher = cipher
        self._run_id = run_id
        self._now = now
        self._is_dry_run = is_dry_run
        self._report = report
        self._refuse = refuse
        self._checkpoints = Checkpoints(target.table)
        self._tombstones = connection.get_collection(Tombstone._meta.db_table)

    def load_page(self, rows: Sequence[MappedRow]) -> None:
        """Decide about each row and write what is to be written; counts go to the report."""
        rows = self._drop_duplicates(rows)
        late = self._settle(rows)
        if late:
            # Somebody inserted them since they were looked for: look again.
            for row in self._settle(late):
                self._refuse_duplicate(row, "another document")

    def _settle(self, rows: Sequence[MappedRow]) -> list[MappedRow]:
        """Load rows; those that met a document which appeared meanwhile are returned."""
        keys = [row.key for row in rows]
        documents = {found["_id"]: found for found in self.documents.find({"_id": {"$in": keys}})}
        absent = [row for row in rows if row.key not in documents]
        gone = self._checkpoints.find_taken_over([row.key for row in absent])
        gone |= self._find_buried(absent)
        created: list[MappedRow] = []
        adopted: list[MappedRow] = []
        for row in rows:
            document = documents.get(row.key)
            if document is not None:
                self._compare(row, document, adopted)
            elif row.key in gone:
                self._report.count("deleted_here", row.key)
                self.deleted.add(row.key)
            else:
                created.append(row)
        self._adopt(adopted)
        return self._create(created)

    def _compare(
        self, row: MappedRow, document: Mapping[str, Any], adopted: list[MappedRow]
    ) -> None:
        state = read_state(document)
        recorded = state.digest if state else None
        present = digest_document(self.target, document, self._cipher, names=row.compared)
        if row.digest == present:
            self._report.count("unchanged", row.key)
            if recorded != row.digest:
                adopted.append(row)
        elif row.digest == recorded:
            self._report.add_kept(row.key, self._list_differences(row, document))
        elif present is not None and present == recorded:
            self._update(row, document)
        else:
            self._report.add_conflict(
                row.key,
                "changed both there and here since the last import"
                if recorded
                else "exists here, but was not written by the import, and differs",
                values=self._list_differences(row, document),
            )

    def _list_differences(
        self, row: MappedRow, document: Mapping[str, Any]
    ) -> dict[str, tuple[str, str]]:
        """(legacy value, value here) of each field that differs; secrets as digests."""
        here = self.writer.decode(document, row.compared)
        differing = {}
        for name in row.compared:
            there = row.values[name]
            if name in self.target.secrets:
                try:
                    found: Any = self._cipher.decrypt(here[name] or "")
                except CipherError:
                    found = None
                if found != there:
                    differing[name] = (_hide(there), _hide(found))
            elif here[name] != there:
                differing[name] = (_show(there), _show(here[name]))
        return differing

    def _drop_duplicates(self, rows: Sequence[MappedRow]) -> list[MappedRow]:
        """Refuse the rows whose unique values another document holds already."""
        names = self.target.unique
        if not names or not rows:
            return list(rows)
        query: dict[str, Any] = {
            self.writer.column(name): {"$in": list({row.values[name] for row in rows})}
            for name in names
        }
        columns = [self.writer.column(name) for name in names]
        held: dict[tuple[Any, ...], str] = {}
        for found in self.documents.find(query, projection=dict.fromkeys([*columns], 1)):
            held[tuple(found.get(column) for column in columns)] = found["_id"]
        kept = []
        for row in rows:
            holder = held.get(tuple(row.values[name] for name in names), row.key)
            if holder != row.key:
                self._pass_over(row, holder)
            else:
                kept.append(row)
        return kept

    def _pass_over(self, row: MappedRow, holder: str) -> None:
        """The same thing exists here under another id."""
        if self.target.table is MESSAGES:
            self._report.add_conflict(row.key, f"is here already as {holder!r}", is_absent=True)
        elif self.documents.find_one({"_id": holder, STATE_FIELD: {"$exists": True}}):
            self._refuse_duplicate(row, holder)
        else:
            self._report.count("skipped", row.key)
            self._report.notes[f"account skipped: it is connected here already as {holder!r}"] += 1

    def _refuse_duplicate(self, row: MappedRow, holder: str) -> None:
        name = self.target.unique[-1] if self.target.unique else "id"
        value = row.values.get(name, row.key)
        self._refuse(
            RejectedRow(
                key=row.key,
                reasons=(f"{name} {value!r} already belongs to {holder!r}",),
                row={name: str(value)},
                rules=("duplicate",),
            )
        )

    def _find_buried(self, rows: Sequence[MappedRow]) -> set[str]:
        if self.target.table is not MESSAGES or not rows:
            return set()
        stones = {}
        for row in rows:
            for account in {row.values["account_id"], None}:
                stone = tombstone_key(account_id=account, post_id=row.values["post_id"])
                stones[stone] = row.key
        found = self._tombstones.find({"_id": {"$in": list(stones)}}, projection={"_id": 1})
        return {stones[stone["_id"]] for stone in found}

    def _create(self, rows: Sequence[MappedRow]) -> list[MappedRow]:
        """Insert; rows that met a document which appeared meanwhile are returned."""
        late: set[int] = set()
        if not self._is_dry_run and rows:
            documents = []
            for row in rows:
                document = self.writer.build(self._complete(row))
                document[STATE_FIELD] = build_state(self._run_id, row.digest)
                documents.append(document)
            late = insert_new(self.documents, documents)
        for index, row in enumerate(rows):
            if index not in late:
                self._report.count("created", row.key)
        return [rows[index] for index in sorted(late)]

    def _update(self, row: MappedRow, document: Mapping[str, Any]) -> None:
        """Write the legacy row's new values, if the document still is what was read."""
        if not self._is_dry_run:
            change = self.writer.encode(self._complete(row, document=document))
            key = change.pop("_id")
            state = read_state(document)
            change[STATE_FIELD] = build_state(
                self._run_id, row.digest, created_by=state.created_by if state else None
            )
            columns = [self.writer.column(name) for name in row.compared]
            unchanged = {column: document.get(column) for column in columns}
            operation: dict[str, Any] = {"$set": change}
            if self.target.table is MESSAGES:
                operation["$inc"] = {"version": 1}
            try:
                found = self.documents.update_one({"_id": key, **unchanged}, operation)
            except DuplicateKeyError:
                self._refuse_duplicate(row, "another document")
                return
            if not found.matched_count:
                self._report.add_conflict(row.key, "changed here during the import")
                return
        self._report.count("updated", row.key)

    def _adopt(self, rows: Sequence[MappedRow]) -> None:
        """Documents that are what the import would have written: remember that they are."""
        if self._is_dry_run or not rows:
            return
        self.documents.bulk_write(
            [
                UpdateOne(
                    {"_id": row.key},
                    [{"$set": {STATE_FIELD: _adopted_state(self._run_id, row.digest)}}],
                )
                for row in rows
            ],
            ordered=False,
        )

    def _complete(
        self, row: MappedRow, *, document: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The values as they are stored; ``document`` is the one they change, if any."""
        values = dict(row.values)
        for name in self.target.secrets:
            values[name] = self._cipher.encrypt(values[name])
        if self.target.table is USERS:
            for name in ("created_at", "updated_at"):
                if values[name] is None:
                    values[name] = document[self.writer.column(name)] if document else self._now
            # New tokens revive an account; they do not end a pause that a person made here.
            if document and document.get("status") != AccountStatus.TOKEN_EXPIRED:
                del values["status"], values["status_reason"]
        return values

    def _constants(self, now: datetime) -> dict[str, Any]:
        if self.target.table is MESSAGES:
            # Not drafted by itself: the former system's backlog would cost a model call each.
            return {"kind": MentionKind.LEGACY, "version": 1, "draft_state": "none"}
        if self.target.table is OAUTH_STATES:
            # The exchange of the code must name the address the flow began with.
            return {"redirect_uri": settings.TWITTER_CALLBACK_URL}
        # Its refresh token works once, and the former system may still use it.
        return {"status_changed_at": now, "scopes": [], "fenced_since": now}


def insert_new(collection: Any, documents: Sequence[Any]) -> set[int]:
    """Insert in one unordered batch; the positions of those that met a duplicate are returned."""
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if any(failure["code"] != DUPLICATE for failure in failures):
            raise
        return {failure["index"] for failure in failures}
    return set()


def digest_document(
    target: Target,
    document: Mapping[str, Any],
    cipher: TokenCipher,
    *,
    names: Sequence[str] | None = None,
) -> str | None:
    """Digest of the compared fields of a stored document, equal to that of the row it came from.

    None when a secret cannot be decrypted or a value is of a type that no import writes.
    """
    columns = _columns_of(target.model)
    values: dict[str, Any] = {}
    for name in names or target.compared:
        value = document.get(columns[name])
        values[name] = value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
    try:
        for name in target.secrets:
            values[name] = cipher.decrypt(values[name] or "")
        return digest_values(values)
    except (CipherError, TypeError):
        # Encrypted with a key that is gone: certainly not what an import would write now.
        return None


def _columns_of(model: type[models.Model]) -> dict[str, str]:
    return {field.attname: field.column for field in model._meta.concrete_fields}


def _adopted_state(run_id: str, digest: str) -> dict[str, Any]:
    """Keeps who inserted the document where an import did; marks others as nobody's insert."""
    return {
        "run": run_id,
        "digest": {"$literal": digest},
        "created_by": {"$ifNull": [f"${STATE_FIELD}.created_by", f"${STATE_FIELD}.run", ""]},
    }


def _show(value: Any) -> str:
    shown = value.isoformat() if isinstance(value, datetime) else str(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _hide(secret: Any) -> str:
    if secret is None:
        return "cannot be decrypted"
    return "sha256 " + hashlib.sha256(str(secret).encode()).hexdigest()[:16]


class RejectWriter:
    """Keeps the refused rows of one table in ``import_rejects``."""

    def __init__(self, table: Table, *, run_id: str, now: datetime) -> None:
        self._table = table
        self._run_id = run_id
        self._now = now
        self._collection = connection.get_collection(ImportReject._meta.db_table)

    def write(self, rejects: Sequence[RejectedRow]) -> None:
        if not rejects:
            return
        operations = []
        for reject in rejects:
            shown = reject.key
            if self._table is OAUTH_STATES:
                shown = reject.row.get("state") or ""
            fields = {
                "run_id": self._run_id,
                "table": self._table.name,
                "legacy_id": shown,
                "reasons": list(reject.reasons),
                "rules": list(reject.rules),
                "hints": list(reject.hints),
                "row": reject.row,
                "rejected_at": self._now,
            }
            key = record_key(self._table, reject.key)
            operations.append(UpdateOne({"_id": key}, {"$set": fields}, upsert=True))
        self._collection.bulk_write(operations, ordered=False)

    def forget_earlier(self) -> None:
        """Remove rejects of earlier runs: this one read the table to its end without them."""
        self._collection.delete_many({"table": self._table.name, "run_id": {"$ne": self._run_id}})
