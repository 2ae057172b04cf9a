"""Keeps the documents up with the legacy database while the former system goes on.

A position in the binary log is taken, then every table is read once, then the log is followed
from that position. What happened during the reading is in the log as well, and applying it again
changes nothing: so the first load may be killed, repeated, or split over processes.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from pymongo.errors import ConnectionFailure

from autores.crypto import TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.apply import RowApplier
from mentions.legacy.attribution import Ambiguous, AttributionError, AttributionRules
from mentions.legacy.binlog import Batch, ChangeLog
from mentions.legacy.binlog_server import (
    LogPosition,
    check_settings,
    read_committed_position,
    read_log_end,
)
from mentions.legacy.conflicts import count_open, list_conflicts, render_conflicts
from mentions.legacy.current import CurrentSource
from mentions.legacy.documents import TARGETS
from mentions.legacy.errors import LegacyImportError, SourceError
from mentions.legacy.lease import ImportLease
from mentions.legacy.mapping import RejectedRow
from mentions.legacy.position import FOLLOWING, LOADING, FollowState, forget_state, load_state
from mentions.legacy.proof.runs import seal_into_run
from mentions.legacy.report import ImportReport
from mentions.legacy.runs import RUN_DONE, RUN_INCOMPLETE, RUN_RUNNING
from mentions.legacy.source import Source
from mentions.models import ImportRun

_BATCH_KEYS = 1000
_POLL_SECONDS = 0.25
_REPORT_SECONDS = 5.0
# Positions without rows of ours are not worth a write each.
_IDLE_SAVE_SECONDS = 5.0
_RETRY_SECONDS = (0.5, 1, 2, 5, 10, 15, 30)
_GIVE_UP_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class FollowOptions:
    """``is_until_drained`` ends the following once the source is read-only and all is here.

    ``marker`` is the name of a table whose CREATE TABLE in the log says the same. ``server_id``
    must be no other replica's; None chooses one at random.
    """

    is_until_drained: bool = False
    marker: str | None = None
    is_start_over: bool = False
    server_id: int | None = None
    rules: AttributionRules | None = None


@dataclass
class FollowReport:
    """What the following did, over all its restarts. Times are the import's own clock."""

    source: str
    run_id: str
    position: str
    row_count: int
    counts: dict[str, dict[str, int]]
    account_id: str | None
    conflicts: int = 0
    rejects: int = 0
    conflict_list: list[dict[str, Any]] = field(default_factory=list)
    is_drained: bool = False
    stopped_by: str = ""
    frozen_at: datetime | None = None
    drained_at: datetime | None = None
    last_change_at: datetime | None = None
    downtime_seconds: float | None = None
    downtime_at_most_seconds: float | None = None

    @property
    def is_complete(self) -> bool:
        return not (self.conflicts or self.rejects)

    @property
    def is_provable(self) -> bool:
        return self.is_drained

    def to_json(self) -> dict[str, Any]:
        shown = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in shown.items()
        } | {"is_complete": self.is_complete}

    def render(self) -> str:
        lines = [f"Followed {self.source} to {self.position}: {self.row_count} row changes."]
        for table, counts in self.counts.items():
            shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()) if count)
            lines.append(f"  {table}: {shown or 'nothing changed'}")
        if self.conflicts:
            lines.append(f"Conflicts, the documents here stay as they are: {self.conflicts}")
            lines += render_conflicts(self.conflict_list)
        if self.rejects:
            lines.append(f"Rejects in the collection import_rejects: {self.rejects}")
        if not self.is_drained:
            lines.append("Not drained: the same command goes on from here.")
        elif self.frozen_at and self.drained_at and self.downtime_seconds is not None:
            lines += [
                f"Drained at {self.drained_at:%H:%M:%S.%f} UTC: nothing is left to copy.",
                f"The source stopped ({self.stopped_by}) at {self.frozen_at:%H:%M:%S.%f} UTC; the "
                f"last change in its log is of {_show_time(self.last_change_at)}.",
                f"Downtime so far: {self.downtime_seconds:.1f} s, at most "
                f"{self.downtime_at_most_seconds:.1f} s. It lasts until this system serves.",
            ]
        return "\n".join(lines)


class Follower:
    """Loads once, then follows. ``load`` runs the import and returns its report and the account.

    ``on_progress`` hears of phases and lag. Raises LegacyImportError; what was applied stays,
    and the same call goes on from there. A KeyboardInterrupt ends the following with a report.
    """

    def __init__(
        self,
        url: SourceUrl,
        *,
        options: FollowOptions,
        cipher: TokenCipher,
        load: Callable[[], tuple[ImportReport, str | None]],
        on_progress: Callable[[str], None] = lambda text: None,
        read_rules: Callable[[], AttributionRules | None] = lambda: None,
        on_reject: Callable[[str, RejectedRow], None] = lambda table, row: None,
        on_ambiguous: Callable[[Ambiguous], None] = lambda found: None,
    ) -> None:
        self._url = url
        self._options = options
        self._cipher = cipher
        self._load = load
        self._on_progress = on_progress
        self._on_reject = on_reject
        self._on_ambiguous = on_ambiguous
        self._read_rules = read_rules
        self._rules: AttributionRules | None = None
        self._server_id = options.server_id or 2**31 + secrets.randbelow(2**31 - 2)
        self._lease: ImportLease | None = None
        self._saved_at = 0.0
        self._reported_at = 0.0
        self._reported_rows = 0

    def run(self, lease: ImportLease | None = None) -> FollowReport:
        """``lease`` is held by the caller."""
        self._lease = lease
        state = self._begin()
        if state.phase == LOADING:
            self._load_tables(state)
        if lease is not None:
            lease.name_run(state.run_id)
        # As the accounts are here now: the load may have found them under other ids.
        self._rules = self._read_rules()
        failing_since: datetime | None = None
        failures = 0
        drained_at: datetime | None = None
        while drained_at is None:
            before = state.position
            try:
                drained_at = self._follow(state)
            except KeyboardInterrupt:
                break
            except (SourceError, ConnectionFailure) as error:
                if isinstance(error, SourceError) and not error.retryable:
                    raise
                now = timezone.now()
                if state.position != before or failing_since is None:
                    failing_since, failures = now, 0
                if now - failing_since > _GIVE_UP_AFTER:
                    raise
                wait = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                self._on_progress(f"Waiting {wait} s for a database: {_describe(error)}")
                time.sleep(wait)
        return self._finish(state, drained_at)

    def _begin(self) -> FollowState:
        """The state to go on from; a new one begins with a position, before anything is read."""
        label = self._url.label
        if self._options.is_start_over:
            forget_state(label)
        state = load_state(label)
        digest = self._options.rules.digest if self._options.rules else ""
        if state is not None and state.rules_digest != digest:
            raise AttributionError(
                "The rules of --attribute-by are not those this following began with. Give the "
                "same ones, or add --start-over to read every message again by the new ones."
            )
        with CurrentSource(self._url) as current:
            for remark in check_settings(current, server_id=self._server_id):
                self._on_progress(f"Note: {remark}")
            if state is not None:
                # A position that is gone is better known before the tables are read again.
                self._probe(current, state.position)
                self._on_progress(f"Going on from {state.position} ({state.phase}).")
                return state
            run = ImportRun(source=label, state=RUN_RUNNING, report={"kind": "follow"})
            run.save(force_insert=True)
            state = FollowState(
                source=label,
                position=read_committed_position(current),
                run_id=str(run.pk),
                rules_digest=digest,
            )
        state.save()
        self._on_progress(f"The binary log will be followed from {state.position}.")
        return state

    def _probe(self, current: CurrentSource, position: LogPosition) -> None:
        log = ChangeLog(current, position=position, server_id=self._server_id)
        batches = log.read_batches(limit=1)
        next(batches)
        batches.close()  # type: ignore[attr-defined]

    def _load_tables(self, state: FollowState) -> None:
        self._on_progress("Reading every table once; the former system may go on.")
        report, state.account_id = self._load()
        self._on_progress(_summarize(report))
        with CurrentSource(self._url) as current:
            applier = self._make_applier(current, state)
            # Rows that an earlier import brought may be gone there since.
            for target in reversed(TARGETS):
                applier.delete_missing(target)
            state.counts = _add_counts(state.counts, applier.counts)
        state.phase = FOLLOWING
        state.save()

    def _follow(self, state: FollowState) -> datetime | None:
        """Follow until drained. Returns when it was; raises when a database fails."""
        options = self._options
        with CurrentSource(self._url) as current:
            log = ChangeLog(
                current,
                position=state.position,
                server_id=self._server_id,
                marker=options.marker,
            )
            while True:
                if options.marker and state.marked_at:
                    return timezone.now()
                is_frozen = options.is_until_drained and self._watch(current, state)
                end = read_log_end(current)
                for batch in log.read_batches(limit=_BATCH_KEYS):
                    self._apply(current, state, batch)
                self._tell_lag(current, state, end=end)
                if is_frozen and state.position.order >= end.order:
                    return timezone.now()
                if not state.marked_at:
                    time.sleep(_POLL_SECONDS)

    def _watch(self, current: CurrentSource, state: FollowState) -> bool:
        """Whether the source is read-only, and since when."""
        now = timezone.now()
        if not current.is_read_only():
            state.frozen_at, state.writable_at = None, now
            return False
        if state.frozen_at is None:
            state.frozen_at = now
            state.save()
            self._on_progress("The source is read-only: draining what is left.")
        return True

    def _apply(self, current: CurrentSource, state: FollowState, batch: Batch) -> None:
        if self._lease is not None:
            self._lease.check()
        applier = self._make_applier(current, state)
        if batch.unclear:
            self._compare_tables(current, applier, batch)
        applier.apply(batch.keys)
        has_changes = bool(batch.keys or batch.unclear or batch.marked_at)
        state.position = batch.position
        state.row_count += batch.row_count
        state.changed_at = batch.changed_at or state.changed_at
        state.marked_at = batch.marked_at or state.marked_at
        state.counts = _add_counts(state.counts, applier.counts)
        if has_changes or time.monotonic() - self._saved_at > _IDLE_SAVE_SECONDS:
            state.save()
            self._saved_at = time.monotonic()

    def _compare_tables(self, current: CurrentSource, applier: RowApplier, batch: Batch) -> None:
        """What the log does not spell out, the tables tell."""
        with Source(self._url) as source:
            source.check_schema()
        current.read_keys()
        for target in TARGETS:
            reason = batch.unclear.get(target.table.name)
            if reason:
                self._on_progress(f"Reading {target.table.name} as a whole: {reason}.")
                applier.compare_table(target)

    def _make_applier(self, current: CurrentSource, state: FollowState) -> RowApplier:
        return RowApplier(
            current,
            cipher=self._cipher,
            run_id=state.run_id,
            account_id=state.account_id,
            rules=self._rules,
            on_reject=self._on_reject,
            on_ambiguous=self._on_ambiguous,
        )

    def _tell_lag(self, current: CurrentSource, state: FollowState, *, end: LogPosition) -> None:
        passed = time.monotonic() - self._reported_at
        if passed < _REPORT_SECONDS:
            return
        lag = 0.0
        if state.position.order < end.order and state.changed_at:
            lag = max((current.read_time() - state.changed_at).total_seconds(), 0.0)
        rate = ""
        if self._reported_at:
            rate = f", {(state.row_count - self._reported_rows) / passed:.0f}/s"
        self._on_progress(
            f"{state.position}: {state.row_count} row changes{rate}, {lag:.1f} s behind"
        )
        self._reported_at, self._reported_rows = time.monotonic(), state.row_count

    def _finish(self, state: FollowState, drained_at: datetime | None) -> FollowReport:
        state.save()
        conflicts, rejects = count_open(state.run_id)
        report = FollowReport(
            source=state.source,
            run_id=state.run_id,
            position=str(state.position),
            row_count=state.row_count,
            counts=state.counts or {},
            account_id=state.account_id,
            conflicts=conflicts,
            rejects=rejects,
            conflict_list=list_conflicts(state.run_id),
            last_change_at=state.changed_at,
        )
        if drained_at is not None:
            self._measure(report, state, drained_at)
        run = ImportRun.objects.filter(pk=state.run_id).first()
        if run is not None:
            outcome = RUN_DONE if report.is_complete else RUN_INCOMPLETE
            run.state = outcome if report.is_drained else RUN_RUNNING
            run.finished_at = drained_at
            seal_into_run(run, {"kind": "follow", **report.to_json()})
            run.save()
        return report

    def _measure(self, report: FollowReport, state: FollowState, drained_at: datetime) -> None:
        report.is_drained, report.drained_at = True, drained_at
        if state.marked_at and self._options.marker:
            report.stopped_by = f"marker {self._options.marker}"
            # The log knows whole seconds.
            report.frozen_at = state.marked_at + timedelta(seconds=1)
            earliest = state.marked_at
        else:
            report.stopped_by = "read-only"
            report.frozen_at = state.frozen_at or drained_at
            earliest = state.writable_at or report.frozen_at
        report.downtime_seconds = max((drained_at - report.frozen_at).total_seconds(), 0.0)
        report.downtime_at_most_seconds = max((drained_at - earliest).total_seconds(), 0.0)


def _add_counts(
    counts: dict[str, dict[str, int]] | None, more: dict[str, Counter[str]]
) -> dict[str, dict[str, int]]:
    total = {name: Counter(found) for name, found in (counts or {}).items()}
    for name, found in more.items():
        total.setdefault(name, Counter()).update(found)
    return {name: dict(found) for name, found in total.items()}


def _summarize(report: ImportReport) -> str:
    """The load in one line; its own run has the whole report."""
    told = []
    for table in report.tables:
        counts = {**table.counts, "without_account": table.ambiguous_count}
        shown = ", ".join(
            f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count
        )
        told.append(f"{table.table}: {shown or 'nothing'}")
    return f"Read once (run {report.run_id}). {'; '.join(told)}."


def _describe(error: Exception) -> str:
    return (
        str(error) if isinstance(error, LegacyImportError) else f"MongoDB: {type(error).__name__}"
    )


def _show_time(at: datetime | None) -> str:
    return "an earlier time" if at is None else f"{at:%H:%M:%S} UTC"
