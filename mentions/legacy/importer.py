"""One import, from the check of the schema to the comparison of the counts."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.crypto import TokenCipher
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS, Table
from mentions.legacy.load import TARGETS, Loader, RejectWriter, Target
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
from mentions.legacy.report import ImportReport, TableReport
from mentions.legacy.source import LegacyImportError, Source, SourceUrl
from mentions.models import ImportRun

RUN_DONE, RUN_INCOMPLETE, RUN_FAILED = "done", "incomplete", "failed"
_PROGRESS_ROWS = 50_000


class AttributionError(LegacyImportError):
    """It is not clear which account the messages belong to."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """``account`` is the id, or the X user id, of the account the messages belong to."""

    chunk_size: int = 1000
    is_dry_run: bool = False
    account: str | None = None
    is_unattributed: bool = False


class Importer:
    """Runs one import. ``on_reject`` hears of every refused row, ``on_progress`` of the course.

    Raises LegacyImportError (SourceError, SchemaError, AttributionError); what was written by
    then stays, and the next run goes on from it.
    """

    def __init__(
        self,
        source: SourceUrl,
        *,
        options: ImportOptions,
        cipher: TokenCipher,
        on_reject: Callable[[str, RejectedRow], None] = lambda table, row: None,
        on_progress: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._url = source
        self._options = options
        self._cipher = cipher
        self._on_reject = on_reject
        self._on_progress = on_progress
        self._account_id: str | None = None
        self._x_id_of: dict[str, str] = {}

    def run(self) -> ImportReport:
        options = self._options
        now = timezone.now()
        began = time.monotonic()
        report = ImportReport(source=self._url.label, is_dry_run=options.is_dry_run)
        with Source(self._url) as source:
            report.differences = [str(difference) for difference in source.check_schema()]
            self._choose_account(source, report)
            run = ImportRun(started_at=now, source=self._url.label)
            if not options.is_dry_run:
                run.save(force_insert=True)
            try:
                for target in TARGETS:
                    self._load_table(source, target, report, run_id=run.pk, now=now)
                if not options.is_dry_run:
                    for target, table in zip(TARGETS, report.tables, strict=True):
                        self._compare_table(source, target, table)
            except BaseException:
                self._finish(run, report, state=RUN_FAILED, began=began)
                raise
        state = RUN_DONE if report.is_complete else RUN_INCOMPLETE
        self._finish(run, report, state=state, began=began)
        return report

    def _finish(self, run: ImportRun, report: ImportReport, *, state: str, began: float) -> None:
        report.seconds = time.monotonic() - began
        if self._options.is_dry_run:
            return
        run.state = state
        run.finished_at = timezone.now()
        run.report = report.to_json()
        run.save()

    def _choose_account(self, source: Source, report: ImportReport) -> None:
        """Settle whose the messages are before anything is written."""
        accounts = [(show_key(key), show_key(x_id)) for key, x_id in source.read_accounts()]
        self._x_id_of = dict(accounts)
        chosen = self._options.account
        if chosen is not None:
            self._account_id = self._find_account(chosen, accounts)
        elif self._options.is_unattributed:
            report.attribution = "no account (--unattributed): only superusers see them"
            return
        elif len(accounts) == 1:
            self._account_id = accounts[0][0]
        elif source.count_rows(MESSAGES):
            listed = ", ".join(f"{key} (X user {x_id})" for key, x_id in accounts[:20]) or "none"
            raise AttributionError(
                "The legacy messages do not say which account they mention, and there is not "
                f"exactly one account. Give --account ID, or --unattributed. Accounts: {listed}"
            )
        else:
            return
        report.attribution = f"account {self._account_id}"

    def _find_account(self, chosen: str, accounts: Iterable[tuple[str, str]]) -> str:
        known = list(accounts)
        for key, x_id in known:
            if chosen in (key, x_id):
                return key
        stored = (
            TwitterAccount.objects.filter(pk=chosen).first()
            or TwitterAccount.objects.filter(twitter_id=chosen).first()
        )
        if stored is None:
            listed = ", ".join(f"{key} (X user {x_id})" for key, x_id in known[:20]) or "none"
            raise AttributionError(
                f"--account {chosen} is neither in the legacy users nor connected here. "
                f"Accounts: {listed}"
            )
        return str(stored.pk)

    def _load_table(
        self, source: Source, target: Target, report: ImportReport, *, run_id: str, now: datetime
    ) -> None:
        table = target.table
        counts = TableReport(
            table.name,
            in_mysql=source.count_rows(table),
            has_secret_keys=table is OAUTH_STATES,
        )
        report.tables.append(counts)
        rejects: list[RejectedRow] = []

        def refuse(row: RejectedRow) -> None:
            counts.add_reject(row.key, row.reasons)
            rejects.append(row)
            self._on_reject(table.name, row)

        loader = Loader(
            target,
            cipher=self._cipher,
            run_id=run_id,
            now=now,
            is_dry_run=self._options.is_dry_run,
            report=counts,
            refuse=refuse,
        )
        reject_writer = RejectWriter(table, run_id=run_id, now=now)
        done = 0
        for page in source.read_pages(table, size=self._options.chunk_size):
            mapped: list[MappedRow] = []
            for raw in page:
                outcome = self._map(table, raw, now=now)
                if isinstance(outcome, MappedRow):
                    mapped.append(outcome)
                    counts.notes.update(outcome.notes)
                elif isinstance(outcome, SkippedRow):
                    counts.count("skipped", outcome.key)
                    counts.notes[f"{table.name} row skipped: {outcome.reason}"] += 1
                else:
                    refuse(outcome)
            loader.load_page(mapped)
            if not self._options.is_dry_run:
                reject_writer.write(rejects)
            rejects.clear()
            if done // _PROGRESS_ROWS != (done + len(page)) // _PROGRESS_ROWS:
                self._on_progress(f"{table.name}: {done + len(page)} of {counts.in_mysql} rows")
            done += len(page)
        if not self._options.is_dry_run:
            reject_writer.forget_earlier()
        if table is USERS:
            self._check_account(counts, report)

    def _check_account(self, users: TableReport, report: ImportReport) -> None:
        """Messages must not point at an account that is not here."""
        account_id = self._account_id
        if account_id is None or account_id not in users.absent:
            return
        if TwitterAccount.objects.filter(pk=account_id).exists():
            return
        same = TwitterAccount.objects.filter(twitter_id=self._x_id_of[account_id]).first()
        if same is not None:
            self._account_id = str(same.pk)
            report.attribution = f"account {same.pk}, connected here as X user {same.twitter_id}"
            return
        self._account_id = None
        report.attribution = "no account: only superusers see them"
        report.warnings.append(
            f"Account {account_id} was not taken over, so its messages belong to no account for "
            "now. Once it is, run the import again: it gives them to the account."
        )

    def _map(self, table: Table, raw: RawRow, *, now: datetime) -> Outcome:
        if table is USERS:
            return map_user(raw, now=now)
        if table is MESSAGES:
            return map_message(raw, account_id=self._account_id)
        return map_oauth_state(raw, now=now)

    def _compare_table(self, source: Source, target: Target, counts: TableReport) -> None:
        """Ask MongoDB itself which of MySQL's keys it has."""
        collection = connection.get_collection(target.model._meta.db_table)
        counts.in_mongodb = 0
        for page in source.read_keys(target.table, size=self._options.chunk_size):
            keys = [show_key(key) for key in page]
            found = {item["_id"] for item in collection.find({"_id": {"$in": keys}}, {"_id": 1})}
            counts.in_mongodb += len(found)
            for key in keys:
                if key not in found:
                    counts.add_missing(key)
