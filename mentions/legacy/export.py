"""Writes what was created or changed here since the import back into the legacy schema.

Only rows that are not in MySQL are inserted, and only those that nobody changed there since the
import are updated. What the legacy schema cannot hold is listed, never cut to fit. Each document
remembers what was written, so that the next import knows which of the two sides changed since.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pymysql
from django.db import connection
from django.utils import timezone
from pymongo import UpdateOne
from pymysql.constants import CR, ER

from accounts.models import TwitterAccount
from accounts.stored_tokens import token_cipher
from autores.crypto import CipherError
from mentions.legacy.address import SourceUrl
from mentions.legacy.contract import MESSAGES, USERS, Table
from mentions.legacy.documents import TARGETS, Target, digest_document, digest_row
from mentions.legacy.errors import SourceError
from mentions.legacy.export_report import LISTED_ROWS, ExportReport, TableExport
from mentions.legacy.legacy_writer import LegacyWriter, cut_time, spell_value
from mentions.legacy.progress import NoProgress, ProgressView
from mentions.legacy.proof.fields import rule_of, show_key
from mentions.legacy.state import (
    EXPORT_FIELD,
    Baseline,
    build_export,
    read_baseline,
    read_state,
)
from mentions.models import Tombstone

_BATCH = 500
# Unique here beside the key: the same post may be the work of two accounts, but not there.
_TABLES = (USERS, MESSAGES)


def export_to_mysql(
    target: SourceUrl,
    *,
    is_dry_run: bool = False,
    inserts_again: bool = False,
    progress: ProgressView | None = None,
) -> ExportReport:
    """Write back; may be interrupted and repeated, and changes nothing the second time.

    ``inserts_again``: what was made here, and an earlier export wrote, is written once more where
    MySQL lacks it now, as after an older dump of it was loaded.

    The accounts are fenced before their tokens are read: from then on they are the former
    system's to refresh. A rehearsal writes, too, where MySQL can take it back, and takes it back.
    Raises SourceError; nothing is fenced then unless the error says so.
    """
    report = ExportReport(target=target.label, is_dry_run=is_dry_run)
    with LegacyWriter(target) as database:
        if is_dry_run:
            report.untried = database.find_obstacle()
        else:
            database.require_writable()
            report.fenced = TwitterAccount.objects.filter(fenced_since=None).update(
                fenced_since=timezone.now()
            )
        try:
            for table in _TABLES:
                exporter = _TableExporter(
                    table,
                    database,
                    is_dry_run=is_dry_run,
                    is_tried=not report.untried,
                    inserts_again=inserts_again,
                )
                report.tables.append(exporter.run(progress or NoProgress()))
            _list_deleted(database, report)
        except pymysql.err.MySQLError as error:
            if is_dry_run:
                raise
            raise SourceError(f"{database.explain(error)} {_HALF_DONE}") from None
    return report


_HALF_DONE = (
    "What was written before stays, and this system refreshes no tokens any more: export again, or "
    "go on here with --declare-old-poller-stopped."
)


def _list_deleted(database: LegacyWriter, report: ExportReport) -> None:
    rule = rule_of("messages")
    # Of an edited post there are several.
    keys = sorted({key for key in Tombstone.objects.values_list("message_id", flat=True) if key})
    for start in range(0, len(keys), _BATCH):
        for key in database.look_up(rule, keys[start : start + _BATCH]):
            report.deleted_count += 1
            if len(report.deleted_here) < LISTED_ROWS:
                report.deleted_here.append(key)


class _TableExporter:
    def __init__(
        self,
        table: Table,
        database: LegacyWriter,
        *,
        is_dry_run: bool,
        is_tried: bool,
        inserts_again: bool,
    ) -> None:
        self._table = table
        self._rule = rule_of(table.name)
        self._database = database
        self._is_dry_run = is_dry_run
        self._is_tried = is_tried
        self._inserts_again = inserts_again
        self._target: Target = next(item for item in TARGETS if item.table is table)
        self._cipher = token_cipher()
        self._report = TableExport(table.name)
        self._precision = database.read_precision(table.name)
        self._collection = connection.get_collection(self._target.model._meta.db_table)
        # By key: what is to be remembered, and what was written and how.
        self._marks: dict[str, UpdateOne] = {}
        self._written: dict[str, tuple[Mapping[str, Any], str]] = {}

    def run(self, progress: ProgressView) -> TableExport:
        progress.begin(f"exporting {self._table.name}", self._collection.estimated_document_count())
        for batch in self._read_batches():
            changed = [document for document in batch if self._is_changed(document)]
            ids = {found["_id"] for found in changed}
            same = [found for found in batch if found["_id"] not in ids]
            exported = [found for found in same if self._recall(found).exported_at is not None]
            imported = [found["_id"] for found in same if self._recall(found).exported_at is None]
            deleted = len(imported) - self._database.count_present(self._rule, imported)
            self._report.unchanged += len(imported) - deleted
            self._report.deleted_there += deleted
            self._write([*changed, *self._find_undone(exported)])
            progress.advance(len(batch))
        return self._report

    def _read_batches(self) -> Iterator[list[dict[str, Any]]]:
        batch: list[dict[str, Any]] = []
        for document in self._collection.find({}, {"raw": 0}, sort=[("_id", 1)], batch_size=_BATCH):
            batch.append(document)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _recall(self, document: Mapping[str, Any]) -> Baseline:
        known = read_baseline(document, source=self._database.label)
        assert known is not None
        return known

    def _find_undone(self, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Of what was exported, and is as it was: what MySQL has no more, as after an older dump
        of it was loaded.
        """
        present = self._database.look_up(self._rule, [found["_id"] for found in documents])
        undone = []
        for document in documents:
            row = present.get(document["_id"])
            if row is None:
                # What an import brought, and an export changed, was deleted there.
                is_made_here = read_state(document) is None
                if is_made_here:
                    undone.append(document)
                else:
                    self._report.deleted_there += 1
            elif self._is_older_copy(row, document):
                undone.append(document)
            else:
                self._report.unchanged += 1
        return undone

    def _is_older_copy(self, row: dict[str, bytes | None], document: Mapping[str, Any]) -> bool:
        """Whether MySQL's row is what the import read, before an export changed it."""
        state, known = read_state(document), read_baseline(document, source=self._database.label)
        if state is None or known is None or known.exported_at is None:
            return False
        digest = digest_row(self._table, row, document)
        return digest == state.digest != known.there

    def _is_changed(self, document: Mapping[str, Any]) -> bool:
        known = read_baseline(document, source=self._database.label)
        return known is None or digest_document(self._target, document, self._cipher) != known.here

    def _write(self, documents: Sequence[Mapping[str, Any]]) -> None:
        if not documents:
            return
        present = self._database.look_up(self._rule, [found["_id"] for found in documents])
        for document in documents:
            key = document["_id"]
            values = self._make_row(document)
            if values is None:
                continue
            row = present.get(key)
            if row is None:
                self._insert(key, values, document=document)
            else:
                self._update(key, values, row=row, document=document)
        if self._is_tried:
            self._compare_written()
        if self._is_dry_run:
            self._database.take_back()
        else:
            self._database.commit()
            if self._marks:
                self._collection.bulk_write(list(self._marks.values()), ordered=False)
        self._marks, self._written = {}, {}

    def _compare_written(self) -> None:
        """Read the rows back before they stay: a trigger may have made others of them.

        What is not as it was written is a conflict, and not remembered as exported: no later
        import takes it for what was changed there.
        """
        stored = self._database.look_up(self._rule, list(self._written))
        for key, (values, kind) in self._written.items():
            row = stored.get(key)
            odd = ["the whole row"] if row is None else self._list_odd(values, row)
            if not odd:
                continue
            self._marks.pop(key, None)
            if kind == "inserted":
                self._report.inserted -= 1
            else:
                self._report.updated -= 1
            self._report.add_conflict(
                show_key(self._rule, key),
                f"MySQL stored something else than was written in {', '.join(odd)}: look for a "
                "trigger or a rule of the column there",
            )

    def _list_odd(self, values: Mapping[str, Any], row: Mapping[str, bytes | None]) -> list[str]:
        return [
            name
            for name, value in values.items()
            if spell_value(value) != row[name] and not self._is_equivalent(name, value, row[name])
        ]

    def _insert(self, key: str, values: dict[str, Any], *, document: Mapping[str, Any]) -> None:
        known = read_baseline(document, source=self._database.label)
        is_made_here = read_state(document) is None
        if known is not None and not (is_made_here and self._inserts_again):
            why = "changed here, and deleted in MySQL since"
            if is_made_here:
                why = (
                    "an earlier export wrote it, and MySQL has it no more: delete it here, or add "
                    "--insert-again if MySQL is older than that export"
                )
            self._report.add_conflict(show_key(self._rule, key), why)
            return
        if self._try(key, lambda: self._database.insert(self._rule, values)):
            self._report.inserted += 1
            self._written[key] = (values, "inserted")
            self._mark(document, {name: spell_value(value) for name, value in values.items()})

    def _update(
        self,
        key: str,
        values: dict[str, Any],
        *,
        row: dict[str, bytes | None],
        document: Mapping[str, Any],
    ) -> None:
        changed = {
            name: value
            for name, value in values.items()
            if spell_value(value) != row[name] and not self._is_equivalent(name, value, row[name])
        }
        if not changed:
            self._report.unchanged += 1
            self._mark(document, row)
            return
        known = read_baseline(document, source=self._database.label)
        is_as_known = known is not None and (
            digest_row(self._table, row, document) == known.there
            or self._is_older_copy(row, document)
        )
        if not is_as_known:
            self._report.add_conflict(
                show_key(self._rule, key),
                "changed here, and in MySQL since"
                if known
                else "made on both sides: differs in " + ", ".join(sorted(changed)),
            )
            return

        def write() -> bool:
            # The times of the row are ours to say, or stay as they are.
            times = [rule.column for rule in self._rule.fields if rule.column in self._precision]
            return self._database.update(self._rule, changed, row=row, kept=times)

        if self._try(key, write):
            self._report.updated += 1
            self._written[key] = (values, "updated")
            spelled = {name: spell_value(value) for name, value in changed.items()}
            self._mark(document, {**row, **spelled})

    def _is_equivalent(self, name: str, value: Any, found: bytes | None) -> bool:
        """Whether the import made this value of what is there, and would again."""
        rule = next(item for item in self._rule.fields if item.column == name)
        if found is None:
            return rule.has_own_default
        if isinstance(value, datetime):
            # As the import cut it, and then the column: 12:00:00.123456 is still 12:00:00.123.
            return cut_time(rule.read(found), digits=self._precision.get(name, 0)) == value
        return rule.types == {bool} and value is not None and (int(found) != 0) == bool(value)

    def _try(self, key: str, write: Callable[[], bool]) -> bool:
        """Whether it was written, or would have been; what is not goes to the report."""
        if not self._is_tried:
            return True
        shown = show_key(self._rule, key)
        try:
            if write():
                return True
        except pymysql.err.MySQLError as error:
            code = error.args[0] if error.args else 0
            if isinstance(error, pymysql.err.InterfaceError) or code in _NOT_THE_ROWS:
                raise
            reason = (
                "MySQL calls a unique value of it equal to another row's"
                if code == ER.DUP_ENTRY
                else f"MySQL refuses it ({code}): {error.args[1]}"
            )
            self._report.refuse(shown, reason)
            return False
        self._report.add_conflict(shown, "changed in MySQL in this moment")
        return False

    def _mark(self, document: Mapping[str, Any], row: dict[str, bytes | None]) -> None:
        """Remember what both sides have now: a later export or import starts from it."""
        there = digest_row(self._table, row, document)
        here = digest_document(self._target, document, self._cipher)
        if there and here:
            baseline = Baseline(there, here, timezone.now())
            mark = build_export(baseline, source=self._database.label)
            change = {"$set": {EXPORT_FIELD: mark}}
            self._marks[document["_id"]] = UpdateOne({"_id": document["_id"]}, change)

    def _make_row(self, document: Mapping[str, Any]) -> dict[str, Any] | None:
        """The legacy row of a document; None when it cannot be one."""
        key = document["_id"]
        shown = show_key(self._rule, key)
        if self._table is MESSAGES and document.get("post_id") != key:
            self._report.refuse(
                shown, "the post is another account's too; the legacy table has one row a post"
            )
            return None
        values: dict[str, Any] = {}
        is_cut = False
        for rule in self._rule.fields:
            if rule.name == "post_id":
                continue
            value = document.get(rule.name)
            if rule.is_secret:
                try:
                    value = self._cipher.decrypt(value or "")
                except CipherError:
                    self._report.refuse(shown, f"{rule.column} cannot be decrypted")
                    return None
            if isinstance(value, datetime):
                cut = cut_time(value, digits=self._precision.get(rule.column, 0))
                is_cut = is_cut or cut != value
                value = cut
            if isinstance(value, bool):
                value = int(value)
            values[rule.column] = value
        missing = [
            column.name
            for column in self._table.columns
            if not column.is_nullable and values[column.name] is None
        ]
        if missing:
            self._report.refuse(shown, f"{', '.join(missing)} may not be NULL in MySQL")
            return None
        self._report.cut_times += is_cut
        return values


# What is no fault of the row, so that the export ends: no rights, no place, no lock, no server.
_NOT_THE_ROWS = frozenset(
    {
        *(ER.DBACCESS_DENIED_ERROR, ER.ACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR),
        *(ER.COLUMNACCESS_DENIED_ERROR, ER.OPTION_PREVENTS_STATEMENT, ER.NO_SUCH_TABLE),
        *(ER.DISK_FULL, ER.RECORD_FILE_FULL, ER.OUT_OF_RESOURCES, ER.OUTOFMEMORY),
        *(ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.SERVER_SHUTDOWN, ER.QUERY_INTERRUPTED),
        *(CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST, ER.NEW_ABORTING_CONNECTION),
    }
)
