"""Takes over one chunk of rows: converts, compares, writes, and notes that it is done.

Runs in the process of the import or in its workers; a chunk and its result travel between them.
"""

import hashlib
import marshal
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import connection

from autores.crypto import cipher_for
from autores.mongo.rawpages import read_id
from mentions.legacy.attribution import Ambiguous, AttributionRules
from mentions.legacy.bulk import insert_encoded
from mentions.legacy.checkpoint import Checkpoints, DoneChunk
from mentions.legacy.conflicts import ConflictWriter, KeyedReport
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS
from mentions.legacy.documents import TARGETS, WRITE_CONCERN, document_key
from mentions.legacy.driver import Row
from mentions.legacy.encode import EncodedRows, MessageEncoder, has_compared, probe_row
from mentions.legacy.load import Loader
from mentions.legacy.mapping import (
    MappedRow,
    Outcome,
    RejectedRow,
    SkippedRow,
    map_message,
    map_oauth_state,
    map_user,
    mask_row,
    show_key,
)
from mentions.legacy.rejects import RejectWriter
from mentions.legacy.report import TableReport
from mentions.legacy.state import STATE_FIELD, build_state
from mentions.legacy.versions import Versions
from mentions.models import Tombstone

_STATE_MARK = b"\x03" + STATE_FIELD.encode() + b"\0"
# Raise it when the same legacy row would give another document: finished chunks are read again.
_CONVERSION = 1


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What holds for all chunks of one table. ``unfinished_runs`` are those that this one resumes.

    ``is_first``: nothing of the table was taken over yet, so that inserting comes before looking.
    """

    table: str
    # The legacy database, as reports name it.
    source: str
    run_id: str
    now: datetime
    is_dry_run: bool
    is_first: bool
    account_id: str | None
    unfinished_runs: frozenset[str]
    # Decide about each message instead of ``account_id``.
    rules: AttributionRules | None = None
    may_reattribute: bool = False


@dataclass
class Task:
    """A chunk on its way: ``payload`` is the marshalled rows, until they are unpacked.

    ``refusals`` names rows that cannot stand beside an earlier one: index -> reason.
    """

    number: int
    after: bytes | None
    payload: bytes
    refusals: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def make(
        cls, number: int, after: bytes | None, rows: list[Row], refusals: Mapping[int, str]
    ) -> "Task":
        # Version 2 has no references: equal rows give equal bytes.
        return cls(number, after, marshal.dumps(rows, 2), refusals)

    def unpack(self) -> list[Row]:
        """The rows, once: a worker's memory is not to hold them twice while it writes."""
        rows: list[Row] = marshal.loads(self.payload)  # noqa: S302 - made by ``make``
        self.payload = b""
        return rows


@dataclass
class Result:
    """What became of a chunk. ``present`` counts its rows that have a document now."""

    number: int
    row_count: int
    report: TableReport
    rejects: list[RejectedRow]
    present: int
    is_resumed: bool = False


class ChunkLoader:
    """Takes over the chunks of one table, in any order. Raises what PyMongo raises."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._target = next(target for target in TARGETS if target.table.name == plan.table)
        self._names = [column.name for column in self._target.table.columns]
        self._key_at = self._names.index(self._target.table.key)
        self._checkpoints = Checkpoints(self._target.table)
        self._rejects = RejectWriter(self._target.table, run_id=plan.run_id, now=plan.now)
        self._conflicts = ConflictWriter(self._target.table, run_id=plan.run_id)
        self._documents = connection.get_collection(self._target.model._meta.db_table).with_options(
            write_concern=WRITE_CONCERN
        )
        self._tombstones = connection.get_collection(Tombstone._meta.db_table)
        self._versions = Versions()
        self._encoders: dict[str | None, MessageEncoder] = {}
        self._rules_digest = plan.rules.digest if plan.rules else ""

    def load(self, task: Task, *, is_chunk: bool = True) -> Result:
        """``is_chunk``: the rows are all there are from ``task.after`` to the last of them."""
        plan = self._plan
        checksum = self._digest(task)
        if is_chunk and not plan.is_first and plan.unfinished_runs and not plan.is_dry_run:
            done = self._checkpoints.find(task.after)
            if done is not None and self._is_done(done, checksum):
                return self._report_done(task, done)
        rows = task.unpack()
        report = KeyedReport(self._target.table)
        rejects: list[RejectedRow] = []

        def refuse(row: RejectedRow) -> None:
            report.add_reject(row.key, row.reasons)
            rejects.append(row)

        loader = self._make_loader(report, refuse)
        slow: list[Row] = []
        for index, reason in task.refusals.items():
            raw = dict(zip(self._names, rows[index], strict=True))
            refuse(
                RejectedRow(
                    key=show_key(rows[index][self._key_at]),
                    reasons=(reason,),
                    row=mask_row(raw),
                    rules=("duplicate",),
                )
            )
        all_rows = rows
        if task.refusals:
            rows = [row for index, row in enumerate(rows) if index not in task.refusals]
        keys: list[str] = []
        accounts = self._attribute(rows, report)
        slow = rows
        if self._target.table is MESSAGES:
            slow = self._load_fast(rows, accounts, report, keys)
        keys += self._load_slowly(loader, slow, accounts, report, refuse)
        if not plan.is_dry_run:
            self._rejects.write(rejects)
            self._conflicts.settle(
                (document_key(self._target.table, row[self._key_at] or b"") for row in all_rows),
                report.problems,
            )
            report.problems = {}
        if is_chunk and not plan.is_dry_run:
            absent = report.absent - loader.deleted
            counts = report.counts
            self._checkpoints.save(
                task.after,
                run_id=plan.run_id,
                checksum=checksum,
                row_count=len(rows),
                is_clean=counts["created"] + counts["unchanged"] + counts["updated"] == len(rows)
                and not rejects,
                notes=report.notes,
                keys=[key for key in keys if key not in absent],
                now=plan.now,
            )
        total = sum(report.counts.values())
        present = total - len(report.absent) + self._count_older_copies(rejects)
        return Result(task.number, total, report, rejects, present=present)

    def _count_older_copies(self, rejects: list[RejectedRow]) -> int:
        """Of rows that are refused now, and were taken over as they had been before."""
        if not rejects:
            return 0
        return int(self._documents.count_documents({"_id": {"$in": [row.key for row in rejects]}}))

    def _attribute(self, rows: list[Row], report: TableReport) -> dict[bytes | None, str | None]:
        """The account of each message by its key, where rules decide; empty where they do not."""
        rules = self._plan.rules
        if rules is None or self._target.table is not MESSAGES:
            return {}
        text_at = self._names.index("text")
        accounts: dict[bytes | None, str | None] = {}
        for row in rows:
            chosen = rules.choose(show_key(row[self._key_at]), show_key(row[text_at]))
            if isinstance(chosen, Ambiguous):
                report.add_ambiguous(chosen)
            accounts[row[self._key_at]] = None if isinstance(chosen, Ambiguous) else chosen
        return accounts

    def _load_fast(
        self,
        rows: list[Row],
        accounts: Mapping[bytes | None, str | None],
        report: TableReport,
        keys: list[str],
    ) -> list[Row]:
        """Load what needs no thought; the rows left are returned, keys go to ``keys``."""
        left: list[Row] = []
        if not self._versions.is_empty:
            doubtful = self._versions.find({show_key(row[self._key_at]) for row in rows})
            left = [row for row in rows if show_key(row[self._key_at]) in doubtful]
            rows = [row for row in rows if show_key(row[self._key_at]) not in doubtful]
        of_account: dict[str | None, list[Row]] = {self._plan.account_id: rows}
        if accounts:
            of_account = {}
            for row in rows:
                of_account.setdefault(accounts[row[0]], []).append(row)
        for account_id, some in of_account.items():
            left += self._load_encoded(self._get_encoder(account_id), some, report, keys)
        return left

    def _load_encoded(
        self, encoder: MessageEncoder, rows: list[Row], report: TableReport, keys: list[str]
    ) -> list[Row]:
        if self._plan.is_first and self._has_tombstones():
            return rows
        new, left = encoder.encode_rows(rows)
        if not self._plan.is_first:
            new = self._pass_unchanged(new, report, keys, left)
        if new.rows and not self._plan.is_dry_run:
            late = insert_encoded(self._documents, encoder.finish(new))
            if late:
                left += new.pick(late).rows
                new = new.pick(sorted(set(range(len(new.rows))) - late))
        keys += new.keys
        report.notes.update(new.count_notes())
        report.counts["created"] += len(new.rows)
        return left

    def _pass_unchanged(
        self, encoded: EncodedRows, report: TableReport, keys: list[str], left: list[Row]
    ) -> EncodedRows:
        """Count the documents that are the same to the byte; those without any are returned."""
        stored: dict[str, bytes] = {}
        row_keys = encoded.keys
        for batch in self._documents.find_raw_batches({"_id": {"$in": row_keys}}):
            at = 0
            while at < len(batch):
                size = int.from_bytes(batch[at : at + 4], "little")
                document = batch[at : at + size]
                stored[read_id(document)] = document
                at += size
        absent: list[int] = []
        unchanged: list[int] = []
        for index, (key, compared) in enumerate(zip(row_keys, encoded.compared, strict=True)):
            document = stored.get(key, b"")
            if not document:
                absent.append(index)
            elif has_compared(document, key, compared) and _STATE_MARK in document:
                unchanged.append(index)
            else:
                left.append(encoded.rows[index])
        same = encoded.pick(unchanged)
        keys += same.keys
        report.notes.update(same.count_notes())
        report.counts["unchanged"] += len(unchanged)
        if not absent:
            return EncodedRows()
        doubtful: Collection[str] = row_keys
        if not self._has_tombstones():
            doubtful = self._checkpoints.find_taken_over([row_keys[index] for index in absent])
        left += [encoded.rows[index] for index in absent if row_keys[index] in doubtful]
        return encoded.pick([index for index in absent if row_keys[index] not in doubtful])

    def _has_tombstones(self) -> bool:
        return self._tombstones.find_one({}, {"_id": 1}) is not None

    def _load_slowly(
        self,
        loader: Loader,
        rows: list[Row],
        accounts: Mapping[bytes | None, str | None],
        report: TableReport,
        refuse: Callable[[RejectedRow], None],
    ) -> list[str]:
        mapped: list[MappedRow] = []
        for values in rows:
            account_id = accounts.get(values[self._key_at], self._plan.account_id)
            raw = dict(zip(self._names, values, strict=True))
            outcome = self._map(raw, account_id=account_id)
            if isinstance(outcome, MappedRow):
                mapped.append(outcome)
                report.notes.update(outcome.notes)
            elif isinstance(outcome, SkippedRow):
                report.count("skipped", outcome.key)
                report.notes[f"{self._plan.table} row skipped: {outcome.reason}"] += 1
            else:
                refuse(outcome)
        if mapped:
            loader.load_page(mapped)
        return [row.key for row in mapped]

    def _map(self, raw: Mapping[str, bytes | None], *, account_id: str | None) -> Outcome:
        if self._target.table is USERS:
            return map_user(raw, now=self._plan.now)
        if self._target.table is MESSAGES:
            return map_message(raw, account_id=account_id)
        return map_oauth_state(raw, now=self._plan.now)

    def _make_loader(self, report: TableReport, refuse: Callable[[RejectedRow], None]) -> Loader:
        return Loader(
            self._target,
            cipher=cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS)),
            source=self._plan.source,
            run_id=self._plan.run_id,
            now=self._plan.now,
            is_dry_run=self._plan.is_dry_run,
            report=report,
            refuse=refuse,
            versions=self._versions,
            may_reattribute=self._plan.may_reattribute,
        )

    def _get_encoder(self, account_id: str | None) -> MessageEncoder:
        encoder = self._encoders.get(account_id)
        if encoder is None:
            encoder = self._encoders[account_id] = self._make_encoder(account_id)
        return encoder

    def _make_encoder(self, account_id: str | None) -> MessageEncoder:
        loader = self._make_loader(TableReport(self._plan.table), lambda row: None)
        row = probe_row(account_id)
        document = loader.writer.build(row.values)
        document[STATE_FIELD] = build_state(self._plan.run_id, row.digest)
        return MessageEncoder(document, account_id=account_id)

    def _digest(self, task: Task) -> str:
        """Of the rows, and of everything else that decides what they become."""
        salt = f"{_CONVERSION}:{self._plan.account_id}:{self._rules_digest}".encode()
        return hashlib.blake2b(salt + task.payload, digest_size=16).hexdigest()

    def _is_done(self, done: DoneChunk, checksum: str) -> bool:
        # A consent flow grows old between two runs.
        return (
            done.is_clean
            and done.checksum == checksum
            and done.run_id in self._plan.unfinished_runs
            and self._target.table is not OAUTH_STATES
            # What no rule decides is listed by every run.
            and self._plan.rules is None
        )

    def _report_done(self, task: Task, done: DoneChunk) -> Result:
        report = TableReport(self._plan.table)
        report.counts["unchanged"] = done.row_count
        report.notes.update(done.notes)
        return Result(task.number, done.row_count, report, [], done.row_count, is_resumed=True)
