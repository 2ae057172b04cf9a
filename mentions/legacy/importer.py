"""One import, from the check of the schema to the last chunk."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils import timezone

from accounts.models import TwitterAccount
from autores.crypto import TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.attribution import (
    Ambiguous,
    AttributionError,
    AttributionRules,
    warn_of_unused,
)
from mentions.legacy.checkpoint import Checkpoints
from mentions.legacy.chunks import ChunkLoader, LoadPlan, Result, Task
from mentions.legacy.contract import MESSAGES, OAUTH_STATES, USERS
from mentions.legacy.deferral import build_indexes, defer_indexes
from mentions.legacy.documents import TARGETS, WRITE_CONCERN, Target
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.lease import ImportLease, is_mongodb_away
from mentions.legacy.legacy_accounts import (
    DistinctAccounts,
    connected_handles,
    find_account,
    list_accounts,
)
from mentions.legacy.mapping import RejectedRow, show_key
from mentions.legacy.progress import LineProgress, ProgressView
from mentions.legacy.proof.runs import seal_into_run
from mentions.legacy.reattribution import STAYED
from mentions.legacy.rejects import RejectWriter
from mentions.legacy.report import ImportReport, TableReport
from mentions.legacy.runs import (
    RUN_DONE,
    RUN_FAILED,
    RUN_INCOMPLETE,
    close_dead_runs,
    describe_end,
    find_unfinished_runs,
)
from mentions.legacy.source import Source
from mentions.legacy.workers import Inline, Workers, choose_worker_count
from mentions.models import ImportReject, ImportRun

# Starting workers takes a second or two: not for small databases.
_WORKER_ROWS = 20_000


class TooManyRejectsError(LegacyImportError):
    """More rows were refused than the operator allowed."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """``account`` is the id, or the X user id, of the account the messages belong to.

    ``may_reattribute``: give messages that have an account here to another one, if so chosen now.
    ``worker_count`` None: none for a small database, else by the number of processors.
    ``max_rejects`` None: as many as there are. ``is_retry``: only rows refused earlier.
    """

    chunk_size: int = 2000
    is_dry_run: bool = False
    account: str | None = None
    rules: AttributionRules | None = None
    is_unattributed: bool = False
    may_reattribute: bool = False
    worker_count: int | None = None
    max_rejects: int | None = None
    is_retry: bool = False


class Importer:
    """Runs one import. ``on_reject`` hears of every refused row, ``progress`` of the course.

    Raises LegacyImportError (SourceError, SchemaError, AttributionError, TooManyRejectsError,
    WorkerError); what was written by then stays, and the next run goes on from it.
    """

    def __init__(
        self,
        source: SourceUrl,
        *,
        options: ImportOptions,
        cipher: TokenCipher,
        on_reject: Callable[[str, RejectedRow], None] = lambda table, row: None,
        on_progress: Callable[[str], None] = lambda text: None,
        on_ambiguous: Callable[[Ambiguous], None] = lambda found: None,
        progress: ProgressView | None = None,
    ) -> None:
        self._url = source
        self._options = options
        self._cipher = cipher
        self._on_reject = on_reject
        self._progress = progress or LineProgress(on_progress)
        self._on_ambiguous = on_ambiguous
        self._account_id: str | None = None
        self._rules: AttributionRules | None = None
        self._x_id_of: dict[str, str] = {}
        self._pool: Inline | Workers = Inline()
        self._lease: ImportLease | None = None
        self._rejected = 0

    @property
    def account_id(self) -> str | None:
        """Whose the messages became; known once ``run`` is over."""
        return self._account_id

    @property
    def rules(self) -> AttributionRules | None:
        """The rules that decided about messages; known once ``run`` is over."""
        return self._rules

    def read_rules(self) -> AttributionRules | None:
        """The rules in terms of the accounts here, without an import; raises AttributionError."""
        rules = self._options.rules
        if rules is None:
            return None
        report = ImportReport(source=self._url.label, is_dry_run=True)
        with Source(self._url) as source:
            self._choose_account(source, report)
        users = TableReport(USERS.name, absent=set(self._x_id_of))
        assert self._rules is not None
        return self._rules.resolve(lambda name: self._find_taken_over(name, users, report))

    def run(self, lease: ImportLease | None = None) -> ImportReport:
        """``lease`` is held by the caller; a rehearsal needs none."""
        options = self._options
        now = timezone.now()
        began = time.monotonic()
        report = ImportReport(source=self._url.label, is_dry_run=options.is_dry_run)
        report.write_concern = str(WRITE_CONCERN.document["w"])
        with ExitStack() as stack:
            source = stack.enter_context(Source(self._url))
            report.differences = [str(difference) for difference in source.check_schema()]
            self._tell_schema(report)
            self._choose_account(source, report)
            unfinished = find_unfinished_runs()
            run = ImportRun(started_at=now, source=self._url.label)
            if not options.is_dry_run:
                if lease is not None:
                    close_dead_runs()
                run.save(force_insert=True)
                report.run_id = run.pk
                self._lease = lease
                if lease is not None:
                    lease.name_run(run.pk)
            try:
                self._load(source, report, run_id=run.pk, now=now, unfinished=unfinished)
            except BaseException as error:
                if not is_mongodb_away(error):
                    report.stopped = describe_end(error)
                    self._finish(run, report, state=RUN_FAILED, began=began)
                raise
        state = RUN_DONE if report.is_complete else RUN_INCOMPLETE
        self._finish(run, report, state=state, began=began)
        return report

    def _load(
        self,
        source: Source,
        report: ImportReport,
        *,
        run_id: str,
        now: datetime,
        unfinished: frozenset[str],
    ) -> None:
        counts = {target.table.name: source.count_rows(target.table) for target in TARGETS}
        shown = ", ".join(f"{count} {name}" for name, count in counts.items())
        self._progress.say(f"Rows to read: {shown}.")
        self._pool = self._make_pool(sum(counts.values()))
        try:
            for target in TARGETS:
                table = TableReport(
                    target.table.name,
                    in_mysql=counts[target.table.name],
                    has_secret_keys=target.table is OAUTH_STATES,
                )
                report.tables.append(table)
                plan = self._plan_table(target, run_id=run_id, now=now, unfinished=unfinished)
                if self._options.is_retry:
                    self._retry_table(source, target, plan, table)
                    continue
                load_began = time.monotonic()
                is_deferred = plan.is_first and defer_indexes(
                    target.model, row_count=table.in_mysql
                )
                try:
                    self._load_table(source, target, plan, table)
                except BaseException as error:
                    if not (self._options.is_dry_run or is_mongodb_away(error)):
                        build_indexes(target.model, is_deferred=is_deferred, say=self._progress.say)
                    raise
                finally:
                    table.load_seconds = time.monotonic() - load_began
                if not self._options.is_dry_run:
                    build_indexes(target.model, is_deferred=is_deferred, say=self._progress.say)
                if target.table is USERS:
                    self._check_account(table, report)
                if table.notes[STAYED]:
                    report.warnings.append(
                        f"{table.notes[STAYED]} messages have another account here than the one "
                        "chosen now, and stay with it. If it is the wrong one, run this again "
                        "with --reattribute."
                    )
        finally:
            self._pool.close()

    def _tell_schema(self, report: ImportReport) -> None:
        """Before the first row is read; the report says it again."""
        what = "differs from the known one:" if report.differences else "is the known one."
        self._progress.say(f"The schema of {self._url.label} {what}")
        for difference in report.differences:
            self._progress.say(f"  {difference}")

    def _make_pool(self, row_count: int) -> Inline | Workers:
        count = self._options.worker_count
        if count is None:
            is_small = row_count < _WORKER_ROWS or self._options.is_retry
            count = 0 if is_small else choose_worker_count()
        return Workers(count) if count else Inline()

    def _plan_table(
        self, target: Target, *, run_id: str, now: datetime, unfinished: frozenset[str]
    ) -> LoadPlan:
        is_dry_run = self._options.is_dry_run
        return LoadPlan(
            table=target.table.name,
            source=self._url.label,
            run_id=run_id,
            now=now,
            is_dry_run=is_dry_run,
            is_first=not is_dry_run
            and not self._options.is_retry
            and not Checkpoints(target.table).has_any(),
            account_id=self._account_id,
            unfinished_runs=unfinished,
            rules=self._rules,
            may_reattribute=self._options.may_reattribute,
        )

    def _finish(self, run: ImportRun, report: ImportReport, *, state: str, began: float) -> None:
        report.seconds = time.monotonic() - began
        if self._options.is_dry_run:
            return
        run.state = state
        run.finished_at = timezone.now()
        seal_into_run(run, report.to_json())
        run.save()

    def _choose_account(self, source: Source, report: ImportReport) -> None:
        """Settle whose the messages are before anything is written."""
        if self._options.is_unattributed and self._options.account is None:
            report.attribution = "no account (--unattributed): only superusers see them"
            return
        accounts = [(show_key(key), show_key(x_id)) for key, x_id in source.read_accounts()]
        self._x_id_of = dict(accounts)
        chosen = self._options.account
        rules = self._options.rules
        if rules is not None:
            known = connected_handles()
            rules = AttributionRules({**known, **rules.handles}, rules.messages)
            self._rules = rules.resolve(lambda name: find_account(name, accounts))
            report.warnings += warn_of_unused(
                rules.messages, source.find_existing(MESSAGES, list(rules.messages))
            )
            report.attribution = (
                f"accounts by {len(rules.handles)} @names and {len(rules.messages)} message ids"
            )
            return
        if chosen is not None:
            self._account_id = find_account(chosen, accounts)
        elif len(accounts) == 1:
            self._account_id = accounts[0][0]
        elif source.count_rows(MESSAGES):
            raise AttributionError(
                "The legacy messages do not say which account they mention, and there is not "
                "exactly one account. Give --account ID, --attribute-by RULES or --unattributed. "
                f"Accounts: {list_accounts(accounts)}"
            )
        else:
            return
        report.attribution = f"account {self._account_id}"

    def _load_table(
        self, source: Source, target: Target, plan: LoadPlan, counts: TableReport
    ) -> None:
        table = target.table
        self._progress.begin(table.name, counts.in_mysql)
        self._pool.begin(plan)
        seen = DistinctAccounts(source.read_repeated_x_ids()) if table is USERS else None
        chunks = source.read_chunks(table, size=self._options.chunk_size)
        for number, chunk in enumerate(chunks):
            if self._lease is not None:
                self._lease.check()
            refusals = seen.find_repeated(chunk.rows) if seen else {}
            task = Task.make(number, chunk.after, chunk.rows, refusals)
            # The task has them; the next page would come on top.
            chunk.rows.clear()
            self._collect(self._pool.submit(task), counts)
        self._collect(self._pool.drain(), counts)
        if not self._options.is_dry_run:
            RejectWriter(table, run_id=plan.run_id, now=plan.now).forget_earlier()

    def _collect(self, results: Iterator[Result], counts: TableReport) -> None:
        limit = self._options.max_rejects
        for result in results:
            counts.merge(result.report)
            if not self._options.is_dry_run:
                counts.in_mongodb = (counts.in_mongodb or 0) + result.present
            self._progress.advance(result.row_count)
            self._rejected += len(result.rejects)
            for row in result.rejects:
                self._on_reject(counts.table, row)
            for found in result.report.ambiguous:
                self._on_ambiguous(found)
            if limit is not None and self._rejected > limit:
                raise TooManyRejectsError(
                    f"Stopped: {self._rejected} rows were refused, and --max-rejects allows "
                    f"{limit}. They are in the collection import_rejects. Mend them in MySQL and "
                    "run the import again; it goes on from what is stored."
                )

    def _retry_table(
        self, source: Source, target: Target, plan: LoadPlan, counts: TableReport
    ) -> None:
        """Load the rows that were refused earlier, read anew; drop the rejects that are settled."""
        table = target.table
        collection = connection.get_collection(ImportReject._meta.db_table)
        known = {
            found["_id"]: found["legacy_id"] for found in collection.find({"table": table.name})
        }
        loader = ChunkLoader(plan)
        # Keys that are not stored as they are (secret, unreadable) need a run over the whole table.
        keys = [] if table is OAUTH_STATES else [key for key in known.values() if "\\" not in key]
        counts.in_mysql = len(known)
        self._progress.begin(table.name, len(keys))
        found_keys: set[str] = set()
        seen = DistinctAccounts(source.read_repeated_x_ids()) if table is USERS else None
        if seen:
            for chunk in source.read_chunks(table, size=self._options.chunk_size):
                seen.find_repeated(chunk.rows)
        for number, rows in enumerate(source.read_by_keys(table, keys)):
            refusals = seen.find_repeated(rows) if seen else {}
            result = loader.load(Task.make(number, None, rows, refusals), is_chunk=False)
            found_keys.update(show_key(row[0]) for row in rows)
            self._collect(iter((result,)), counts)
        counts.counts["rejected"] += len(known) - len(keys)
        if not self._options.is_dry_run:
            # Refused again, they carry this run's id by now.
            settled = [_id for _id, key in known.items() if key in keys]
            collection.delete_many({"_id": {"$in": settled}, "run_id": {"$ne": plan.run_id}})
        counts.in_mysql -= len(set(keys) - found_keys)

    def _check_account(self, users: TableReport, report: ImportReport) -> None:
        """Messages must not point at an account that is not here."""
        if self._rules is not None:
            self._rules = self._rules.resolve(
                lambda name: self._find_taken_over(name, users, report)
            )
            return
        account_id = self._account_id
        if account_id is None:
            return
        self._account_id = self._find_taken_over(account_id, users, report)
        if self._account_id is None:
            report.attribution = "no account: only superusers see them"
        elif self._account_id != account_id:
            x_id = self._x_id_of[account_id]
            report.attribution = f"account {self._account_id}, connected here as X user {x_id}"

    def _find_taken_over(
        self, account_id: str, users: TableReport, report: ImportReport
    ) -> str | None:
        """The id of a legacy account here; None, with a warning, when it is not here."""
        if account_id not in users.absent:
            return account_id
        if TwitterAccount.objects.filter(pk=account_id).exists():
            return account_id
        x_id = self._x_id_of.get(account_id)
        same = TwitterAccount.objects.filter(twitter_id=x_id).first() if x_id else None
        if same is not None:
            return str(same.pk)
        if self._options.is_dry_run:
            # The one whose X user id this account has was not written, and will be.
            for key, other in self._x_id_of.items():
                if other == x_id and key not in users.absent:
                    return key
        report.warnings.append(
            f"Account {account_id} was not taken over, so its messages belong to no account for "
            "now. Once it is, run the import again: it gives them to the account."
        )
        return None
