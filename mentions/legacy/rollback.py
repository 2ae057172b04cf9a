"""Takes back what one import wrote, and leaves everything that anybody touched since.

A document goes only if the run inserted it, its values are those the run wrote, and nothing hangs
on it: no draft, no reply, no entry of the audit, no member. Each removal names the values it was
decided on, so that a change made in the same moment wins.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from pymongo import DeleteOne

from accounts.models import Membership
from accounts.stored_tokens import token_cipher
from mentions.legacy import checkpoint
from mentions.legacy.bulk import write_all
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS
from mentions.legacy.documents import TARGETS, Target, digest_document
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.position import forget_states
from mentions.legacy.progress import NoProgress, ProgressView
from mentions.legacy.proof.fields import rule_of, show_key
from mentions.legacy.runs import RUN_DONE, RUN_FAILED, RUN_INCOMPLETE, RUN_RUNNING
from mentions.legacy.state import STATE_FIELD, is_worked_on, read_state
from mentions.models import (
    AuditEntry,
    Cursor,
    Draft,
    ImportConflict,
    ImportReject,
    ImportRun,
    Message,
    Reply,
    file_before_reading,
)

RUN_ROLLED_BACK = "rolled_back"
_LOADS = {RUN_RUNNING, RUN_DONE, RUN_INCOMPLETE, RUN_FAILED, RUN_ROLLED_BACK}
_BATCH = 2000
_LISTED = 100
_SHOWN = 20
# What hangs on others goes first.
_ORDER = (OAUTH_STATES, MESSAGES, USERS)


class RollbackError(LegacyImportError):
    """There is no such run, or nothing of it can be taken back."""


@dataclass
class TableRollback:
    """One table: ``kept`` counts by reason, ``listed`` names the first hundred."""

    table: str
    removed: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    listed: list[tuple[str, str]] = field(default_factory=list)

    def keep(self, shown: str, reason: str) -> None:
        self.kept[reason] = self.kept.get(reason, 0) + 1
        if len(self.listed) < _LISTED:
            self.listed.append((shown, reason))


@dataclass
class RollbackReport:
    """What was taken back of one run, and what was left."""

    run_id: str
    is_dry_run: bool
    tables: list[TableRollback] = field(default_factory=list)
    forgotten_rejects: int = 0

    @property
    def removed(self) -> int:
        return sum(table.removed for table in self.tables)

    @property
    def kept(self) -> int:
        return sum(sum(table.kept.values()) for table in self.tables)

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run_id,
            "is_dry_run": self.is_dry_run,
            "removed": self.removed,
            "kept": self.kept,
            "forgotten_rejects": self.forgotten_rejects,
            "tables": {
                table.table: {
                    "removed": table.removed,
                    "kept": [
                        {"reason": reason, "rows": count} for reason, count in table.kept.items()
                    ],
                    "kept_list": [{"id": key, "reason": why} for key, why in table.listed],
                }
                for table in self.tables
            },
        }

    def render(self) -> str:
        verb = "would be removed" if self.is_dry_run else "removed"
        lines = [f"Run {self.run_id}: {self.removed} documents {verb}, {self.kept} left."]
        for table in self.tables:
            lines.append(f"  {table.table}: {table.removed} {verb}")
            lines += [f"    {count} left: {reason}" for reason, count in table.kept.items()]
        for table in self.tables:
            if table.listed:
                lines += ["", f"Left in {table.table}:"]
                shown = table.listed[:_SHOWN]
                lines += [f"  {key}: {reason}" for key, reason in shown]
                more = sum(table.kept.values()) - len(shown)
                lines += [f"  … and {more} more"] if more else []
        return "\n".join(lines)


def roll_back(
    run_id: str, *, is_dry_run: bool = False, progress: ProgressView | None = None
) -> RollbackReport:
    """Take back the run. May be interrupted and repeated. Raises RollbackError."""
    run = ImportRun.objects.filter(pk=run_id).first()
    if run is None:
        known = ", ".join(
            f"{found.pk} ({found}{', a following' if found.report.get('kind') == 'follow' else ''})"
            for found in ImportRun.objects.order_by("-started_at")[:5]
        )
        raise RollbackError(f"There is no import run {run_id!r}. The latest: {known or 'none'}.")
    if run.state not in _LOADS:
        raise RollbackError(
            f"Run {run_id} is {run.state!r}: a report, which wrote nothing. Give the run of a load "
            "or of a following."
        )
    report = RollbackReport(run_id=run_id, is_dry_run=is_dry_run)
    targets = {target.table: target for target in TARGETS}
    doomed: Counter[str] = Counter()
    if not is_dry_run:
        # Before the first removal, for it may be interrupted: else the next import would take the
        # removed rows for deleted by a person,
        checkpoint.forget_chunks(_ORDER)
        # and the next following would go on behind them, and bring none of them back.
        forget_states()
    for table in _ORDER:
        undo = _TableUndo(targets[table], run, is_dry_run=is_dry_run, doomed=doomed)
        report.tables.append(undo.run(progress or NoProgress()))
    rejects = ImportReject.objects.filter(run_id=run_id)
    report.forgotten_rejects = rejects.count()
    if not is_dry_run:
        rejects.delete()
        ImportConflict.objects.filter(run_id=run_id).delete()
        ImportRun.objects.filter(pk=run_id).update(state=RUN_ROLLED_BACK)
    return report


class _TableUndo:
    """``doomed`` counts, by account, the messages that a dry run would have removed."""

    def __init__(
        self, target: Target, run: ImportRun, *, is_dry_run: bool, doomed: Counter[str]
    ) -> None:
        self._doomed = doomed
        self._target = target
        self._run = run
        self._is_dry_run = is_dry_run
        self._cipher = token_cipher()
        self._collection = connection.get_collection(target.model._meta.db_table)
        self._report = TableRollback(target.table.name)
        self._rule = rule_of(target.table.name)
        fields = target.model._meta.concrete_fields
        self._undone: dict[str, bool] = {}
        self._wrote = {
            "$or": [{f"{STATE_FIELD}.run": run.pk}, {f"{STATE_FIELD}.created_by": run.pk}]
        }
        self._columns = {field.attname: str(field.column) for field in fields}

    def run(self, progress: ProgressView) -> TableRollback:
        verb = "looking at" if self._is_dry_run else "taking back"
        progress.begin(
            f"{verb} {self._target.table.name}", self._collection.count_documents(self._wrote)
        )
        for batch in self._read_batches():
            attached = self._find_attached([document["_id"] for document in batch])
            doomed = []
            for document in batch:
                reason = self._find_reason(document) or attached.get(document["_id"])
                if reason is None:
                    doomed.append(document)
                else:
                    self._keep(document, reason)
            self._remove(doomed)
            progress.advance(len(batch))
        return self._report

    def _read_batches(self) -> Iterator[list[dict[str, Any]]]:
        batch: list[dict[str, Any]] = []
        for document in self._collection.find(self._wrote, {"raw": 0}, batch_size=_BATCH):
            batch.append(document)
            if len(batch) == _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _find_reason(self, document: Mapping[str, Any]) -> str | None:
        """Why the document stays; None when it may go."""
        state = read_state(document)
        if state is None:
            return "is not what the run wrote"
        if state.created_by != self._run.pk:
            return "was here before the run, which only updated it"
        if state.run_id != self._run.pk and not self._is_rolled_back(state.run_id):
            return f"was updated by the later run {state.run_id}: roll that one back first"
        if digest_document(self._target, document, self._cipher) != state.digest:
            return "was changed here since"
        if self._target.table is MESSAGES:
            if is_worked_on(document):
                return "was worked on here since"
            if document.get("claimed_by"):
                return "somebody is working on it"
        if self._target.table is USERS:
            touched_at = document.get("updated_at")
            if isinstance(touched_at, datetime) and touched_at.replace(tzinfo=UTC) > (
                self._run.started_at
            ):
                return "was used here since"
        return None

    def _is_rolled_back(self, run_id: str) -> bool:
        """A later run that only updated the row left it; once that was undone, the row may go."""
        if run_id not in self._undone:
            self._undone[run_id] = ImportRun.objects.filter(
                pk=run_id, state=RUN_ROLLED_BACK
            ).exists()
        return self._undone[run_id]

    def _find_attached(self, keys: Sequence[str]) -> dict[str, str]:
        """What hangs on these documents, by id."""
        found: dict[str, str] = {}
        if self._target.table is MESSAGES:
            file_before_reading()
            for model, what in (
                (AuditEntry, "has entries in the audit"),
                (Draft, "has drafts"),
                (Reply, "has replies"),
            ):
                rows = model._default_manager.filter(message_id__in=keys)
                found.update(dict.fromkeys(rows.values_list("message_id", flat=True), what))
        elif self._target.table is USERS:
            for key, count in _count_messages(keys).items():
                # A real run would have removed some before.
                if count > self._doomed[key]:
                    found[key] = "has messages"
            for model, what in ((Cursor, "is polled here"), (Membership, "has members")):
                rows = model._default_manager.filter(account_id__in=keys)
                found.update(dict.fromkeys(rows.values_list("account_id", flat=True), what))
        return found

    def _remove(self, documents: Sequence[Mapping[str, Any]]) -> None:
        if not documents:
            return
        if self._is_dry_run:
            self._report.removed += len(documents)
            self._doomed.update(
                account for document in documents if (account := document.get("account_id"))
            )
            return
        names = [self._columns[name] for name in self._target.compared]
        if self._target.table is MESSAGES:
            names += ["version", "claimed_by"]
        if self._target.table is USERS:
            names.append("updated_at")
        removals = []
        for document in documents:
            unchanged = {name: document.get(name) for name in names}
            state = {STATE_FIELD: document[STATE_FIELD]}
            removals.append(DeleteOne({"_id": document["_id"], **state, **unchanged}))
        deleted = write_all(self._collection, removals).deleted
        self._report.removed += deleted
        if deleted < len(removals):
            keys = [document["_id"] for document in documents]
            for found in self._collection.find({"_id": {"$in": keys}}):
                self._keep(found, "was changed during the rollback")

    def _keep(self, document: Mapping[str, Any], reason: str) -> None:
        self._report.keep(show_key(self._rule, document["_id"]), reason)


def _count_messages(account_ids: Sequence[str]) -> dict[str, int]:
    """How many messages each of the accounts has; none of those that have none.

    Asked of all at once: each question by itself would pass over the index entries of everything
    that was removed a moment ago.
    """
    messages = connection.get_collection(Message._meta.db_table)
    counted = messages.aggregate(
        [
            {"$match": {"account_id": {"$in": list(account_ids)}}},
            {"$group": {"_id": "$account_id", "count": {"$sum": 1}}},
        ]
    )
    return {found["_id"]: found["count"] for found in counted}
