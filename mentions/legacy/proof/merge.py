"""Walks both sides of a table at once, key by key, and says what differs. Knows no Django.

Memory does not grow with the table: findings leave in batches as they are made.
"""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import lt
from typing import Any

from mentions.legacy.address import SourceUrl
from mentions.legacy.proof.clock import ClockAudit
from mentions.legacy.proof.fields import FieldDifference, RawRow, RowReader, TableRule, show_value
from mentions.legacy.proof.streams import (
    DocumentStore,
    KeyRange,
    LostConnectionError,
    MySqlReader,
    read_documents,
    read_sorted_rows,
)

MISSING, EXTRA, DIFFERS = "missing", "extra", "differs"
_FINDINGS_BATCH = 200
_PROGRESS_ROWS = 5_000
_PATIENCE_SECONDS = 120.0


class KeyOrderError(Exception):
    """MySQL's index gave its keys in another order than that of their bytes."""


@dataclass(frozen=True)
class Finding:
    """One row that is not the same on both sides. ``is_readable`` is False for broken keys."""

    kind: str
    key: str
    differences: tuple[FieldDifference, ...] = ()
    is_readable: bool = True


@dataclass
class Counts:
    """What one range, or the whole table, held. ``accounts`` counts messages by account."""

    in_mysql: int = 0
    in_mongodb: int = 0
    compared: int = 0
    equal: int = 0
    born_here: int = 0
    clock: ClockAudit = field(default_factory=ClockAudit)
    accounts: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        for name in ("in_mysql", "in_mongodb", "compared", "equal", "born_here"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.clock.merge(other.clock)
        for account, count in other.accounts.items():
            self.accounts[account] = self.accounts.get(account, 0) + count


@dataclass(frozen=True)
class RangeTask:
    """One range of one table to compare, with all a process needs to do it."""

    rule: TableRule
    key_range: KeyRange
    key_type: str
    is_sorted_by_bytes: bool


class RangeComparer:
    """Compares ranges, on connections of its own.

    ``on_findings`` gets batches of findings, ``on_rows`` the number of rows done since its last
    call. When a database goes away, the range is taken up again after its last key, for two
    minutes without any progress at most.
    """

    def __init__(
        self,
        source: SourceUrl,
        store: DocumentStore,
        *,
        decrypt: Callable[[str], str],
        on_findings: Callable[[list[Finding]], None],
        on_rows: Callable[[int], None],
    ) -> None:
        self._source = source
        self._store = store
        self._decrypt = decrypt
        self._on_findings = on_findings
        self._on_rows = on_rows
        self._client = store.connect()

    def close(self) -> None:
        self._client.close()

    def compare(self, task: RangeTask) -> Counts:
        """Raises KeyOrderError, SourceError and LostConnectionError."""
        walk = _Walk(task, decrypt=self._decrypt, report=self._on_findings, tell=self._on_rows)
        give_up_at = time.monotonic() + _PATIENCE_SECONDS
        while True:
            rows_before = walk.counts.in_mysql + walk.counts.in_mongodb
            try:
                self._read_on(task, walk)
            except LostConnectionError:
                if walk.counts.in_mysql + walk.counts.in_mongodb > rows_before:
                    give_up_at = time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(1.0)
            else:
                walk.flush()
                return walk.counts

    def _read_on(self, task: RangeTask, walk: "_Walk") -> None:
        rest = task.key_range if walk.last is None else task.key_range.starting_after(walk.last)
        with contextlib.closing(
            read_documents(self._store, self._client, task.rule, rest)
        ) as documents:
            if task.is_sorted_by_bytes:
                rows = read_sorted_rows(self._source, task.rule, rest, key_type=task.key_type)
                with contextlib.closing(rows):
                    walk.merge(rows, documents, within=rest)
            else:
                with MySqlReader(self._source) as reader:
                    walk.merge(reader.read_pages(task.rule, rest), documents, within=rest)


class _Ahead:
    """The documents of a range in their order, of which some can be looked at beforehand."""

    def __init__(self, batches: Iterator[list[dict[str, Any]]]) -> None:
        self._batches = batches
        self._held: list[dict[str, Any]] = []
        self._at = 0

    def look(self, count: int) -> list[dict[str, Any]]:
        """The next ones; fewer where there are no more."""
        while len(self._held) - self._at < count:
            batch = next(self._batches, None)
            if batch is None:
                break
            self._held = self._held[self._at :] + batch
            self._at = 0
        return self._held[self._at : self._at + count]

    def pass_over(self, count: int) -> None:
        self._at += count

    def take(self) -> dict[str, Any] | None:
        """The next one, and on to the one behind it; None at the end."""
        if self._at == len(self._held) and not self.look(1):
            return None
        self._at += 1
        return self._held[self._at - 1]


class _Walk:
    """One range under way: counts, findings not yet sent, and the last key settled."""

    def __init__(
        self,
        task: RangeTask,
        *,
        decrypt: Callable[[str], str],
        report: Callable[[list[Finding]], None],
        tell: Callable[[int], None],
    ) -> None:
        self.counts = Counts()
        self.last: str | None = None
        self._rule = task.rule
        self._reader = RowReader(task.rule, decrypt=decrypt)
        self._report = report
        self._tell = tell
        self._findings: list[Finding] = []
        self._told = 0
        self._key_position = task.rule.columns.index(task.rule.key)
        self._is_timed = task.rule.table == "messages"

    def merge(
        self,
        batches: Iterator[list[RawRow]],
        documents: Iterator[list[dict[str, Any]]],
        *,
        within: KeyRange,
    ) -> None:
        ahead = _Ahead(documents)
        for batch in batches:
            if not self._pass_equal(batch, ahead, within=within):
                self._merge_rows(batch, ahead, within=within)
            self._progress()
        while (document := ahead.take()) is not None:
            self._take_extra(document)
        self._progress()

    def _pass_equal(self, batch: list[RawRow], ahead: _Ahead, *, within: KeyRange) -> bool:
        """Settle a batch of rows at once if all of them are equal; nothing is, otherwise."""
        if not batch or not self._reader.compares_columns:
            return False
        documents = ahead.look(len(batch))
        if len(documents) < len(batch):
            return False
        keys = [document["_id"] for document in documents]
        stated = [row[self._key_position] for row in batch]
        if [*map(_encode, keys)] != stated:
            return False
        before = keys if self.last is None else [self.last, *keys]
        is_ordered = all(map(lt, before, before[1:])) and all(map(within.holds, keys))
        if not is_ordered or not self._reader.are_equal(batch, documents):
            return False
        counts = self.counts
        for name in ("in_mysql", "in_mongodb", "compared", "equal"):
            setattr(counts, name, getattr(counts, name) + len(batch))
        if self._is_timed:
            counts.clock.add_all(keys, [document["timestamp"] for document in documents])
            for account, count in Counter(map(_account_of, documents)).items():
                counts.accounts[account] = counts.accounts.get(account, 0) + count
        self.last = keys[-1]
        ahead.pass_over(len(batch))
        return True

    def _merge_rows(self, batch: list[RawRow], ahead: _Ahead, *, within: KeyRange) -> None:
        counts, position = self.counts, self._key_position
        for row in batch:
            try:
                key = (row[position] or b"").decode()
            except UnicodeDecodeError:
                counts.in_mysql += 1
                self._add_unreadable_key(row)
                continue
            if (self.last is not None and key <= self.last) or not within.holds(key):
                raise KeyOrderError
            while (document := next(iter(ahead.look(1)), None)) and document["_id"] < key:
                self._take_extra(document)
                ahead.pass_over(1)
            counts.in_mysql += 1
            # Before anything can be interrupted: a row is counted once.
            self.last = key
            if document is None or document["_id"] != key:
                self._add(Finding(MISSING, key, tuple(self._explain(row))))
            else:
                counts.in_mongodb += 1
                self._compare(key, row, document)
                self._count_account(document)
                ahead.pass_over(1)

    def flush(self) -> None:
        if self._findings:
            self._report(self._findings)
            self._findings = []

    def _compare(self, key: str, row: RawRow, document: dict[str, Any]) -> None:
        self.counts.compared += 1
        reader = self._reader
        try:
            expected = reader.read_row(row)
        except ValueError:
            self._add(Finding(DIFFERS, key, tuple(reader.explain_unreadable(row))))
            return
        if self._is_timed and expected[1] is not None:
            self.counts.clock.add(key, expected[1])
        if reader.is_equal(expected, document):
            self.counts.equal += 1
        else:
            self._add(Finding(DIFFERS, key, tuple(reader.compare(expected, document))))

    def _explain(self, row: RawRow) -> list[FieldDifference]:
        try:
            expected = self._reader.read_row(row)
        except ValueError:
            return self._reader.explain_unreadable(row)
        if self._is_timed and expected[1] is not None:
            self.counts.clock.add(expected[0], expected[1])
        return []

    def _take_extra(self, document: dict[str, Any]) -> None:
        self.counts.in_mongodb += 1
        self._count_account(document)
        if self._rule.is_born_here(document):
            self.counts.born_here += 1
        else:
            self._add(Finding(EXTRA, document["_id"]))
        if self.last is None or document["_id"] > self.last:
            self.last = document["_id"]

    def _count_account(self, document: dict[str, Any]) -> None:
        if self._is_timed:
            account = _account_of(document)
            accounts = self.counts.accounts
            accounts[account] = accounts.get(account, 0) + 1

    def _add_unreadable_key(self, row: RawRow) -> None:
        key = row[self._key_position] or b""
        shown = key.decode("utf-8", errors="backslashreplace")
        difference = FieldDifference(self._rule.key, show_value(key), "", "not UTF-8")
        self._add(Finding(MISSING, shown, (difference,), is_readable=False))

    def _add(self, finding: Finding) -> None:
        self._findings.append(finding)
        if len(self._findings) >= _FINDINGS_BATCH:
            self.flush()

    def _progress(self) -> None:
        done = self.counts.in_mysql
        if done - self._told >= _PROGRESS_ROWS:
            self._tell(done - self._told)
            self._told = done


def _account_of(document: dict[str, Any]) -> str:
    return document.get("account_id") or ""


def _encode(key: Any) -> bytes | None:
    return key.encode("utf-8", "surrogatepass") if isinstance(key, str) else None
