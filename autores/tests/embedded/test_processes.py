"""Real processes: small Python programs that behave well, badly, or not at all."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from autores.embedded.errors import ServerStartError
from autores.embedded.processes import Child, Group

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print("grandchild", grandchild.pid, flush=True)
time.sleep(60)
"""


def start(name: str, program: str, folder: Path) -> Child:
    return Child(name, [sys.executable, "-c", program], log_path=folder / f"{name}.log")


def wait_for(condition: object, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_start_fails_at_once_with_the_log_when_the_child_ends(tmp_path: Path) -> None:
    child = start("broken", "print('cannot open the door'); raise SystemExit(3)", tmp_path)
    began = time.monotonic()

    with pytest.raises(ServerStartError) as caught:
        child.wait_until_ready(lambda: False, seconds=30)

    assert time.monotonic() - began < 10
    assert "broken ended with exit code 3" in str(caught.value)
    assert "cannot open the door" in str(caught.value)
    child.stop()


def test_start_fails_when_the_child_never_answers(tmp_path: Path) -> None:
    child = start("mute", "import time; time.sleep(60)", tmp_path)

    with pytest.raises(ServerStartError, match=r"mute did not answer within 0\.3 s"):
        child.wait_until_ready(lambda: False, seconds=0.3)

    child.stop()
    assert child.exit_code == -signal.SIGTERM


def test_tail_shows_this_start_only_when_the_log_is_older(tmp_path: Path) -> None:
    (tmp_path / "web.log").write_text("yesterday's trouble\n")
    child = start("web", "print('today')", tmp_path)
    wait_for(lambda: child.exit_code is not None)

    assert child.read_tail() == "today"
    child.stop()


def test_whole_group_is_gone_when_a_child_ignores_sigterm(tmp_path: Path) -> None:
    child = start("stubborn", STUBBORN, tmp_path)
    wait_for(lambda: "grandchild" in child.read_tail())
    grandchild = int(child.read_tail().split()[1])

    child.stop(seconds=0.3)

    assert child.exit_code == -signal.SIGKILL
    wait_for(lambda: not is_alive(grandchild))


def test_children_stop_in_reverse_order_when_the_group_stops(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import signal, sys, time
        def end(number, frame):
            with open(sys.argv[1], "a") as file: file.write(sys.argv[2] + " ")
            sys.exit(0)
        signal.signal(signal.SIGTERM, end)
        print("ready", flush=True)
        time.sleep(60)
    """)
    order = tmp_path / "order"
    group = Group()
    for name in ("database", "web", "beat"):
        child = Child(
            name,
            [sys.executable, "-c", program, str(order), name],
            log_path=tmp_path / f"{name}.log",
        )
        group.add(child).wait_until_ready(lambda child=child: "ready" in child.read_tail())

    group.stop()

    assert order.read_text().split() == ["beat", "web", "database"]
    assert group.children == []


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_orphan_when_the_supervisor_is_killed(tmp_path: Path, ending: signal.Signals) -> None:
    supervisor = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import sys, time
                from pathlib import Path
                from autores.embedded.processes import Child
                child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"],
                              log_path=Path({str(tmp_path)!r}) / "sleeper.log")
                print(child.pid, flush=True)
                time.sleep(60)
            """),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert supervisor.stdout is not None
    child_pid = int(supervisor.stdout.readline())
    assert is_alive(child_pid)

    supervisor.send_signal(ending)
    supervisor.wait(10)
    supervisor.stdout.close()

    wait_for(lambda: not is_alive(child_pid))


def test_leftover_of_a_killed_supervisor_is_ended_when_the_same_part_starts(
    tmp_path: Path,
) -> None:
    leftover = start("web", "import time; time.sleep(60)", tmp_path)

    successor = start("web", "import time; time.sleep(60)", tmp_path)

    assert not is_alive(leftover.pid)
    assert successor.exit_code is None
    successor.stop()
    leftover.stop()
    assert not (tmp_path / "web.pid").exists()


def test_stranger_is_left_alone_when_it_got_the_pid_of_a_leftover(tmp_path: Path) -> None:
    (tmp_path / "web.pid").write_text(f"{os.getpid()} 1.0\n")  # our pid, another process's start

    child = start("web", "pass", tmp_path)

    wait_for(lambda: child.exit_code == 0)
    child.stop()
