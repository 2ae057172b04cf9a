"""Brings single rows up to date: each is read from MySQL as it is now, and stored or deleted here.

Applying the same key twice, or in any order, ends in the same documents. A document goes only if
the import wrote it, nobody changed it since, and nothing here refers to it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime

from django.db import connection
from django.utils import timezone
from pymongo import DeleteOne

from autores.crypto import TokenCipher
from mentions.legacy.attribution import Ambiguous, AttributionRules
from mentions.legacy.bulk import write_all
from mentions.legacy.checkpoint import forget_keys
from mentions.legacy.conflicts import ConflictWriter, KeyedReport, Problem
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS, Table
from mentions.legacy.current import CurrentSource
from mentions.legacy.documents import (
    TARGETS,
    WRITE_CONCERN,
    Target,
    digest_document,
    document_key,
    record_key,
)
from mentions.legacy.load import Loader
from mentions.legacy.mapping import (
    MappedRow,
    Outcome,
    RawRow,
    RejectedRow,
    SkippedRow,
    map_message,
    map_oauth_state,
    map_user,
    show_key,
)
from mentions.legacy.references import find_references
from mentions.legacy.rejects import RejectWriter
from mentions.legacy.state import EXPORT_FIELD, STATE_FIELD, read_baseline, read_state
from mentions.legacy.versions import Versions
from mentions.models import ImportReject

_PAGE = 1000


class RowApplier:
    """Applies changes for one run. ``counts`` adds up what became of the rows, ``deleted`` too;
    ``unsettled`` are the records of the conflicts that it met.

    What it cannot settle goes to the collections of rejects and conflicts, and leaves them when a
    later change settles it. Raises SourceError and pymongo's errors.
    """

    def __init__(
        self,
        current: CurrentSource,
        *,
        cipher: TokenCipher,
        run_id: str,
        account_id: str | None,
        rules: AttributionRules | None = None,
        on_reject: Callable[[str, RejectedRow], None] = lambda table, row: None,
        on_ambiguous: Callable[[Ambiguous], None] = lambda found: None,
    ) -> None:
        self.current = current
        self.counts: dict[str, Counter[str]] = {target.table.name: Counter() for target in TARGETS}
        self.unsettled: set[str] = set()
        self._cipher = cipher
        self._run_id = run_id
        self._account_id = account_id
        self._rules = rules
        self._on_reject = on_reject
        self._on_ambiguous = on_ambiguous
        self._conflicts = {
            target.table.name: ConflictWriter(target.table, run_id=run_id) for target in TARGETS
        }
        self._rejects = connection.get_collection(ImportReject._meta.db_table)
        self._versions = Versions()

    def apply(self, keys: Mapping[str, Collection[bytes]]) -> None:
        """``keys`` by table, in UTF-8."""
        gone: dict[str, set[bytes]] = {}
        pages: dict[str, list[RawRow]] = {}
        for target in TARGETS:
            name = target.table.name
            if not keys.get(name):
                continue
            rows = [
                row for page in self.current.read_rows(target.table, keys[name]) for row in page
            ]
            pages[name] = rows
            gone[name] = set(keys[name]) - {row[target.table.key] for row in rows}
        # Messages before the account they belong to; and what goes before what comes, which may
        # have the same X user id.
        for target in reversed(TARGETS):
            if gone.get(target.table.name):
                self.delete(target, gone[target.table.name])
        for target in TARGETS:
            if pages.get(target.table.name):
                self._store(target, pages[target.table.name])

    def compare_table(self, target: Target) -> None:
        """Read the whole table and bring everything of it up to date."""
        began = timezone.now()
        for keys in self.current.read_key_pages(target.table):
            self.apply({target.table.name: set(keys)})
        self.delete_missing(target)
        # Who is refused still was refused again.
        gone = {"table": target.table.name, "rejected_at": {"$lt": began}}
        self._rejects.delete_many(gone)

    def delete_missing(self, target: Target) -> None:
        """Delete what the import wrote and MySQL no longer has."""
        if target.table is OAUTH_STATES:
            self._delete_missing_states(target)
            return
        for _, missing in self.find_missing(target):
            if missing:
                self.delete(target, missing)

    def find_missing(self, target: Target) -> Iterator[tuple[int, set[bytes]]]:
        """Page by page of what the import wrote: how many rows, and which MySQL no longer has."""
        for keys in self._list_imported(target):
            raw = {key.encode("utf-8", "surrogatepass") for key in keys}
            yield len(raw), raw - self.current.find_existing(target.table, raw)

    def delete(self, target: Target, keys: Collection[bytes]) -> None:
        """Delete the documents of rows that are gone there; what may not go is a conflict."""
        shown = {document_key(target.table, key) for key in keys}
        self._delete_documents(target, shown)

    def _delete_documents(self, target: Target, keys: Collection[str]) -> None:
        collection = connection.get_collection(target.model._meta.db_table).with_options(
            write_concern=WRITE_CONCERN
        )
        documents = list(collection.find({"_id": {"$in": sorted(keys)}}))
        referred = find_references(target, [found["_id"] for found in documents])
        fields = target.model._meta
        columns = [fields.get_field(name).column for name in target.compared]
        if target.table is MESSAGES:
            columns.append("version")
        problems: dict[str, str] = {}
        operations: dict[str, DeleteOne] = {}
        for document in documents:
            key = document["_id"]
            known = read_baseline(document, source=self.current.url.label)
            if known is None or read_state(document) is None:
                # Made here, though an export may have written it there: a copy that is older lacks
                # it as well.
                problems[key] = "deleted there; here it was not written by the import, and stays"
            elif digest_document(target, document, self._cipher) != known.here:
                problems[key] = "deleted there, but changed here since the import"
            elif key in referred:
                problems[key] = f"deleted there, but {referred[key]} here refer to it"
            else:
                same = {name: document.get(name) for name in (*columns, STATE_FIELD, EXPORT_FIELD)}
                operations[key] = DeleteOne({"_id": key, **same})
        # Before the documents go: after a crash in between, a row that came back there would
        # otherwise look like one that a person deleted here.
        forget_keys(target.table, operations)
        deleted = write_all(collection, list(operations.values())).deleted
        if deleted < len(operations):
            for found in collection.find({"_id": {"$in": list(operations)}}, {"_id": 1}):
                problems[found["_id"]] = "deleted there, but changed here meanwhile"
        counts = self.counts[target.table.name]
        counts["deleted"] += deleted
        counts["conflicts"] += len(problems)
        self._settle(
            target, keys, conflicts={key: (why, {}) for key, why in problems.items()}, rejected=()
        )

    def _delete_missing_states(self, target: Target) -> None:
        """Flows live ten minutes, so few are here; their documents are keyed by a hash."""
        here = {key for page in self._list_imported(target) for key in page}
        for page in self.current.read_key_pages(target.table):
            for key in page:
                here.discard(document_key(target.table, key))
        if here:
            self._delete_documents(target, here)

    def _store(self, target: Target, rows: Iterable[RawRow]) -> None:
        now = timezone.now()
        table = target.table
        report = KeyedReport(table)
        rejects: list[RejectedRow] = []

        def refuse(row: RejectedRow) -> None:
            report.count("rejected", row.key)
            rejects.append(row)
            self._on_reject(table.name, row)

        mapped: list[MappedRow] = []
        seen: set[str] = set()
        for raw in rows:
            seen.add(document_key(table, raw[table.key] or b""))
            outcome = self._map(table, raw, now=now)
            if isinstance(outcome, MappedRow):
                mapped.append(outcome)
            elif isinstance(outcome, SkippedRow):
                report.count("skipped", outcome.key)
            else:
                refuse(outcome)
        Loader(
            target,
            cipher=self._cipher,
            source=self.current.url.label,
            run_id=self._run_id,
            now=now,
            is_dry_run=False,
            report=report,
            refuse=refuse,
            versions=self._versions,
        ).load_page(mapped)
        RejectWriter(table, run_id=self._run_id, now=now).write(rejects)
        self._settle(
            target,
            seen,
            conflicts=report.problems,
            rejected=[row.key for row in rejects],
        )
        self.counts[table.name].update(report.counts)

    def _map(self, table: Table, raw: RawRow, *, now: datetime) -> Outcome:
        if table is USERS:
            return map_user(raw, now=now)
        if table is MESSAGES:
            return map_message(raw, account_id=self._attribute(raw))
        return map_oauth_state(raw, now=now)

    def _attribute(self, raw: RawRow) -> str | None:
        if self._rules is None:
            return self._account_id
        chosen = self._rules.choose(show_key(raw["id"]), show_key(raw["text"]))
        if isinstance(chosen, Ambiguous):
            self.counts[MESSAGES.name]["without_account"] += 1
            self._on_ambiguous(chosen)
            return None
        return chosen

    def _settle(
        self,
        target: Target,
        keys: Collection[str],
        *,
        conflicts: Mapping[str, Problem],
        rejected: Collection[str],
    ) -> None:
        """Keep what is open about the keys, and forget what was."""
        table = target.table
        self._conflicts[table.name].settle(keys, conflicts)
        self.unsettled |= {record_key(table, key) for key in conflicts}
        accepted = [record_key(table, key) for key in set(keys) - set(rejected)]
        if accepted:
            self._rejects.delete_many({"_id": {"$in": accepted}})

    def _list_imported(self, target: Target) -> Iterator[list[str]]:
        collection = connection.get_collection(target.model._meta.db_table)
        after = ""
        while True:
            found = [
                item["_id"]
                for item in collection.find(
                    {"_id": {"$gt": after}, f"{STATE_FIELD}.digest": {"$exists": True}}, {"_id": 1}
                )
                .sort("_id", 1)
                .limit(_PAGE)
            ]
            if found:
                yield found
            if len(found) < _PAGE:
                return
            after = found[-1]
