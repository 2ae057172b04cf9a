"""Taking an import back, on a real MariaDB and a real MongoDB."""

import io
import os
import pty
import subprocess
import sys
from contextlib import suppress

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Membership, OAuthState, Role, TwitterAccount, User
from mentions.legacy.progress import NoProgress
from mentions.legacy.rollback import RollbackError, roll_back
from mentions.models import Draft, ImportChunk, ImportReject, ImportRun, Message


@pytest.fixture
def imported(legacy, run_import):
    legacy.add_user()
    for key in ("1", "2", "3", "4", "5"):
        legacy.add_message(key)
    legacy.add_message("bad", timestamp="0000-00-00 00:00:00")
    legacy.add_state("live", created_at=timezone.now().replace(tzinfo=None))
    report = run_import("--quiet")
    return report["run"]


def test_everything_goes_when_nobody_changed_it(imported):
    report = roll_back(imported)

    assert (report.removed, report.kept) >= (6, 0)
    assert report.kept == 0
    for model in (Message, TwitterAccount, OAuthState, ImportReject):
        assert not model.objects.exists()
    assert ImportRun.objects.get(pk=imported).state == "rolled_back"


def test_everything_goes_when_later_runs_updated_it_and_are_rolled_back_first(
    imported, legacy, run_import
):
    runs = [imported]
    for status in ("replied", "ignored"):
        legacy.execute("UPDATE messages SET status = %s WHERE id IN ('1', '2')", status)
        runs.append(run_import("--quiet")["run"])
    Message.objects.filter(pk="2").update(version=4)

    assert dict(roll_back(runs[0], is_dry_run=True).tables[1].listed)["1"].endswith(
        f"updated by the later run {runs[2]}: roll that one back first"
    )
    for run in reversed(runs):
        report = roll_back(run)

    tables = {table.table: table for table in report.tables}
    assert dict(tables["messages"].listed) == {"2": "was worked on here since"}
    assert list(Message.objects.values_list("pk", flat=True)) == ["2"]


def test_what_people_changed_stays_when_rolled_back(imported):
    Message.objects.filter(pk="1").update(status="ignored")
    Message.objects.filter(pk="2").update(version=2)
    Message.objects.filter(pk="3").update(claimed_by="ana")
    Draft.objects.create(message_id="4", account_id="account-1", open_key="4", text="hello")
    Message.objects.create(
        id="9", account_id="account-1", post_id="9", timestamp=timezone.now(), user="1", text="own"
    )

    foretold = roll_back(imported, is_dry_run=True)
    report = roll_back(imported)

    assert {**foretold.to_json(), "is_dry_run": False} == report.to_json()

    assert set(Message.objects.values_list("pk", flat=True)) == {"1", "2", "3", "4", "9"}
    tables = {table.table: table for table in report.tables}
    assert dict(tables["messages"].listed) == {
        "1": "was changed here since",
        "2": "was worked on here since",
        "3": "somebody is working on it",
        "4": "has drafts",
    }
    # What is left must not point at nothing.
    assert tables["users"].listed == [("account-1", "has messages")]
    assert TwitterAccount.objects.exists()


def test_account_stays_when_it_has_members(imported):
    person = User.objects.create(username="ana")
    Membership.objects.create(user=person, account_id="account-1", role=Role.MANAGER)

    report = roll_back(imported)

    assert ("account-1", "has members") in report.tables[-1].listed
    assert not Message.objects.exists()


def test_nothing_goes_when_only_rehearsed(imported):
    report = roll_back(imported, is_dry_run=True)

    assert report.removed >= 6
    assert Message.objects.count() == 5
    assert ImportReject.objects.exists()


def test_rows_come_back_when_imported_after_a_rollback(imported, run_import):
    roll_back(imported)

    report = run_import("--quiet")

    assert report["tables"]["messages"]["created"] == 5
    assert report["tables"]["messages"]["deleted_here"] == 0


def test_rows_come_back_when_the_rollback_was_interrupted(imported, run_import):
    class Interruption(NoProgress):
        def advance(self, rows):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        roll_back(imported, progress=Interruption())
    Message.objects.filter(pk__in=["1", "2"]).delete()

    report = run_import("--quiet")

    assert report["tables"]["messages"]["deleted_here"] == 0
    assert report["verification"]["is_proven"]


def test_only_its_own_documents_go_when_a_later_run_added_more(imported, legacy, run_import):
    legacy.add_message("6")
    legacy.execute("UPDATE messages SET status = 'replied' WHERE id = '1'")
    second = run_import("--quiet")["run"]

    report = roll_back(second)

    tables = {table.table: table for table in report.tables}
    assert tables["messages"].removed == 1
    assert tables["messages"].listed == [("1", "was here before the run, which only updated it")]
    assert set(Message.objects.values_list("pk", flat=True)) == {"1", "2", "3", "4", "5"}


def test_second_rollback_changes_nothing_when_repeated(imported):
    roll_back(imported)

    assert roll_back(imported).removed == 0


def test_runs_are_named_when_there_is_no_such_run(imported):
    with pytest.raises(RollbackError, match=imported):
        roll_back("no-such-run")


def test_a_report_is_no_run_that_can_be_taken_back(imported, legacy):
    call_command("migrate_from_mysql", "--verify-only", "--quiet", "--source", legacy.url)
    chunks = ImportChunk.objects.count()
    compared = ImportRun.objects.get(state="verified")
    with pytest.raises(RollbackError, match="a report, which wrote nothing"):
        roll_back(compared.pk)
    assert ImportChunk.objects.count() == chunks


def test_exit_code_tells_when_something_was_left(imported):
    Message.objects.filter(pk="1").update(status="ignored")

    with pytest.raises(CommandError) as caught:
        call_command("migrate_from_mysql", "--rollback", imported)

    assert caught.value.returncode == 2
    assert ImportRun.objects.filter(state="undo").count() == 1


@pytest.mark.parametrize("is_quiet", [False, True])
def test_course_is_told_when_much_is_taken_back_or_exported(imported, legacy, is_quiet):
    quiet = ["--quiet"] if is_quiet else []
    shown = io.StringIO()
    rehearsal = ["--export-to-mysql", "--source", legacy.url, "--dry-run"]
    call_command("migrate_from_mysql", *rehearsal, *quiet, stdout=io.StringIO(), stderr=shown)
    rollback = ["--rollback", imported]
    call_command("migrate_from_mysql", *rollback, *quiet, stdout=io.StringIO(), stderr=shown)
    lines = shown.getvalue()
    assert ("exporting messages: 5 of 5 rows" in lines) is not is_quiet
    assert ("taking back messages: 5 of 5 rows" in lines) is not is_quiet
    assert bool(lines) is not is_quiet


def run_on_terminal(environ, *arguments):
    """What the command writes to a terminal, with what moves the cursor."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "migrate_from_mysql", *arguments],
        cwd=settings.BASE_DIR,
        env={**environ, "TERM": "xterm"},
        stdout=its,
        stderr=its,
    )
    os.close(its)
    written = b""
    # Linux says with an error that nobody holds the other end any more.
    with suppress(OSError):
        while part := os.read(ours, 4096):
            written += part
    os.close(ours)
    assert process.wait() == 0, written
    return written.decode()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--export-to-mysql", "--dry-run"], "messages: 0 would be inserted"),
        (["--rollback", "RUN", "--dry-run"], "messages: 5 would be removed"),
        (["--verify-only"], "Proven: every row"),
    ],
)
def test_no_bar_is_drawn_over_the_report_on_a_terminal(
    imported, legacy, child_environ, arguments, told
):
    given = [imported if argument == "RUN" else argument for argument in arguments]
    environ = {**child_environ, "MYSQL_DATABASE_URL": legacy.url}
    bars, _, report = run_on_terminal(environ, *given).partition(told)
    assert "messages" in bars
    assert report
    assert "\x1b[" not in report
