"""The processes that load, and what they cost."""

import json
import signal
import subprocess
import sys
import threading

import pytest
from django.conf import settings

from mentions.legacy.workers import choose_context, interrupts_held

_LIST_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def list_modules(statement):
    """The modules a fresh process holds after the statement."""
    found = subprocess.run(
        [sys.executable, "-c", f"{statement}; {_LIST_MODULES}"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        check=True,
        text=True,
    )
    return set(json.loads(found.stdout))


def test_worker_holds_neither_admin_nor_api_when_loaded():
    modules = list_modules("import mentions.legacy.preload")
    assert "mentions.legacy.chunks" in modules
    assert not {"unfold", "rest_framework", "requests", "openai"} & modules


def test_packages_are_left_out_when_nobody_needs_them_yet():
    modules = list_modules("import django; django.setup()")
    assert "mentions.models" in modules
    assert not {"openai", "twitter_text", "pkg_resources"} & modules


@pytest.fixture
def heard_interrupts():
    """A test run in the background ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_process_goes_on_when_it_is_interrupted_at_its_start():
    process = choose_context().Process(target=signal.raise_signal, args=(signal.SIGINT,))
    with interrupts_held():
        process.start()
    process.join(30)
    assert process.exitcode == 0


@pytest.mark.usefixtures("heard_interrupts")
def test_this_process_is_interrupted_when_the_start_is_over():
    passed = threading.Event()
    with pytest.raises(KeyboardInterrupt), interrupts_held():  # noqa: PT012 - the place counts
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        passed.set()
    assert passed.is_set()
