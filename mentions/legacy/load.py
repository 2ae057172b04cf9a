"""Writes mapped rows into MongoDB, without ever overwriting what was changed here.

Three digests decide about a row: of the legacy row now (s), of the document now (t), and of what
the import wrote last (d, kept in ``import_records``).

    no document, no record          created
    no document, but a record       deleted here: stays deleted
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

from accounts.models import AccountStatus, OAuthState, TwitterAccount
from autores.crypto import CipherError, TokenCipher
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS, Table
from mentions.legacy.mapping import MappedRow, RejectedRow, digest_values
from mentions.legacy.report import TableReport
from mentions.models import ImportRecord, ImportReject, MentionKind, Message, Tombstone
from mentions.models.tombstone import tombstone_key

_DUPLICATE = 11000


@dataclass(frozen=True)
class Target:
    """Where one legacy table goes."""

    table: Table
    model: type[models.Model]
    secrets: tuple[str, ...] = ()
    # Unique here beside the key; two rows with the same values cannot both be stored.
    unique: tuple[str, ...] = ()


TARGETS = (
    Target(USERS, TwitterAccount, ("access_token", "refresh_token"), ("twitter_id",)),
    Target(MESSAGES, Message, (), ("account_id", "post_id")),
    Target(OAUTH_STATES, OAuthState, ("code_verifier",)),
)


def record_key(table: Table, key: str) -> str:
    """The import record's id. An OAuth state is a secret while it lives: its hash stands in."""
    shown = hashlib.sha256(key.encode()).hexdigest() if table is OAUTH_STATES else key
    return f"{table.name}:{shown}"


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
    """Loads the pages of one table. A dry run decides all the same, and writes nothing."""

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
        self._cipher = cipher
        self._run_id = run_id
        self._now = now
        self._is_dry_run = is_dry_run
        self._report = report
        self._refuse = refuse
        self._writer = DocumentWriter(target.model, constants=self._constants())
        self._documents = connection.get_collection(target.model._meta.db_table)
        self._records = connection.get_collection(ImportRecord._meta.db_table)
        self._tombstones = connection.get_collection(Tombstone._meta.db_table)
        # Unique values met in this run: a dry run has no documents to find them in.
        self._seen: dict[tuple[Any, ...], str] = {}

    def load_page(self, rows: Sequence[MappedRow]) -> None:
        """Decide about each row and write what is to be written; counts go to the report."""
        rows = self._drop_duplicates(rows)
        keys = [row.key for row in rows]
        documents = {found["_id"]: found for found in self._documents.find({"_id": {"$in": keys}})}
        records = {
            found["_id"]: found["digest"]
            for found in self._records.find(
                {"_id": {"$in": [record_key(self.target.table, key) for key in keys]}}
            )
        }
        buried = self._find_buried(rows)
        created, adopted = [], []
        for row in rows:
            record = records.get(record_key(self.target.table, row.key))
            document = documents.get(row.key)
            if document is None:
                if record is not None or row.key in buried:
                    self._report.count("deleted_here", row.key)
                else:
                    created.append(row)
                continue
            present = self._digest_document(document, row.compared)
            if row.digest == present:
                self._report.count("unchanged", row.key)
                if record != row.digest:
                    adopted.append(row)
            elif row.digest == record:
                self._report.count("kept", row.key)
            elif present == record:
                self._update(row, document)
            else:
                self._report.add_conflict(
                    row.key,
                    "changed both there and here since the last import"
                    if record
                    else "exists here, but was not written by the import, and differs",
                )
        self._create(created)
        self._remember(adopted)

    def _drop_duplicates(self, rows: Sequence[MappedRow]) -> list[MappedRow]:
        """Refuse the rows whose unique values another row or document holds already."""
        names = self.target.unique
        if not names:
            return list(rows)
        held: dict[tuple[Any, ...], str] = {}
        distinct = [name for name in names if name != "account_id"]
        query: dict[str, Any] = {
            self._writer.column(name): {"$in": [row.values[name] for row in rows]}
            for name in distinct
        }
        columns = [self._writer.column(name) for name in names]
        for found in self._documents.find(query, projection=dict.fromkeys(columns, 1)):
            held[tuple(found.get(column) for column in columns)] = found["_id"]
        kept = []
        for row in rows:
            value = tuple(row.values[name] for name in names)
            if self._seen.get(value, row.key) != row.key:
                self._refuse_duplicate(row, self._seen[value])
            elif held.get(value, row.key) != row.key:
                self._pass_over(row, held[value])
            else:
                if self.target.table is USERS:
                    self._seen[value] = row.key
                kept.append(row)
        return kept

    def _pass_over(self, row: MappedRow, holder: str) -> None:
        """The same thing exists here under another id."""
        if self.target.table is MESSAGES:
            self._report.add_conflict(row.key, f"is here already as {holder!r}", is_absent=True)
        elif self._records.find_one({"_id": record_key(self.target.table, holder)}):
            self._refuse_duplicate(row, holder)
        else:
            self._report.count("skipped", row.key)
            self._report.notes[f"account skipped: it is connected here already as {holder!r}"] += 1

    def _refuse_duplicate(self, row: MappedRow, holder: str) -> None:
        name = self.target.unique[-1]
        value = row.values[name]
        self._refuse(
            RejectedRow(
                key=row.key,
                reasons=(f"{name} {value!r} already belongs to {holder!r}",),
                row={name: str(value)},
            )
        )

    def _find_buried(self, rows: Sequence[MappedRow]) -> set[str]:
        if self.target.table is not MESSAGES:
            return set()
        stones = {}
        for row in rows:
            for account in {row.values["account_id"], None}:
                stone = tombstone_key(account_id=account, post_id=row.values["post_id"])
                stones[stone] = row.key
        found = self._tombstones.find({"_id": {"$in": list(stones)}}, projection={"_id": 1})
        return {stones[stone["_id"]] for stone in found}

    def _create(self, rows: Sequence[MappedRow]) -> None:
        if not self._is_dry_run and rows:
            # Only ever inserts: a document that appeared since the read stays as it is.
            operations = []
            for row in rows:
                document = self._writer.build(self._complete(row))
                key = document.pop("_id")
                operations.append(UpdateOne({"_id": key}, {"$setOnInsert": document}, upsert=True))
            refused: set[int] = set()
            try:
                written = self._documents.bulk_write(operations, ordered=False).upserted_ids or {}
            except BulkWriteError as error:
                failures = error.details["writeErrors"]
                if any(failure["code"] != _DUPLICATE for failure in failures):
                    raise
                refused = {failure["index"] for failure in failures}
                written = {item["index"]: item["_id"] for item in error.details["upserted"]}
            for index in set(range(len(rows))) - set(written):
                if index in refused and self.target.unique:
                    self._refuse_duplicate(rows[index], "another document")
                else:
                    self._report.add_conflict(rows[index].key, "appeared here during the import")
            rows = [row for index, row in enumerate(rows) if index in written]
            self._remember(rows)
        for row in rows:
            self._report.count("created", row.key)

    def _update(self, row: MappedRow, document: Mapping[str, Any]) -> None:
        """Write the legacy row's new values, if the document still is what was read."""
        if not self._is_dry_run:
            values = self._complete(row, document=document)
            change = self._writer.encode(values)
            key = change.pop("_id")
            columns = [self._writer.column(name) for name in row.compared]
            unchanged = {column: document.get(column) for column in columns}
            operation: dict[str, Any] = {"$set": change}
            if self.target.table is MESSAGES:
                operation["$inc"] = {"version": 1}
            try:
                found = self._documents.update_one({"_id": key, **unchanged}, operation)
            except DuplicateKeyError:
                self._refuse_duplicate(row, "another document")
                return
            if not found.matched_count:
                self._report.add_conflict(row.key, "changed here during the import")
                return
            self._remember([row])
        self._report.count("updated", row.key)

    def _remember(self, rows: Sequence[MappedRow]) -> None:
        """After the documents, never before: a crash in between must not look like a deletion."""
        if self._is_dry_run or not rows:
            return
        self._records.bulk_write(
            [
                UpdateOne(
                    {"_id": record_key(self.target.table, row.key)},
                    {
                        "$set": {
                            "digest": row.digest,
                            "run_id": self._run_id,
                            "imported_at": self._now,
                        }
                    },
                    upsert=True,
                )
                for row in rows
            ],
            ordered=False,
        )

    def _digest_document(self, document: Mapping[str, Any], names: Sequence[str]) -> str | None:
        values = self._writer.decode(document, names)
        try:
            for name in self.target.secrets:
                values[name] = self._cipher.decrypt(values[name] or "")
        except CipherError:
            # Encrypted with a key that is gone: certainly not what an import would write now.
            return None
        return digest_values(values)

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
                    values[name] = document[self._writer.column(name)] if document else self._now
            # New tokens revive an account; they do not end a pause that a person made here.
            if document and document.get("status") != AccountStatus.TOKEN_EXPIRED:
                del values["status"], values["status_reason"]
        return values

    def _constants(self) -> dict[str, Any]:
        if self.target.table is MESSAGES:
            # Not drafted by itself: the former system's backlog would cost a model call each.
            return {"kind": MentionKind.LEGACY, "version": 1, "draft_state": "none"}
        if self.target.table is OAUTH_STATES:
            # The exchange of the code must name the address the flow began with.
            return {"redirect_uri": settings.TWITTER_CALLBACK_URL}
        return {"status_changed_at": self._now, "scopes": []}


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
                "row": reject.row,
                "rejected_at": self._now,
            }
            key = record_key(self._table, reject.key)
            operations.append(UpdateOne({"_id": key}, {"$set": fields}, upsert=True))
        self._collection.bulk_write(operations, ordered=False)

    def forget_earlier(self) -> None:
        """Remove rejects of earlier runs: this one read the table to its end without them."""
        self._collection.delete_many({"table": self._table.name, "run_id": {"$ne": self._run_id}})
