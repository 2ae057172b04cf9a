"""kill -9 at a random moment of the load, the comparison and the following; then the same command.

AUTORES_IMPORT_KILLS sets how many of each, AUTORES_IMPORT_ROWS how large the table is, and
AUTORES_KILL_SEED repeats a run. The databases are compared by code the import has no part in.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from mentions.legacy.position import POSITIONS
from mentions.management.commands.migrate_from_mysql import EXIT_INTERRUPTED
from mentions.models import ImportRun, Message
from mentions.tests.legacy.comparison import compare
from mentions.tests.legacy.writer import Writer

KILLS = int(os.environ.get("AUTORES_IMPORT_KILLS", "1"))
ROWS = int(os.environ.get("AUTORES_IMPORT_ROWS", "2000"))
SEED = int(os.environ.get("AUTORES_KILL_SEED") or random.SystemRandom().randrange(10**6))
_PATIENCE_SECONDS = 60


@pytest.fixture
def chance(capsys):
    yield random.Random(SEED)
    with capsys.disabled():
        print(f" seed {SEED}", end="")


@pytest.fixture
def command(legacy, child_environ, tmp_path):
    """Starts the command as a process of its own; what it says goes to a file."""
    started = []
    said = tmp_path / "said"

    def start(*arguments):
        with said.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "migrate_from_mysql", *arguments],
                cwd=settings.BASE_DIR,
                env={**child_environ, "MYSQL_DATABASE_URL": legacy.url, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                stderr=output,
                start_new_session=True,
                # A test run in the background ignores it, and so would its children.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        process.said = said
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until(process, is_there):
    """Whether it came to be before the process ended."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_there():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, process.said.read_text()
        time.sleep(0.01)
    return True


def kill(process):
    """Whether it still ran."""
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def test_databases_are_equal_when_the_load_is_killed(
    legacy, run_import, command, chance, record_property
):
    legacy.add_user()
    first = 1_500_000_000_000_000_000
    killed, stored_at = 0, []
    while killed < KILLS:
        legacy.add_messages(ROWS, first=first)
        legacy.add_message(f"0{first}", text="👩‍🚀", status="odd", redirected=7)
        legacy.add_state(f"flow-{first}", created_at=timezone.now().replace(tzinfo=None))
        legacy.execute("UPDATE messages SET public_response = UUID() WHERE RAND() < 0.05")
        first += 10**9
        stored = Message.objects.count()
        options = ["--chunk-size", "100", "--workers", chance.choice("02") if KILLS > 1 else "0"]
        process = command(*options)
        # The row whose id comes first is written long before the other new ones.
        if wait_until(process, lambda before=stored: Message.objects.count() > before + 1):
            # From the first rows to the last of the comparison that ends the command.
            time.sleep(chance.uniform(0, ROWS / 2000))
        if kill(process):
            killed += 1
            stored_at.append(Message.objects.count() - stored)
        report = run_import(*options[:2])
        assert report["exit_code"] == 0, (SEED, report["verification"]["verdict"])
        differences = compare(legacy)
        assert differences == [], (SEED, stored_at, differences[:5])
    # The test means nothing if it was always over, or had not begun.
    assert any(0 < count <= ROWS + 1 for count in stored_at), stored_at
    record_property("rows written when killed", stored_at)
    assert run_import("--chunk-size", "100")["changes"] == 0


def test_one_sentence_is_said_when_interrupted_and_the_same_command_goes_on(
    legacy, run_import, command
):
    legacy.add_user()
    legacy.add_messages(ROWS)
    process = command("--chunk-size", "20", "--workers", "2", "--quiet")
    assert wait_until(process, Message.objects.exists)
    # As a terminal does it: to every process there.
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(_PATIENCE_SECONDS) == EXIT_INTERRUPTED
    output = process.said.read_text()
    (said, *more) = output.split("\n\n")[-1].strip().splitlines()
    assert said.startswith("Stopped by Ctrl-C. What was written stays"), output
    assert more == [], output
    run = ImportRun.objects.get()
    assert (run.state, run.report["stopped"]) == ("failed", "Interrupted by a person.")
    assert run_import("--chunk-size", "20")["exit_code"] == 0
    assert compare(legacy) == []


def test_databases_are_equal_when_the_comparison_is_killed(legacy, run_import, command, chance):
    legacy.add_user()
    legacy.add_messages(ROWS)
    legacy.add_state("flow", created_at=timezone.now().replace(tzinfo=None))
    run_import()
    assert compare(legacy) == []
    message = Message.objects.order_by("pk")[ROWS // 2]
    runs = ImportRun.objects.count()
    killed = 0
    for _ in range(5 * KILLS):
        process = command("--verify-only", "--processes", "2")
        if wait_until(process, is_comparing):
            time.sleep(chance.uniform(0, ROWS / 50_000))
        killed += kill(process)
        assert compare(legacy) == [], SEED
        if killed == KILLS:
            break
    assert killed == KILLS
    # Nothing was kept of what was cut off; the same command finds what there is to find.
    assert ImportRun.objects.count() == runs
    Message.objects.filter(pk=message.pk).update(text="spoiled")
    found = run_import("--verify-only", "--processes", "2")
    listed = found["verification"]["tables"]["messages"]["listed"]["differing"]
    assert [item["id"] for item in listed] == [message.pk]
    Message.objects.filter(pk=message.pk).update(text=message.text)
    assert run_import("--verify-only")["verification"]["is_proven"]


def test_databases_are_equal_when_the_following_is_killed_amid_a_writer(legacy, command, chance):
    """The former system changes 200 rows a second, until the cut-over."""
    legacy.add_user()
    legacy.add_user("account-2", twitter_id="1002")
    legacy.add_messages(ROWS // 2)
    writer = Writer(legacy, chance=random.Random(SEED))
    writer.start()
    began = time.monotonic()
    arguments = ["--follow", "--until-drained", "--account", "account-1"]
    phases = []
    try:
        while len(phases) < KILLS:
            before = read_position()
            process = command(*arguments)
            assert wait_until(process, lambda seen=before: read_position() != seen)
            # The first begins with the load, the others in the middle of the log.
            time.sleep(chance.uniform(0, 1.2))
            assert kill(process)
            phases.append(read_position()[0])
        before = read_position()
        process = command(*arguments, "--json")
        assert wait_until(process, lambda: read_position() != before)
        time.sleep(max(0, 3 - (time.monotonic() - began)))
        writer.stop()
        seconds = time.monotonic() - began
        legacy.execute("SET GLOBAL read_only = 1")
        output, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    finally:
        legacy.execute("SET GLOBAL read_only = 0")
        writer.stop()
    differences = compare(legacy)
    told = f"seed {SEED}, phases {phases}, {writer.rows} rows, {process.said.read_text()[-2000:]}"
    assert differences == [], f"{len(differences)} differences, {told}\n{differences[:5]}"
    assert process.returncode == 0, f"{told}\n{output.decode()[-6000:]}"
    report = json.loads(output)
    assert report["is_drained"]
    assert report["downtime_seconds"] <= report["downtime_at_most_seconds"] < 60
    # The test means nothing if the writer did little.
    assert writer.rows > 200 * seconds * 0.5, told


def is_comparing():
    """The comparison's own connections to MongoDB bear its name."""
    found = connection.database.client.admin.aggregate(
        [
            {"$currentOp": {"allUsers": True, "idleConnections": True}},
            {"$match": {"appName": "autores-verify"}},
        ]
    )
    return any(found)


def read_position():
    state = connection.get_collection(POSITIONS).find_one() or {}
    return (state.get("phase"), state.get("offset"), state.get("row_count"))
