"""The options of ``migrate_from_mysql`` that prove an import, undo it, or hand accounts over."""

import argparse
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import TwitterAccount
from accounts.stored_tokens import lift_fences
from mentions.legacy.address import SourceUrl, parse_source_url
from mentions.legacy.contract import USERS
from mentions.legacy.export import export_to_mysql
from mentions.legacy.handover import DEFAULT_WINDOW, render_handover, report_handover
from mentions.legacy.lease import ImportLease
from mentions.legacy.progress import ProgressView
from mentions.legacy.proof.page import render_html, render_text
from mentions.legacy.proof.runs import add_to_run, check_seal, keep_report
from mentions.legacy.proof.seal import SealError, seal_report
from mentions.legacy.proof.verify import MAX_SAMPLE, Verification, Verifier, VerifyOptions
from mentions.legacy.rollback import roll_back
from mentions.management.numbers import whole_number
from mentions.models import ImportConflict, ImportRun

EXIT_DIFFERS = 2
# A report is one document, of 16 MB at most.
_KEPT_ACCOUNTS = 1000
STATE_VERIFIED, STATE_DIFFERS, STATE_EXPORTED = "verified", "differs", "exported"
STATE_PARTLY = "exported_in_part"
STATE_UNDONE = "undo"
_MODES = (
    "verify_only",
    "rollback",
    "export_to_mysql",
    "check_seal",
    "handover",
    "declare_old_poller_stopped",
)


def add_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("proof")
    group.add_argument(
        "--verify-only",
        action="store_true",
        help="Compare every field of every row on both sides, and write nothing but the report.",
    )
    group.add_argument(
        "--sample",
        type=whole_number(1, MAX_SAMPLE),
        metavar="N",
        help="With the comparison: only N rows of each table, at random. Proves nothing else.",
    )
    group.add_argument(
        "--processes",
        type=whole_number(1, 16),
        metavar="N",
        help="Processes that compare, 1 to 16. Unless told: one for each processor, 4 at most.",
    )
    group.add_argument("--report", metavar="PATH", help="Write the sealed report there, as JSON.")
    group.add_argument("--html", metavar="PATH", help="Write it there as a page to read.")
    group.add_argument(
        "--differences-file",
        metavar="PATH",
        help="Write every row that is not equal there, one JSON object a line.",
    )
    group.add_argument(
        "--check-seal",
        metavar="RUN|PATH",
        help="Tell whether a report is what was sealed: of a run, or in a JSON or HTML file.",
    )
    undo = parser.add_argument_group("undo")
    undo.add_argument(
        "--rollback",
        metavar="RUN",
        help="Remove what that run wrote and nobody changed since; list the rest.",
    )
    undo.add_argument(
        "--export-to-mysql",
        action="store_true",
        help="Write what was made or changed here back into the legacy tables.",
    )
    undo.add_argument(
        "--insert-again",
        action="store_true",
        help="With --export-to-mysql: insert also what an earlier export wrote and MySQL lacks "
        "now, as after an older dump of it was loaded.",
    )
    accounts = parser.add_argument_group("hand-over of the accounts")
    accounts.add_argument(
        "--handover",
        action="store_true",
        help="Tell which accounts survive, lack dm.read, or expire inside the window.",
    )
    accounts.add_argument(
        "--window",
        type=_hours,
        metavar="HOURS",
        help="How long the cut-over may take; 2 unless told.",
    )
    accounts.add_argument(
        "--declare-old-poller-stopped",
        action="store_true",
        help="From now on this system refreshes the tokens of the accounts it took over.",
    )


def has_mode(options: Mapping[str, Any]) -> bool:
    """Whether one of these options replaces the import. Raises CommandError for two of them."""
    chosen = [name for name in _MODES if options.get(name)]
    if len(chosen) > 1:
        shown = " and ".join("--" + name.replace("_", "-") for name in chosen)
        raise CommandError(f"{shown} cannot be given together: run one after the other.")
    return bool(chosen)


def run_mode(command: BaseCommand, options: Mapping[str, Any], progress: ProgressView) -> None:
    """What the option asks for. Raises LegacyImportError and CommandError."""
    if options["check_seal"]:
        _check_seal(command, options)
    elif options["rollback"]:
        _roll_back(command, options, progress)
    elif options["handover"]:
        report = report_handover(window=options["window"] or DEFAULT_WINDOW)
        _print(command, options, report, render_handover(report))
    elif options["declare_old_poller_stopped"]:
        _declare_stopped(command, options)
    elif options["export_to_mysql"]:
        _export(command, options, _read_source(options), progress)
    else:
        _verify_only(command, options, _read_source(options), progress)


def prove_load(
    run_id: str,
    source: SourceUrl,
    options: Mapping[str, Any],
    progress: ProgressView,
    *,
    is_load_complete: bool,
) -> dict[str, Any]:
    """Compare after a load, and seal the run's report with what was found; the whole report."""
    proof = _verify(source, options, progress)
    handover = report_handover(window=options["window"] or DEFAULT_WINDOW, limit=_KEPT_ACCOUNTS)
    is_done = is_load_complete and proof.is_proven
    run = add_to_run(
        run_id,
        {"verification": proof.to_json(), "handover": handover},
        state="done" if is_done else "incomplete",
    )
    _write_files(run, options)
    return run.report


def write_rehearsal(report: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """A rehearsal's report goes to files alone: it writes nothing into MongoDB."""
    if options["report"] or options["html"]:
        _write_report(seal_report(report), options, run_id="")


def render_proof(report: Mapping[str, Any]) -> str:
    """The comparison and the hand-over for a terminal."""
    text = render_text(report)
    if report.get("handover", {}).get("accounts"):
        text += "\n\n" + render_handover(report["handover"])
    return text


def _verify(source: SourceUrl, options: Mapping[str, Any], progress: ProgressView) -> Verification:
    with ExitStack() as stack:
        differences = _DifferencesFile(options["differences_file"])
        stack.callback(differences.close)
        shown: list[Any] = ["", 0]

        def show(table: str, done: int, total: int) -> None:
            if shown[0] != table:
                progress.begin(f"comparing {table}", total)
                shown[:] = [table, 0]
                differences.mark()
            progress.advance(done - shown[1])
            shown[1] = done

        return Verifier(
            source,
            options=VerifyOptions(
                processes=options["processes"] or min(4, os.cpu_count() or 1),
                sample=options["sample"],
            ),
            on_rows=show,
            on_item=differences.write,
            on_restart=lambda table: differences.drop(table),
        ).run()


def _verify_only(
    command: BaseCommand,
    options: Mapping[str, Any],
    source: SourceUrl,
    progress: ProgressView,
) -> None:
    proof = _verify(source, options, progress)
    progress.close()
    run = keep_report(
        {
            "verification": proof.to_json(),
            "handover": report_handover(
                window=options["window"] or DEFAULT_WINDOW, limit=_KEPT_ACCOUNTS
            ),
        },
        source=source.label,
        state=STATE_VERIFIED if proof.is_proven else STATE_DIFFERS,
        started_at=proof.started_at,
    )
    _write_files(run, options)
    _print(command, options, {"run": run.pk, **run.report}, render_proof(run.report))
    if not proof.is_proven:
        raise CommandError(proof.verdict, returncode=EXIT_DIFFERS)


def _roll_back(command: BaseCommand, options: Mapping[str, Any], progress: ProgressView) -> None:
    began = timezone.now()
    if options["dry_run"]:
        report = roll_back(options["rollback"], is_dry_run=True, progress=progress)
    else:
        with ImportLease(f"the rollback of run {options['rollback']}"):
            report = roll_back(options["rollback"], progress=progress)
    # A bar that is still drawn would be drawn over the report.
    progress.close()
    shown = {"rollback": report.to_json()}
    if not options["dry_run"]:
        source = ImportRun.objects.get(pk=options["rollback"]).source
        run = keep_report(shown, source=source, state=STATE_UNDONE, started_at=began)
        _write_files(run, options)
        shown = run.report
    _print(command, options, shown, report.render())
    if report.kept:
        raise CommandError(
            f"{report.kept} documents were left: somebody changed them, or they are in use.",
            returncode=EXIT_DIFFERS,
        )


def _export(
    command: BaseCommand, options: Mapping[str, Any], target: SourceUrl, progress: ProgressView
) -> None:
    began = timezone.now()
    if options["dry_run"]:
        report = export_to_mysql(
            target, is_dry_run=True, inserts_again=options["insert_again"], progress=progress
        )
    else:
        with ImportLease(f"the export to {target.label}"):
            report = export_to_mysql(
                target, inserts_again=options["insert_again"], progress=progress
            )
    progress.close()
    shown = {"export": report.to_json()}
    if not options["dry_run"]:
        state = STATE_EXPORTED if report.is_complete else STATE_PARTLY
        run = keep_report(shown, source=target.label, state=state, started_at=began)
        _write_files(run, options)
        shown = run.report
    _print(command, options, shown, report.render())
    if not report.is_complete:
        raise CommandError("Some rows could not go back; they are listed.", returncode=EXIT_DIFFERS)


def _declare_stopped(command: BaseCommand, options: Mapping[str, Any]) -> None:
    fenced = TwitterAccount.objects.filter(fenced_since__isnull=False)
    # Their newest tokens may be in MySQL alone, and a refresh with older ones loses the account.
    conflicts = ImportConflict.objects.filter(table=USERS.name).values_list("legacy_id", flat=True)
    doubtful = list(fenced.filter(pk__in=list(conflicts)))
    if options["dry_run"]:
        count = fenced.count()
        told = f"{count} accounts are fenced."
    else:
        count = lift_fences(but=[account.pk for account in doubtful])
        told = (
            f"The old poller is declared stopped: the tokens of {count} accounts are refreshed "
            "here from now on. Do not start it again."
            if count or doubtful
            else "No account was fenced."
        )
    report = {
        "is_dry_run": options["dry_run"],
        "accounts": count,
        "fenced_still": [account.pk for account in doubtful],
    }
    _print(command, options, report, told)
    if doubtful:
        listed = ", ".join(str(account) for account in doubtful[:10])
        raise CommandError(
            f"{len(doubtful)} accounts stay fenced, for their tokens were changed on both sides "
            f"and an import could not decide: {listed}{'…' if len(doubtful) > 10 else ''}. Connect "
            "them again, which ends their fence.",
            returncode=EXIT_DIFFERS,
        )


def _check_seal(command: BaseCommand, options: Mapping[str, Any]) -> None:
    try:
        check = check_seal(options["check_seal"])
    except SealError as error:
        raise CommandError(str(error)) from None
    _print(command, options, {**asdict(check), "is_good": check.is_good}, str(check))
    if not check.is_good:
        raise CommandError(
            "This report is not what was sealed." if check.digest else "There is no seal.",
            returncode=EXIT_DIFFERS,
        )


def _write_files(run: ImportRun, options: Mapping[str, Any]) -> None:
    _write_report(run.report, options, run_id=run.pk)


def _write_report(report: Mapping[str, Any], options: Mapping[str, Any], *, run_id: str) -> None:
    if options["report"]:
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        _write_private(options["report"], text, run_id=run_id)
    if options["html"]:
        _write_private(options["html"], render_html(report, run_id=run_id), run_id=run_id)


def _write_private(path: str, text: str, *, run_id: str) -> None:
    """Reports hold what people wrote: for their owner only."""
    target = Path(path)
    try:
        target.touch(mode=0o600)
        target.chmod(0o600)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        kept = f" The report is kept as import run {run_id}: see the admin." if run_id else ""
        raise CommandError(f"{path} cannot be written: {error.strerror}.{kept}") from None


def _print(
    command: BaseCommand, options: Mapping[str, Any], report: Mapping[str, Any], text: str
) -> None:
    if options["json"]:
        text = json.dumps(report, indent=2, ensure_ascii=False)
    command.stdout.write(text)


def _read_source(options: Mapping[str, Any]) -> SourceUrl:
    return parse_source_url(options["source"] or settings.MYSQL_DATABASE_URL)


def _hours(value: str) -> timedelta:
    try:
        hours = float(value)
    except ValueError:
        hours = 0.0
    if not 0 < hours <= 24 * 30:
        raise argparse.ArgumentTypeError("must be a number of hours, more than 0 and at most 720")
    return timedelta(hours=hours)


class _DifferencesFile:
    """Every row that is not equal, one JSON object a line; readable for its owner only."""

    def __init__(self, path: str | None) -> None:
        self._file: Any = None
        self._table_begins = 0
        if path:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            os.fchmod(descriptor, 0o600)
            self._file = os.fdopen(descriptor, "w+", encoding="utf-8")

    def write(self, item: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(item, ensure_ascii=False) + "\n")

    def drop(self, table: str) -> None:
        """Forget what was said of the table: it is read again."""
        if self._file is None:
            return
        self._file.seek(0)
        lines = [line for line in self._file if json.loads(line)["table"] != table]
        self._file.seek(0)
        self._file.truncate()
        self._file.writelines(lines)

    def mark(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
