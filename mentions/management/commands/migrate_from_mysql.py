"""``manage.py migrate_from_mysql``: take over the former system's accounts and messages."""

import json
import os
import stat
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from io import FileIO
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from pymongo.errors import ConnectionFailure, PyMongoError

from autores.checks import TAG as SETTINGS_TAG
from autores.crypto import CipherError, cipher_for
from mentions.legacy.address import parse_source_url
from mentions.legacy.attribution import Ambiguous, read_rules
from mentions.legacy.errors import LegacyImportError
from mentions.legacy.importer import Importer, ImportOptions
from mentions.legacy.mapping import RejectedRow
from mentions.legacy.progress import choose_progress
from mentions.management import catch_up, proof
from mentions.management.combinations import check_combination, check_files
from mentions.management.numbers import whole_number

DEFAULT_CHUNK_SIZE = 2000
EXIT_INCOMPLETE = 2
# A database went away, or another import runs: the same command later goes on.
EXIT_AGAIN = 3
# What a shell says of a program that Ctrl-C ended.
EXIT_INTERRUPTED = 130


_INTERRUPTED = (
    "Stopped by Ctrl-C. What was written stays; the same command, run again, goes on from it."
)


class Command(BaseCommand):
    help = (
        "Import X accounts, messages and consent flows from the former system's MySQL. "
        "Can be repeated: what was changed here since is never overwritten. "
        "Exit code 0: every row is accounted for; 2: rejects or conflicts; 1: failed; 3: run it "
        "again, for a database went away or another import is running."
    )

    # The settings alone: the others load the API and the admin, for the length of the import.
    requires_system_checks = (SETTINGS_TAG,)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Spelled out, forty options would push the error off the screen.
        usage = f"{prog_name} {subcommand} [options]   (--help lists them)"
        return super().create_parser(prog_name, subcommand, usage=usage, **kwargs)

    def run_from_argv(self, argv: list[str]) -> None:
        # argparse ends with 2, which says here that rows need a person.
        self._called_from_command_line = True
        try:
            self.create_parser(argv[0], argv[1]).parse_args(argv[2:])
        except SystemExit as ended:
            sys.exit(1 if ended.code else 0)
        try:
            super().run_from_argv(argv)
        except KeyboardInterrupt:
            self.stderr.write(f"\n{_INTERRUPTED}")
            sys.exit(EXIT_INTERRUPTED)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--source",
            metavar="URL",
            default="",
            help="The legacy database, instead of MYSQL_DATABASE_URL (which keeps the password "
            "out of the process list): mysql+pymysql://user:password@host/database",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="Read and check everything, write nothing."
        )
        parser.add_argument(
            "--chunk-size",
            type=whole_number(1, 10_000),
            metavar="N",
            help=f"Rows a page, 1 to 10000; {DEFAULT_CHUNK_SIZE} unless told.",
        )
        parser.add_argument(
            "--workers",
            type=whole_number(0, 8),
            metavar="N",
            help="Processes that convert and write, 0 to 8 (0: none beside this one). Unless "
            "told: none for a small database, else one for each processor, 2 to 4.",
        )
        parser.add_argument(
            "--max-rejects",
            type=whole_number(0, 10**9),
            metavar="N",
            help="Stop when more than N rows were refused.",
        )
        parser.add_argument(
            "--retry-rejects",
            action="store_true",
            help="Read only the rows that earlier runs refused.",
        )
        parser.add_argument(
            "--quiet", action="store_true", help="No progress: the report and errors alone."
        )
        whose = parser.add_mutually_exclusive_group()
        whose.add_argument(
            "--account",
            metavar="ID",
            help="The account all messages belong to: its legacy id or its X user id.",
        )
        whose.add_argument(
            "--unattributed",
            action="store_true",
            help="Import the messages without an account; only superusers see them.",
        )
        whose.add_argument(
            "--attribute-by",
            metavar="RULES",
            action="append",
            help="Decide for each message: by a JSON or CSV file of message ids, or of the "
            "accounts' @names, looked for in the text. What that leaves open is imported without "
            "an account, and listed. May be given more than once.",
        )
        parser.add_argument(
            "--reattribute",
            action="store_true",
            help="Give messages that have an account here already to the one that is chosen now, "
            "unless people work on them there. Without it they stay with their account.",
        )
        parser.add_argument(
            "--ambiguous-file",
            metavar="PATH",
            help="With --attribute-by: write the messages that no rule decides there, one JSON "
            "object a line.",
        )
        parser.add_argument(
            "--rejects-file", metavar="PATH", help="Write refused rows there, one JSON a line."
        )
        parser.add_argument("--json", action="store_true", help="Print the report as JSON.")
        catch_up.add_arguments(parser)
        proof.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        with ExitStack() as stack:
            rejects_file = ambiguous_file = None
            progress = choose_progress(
                sys.stderr,
                is_quiet=options["quiet"],
                write=lambda line: self.stderr.write(line, style_func=str),
            )
            stack.callback(progress.close)
            try:
                is_mode = proof.has_mode(options)
                check_combination(options)
                catch_up.check_options(options)
                check_files(options)
                if is_mode:
                    self._check_migrations()
                    proof.run_mode(self, options, progress)
                    return
                source = parse_source_url(options["source"] or settings.MYSQL_DATABASE_URL)
                cipher = cipher_for(tuple(settings.TOKEN_ENCRYPTION_KEYS))
                self._check_migrations()
                rules = read_rules(options["attribute_by"]) if options["attribute_by"] else None
                if options["rejects_file"]:
                    rejects_file = stack.enter_context(_open_private(options["rejects_file"]))
                if options["ambiguous_file"]:
                    ambiguous_file = stack.enter_context(_open_private(options["ambiguous_file"]))

                def keep_ambiguous(found: Ambiguous) -> None:
                    if ambiguous_file is not None:
                        _write_line(ambiguous_file, found.to_json())

                def keep_reject(table: str, row: RejectedRow) -> None:
                    if rejects_file is not None:
                        line = {
                            "table": table,
                            "id": row.row.get("state") if table == "oauth_states" else row.key,
                            "rules": row.rules,
                            "reasons": row.reasons,
                            "hints": row.hints,
                            "row": row.row,
                        }
                        _write_line(rejects_file, line)

                importer = Importer(
                    source,
                    options=ImportOptions(
                        chunk_size=options["chunk_size"] or DEFAULT_CHUNK_SIZE,
                        is_dry_run=options["dry_run"],
                        account=options["account"],
                        rules=rules,
                        is_unattributed=options["unattributed"],
                        may_reattribute=options["reattribute"],
                        worker_count=options["workers"],
                        max_rejects=options["max_rejects"],
                        is_retry=options["retry_rejects"],
                    ),
                    cipher=cipher,
                    on_reject=keep_reject,
                    on_ambiguous=keep_ambiguous,
                    progress=progress,
                )
                report = catch_up.run(
                    importer,
                    source,
                    options=options,
                    cipher=cipher,
                    on_reject=keep_reject,
                    on_ambiguous=keep_ambiguous,
                    rules=rules,
                    progress=progress,
                )
                shown, text = report.to_json(), report.render()
                is_complete = report.is_complete
                if options["dry_run"]:
                    proof.write_rehearsal(shown, options)
                if report.is_provable:
                    shown = proof.prove_load(
                        report.run_id, source, options, progress, is_load_complete=is_complete
                    )
                    text += "\n\n" + proof.render_proof(shown)
                    is_complete = is_complete and shown["verification"]["is_proven"]
            except (LegacyImportError, CipherError) as error:
                code = EXIT_AGAIN if getattr(error, "retryable", False) else 1
                raise CommandError(str(error), returncode=code) from None
            except (PyMongoError, DatabaseError) as error:
                raise CommandError(
                    f"MongoDB failed ({type(error).__name__}): check MONGODB_URL and that the "
                    "server runs, then run the import again; it goes on from what is stored.",
                    returncode=EXIT_AGAIN
                    if isinstance(error, (ConnectionFailure, OperationalError))
                    else 1,
                ) from error
            except OSError as error:
                raise CommandError(
                    f"{error.filename or 'A file'} cannot be written: {error.strerror}."
                ) from None
        if options["json"]:
            self.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False))
        else:
            self.stdout.write(text)
        if not is_complete:
            raise CommandError(
                "Some rows need a person: they are listed in the report"
                + (
                    " and, if refused, in the collection import_rejects."
                    if not options["dry_run"]
                    else "."
                ),
                returncode=EXIT_INCOMPLETE,
            )

    def _check_migrations(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            raise CommandError(
                "MongoDB lacks collections or indexes the import relies on: run "
                "`manage.py migrate` first."
            )


def _write_line(file: FileIO, line: Mapping[str, Any]) -> None:
    """Nothing is held back, so that a full disk is told here, with the file's name."""
    left = (json.dumps(line, ensure_ascii=False) + "\n").encode(errors="surrogatepass")
    try:
        while left:
            left = left[file.write(left) or 0 :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, file.name) from None


def _open_private(path: str) -> FileIO:
    """A new file, or an emptied one, that only its owner reads: rows hold what people wrote."""
    file = FileIO(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600))
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        os.fchmod(file.fileno(), 0o600)
    return file
