"""``manage.py recover_replies``: after a restore, find on X what was sent since the backup."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from autores.observability.probe import ProbeError, probe_beat
from mentions.ingest.poll import poll_account
from mentions.management.times import read_past_time
from mentions.outbox.recover import recover_replies

_LISTED = 20


class Command(BaseCommand):
    help = (
        "After an older state of MongoDB was restored, and before worker and beat are started: "
        "what waits in the outbox is looked up on X before it may be sent, and public replies "
        "that were sent since the backup get their rows back. May be repeated. Exit code 2: some "
        "accounts could not be read."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since",
            required=True,
            metavar="TIME",
            help="When the backup was begun, with its offset: 2026-11-27T03:00:00Z",
        )
        parser.add_argument("--dry-run", action="store_true", help="Read from X, write nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        since = read_past_time(options["since"], option="--since")
        if not options["dry_run"]:
            _require_stopped()
        found = recover_replies(
            since=since,
            poll=lambda account: poll_account(account, now=timezone.now()),
            is_dry_run=options["dry_run"],
        )
        would = "would be " if options["dry_run"] else "are "
        self.stdout.write(f"{found.doubtful} waiting replies {would}looked up on X first.")
        end = ":" if found.found else "."
        self.stdout.write(f"{len(found.found)} replies sent since {would}found on X{end}")
        for message_id, post_id in found.found[:_LISTED]:
            self.stdout.write(f"  mention {message_id}: post {post_id}")
        if len(found.found) > _LISTED:
            self.stdout.write(f"  and {len(found.found) - _LISTED} more")
        if found.unread:
            listed = "\n".join(f"  {name}: {why}" for name, why in found.unread[:_LISTED])
            raise CommandError(
                f"{len(found.unread)} accounts could not be read; mend that, and run this again "
                f"before you answer their mentions:\n{listed}",
                returncode=2,
            )


def _require_stopped() -> None:
    """Beat has what waits sent, so that it would race with this. Raises CommandError."""
    try:
        probe_beat()
    except ProbeError:
        return
    raise CommandError(
        "Beat is running, or was 30 seconds ago: stop it and the worker, wait so long, and run "
        "this again before you start them."
    )
