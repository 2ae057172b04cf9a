"""One import at a time, told by real processes."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.core.management import CommandError
from django.db import connection

from mentions.legacy.lease import LEASES, ImportBusyError, ImportLease, LeaseLostError
from mentions.models import ImportPosition, ImportRun, Message

COMMAND = [sys.executable, "manage.py", "migrate_from_mysql", "--quiet"]


ONE_HOUR = timedelta(hours=1)


@pytest.fixture
def leases(transactional_db):
    collection = connection.get_collection(LEASES)
    collection.drop()
    yield collection
    collection.drop()


@pytest.fixture
def following(legacy, child_environ, leases):
    """A process that imports, and then follows until it is ended."""
    legacy.add_user()
    legacy.add_messages(3)
    process = subprocess.Popen(
        [*COMMAND, "--follow"],
        cwd=settings.BASE_DIR,
        env={**child_environ, "MYSQL_DATABASE_URL": legacy.url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while Message.objects.count() < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    yield process
    process.kill()
    process.wait()


def write_lease(leases, *, seconds, place="elsewhere", pid=1, token="other"):
    now = datetime.now(UTC)
    leases.replace_one(
        {"_id": "import"},
        {
            "token": token,
            "purpose": "the import of db/legacy",
            "run_id": "run-7",
            "place": place,
            "host": "db-1",
            "pid": pid,
            "taken_at": now,
            "expires_at": now + timedelta(seconds=seconds),
        },
        upsert=True,
    )


def test_second_import_is_refused_while_one_runs_and_welcome_after_a_kill(
    legacy, run_import, following, leases
):
    with pytest.raises(CommandError) as refused:
        run_import()
    sentence = str(refused.value)
    assert f"process {following.pid} on" in sentence
    assert str(ImportRun.objects.get(report__kind="follow").pk) in sentence

    following.send_signal(signal.SIGKILL)
    following.wait()
    legacy.add_message("9")
    # It is not waited for: its process is known to be gone.
    leases.update_one({"_id": "import"}, {"$set": {"expires_at": datetime.now(UTC) + ONE_HOUR}})
    assert run_import()["tables"]["messages"]["created"] == 1


def test_run_is_closed_when_it_was_killed_and_another_begins(legacy, run_import):
    legacy.add_user()
    dead = ImportRun.objects.create(source="x")
    followed = ImportRun.objects.create(source="y", report={"kind": "follow"})
    ImportPosition.objects.create(id="y", file="f", offset=1, run_id=followed.pk, phase="following")
    run_import()
    dead.refresh_from_db()
    assert dead.state == "failed"
    assert "killed" in dead.report["stopped"]
    # A following is gone on with: it is no dead run.
    assert ImportRun.objects.get(pk=followed.pk).state == "running"


def test_lease_is_given_back_when_an_import_ends(legacy, run_import, leases):
    legacy.add_user()
    run_import()
    assert leases.count_documents({}) == 0
    legacy.execute("DROP TABLE oauth_states")
    with pytest.raises(CommandError):
        run_import()
    assert leases.count_documents({}) == 0


def test_rehearsal_is_allowed_while_an_import_runs(legacy, run_import, leases):
    legacy.add_user()
    write_lease(leases, seconds=60)
    assert run_import("--dry-run")["exit_code"] == 0


def test_lease_is_taken_over_when_it_runs_out(leases):
    write_lease(leases, seconds=1.5)
    began = time.monotonic()
    with ImportLease("an import"):
        assert leases.find_one()["pid"] == os.getpid()
    assert time.monotonic() - began > 1


def test_other_is_named_when_his_lease_is_renewed_elsewhere(leases):
    write_lease(leases, seconds=10)

    class Renewed(ImportLease):
        def _take_over(self, held):
            # As the other process does every few seconds.
            leases.update_one(
                {"_id": "import"}, {"$set": {"expires_at": held["expires_at"] + timedelta(1)}}
            )
            return super()._take_over(held)

    with pytest.raises(ImportBusyError, match=r"db/legacy \(run run-7, process 1 on"):
        Renewed("an import").__enter__()
    assert leases.find_one()["token"] == "other"


def test_lease_is_renewed_while_it_is_held(leases):
    with ImportLease("an import") as lease:
        first = leases.find_one()["expires_at"]
        time.sleep(4)
        assert leases.find_one()["expires_at"] > first
        lease.check()


def test_import_ends_when_another_took_over_while_it_stood_still(leases):
    with ImportLease("an import") as lease:
        write_lease(leases, seconds=60)
        lease._renewed_at -= 60
        with pytest.raises(LeaseLostError, match="stood still"):
            lease.check()
    assert leases.find_one()["token"] == "other"
