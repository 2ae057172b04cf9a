"""``manage.py reconcile_counters``: prove that the counters of messages are right, or repair."""

from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from autores.mongo.errors import TransactionConflictError
from mentions.legacy.lease import is_import_running
from mentions.tallies import CountersChangedError, fold_all, reconcile_counters

_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Count all messages by account, status and day, compare with the counters that the API "
        "answers from, and repair what differs. May run at any time, beside everything else but "
        "an import, which ends with it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="repair nothing; end with the code 1 if anything differs",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        is_check = bool(options["check"])
        if not is_check and is_import_running():
            raise CommandError(
                "An import is running. It counts its messages when it ends: wait for it."
            )
        try:
            found = reconcile_counters(must_repair=not is_check)
        except CountersChangedError as error:
            raise CommandError(str(error)) from None
        for key, was, is_ in found.differences[:_SHOWN]:
            account = key.account_id or "no account"
            self.stdout.write(f"{account}, {key.status!r}, {key.day}: counted {was}, are {is_}")
        if len(found.differences) > _SHOWN:
            self.stdout.write(f"... and {len(found.differences) - _SHOWN} more")
        if found.is_right:
            self.stdout.write(f"The counters are right ({found.messages} messages).")
        elif not found.is_repaired:
            raise CommandError(
                f"{len(found.differences)} counters differ"
                f"{'' if found.were_exact else ', and they are not in use'}: run this without "
                "--check."
            )
        else:
            self.stdout.write(f"Repaired: {found.messages} messages are counted, and in use.")
        if not is_check:
            # The worker does it, too; whoever writes at this moment goes first.
            with suppress(TransactionConflictError):
                fold_all()
