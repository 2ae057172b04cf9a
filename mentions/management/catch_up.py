"""The options of ``migrate_from_mysql`` that keep up with the former system while it goes on."""

import argparse
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from django.core.management.base import CommandError, CommandParser

from autores.crypto import TokenCipher
from mentions.legacy.address import SourceUrl
from mentions.legacy.attribution import Ambiguous, AttributionRules
from mentions.legacy.delta import delete_missing_rows, require_same_source
from mentions.legacy.follow import Follower, FollowOptions
from mentions.legacy.importer import Importer
from mentions.legacy.lease import ImportLease
from mentions.legacy.mapping import RejectedRow
from mentions.legacy.progress import ProgressView
from mentions.legacy.report import ImportReport
from mentions.management.numbers import whole_number


class Report(Protocol):
    """What an import, a following and a delta have in common."""

    @property
    def run_id(self) -> str: ...

    @property
    def is_complete(self) -> bool: ...

    @property
    def is_provable(self) -> bool:
        """Whether both sides should be equal now, so that comparing them means something."""

    def to_json(self) -> dict[str, Any]: ...

    def render(self) -> str: ...


def add_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("catching up")
    group.add_argument(
        "--follow",
        action="store_true",
        help="Read everything once, then follow the binary log while the former system goes on, "
        "until Ctrl-C. The same command goes on from where it was, even after a kill.",
    )
    group.add_argument(
        "--until-drained",
        action="store_true",
        help="With --follow: end once the source is read-only (SET GLOBAL read_only = 1) and "
        "everything is here; print the downtime, and compare both sides.",
    )
    group.add_argument(
        "--marker",
        type=_table_name,
        metavar="TABLE",
        help="With --follow: end where the log says CREATE TABLE of this name, for a server that "
        "cannot be made read-only.",
    )
    group.add_argument(
        "--start-over",
        action="store_true",
        help="With --follow: forget the position, take a new one and read everything again.",
    )
    group.add_argument(
        "--server-id",
        type=whole_number(1, 2**32 - 1),
        metavar="N",
        help="With --follow: the id to read the binary log as; no other replica's. Random "
        "unless given.",
    )
    group.add_argument(
        "--delta",
        action="store_true",
        help="Read everything again, and also delete here what was deleted there: catches up "
        "where the binary log is off.",
    )
    group.add_argument(
        "--accept-deletions",
        action="store_true",
        help="With --delta: delete here also where a tenth or all of a table's rows are gone "
        "there, or where another database was read before.",
    )


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse combinations that mean nothing. Raises CommandError."""
    if options["delta"] and options["follow"]:
        raise CommandError("--follow catches deletions itself: leave --delta away.")
    if options["follow"] or options["delta"]:
        name = "--follow" if options["follow"] else "--delta"
        if options["dry_run"]:
            raise CommandError(f"{name} writes: rehearse with --dry-run alone.")
        if options["retry_rejects"]:
            raise CommandError(f"{name} reads every row: leave --retry-rejects away.")
    if options["accept_deletions"] and not options["delta"]:
        raise CommandError("--accept-deletions belongs to --delta.")
    if options["follow"]:
        return
    for option in ("until_drained", "marker", "start_over", "server_id"):
        if options[option]:
            raise CommandError(f"--{option.replace('_', '-')} belongs to --follow.")


def run(
    importer: Importer,
    source: SourceUrl,
    *,
    options: Mapping[str, Any],
    cipher: TokenCipher,
    on_reject: Callable[[str, RejectedRow], None],
    on_ambiguous: Callable[[Ambiguous], None],
    rules: AttributionRules | None,
    progress: ProgressView,
) -> Report:
    """The import, followed or completed as the options say. Raises LegacyImportError."""
    if options["dry_run"]:
        return importer.run()
    with ImportLease(f"the import of {source.label}") as lease:
        if options["delta"]:
            is_accepted = options["accept_deletions"]
            if not is_accepted:
                require_same_source(source)
            report = importer.run(lease)
            return delete_missing_rows(
                source, imported=report, cipher=cipher, is_accepted=is_accepted
            )
        if not options["follow"]:
            return importer.run(lease)

        def load() -> tuple[ImportReport, str | None]:
            return importer.run(lease), importer.account_id

        return Follower(
            source,
            options=FollowOptions(
                is_until_drained=options["until_drained"],
                marker=options["marker"],
                is_start_over=options["start_over"],
                server_id=options["server_id"],
                rules=rules,
                account=options["account"],
                is_unattributed=options["unattributed"],
            ),
            cipher=cipher,
            load=load,
            read_rules=importer.read_rules,
            on_ambiguous=on_ambiguous,
            on_progress=progress.say,
            on_reject=on_reject,
        ).run(lease)


def _table_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", value):
        raise argparse.ArgumentTypeError("must be a table's name of letters, digits and _")
    return value
