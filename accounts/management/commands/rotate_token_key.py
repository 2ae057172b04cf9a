"""``manage.py rotate_token_key``: put every stored token under the first encryption key."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.rotation import rotate_secrets

_SHOWN = 20


class Command(BaseCommand):
    help = (
        "Re-encrypt all stored tokens and code verifiers with the first of TOKEN_ENCRYPTION_KEYS. "
        "To rotate: put the new key first, restart, run this, then remove the old key."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Count only, change nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        dry_run: bool = options["dry_run"]
        report = rotate_secrets(dry_run=dry_run)
        verb = "would be re-encrypted" if dry_run else "re-encrypted"
        self.stdout.write(
            f"{report.rotated} {verb}, {report.current} had the first key already, "
            f"{report.changed_meanwhile} were renewed meanwhile, "
            f"{len(report.unreadable)} cannot be decrypted."
        )
        if report.unreadable:
            for name in report.unreadable[:_SHOWN]:
                self.stderr.write(name)
            if len(report.unreadable) > _SHOWN:
                self.stderr.write(f"… and {len(report.unreadable) - _SHOWN} more")
            raise CommandError(
                "Some secrets fit none of TOKEN_ENCRYPTION_KEYS. Put the key they were encrypted "
                "with back into the list and run this again, or connect those accounts again."
            )
