"""``manage.py ignore_backlog``: ignore open mentions that are too old to be answered."""

import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import TwitterAccount, User
from mentions.backlog import Ignored, count_backlog, ignore_backlog
from mentions.legacy.progress import choose_progress
from mentions.management.times import read_past_time

_LISTED = 20
_LEFT = {
    "reply_unsettled": "a reply to it is under way",
    "wrong_status": "it is not pending any more",
    "busy": "it was being changed at that moment: run this again",
    "gone": "it was deleted meanwhile",
}


class Command(BaseCommand):
    help = (
        "Ignore the pending mentions that were posted before a time, such as what the former "
        "system left open. Each gets its entry in the audit, and can be reopened. What somebody "
        "claimed, or a reply to which is under way, stays. May be interrupted and repeated."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--before",
            required=True,
            metavar="TIME",
            help="Mentions posted before, with its offset: 2026-11-27T03:00:00Z",
        )
        parser.add_argument(
            "--as",
            dest="person",
            required=True,
            metavar="NAME",
            help="Whose name the audit shall have: somebody who signs in here. Roles are not asked "
            "for: who runs commands may do everything.",
        )
        parser.add_argument(
            "--account", metavar="ACCOUNT", help="Of this account alone: its id, X id or @name."
        )
        parser.add_argument("--dry-run", action="store_true", help="Count, and change nothing.")
        parser.add_argument("--quiet", action="store_true", help="No progress.")

    def handle(self, *args: Any, **options: Any) -> None:
        before = read_past_time(options["before"], option="--before")
        user = User.objects.filter(username=options["person"], is_active=True).first()
        if user is None:
            raise CommandError(f"--as: nobody who may sign in is called {options['person']!r}.")
        account = _find_account(options["account"]) if options["account"] is not None else None
        found = count_backlog(before=before, account=account)
        if options["dry_run"]:
            self.stdout.write(_show_backlog(found))
            return
        outcome = Ignored()
        progress = choose_progress(
            sys.stderr,
            is_quiet=options["quiet"],
            write=lambda line: self.stderr.write(line, style_func=str),
        )
        try:
            progress.begin("ignoring mentions", found.total())
            ignore_backlog(
                outcome, before=before, user=user, account=account, on_rows=progress.advance
            )
        except KeyboardInterrupt:
            raise CommandError("Stopped: run it again for the rest.", returncode=130) from None
        finally:
            progress.close()
            self.stdout.write(_show_outcome(outcome))


def _find_account(value: str) -> TwitterAccount:
    """By the first that fits: the id, the X id, the name."""
    name = value.removeprefix("@")
    for named in ({"pk": value}, {"twitter_id": value}, {"twitter_username__iexact": name}):
        # An account that was never called has no name yet.
        accounts = list(TwitterAccount.objects.filter(**named)[:2]) if name else []
        if len(accounts) > 1:
            raise CommandError(f"--account: more than one is called {value!r}; give its id.")
        if accounts:
            return accounts[0]
    raise CommandError(f"--account: no account is called {value!r}.")


def _show_backlog(found: Counter[str]) -> str:
    lines = [
        f"{found.total()} pending mentions would be ignored, less those with a reply under way."
    ]
    names = {account.pk: str(account) for account in TwitterAccount.objects.filter(pk__in=found)}
    for account_id, count in found.most_common(_LISTED):
        lines.append(f"  {names.get(account_id) or account_id or 'of no account'}: {count}")
    if len(found) > _LISTED:
        lines.append(f"  and those of {len(found) - _LISTED} more accounts")
    return "\n".join(lines)


def _show_outcome(outcome: Ignored) -> str:
    lines = [f"{outcome.ignored} mentions are ignored, {outcome.left.total()} were left."]
    lines += [f"  {count}: {_LEFT.get(code, code)}" for code, count in (+outcome.left).items()]
    return "\n".join(lines)
