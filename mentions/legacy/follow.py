"""Keeps the documents up with the legacy database while the former system goes on.

A position in the binary log is taken, then every table is read once, then the log is followed
from that position. What happened during the reading is in the log as well, and applying it again
changes nothing: so the first load may be killed, repeated, or split over processes.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone
from pymongo.errors import ConnectionFailure

from accounts.models import TwitterAccount
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
from mentions.legacy.conflicts import count_open, list_conflicts
from mentions.legacy.current import CurrentSource
from mentions.legacy.documents import TARGETS
from mentions.legacy.errors import LegacyImportError, SourceError
from mentions.legacy.follow_report import FollowReport
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
    must be no other replica's; None chooses one at random. ``account`` and ``is_unattributed`` are
    as in ``ImportOptions``: what an earlier call began is not gone on with for another account.
    """

    is_until_drained: bool = False
    marker: str | None = None
    is_start_over: bool = False
    server_id: int | None = None
    rules: AttributionRules | None = None
    account: str | None = None
    is_unattributed: bool = False


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
        self._was_drained = False
        self._warnings: list[str] = []
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
                "same ones, or add --start-over --reattribute to read every message again and "
                "give it to the account of the new ones."
            )
        if state is not None and state.phase == FOLLOWING:
            self._check_account(state)
        with CurrentSource(self._url) as current:
            for remark in check_settings(current, server_id=self._server_id):
                self._on_progress(f"Note: {remark}")
            if state is not None:
                # A position that is gone is better known before the tables are read again.
                self._probe(current, state.position)
                self._was_drained = _find_run(state).filter(finished_at__isnull=False).exists()
                self._on_progress(f"Going on from {state.position} ({state.phase}).")
                self._look_first(current, state)
                return state
            run = ImportRun(source=label, state=RUN_RUNNING, report={"kind": "follow"})
            run.save(force_insert=True)
            state = FollowState(
                source=label,
                position=read_committed_position(current),
                run_id=str(run.pk),
                rules_digest=digest,
            )
            self._look_first(current, state)
        state.save()
        self._on_progress(f"The binary log will be followed from {state.position}.")
        return state

    def _look_first(self, current: CurrentSource, state: FollowState) -> None:
        """Before the tables are read, so that a stop meanwhile has an earliest moment."""
        if self._options.is_until_drained:
            self._watch(current, state)

    def _check_account(self, state: FollowState) -> None:
        options = self._options
        if options.account is None and not options.is_unattributed:
            return
        chosen = TwitterAccount.objects.filter(
            Q(pk=options.account) | Q(twitter_id=options.account)
        ).first()
        if chosen is None and options.account is not None:
            self._on_progress(
                f"Warning: account {options.account} is not here, so new messages get none."
            )
        if (chosen.pk if chosen else None) != state.account_id:
            given = f"account {state.account_id}" if state.account_id else "no account"
            raise AttributionError(
                f"This following gives messages to {given}. Leave --account and --unattributed "
                "away to go on with it, or add --start-over --reattribute to read every message "
                "again and give it to another."
            )

    def _probe(self, current: CurrentSource, position: LogPosition) -> None:
        log = ChangeLog(current, position=position, server_id=self._server_id)
        batches = log.read_batches(limit=1)
        next(batches)
        batches.close()  # type: ignore[attr-defined]

    def _load_tables(self, state: FollowState) -> None:
        self._on_progress("Reading every table once; the former system may go on.")
        report, state.account_id = self._load()
        self._warnings = report.warnings
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
        if has_changes and self._was_drained:
            self._stop_again(state, batch)
        state.position = batch.position
        state.row_count += batch.row_count
        state.changed_at = batch.changed_at or state.changed_at
        state.marked_at = batch.marked_at or state.marked_at
        state.counts = _add_counts(state.counts, applier.counts)
        if has_changes or time.monotonic() - self._saved_at > _IDLE_SAVE_SECONDS:
            state.save()
            self._saved_at = time.monotonic()

    def _stop_again(self, state: FollowState, batch: Batch) -> None:
        """The source was written to after an earlier drain: its downtime began anew."""
        self._was_drained = False
        if state.frozen_at is not None:
            state.frozen_at, state.writable_at = timezone.now(), batch.changed_at
        _find_run(state).update(state=RUN_RUNNING, finished_at=None)

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
            warnings=self._warnings,
        )
        if drained_at is not None:
            report.tell_drained(state, drained_at=drained_at, marker=self._options.marker)
        run = _find_run(state).first()
        if run is not None:
            outcome = RUN_DONE if report.is_complete else RUN_INCOMPLETE
            run.state = outcome if report.is_drained else RUN_RUNNING
            run.finished_at = drained_at
            seal_into_run(run, {"kind": "follow", **report.to_json()})
            run.save()
        return report


def _find_run(state: FollowState) -> QuerySet[ImportRun]:
    return ImportRun.objects.filter(pk=state.run_id)


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
