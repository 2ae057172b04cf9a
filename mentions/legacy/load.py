"""Writes mapped rows into MongoDB, without ever overwriting what was changed here.

Four digests decide about a row: of the legacy row now (s), of the document now (t), and of what
either was when an import or an export made them agree (d there, e here; kept in the document
itself, see ``mentions.legacy.state``).

    no document, never taken over   created
    no document, but taken over     deleted here: stays deleted
    s == t, or s == d and t == e    unchanged
    s == d, t != e                  changed here: kept
    s as before the export          an older copy of the table: kept
    s != d, t == e                  changed there: updated
    otherwise                       conflict: reported, the document stays as it is
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from pymongo import UpdateOne

from accounts.models import AccountStatus
from autores.crypto import CipherError, TokenCipher
from mentions.legacy.bulk import insert_new, write_all
from mentions.legacy.checkpoint import Checkpoints
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS
from mentions.legacy.documents import (
    WRITE_CONCERN,
    DocumentWriter,
    Target,
    digest_document,
    is_gone_on_x,
)
from mentions.legacy.holders import find_holders
from mentions.legacy.mapping import MappedRow, RejectedRow
from mentions.legacy.reattribution import Reattribution
from mentions.legacy.report import TableReport, Values, hide_secret, show_cut
from mentions.legacy.state import (
    EXPORT_FIELD,
    STATE_FIELD,
    Baseline,
    RowState,
    build_state,
    read_baseline,
    read_state,
)
from mentions.legacy.versions import Versions
from mentions.models import MentionKind, Tombstone
from mentions.models.tombstone import tombstone_key

GONE = "message kept: its author deleted it on X"
_Change = tuple[MappedRow, Mapping[str, Any]]


class Loader:
    """Loads mapped rows of one table. A dry run decides all the same, and writes nothing.

    ``source`` labels the legacy database. ``deleted`` collects the keys found deleted here.
    """

    def __init__(
        self,
        target: Target,
        *,
        cipher: TokenCipher,
        source: str,
        run_id: str,
        now: datetime,
        is_dry_run: bool,
        report: TableReport,
        refuse: Callable[[RejectedRow], None],
        versions: Versions,
        may_reattribute: bool = False,
    ) -> None:
        """``may_reattribute``: give a message to another account than the one it has here."""
        self.target = target
        self.writer = DocumentWriter(target.model, constants=self._constants(now))
        self.documents = connection.get_collection(target.model._meta.db_table).with_options(
            write_concern=WRITE_CONCERN
        )
        self.deleted: set[str] = set()
        self._cipher = cipher
        self._source = source
        self._run_id = run_id
        self._now = now
        self._is_dry_run = is_dry_run
        self._report = report
        self._refuse = refuse
        self._versions = versions
        self._attribution = Reattribution(
            target, source=source, is_allowed=may_reattribute, notes=report.notes
        )
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
        held = self._attribution.find_held(rows, documents)
        gone = self._checkpoints.find_taken_over([row.key for row in absent])
        gone |= self._find_buried(absent)
        created: list[MappedRow] = []
        adopted: list[MappedRow] = []
        changed: list[_Change] = []
        for row in rows:
            document = documents.get(row.key)
            if document is not None:
                if is_gone_on_x(self.target.table, document):
                    # What it said is to be found nowhere any more, nor in a report.
                    self._report.add_kept(row.key, {})
                    self._report.notes[GONE] += 1
                elif row.key in held:
                    values = self._list_differences(row, document)
                    self._report.add_conflict(row.key, held[row.key], values=values)
                else:
                    row = self._attribution.choose(row, document)
                    self._compare(row, document, adopted, changed)
            elif row.key in gone:
                self._report.count("deleted_here", row.key)
                self.deleted.add(row.key)
            elif holder := self._find_holder(row):
                self._pass_over(row, holder)
            else:
                created.append(row)
        self._adopt(adopted)
        self._update(changed)
        return self._create(created)

    def _compare(
        self,
        row: MappedRow,
        document: Mapping[str, Any],
        adopted: list[MappedRow],
        changed: list[_Change],
    ) -> None:
        state = read_state(document)
        known = read_baseline(document, source=self._source)
        seen = document
        if self._is_edited_on_x(document):
            # The former system never saw those words: all the rest decides.
            seen = {**document, "text": row.values["text"]}
        present = digest_document(self.target, seen, self._cipher, names=row.compared)
        if row.digest == present:
            self._report.count("unchanged", row.key)
            if known is None or known.exported_at or known.there != row.digest:
                adopted.append(row)
        elif known and row.digest == known.there and present == known.here:
            self._report.count("unchanged", row.key)
        elif known and (row.digest == known.there or _is_older(row, known, state)):
            self._report.add_kept(row.key, self._list_differences(row, document))
        elif known and present == known.here:
            changed.append((row, document))
        else:
            reason = "exists here, but was not written by the import, and differs"
            if known:
                last = "export" if known.exported_at else "import"
                reason = f"changed both there and here since the last {last}"
            self._report.add_conflict(row.key, reason, values=self._list_differences(row, document))

    def _list_differences(self, row: MappedRow, document: Mapping[str, Any]) -> dict[str, Values]:
        """(legacy value, value here) of each field that differs; secrets as digests."""
        here = self.writer.decode(document, row.compared)
        differing: dict[str, Values] = {}
        for name in row.compared:
            there = row.values[name]
            if name in self.target.secrets:
                try:
                    found: Any = self._cipher.decrypt(here[name] or "")
                except CipherError:
                    found = None
                if found != there:
                    differing[name] = (hide_secret(there), hide_secret(found))
            elif here[name] != there:
                differing[name] = (show_cut(there), show_cut(here[name]))
        return differing

    def _drop_duplicates(self, rows: Sequence[MappedRow]) -> list[MappedRow]:
        """Refuse the rows whose unique values another document holds already."""
        holders = find_holders(self.target, rows, self.documents)
        kept = []
        for row in rows:
            if row.key in holders:
                self._pass_over(row, holders[row.key])
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

    def _find_holder(self, row: MappedRow) -> str | None:
        """The message here that is another version of the same post."""
        if self.target.table is not MESSAGES:
            return None
        return self._versions.find_holder(row.key, account_id=row.values["account_id"])

    def _is_edited_on_x(self, document: Mapping[str, Any]) -> bool:
        return self.target.table is MESSAGES and bool(document.get("latest_post_id"))

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

    def _update(self, changes: Sequence[_Change]) -> None:
        """Write the rows' new values into the documents that still are what was read."""
        written = {row.key for row, _ in changes}
        if changes and not self._is_dry_run:
            found = write_all(
                self.documents, [self._make_update(row, document) for row, document in changes]
            )
            for index in found.duplicates:
                row = changes[index][0]
                written.remove(row.key)
                self._refuse_duplicate(row, "another document")
            if found.matched < len(written):
                written -= self._report_changed([row for row, _ in changes if row.key in written])
        for row, document in changes:
            if row.key in written:
                self._report.count("updated", row.key)
                self._attribution.count_moved(row, document)

    def _make_update(self, row: MappedRow, document: Mapping[str, Any]) -> UpdateOne:
        values = self._complete(row, document=document)
        if self.target.table is MESSAGES and values["account_id"] == document.get("account_id"):
            # Whether it may be answered was judged here since.
            values = {name: values[name] for name in ("id", *row.compared)}
        if self._is_edited_on_x(document):
            del values["text"]
        change = self.writer.encode(values)
        key = change.pop("_id")
        state = read_state(document)
        change[STATE_FIELD] = build_state(
            self._run_id,
            row.digest,
            # One that was made here, and came back changed, is no import's to take back.
            created_by=state.created_by if state else "",
            updates=state.updates + 1 if state else 1,
        )
        operation: dict[str, Any] = {"$set": change, "$unset": {EXPORT_FIELD: ""}}
        if self.target.table is MESSAGES:
            operation["$inc"] = {"version": 1}
        columns = [self.writer.column(name) for name in row.compared]
        unchanged = {column: document.get(column) for column in columns}
        return UpdateOne({"_id": key, **unchanged}, operation)

    def _report_changed(self, rows: Sequence[MappedRow]) -> set[str]:
        """Of rows to be written, report those whose documents turned out changed; their keys."""
        keys = [row.key for row in rows]
        documents = {found["_id"]: found for found in self.documents.find({"_id": {"$in": keys}})}
        changed = set()
        for row in rows:
            document = documents.get(row.key)
            state = read_state(document) if document else None
            if state and (state.run_id, state.digest) == (self._run_id, row.digest):
                continue
            changed.add(row.key)
            self._report.add_conflict(
                row.key,
                "changed here during the import",
                values=self._list_differences(row, document) if document else None,
            )
        return changed

    def _adopt(self, rows: Sequence[MappedRow]) -> None:
        """Documents that are what the import would have written: remember that they are."""
        if self._is_dry_run or not rows:
            return
        self.documents.bulk_write(
            [
                UpdateOne(
                    {"_id": row.key},
                    [
                        {"$set": {STATE_FIELD: _adopted_state(self._run_id, row.digest)}},
                        {"$unset": EXPORT_FIELD},
                    ],
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
            # And counted by the rebuild of the counters that ends the import.
            return {"kind": MentionKind.LEGACY, "version": 1, "draft_state": "none", "tally": ""}
        if self.target.table is OAUTH_STATES:
            # The exchange of the code must name the address the flow began with.
            return {"redirect_uri": settings.TWITTER_CALLBACK_URL}
        # Its refresh token works once, and the former system may still use it.
        return {"status_changed_at": now, "scopes": [], "fenced_since": now}


def _is_older(row: MappedRow, known: Baseline, state: RowState | None) -> bool:
    """Whether the row is as the import read it before an export wrote it: from a dump, maybe.

    Not a change: what was exported, tokens above all, is newer.
    """
    return known.exported_at is not None and state is not None and row.digest == state.digest


def _adopted_state(run_id: str, digest: str) -> dict[str, Any]:
    """Keeps who inserted the document where an import did; marks others as nobody's insert."""
    return {
        "run": run_id,
        "digest": {"$literal": digest},
        "updates": {"$ifNull": [f"${STATE_FIELD}.updates", 0]},
        "created_by": {"$ifNull": [f"${STATE_FIELD}.created_by", f"${STATE_FIELD}.run", ""]},
    }
