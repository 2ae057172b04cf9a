"""manage.py sandbox scripts a running sandbox."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from autores import sandbox as sandbox_package
from autores.sandbox import faults


@pytest.fixture
def run(sandbox):
    def call(*arguments):
        out = StringIO()
        call_command("sandbox", "--url", sandbox.url, *arguments, stdout=out)
        return out.getvalue()

    return call


def test_mentions_arrive_when_the_command_says_so(sandbox, run):
    assert "@acme has the id" in run("user", "acme", "--name", "Acme")
    shown = run("mention", "acme", "Where is it?", "--author", "ana")
    assert "@ana: @acme Where is it?" in shown
    assert "and 20 more" in run("mention", "@acme", "--count", "30", "--kind", "quote")
    assert "@ana: @acme Where is it?" in run("timeline")
    assert len(sandbox.control.list_posts(author="ana")) == 1


def test_fault_is_armed_listed_and_cleared_when_told(sandbox, run):
    assert "armed" in run("fault", "me", "slow", "--param", "seconds=0.5", "--times", "0")
    (fault,) = sandbox.control.list_faults()
    assert (fault["params"], fault["times"]) == ({"seconds": 0.5}, None)
    assert "me slow, fired 0 every time" in run("fault")
    run("fault", "--clear")
    assert run("fault") == "no faults\n"


def test_time_moves_and_everything_goes_when_told(sandbox, run):
    sandbox.control.set_clock(now="2026-05-01T10:00:00Z", frozen=True)
    sandbox.control.set_clock(now="2026-05-01T10:00:00Z")
    assert "2026-05-01T10:01:00" in run("clock", "--advance", "60")
    assert "on" in run("autopilot", "on", "--every", "3600")
    assert sandbox.world.store.settings["autopilot"]["enabled"] is True
    run("reset")
    assert sandbox.world.store.settings["autopilot"]["enabled"] is False


def test_command_ends_with_the_remedy_when_the_sandbox_refuses(run):
    with pytest.raises(CommandError, match="no user @nobody"):
        run("mention", "nobody", "Hello")
    with pytest.raises(CommandError, match="one of"):
        run("fault", "me", "catch_fire")
    with pytest.raises(CommandError, match="NAME=VALUE"):
        run("fault", "me", "slow", "--param", "seconds")


def test_command_says_how_to_start_one_when_nothing_runs():
    with pytest.raises(CommandError, match="python -m autores"):
        call_command("sandbox", "--url", "http://127.0.0.1:9", "clock")


def start_manage(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_help_names_every_route_fault_and_parameter():
    shown, _ = start_manage("sandbox", "fault", "--help").communicate(timeout=60)

    words = set(re.findall(r"[\w*]+", shown))
    assert words >= {*faults.ROUTES, *faults.NAMES}
    sources = Path(sandbox_package.__path__[0]).glob("*.py")
    read = {
        name
        for source in sources
        for name in re.findall(r'params\.get\("(\w+)"', source.read_text("utf-8"))
    }
    documented = {name for known in faults.PARAMETERS.values() for name in known}
    assert read == documented
    assert words >= documented
    assert set(faults.PARAMETERS) <= set(faults.NAMES)


@pytest.mark.parametrize(
    "arguments", [["sandbox", "fault", "--help"], ["diffsettings", "--all"]], ids=" ".join
)
def test_no_traceback_is_left_when_the_reader_of_the_pipe_is_gone(arguments):
    process = start_manage(*arguments)
    process.stdout.close()
    process.stdout = None
    _, errors = process.communicate(timeout=60)

    assert errors == ""
