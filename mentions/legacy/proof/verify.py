"""The proof of an import: every row of three tables, both sides, field by field."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from accounts.stored_tokens import token_cipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.errors import SourceError
from mentions.legacy.proof.fields import MESSAGES, OAUTH_STATES, USERS, TableRule
from mentions.legacy.proof.findings import EXPLAINED, FAULTS, FindingJudge, TableFindings
from mentions.legacy.proof.merge import Counts, Finding, KeyOrderError, RangeTask
from mentions.legacy.proof.pool import Sides, compare_ranges
from mentions.legacy.proof.streams import (
    DocumentStore,
    KeyRange,
    LostConnectionError,
    MySqlReader,
    can_follow_index,
    write_key,
)

RULES = (USERS, MESSAGES, OAUTH_STATES)
# Starting a process costs as much as comparing this many rows.
_ROWS_WORTH_A_PROCESS = 20_000
_RANGES_PER_PROCESS = 8
_LOOKUP_ROWS = 500
MAX_SAMPLE = 100_000


@dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """``sample``: compare only so many rows of each table, chosen at random."""

    processes: int = 2
    sample: int | None = None


@dataclass
class TableProof:
    """One table's counts of rows and documents, and what was found to differ."""

    table: str
    counts: Counts
    found: TableFindings
    order: str = "index"
    in_mysql: int = 0
    in_mongodb: int = 0
    seconds: float = 0.0

    @property
    def is_proven(self) -> bool:
        return not self.found.faults

    def to_json(self) -> dict[str, Any]:
        return {
            "in_mysql": self.in_mysql,
            "in_mongodb": self.in_mongodb,
            "compared": self.counts.compared,
            "equal": self.counts.equal,
            "created_here": self.counts.born_here,
            **self.found.counts,
            "order": self.order,
            "seconds": round(self.seconds, 2),
            "listed": self.found.listed,
        }


@dataclass
class Verification:
    """The whole proof. ``accounts`` counts messages by account, the empty name for none."""

    source: str
    started_at: datetime
    processes: int
    sample: int | None = None
    seconds: float = 0.0
    tables: list[TableProof] = field(default_factory=list)
    lost_accounts: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return sum(table.counts.in_mysql for table in self.tables)

    @property
    def messages(self) -> TableProof | None:
        return next((table for table in self.tables if table.table == "messages"), None)

    @property
    def is_zone_wrong(self) -> bool:
        return self.messages is not None and self.messages.counts.clock.is_zone_wrong

    @property
    def is_proven(self) -> bool:
        """True when nothing differs that nobody has explained."""
        tables_hold = all(table.is_proven for table in self.tables)
        return tables_hold and not self.is_zone_wrong and not self.lost_accounts

    @property
    def verdict(self) -> str:
        if not self.is_proven:
            faults = {
                name: sum(table.found.counts[name] for table in self.tables) for name in FAULTS
            }
            said = [f"{count} {name}" for name, count in faults.items() if count]
            if self.is_zone_wrong:
                said.append("times in another zone than UTC")
            if self.lost_accounts:
                said.append(f"{len(self.lost_accounts)} accounts that are not here")
            return f"Not proven: {', '.join(said)}."
        if self.sample is not None:
            return "No difference in the sample. A sample proves nothing about the other rows."
        explained = sum(
            table.found.counts[name] for table in self.tables for name in EXPLAINED[:-1]
        )
        if explained:
            return f"Proven: every row is equal or explained ({explained} explained)."
        return "Proven: every field of every row is equal."

    def to_json(self) -> dict[str, Any]:
        messages = self.messages
        return {
            "kind": "verification",
            "source": self.source,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "seconds": round(self.seconds, 2),
            "rows": self.rows,
            "rows_per_second": round(self.rows / self.seconds) if self.seconds else 0,
            "processes": self.processes,
            "sample": self.sample,
            "is_proven": self.is_proven,
            "verdict": self.verdict,
            "tables": {table.table: table.to_json() for table in self.tables},
            # A sample reads no ids in order, and so tells nothing about their times.
            "clock": messages.counts.clock.to_json() if messages and not self.sample else None,
            "messages_by_account": dict(sorted(messages.counts.accounts.items()))
            if messages
            else {},
            "lost_accounts": self.lost_accounts,
        }


class Verifier:
    """Compares both sides. Writes nothing.

    ``on_rows(table, done, total)`` hears of the course, ``on_item`` of every row that is not
    equal; ``on_restart`` when a table is read again, and what was heard about it is void.
    Raises SourceError when MySQL refuses or stays away; MongoDB's errors are PyMongo's.
    """

    def __init__(
        self,
        source: SourceUrl,
        *,
        options: VerifyOptions | None = None,
        on_rows: Callable[[str, int, int], None] = lambda table, done, total: None,
        on_item: Callable[[dict[str, Any]], None] = lambda item: None,
        on_restart: Callable[[str], None] = lambda table: None,
    ) -> None:
        self._source = source
        self._on_restart = on_restart
        self._options = options or VerifyOptions()
        self._on_rows = on_rows
        self._on_item = on_item
        self._sides = Sides(source, document_store(), tuple(settings.TOKEN_ENCRYPTION_KEYS))

    def run(self) -> Verification:
        began = time.monotonic()
        proof = Verification(
            source=self._source.label,
            started_at=timezone.now(),
            processes=self._options.processes,
            sample=self._options.sample,
        )
        try:
            for rule in RULES:
                proof.tables.append(self._verify_table(rule, now=proof.started_at))
        except LostConnectionError as error:
            raise SourceError(
                f"The comparison stopped: {error}. Run the same command again; it only reads.",
                retryable=True,
            ) from None
        messages = proof.messages
        if messages is not None:
            ids = [account for account in messages.counts.accounts if account]
            known = set(TwitterAccount.objects.filter(pk__in=ids).values_list("pk", flat=True))
            proof.lost_accounts = sorted(set(ids) - known)
        proof.seconds = time.monotonic() - began
        return proof

    def _verify_table(self, rule: TableRule, *, now: datetime) -> TableProof:
        began = time.monotonic()
        total, key_type = self._describe(rule)
        is_sorted = rule.is_key_hashed or not can_follow_index(key_type)
        if self._options.sample is not None:
            proof = self._verify_sample(rule, self._options.sample, now=now)
        else:
            try:
                proof = self._walk(
                    rule, total=total, key_type=key_type, is_sorted=is_sorted, now=now
                )
            except KeyOrderError:
                self._on_restart(rule.table)
                proof = self._walk(rule, total=total, key_type=key_type, is_sorted=True, now=now)
        if self._options.sample is not None:
            proof.in_mysql = total
            proof.in_mongodb = connection.get_collection(rule.collection).count_documents({})
        proof.seconds = time.monotonic() - began
        return proof

    def _walk(
        self, rule: TableRule, *, total: int, key_type: str, is_sorted: bool, now: datetime
    ) -> TableProof:
        judge = self._make_judge(rule, now=now)
        done = 0

        def add_rows(count: int) -> None:
            nonlocal done
            done += count
            self._on_rows(rule.table, done, total)

        held: list[Finding] = []

        def take(findings: list[Finding]) -> None:
            held.extend(findings)
            if len(held) >= _LOOKUP_ROWS:
                judge.take(held)
                held.clear()

        processes = min(self._options.processes, 1 + total // _ROWS_WORTH_A_PROCESS)
        tasks = [
            RangeTask(rule, key_range, key_type, is_sorted)
            for key_range in self._choose_ranges(rule, processes, is_sorted=is_sorted)
        ]
        counts = compare_ranges(
            self._sides, tasks, processes=processes, on_findings=take, on_rows=add_rows
        )
        judge.take(held)
        proof = TableProof(rule.table, counts, judge.found, "bytes" if is_sorted else "index")
        proof.in_mysql, proof.in_mongodb = counts.in_mysql, counts.in_mongodb
        return proof

    def _verify_sample(self, rule: TableRule, size: int, *, now: datetime) -> TableProof:
        judge = self._make_judge(rule, now=now)
        counts = Counts()
        key = write_key(rule)
        with MySqlReader(self._source) as reader:
            rows = reader.fetch(
                f"SELECT {key} FROM `{rule.table}` ORDER BY RAND() LIMIT {size:d}"  # noqa: S608
            )
        keys = [(row[0] or b"").decode("utf-8", errors="backslashreplace") for row in rows]
        for start in range(0, len(keys), _LOOKUP_ROWS):
            compared, equal = judge.examine(keys[start : start + _LOOKUP_ROWS])
            counts.in_mysql += compared
            counts.compared += compared
            counts.equal += equal
            self._on_rows(rule.table, counts.compared, len(keys))
        return TableProof(rule.table, counts, judge.found, "random")

    def _make_judge(self, rule: TableRule, *, now: datetime) -> FindingJudge:
        return FindingJudge(
            rule, source=self._source, cipher=token_cipher(), now=now, on_item=self._on_item
        )

    def _describe(self, rule: TableRule) -> tuple[int, str]:
        with MySqlReader(self._source) as reader:
            count = reader.fetch(f"SELECT COUNT(*) FROM `{rule.table}`")  # noqa: S608
            kind = reader.fetch(
                "SELECT data_type FROM information_schema.columns "  # noqa: S608
                f"WHERE table_schema = DATABASE() AND table_name = '{rule.table}' "
                f"AND column_name = '{rule.key}'"
            )
        if not kind:
            raise SourceError(
                f"The legacy database {self._source.label} has no column "
                f"{rule.table}.{rule.key}: see --dry-run for all that differs."
            )
        return int(count[0][0] or 0), (kind[0][0] or b"").decode().lower()

    def _choose_ranges(
        self, rule: TableRule, processes: int, *, is_sorted: bool
    ) -> Iterator[KeyRange]:
        """Ranges of about the same number of documents, between keys that both sides order alike.

        Sorting by bytes reads the whole table for each range: one for each process then.
        """
        count = 1 if processes <= 1 else processes * (1 if is_sorted else _RANGES_PER_PROCESS)
        bounds: list[str] = []
        if count > 1:
            sampled = connection.get_collection(rule.collection).aggregate(
                [{"$sample": {"size": 100 * count}}, {"$project": {"_id": 1}}]
            )
            ids = sorted(
                {
                    found["_id"]
                    for found in sampled
                    if isinstance(found["_id"], str) and found["_id"].isascii()
                }
            )
            step = max(1, len(ids) // count)
            bounds = ids[step::step][: count - 1]
        lows: list[str | None] = [None, *bounds]
        highs: list[str | None] = [*bounds, None]
        for low, high in zip(lows, highs, strict=True):
            yield KeyRange(low, high)


def document_store() -> DocumentStore:
    """How this project's MongoDB is reached, without Django."""
    values = connection.settings_dict
    return DocumentStore(
        url=values["HOST"],
        database=str(values["NAME"]),
        options={"appname": "autores-verify", "serverSelectionTimeoutMS": 10_000},
    )
