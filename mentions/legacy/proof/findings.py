"""Looks once more at each row that differs, and says which of them are nobody's fault.

A difference is explained by what the application recorded (a rejected row, a tombstone, a change
by a person), never by the import's own word that all is well.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from autores.crypto import CipherError, TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.documents import (
    TARGETS,
    digest_document,
    digest_row,
    find_gone,
    is_gone_on_x,
    is_refused,
)
from mentions.legacy.mapping import mask_row
from mentions.legacy.proof.absent import Absent, read_absent
from mentions.legacy.proof.fields import FieldDifference, RawRow, RowReader, TableRule, show_key
from mentions.legacy.proof.merge import DIFFERS, EXTRA, MISSING, Finding
from mentions.legacy.proof.streams import MySqlReader, write_lookup
from mentions.legacy.state import is_worked_on, read_baseline, read_state
from mentions.models import (
    AuditEntry,
    ImportReject,
    ImportRun,
    file_before_reading,
)

# What may become of a row that is not the same on both sides. The first four need a person.
FAULTS = ("missing", "extra", "differing", "conflicts")
EXPLAINED = ("rejected", "skipped", "deleted_here", "changed_here", "exported", "settled")
_LISTED = 100
# Beyond this many, rows are counted as they were found: that is no handful of late writes.
_LOOKED_AT_AGAIN = 20_000
_OAUTH_LIFETIME = timedelta(minutes=10)
_PROBES = 50
_GONE = "its author deleted it on X, and what was stored of it is removed"


@dataclass
class TableFindings:
    """Counts by what became of the rows, and the first hundred of each kind."""

    table: str
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(FAULTS + EXPLAINED, 0))
    listed: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def faults(self) -> int:
        return sum(self.counts[name] for name in FAULTS)

    def add(self, outcome: str, item: dict[str, Any]) -> None:
        self.counts[outcome] += 1
        listed = self.listed.setdefault(outcome, [])
        if len(listed) < _LISTED:
            listed.append(item)


class FindingJudge:
    """Judges the findings of one table. ``on_item`` hears of each, for a file that has all."""

    def __init__(
        self,
        rule: TableRule,
        *,
        source: SourceUrl,
        cipher: TokenCipher,
        now: datetime,
        on_item: Callable[[dict[str, Any]], None] = lambda item: None,
    ) -> None:
        self.found = TableFindings(rule.table)
        self._rule = rule
        self._source = source
        self._cipher = cipher
        self._now = now
        self._on_item = on_item
        self._target = next(item for item in TARGETS if item.table.name == rule.table)
        self._documents = connection.get_collection(rule.collection)
        self._reader = RowReader(rule, decrypt=self._decrypt)
        self._looked_at = 0
        self._are_digests_good: bool | None = None
        self._run_began: dict[str, datetime | None] = {}

    def take(self, findings: Sequence[Finding]) -> None:
        """Look again at the rows, and count what still differs."""
        if self._looked_at >= _LOOKED_AT_AGAIN:
            gone = find_gone(self._target.table, [finding.key for finding in findings])
            for finding in findings:
                if finding.key in gone:
                    self._count("changed_here", finding.key, (), _GONE)
                    continue
                self._count(_name_fault(finding.kind), finding.key, finding.differences, "")
            return
        self._looked_at += len(findings)
        readable = [finding.key for finding in findings if finding.is_readable]
        rows, documents = self.look_up(readable)
        rejects = self._find_rejects(finding.key for finding in findings)
        absent = self._read_absent(rows, documents)
        for finding in findings:
            if not finding.is_readable:
                reject = rejects.get(finding.key)
                outcome, why = ("rejected", _say(reject)) if reject else ("missing", "")
                self._count(outcome, finding.key, finding.differences, why)
                continue
            key = finding.key
            self._judge(
                key, rows.get(key), documents.get(key), reject=rejects.get(key), absent=absent
            )

    def examine(self, keys: Sequence[str]) -> tuple[int, int]:
        """Compare these rows alone; how many there are in MySQL, and how many are equal."""
        rows, documents = self.look_up(keys)
        rejects = self._find_rejects(keys)
        absent = self._read_absent(rows, documents)
        before = sum(self.found.counts.values())
        for key, row in rows.items():
            self._judge(
                key,
                row,
                documents.get(key),
                reject=rejects.get(key),
                absent=absent,
                is_first=True,
            )
        return len(rows), len(rows) - (sum(self.found.counts.values()) - before)

    def look_up(self, keys: Sequence[str]) -> tuple[dict[str, RawRow], dict[str, dict[str, Any]]]:
        """Both sides of these keys as they are now."""
        if not keys:
            return {}, {}
        position = self._rule.columns.index(self._rule.key)
        wanted = set(keys)
        rows = {}
        with MySqlReader(self._source) as reader:
            for row in reader.fetch(write_lookup(self._rule, list(keys))):
                try:
                    key = (row[position] or b"").decode()
                except UnicodeDecodeError:
                    continue
                if key in wanted:
                    rows[key] = row
        return rows, {found["_id"]: found for found in self._documents.find({"_id": {"$in": keys}})}

    def _read_absent(
        self, rows: Mapping[str, RawRow], documents: Mapping[str, dict[str, Any]]
    ) -> Absent:
        expected: dict[str, tuple[Any, ...] | None] = {}
        for key in rows.keys() - documents.keys():
            try:
                expected[key] = self._reader.read_row(rows[key])
            except ValueError:
                expected[key] = None
        return read_absent(self._target, expected)

    def _judge(
        self,
        key: str,
        row: RawRow | None,
        document: dict[str, Any] | None,
        *,
        reject: ImportReject | None,
        absent: Absent,
        is_first: bool = False,
    ) -> None:
        differences: Sequence[FieldDifference] = ()
        if row is None:
            if document is None or self._rule.is_born_here(document):
                self._count("settled", key, (), "")
            else:
                self._count("extra", key, (), "")
            return
        if document is not None and is_gone_on_x(self._target.table, document):
            # Whatever MySQL still says of it is not to be found here, nor in a report.
            self._count("changed_here", key, (), _GONE)
            return
        expected = None
        try:
            expected = self._reader.read_row(row)
        except ValueError:
            differences = self._reader.explain_unreadable(row)
        mended = None
        if reject is not None and self._is_mended(row, reject):
            reject, mended = None, reject
        if document is None:
            outcome, why = self._explain_missing(key, expected, reject=reject, absent=absent)
            if outcome == "missing" and mended is not None:
                why = f"was refused ({_say(mended)}) and has been mended since: import it"
            self._count(outcome, key, differences, why)
            return
        if expected is not None:
            differences = self._reader.compare(expected, document)
            if not differences:
                if not is_first:
                    self._count("settled", key, (), "")
                return
        if reject is not None:
            # The row was taken over once, and is refused as it is now.
            why = f"cannot be taken over any more ({_say(reject)}): what is here is an older copy"
            self._count("differing", key, differences, why)
            return
        if expected is not None and self._is_only_cut(expected, document):
            self._count("exported", key, differences, "written back by an export")
            return
        outcome, why = self._explain_difference(row, document, differences)
        self._count(outcome, key, differences, why)

    def _is_mended(self, row: RawRow, reject: ImportReject) -> bool:
        """Whether the row is not refused any more. The import's own word counts here, as it only
        takes an excuse away.
        """
        named = self._name_values(row)
        if "duplicate" in reject.rules:
            # That is about another row; the value is what it was about.
            shown = mask_row(named)
            names = reject.row.keys() & shown.keys() & set(self._target.unique)
            return any(shown[name] != reject.row[name] for name in names)
        return not is_refused(self._target.table, named)

    def _explain_missing(
        self,
        key: str,
        expected: tuple[Any, ...] | None,
        *,
        reject: ImportReject | None,
        absent: Absent,
    ) -> tuple[str, str]:
        if reject is not None:
            return "rejected", _say(reject)
        if self._rule.table == "oauth_states":
            created_at = expected[2] if expected else None
            if created_at and created_at.replace(tzinfo=UTC) <= self._now - _OAUTH_LIFETIME:
                return "skipped", "older than ten minutes"
            if key in absent.taken_over:
                return "deleted_here", "used since the import: a flow works once"
        elif self._rule.table == "users":
            same = absent.connected.get(expected[1]) if expected else None
            if same is not None:
                return "skipped", f"connected here already as {same!r}"
        elif deleted_at := absent.deleted_at.get(key):
            return "deleted_here", f"deleted {deleted_at:%Y-%m-%d %H:%M} UTC"
        elif holder := absent.holders.get(key):
            return "conflicts", f"is here already as {holder!r}"
        return "missing", ""

    def _is_only_cut(self, expected: tuple[Any, ...], document: dict[str, Any]) -> bool:
        """Whether an export wrote the row, and it differs in what a column of times cannot keep."""
        known = read_baseline(document, source=self._source.label)
        if known is None or known.exported_at is None:
            return False
        shortened = dict(document)
        for rule, value in zip(self._rule.fields, expected, strict=True):
            found = document.get(rule.name)
            if isinstance(value, datetime) and isinstance(found, datetime):
                shortened[rule.name] = _cut_alike(found, value)
        return not self._reader.compare(expected, shortened)

    def _explain_difference(
        self,
        row: RawRow,
        document: Mapping[str, Any],
        differences: Sequence[FieldDifference],
    ) -> tuple[str, str]:
        state, known = read_state(document), read_baseline(document, source=self._source.label)
        if known is None:
            return "conflicts", "was not written by an import"
        if digest_document(self._target, document, cipher=self._cipher) == known.here:
            if known.exported_at:
                return "differing", "is what an export wrote back: MySQL's row was changed since"
            assert state is not None
            touched = {difference.field for difference in differences}
            if self._rule.table == "users" and touched == {"updated_at"}:
                # The row was touched here, for instance by its health; its tokens were not.
                trace = self._find_trace(document, since=self._find_start(state.run_id))
                return ("changed_here", trace) if trace else ("differing", "")
            return "differing", "is what the import wrote"
        since = known.exported_at or (self._find_start(state.run_id) if state else None)
        trace = self._find_trace(document, since=since)
        if not trace or not self._check_digests():
            return "differing", "is not what the import wrote, and no change was recorded here"
        if digest_row(self._target.table, self._name_values(row), document) != known.there:
            # A change here explains what is here, and not that something there never came.
            return "conflicts", f"changed there too since the import, and here: {trace}"
        return "changed_here", trace

    def _name_values(self, row: RawRow) -> dict[str, bytes | None]:
        return dict(zip(self._rule.columns, row, strict=True))

    def _find_trace(self, document: Mapping[str, Any], *, since: datetime | None) -> str:
        """What the application recorded of a change; the digest alone proves nothing."""
        key = document["_id"]
        if self._rule.table == "messages":
            file_before_reading(message_id=key)
            entry = AuditEntry.objects.filter(message_id=key).order_by("-at").first()
            if entry is not None:
                return f"{entry.action} by {entry.actor}, {entry.at:%Y-%m-%d %H:%M} UTC"
            version = document.get("version") or 0
            return f"version {version}" if is_worked_on(document) else ""
        if self._rule.table == "users":
            changed_at = document.get("updated_at")
            if isinstance(changed_at, datetime) and since is not None:
                moment = changed_at.replace(tzinfo=UTC)
                if moment > since:
                    return f"changed {moment:%Y-%m-%d %H:%M} UTC"
        return ""

    def _find_start(self, run_id: str) -> datetime | None:
        if run_id not in self._run_began:
            run = ImportRun.objects.filter(pk=run_id).first()
            self._run_began[run_id] = run.started_at if run else None
        return self._run_began[run_id]

    def _check_digests(self) -> bool:
        """Whether digests fit any document at all: else they tell nothing about changes."""
        if self._are_digests_good is None:
            probes = list(self._documents.find({"imported": {"$exists": True}}).limit(_PROBES))
            fitting = sum(
                digest_document(self._target, probe, cipher=self._cipher) == state.digest
                for probe in probes
                if (state := read_state(probe)) is not None
            )
            self._are_digests_good = bool(fitting) or len(probes) < 5
        return self._are_digests_good

    def _find_rejects(self, keys: Iterable[str]) -> dict[str, ImportReject]:
        names = {f"{self._rule.table}:{key}": key for key in keys}
        found = ImportReject.objects.filter(pk__in=list(names))
        return {names[reject.pk]: reject for reject in found}

    def _decrypt(self, ciphertext: str) -> str:
        try:
            return self._cipher.decrypt(ciphertext)
        except CipherError as error:
            raise ValueError(str(error)) from None

    def _count(
        self, outcome: str, key: str, differences: Sequence[FieldDifference], why: str
    ) -> None:
        item = {
            "id": show_key(self._rule, key),
            "why": why,
            "fields": [asdict(difference) for difference in differences],
        }
        self.found.add(outcome, item)
        if outcome != "settled":
            self._on_item({"table": self._rule.table, "outcome": outcome, **item})


def _say(reject: ImportReject) -> str:
    return "; ".join(reject.reasons)


def _cut_alike(found: datetime, value: datetime) -> datetime:
    """``found`` with as many digits of its fraction as a column kept that holds ``value``."""
    for unit in (1_000, 10_000, 100_000, 1_000_000):
        cut = found.replace(microsecond=found.microsecond // unit * unit)
        if cut == value:
            return cut
    return found


def _name_fault(kind: str) -> str:
    return {MISSING: "missing", EXTRA: "extra", DIFFERS: "differing"}[kind]
