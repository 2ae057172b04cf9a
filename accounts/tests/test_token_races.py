"""A single-use token is never lost to a race: of threads, of processes, of refused calls.

AUTORES_RACES says how often two workers race in each of the tests that do.
"""

import os
import subprocess
import sys
import threading
from typing import Any

import pytest

from accounts.clients import call_x
from accounts.models import TwitterAccount
from accounts.tests.conftest import count_calls, expire_access
from accounts.tokens import access_token_for
from autores.tests.threads import run_together

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = int(os.environ.get("AUTORES_RACES", "25"))


def test_account_is_never_lost_when_threads_race_for_a_refresh(
    sandbox: Any, acme: TwitterAccount
) -> None:
    start, end = threading.Barrier(3, timeout=30), threading.Barrier(3, timeout=30)
    found: list[str] = []

    def work() -> None:
        for _ in range(ROUNDS):
            copy = TwitterAccount.objects.get(pk=acme.pk)
            start.wait()
            found.append(access_token_for(copy))
            end.wait()

    def direct() -> None:
        for round_number in range(ROUNDS):
            expire_access(acme, sandbox)
            start.wait()
            end.wait()
            assert len(set(found)) == 1, f"round {round_number}"
            found.clear()

    sandbox.control.clear_calls()
    run_together(work, work, direct)

    assert count_calls(sandbox, "token") == ROUNDS
    assert TwitterAccount.objects.get(pk=acme.pk).status == "active"
    assert call_x(acme, lambda x: x.get_me()).username == "acme"


def test_account_is_never_lost_when_processes_race_for_a_refresh(
    sandbox: Any, acme: TwitterAccount, child_environ: dict[str, str]
) -> None:
    command = [sys.executable, "-m", "accounts.tests.refresh_worker", acme.pk]
    environ = {**child_environ, "DJANGO_SETTINGS_MODULE": "autores.settings", "LOG_LEVEL": "ERROR"}
    workers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )
        for _ in range(2)
    ]
    try:
        assert [worker.stdout.readline().strip() for worker in workers] == ["ready"] * 2
        sandbox.control.set_limits(preset="unlimited")
        sandbox.control.clear_calls()
        for round_number in range(ROUNDS):
            expire_access(acme, sandbox)
            for worker in workers:
                worker.stdin.write("call\n" if round_number % 10 == 9 else "token\n")
                worker.stdin.flush()
            answers = {worker.stdout.readline().strip() for worker in workers}
            assert len(answers) == 1, f"round {round_number}: {answers}"
            assert answers.pop().endswith(" acme" if round_number % 10 == 9 else " -")
    finally:
        for worker in workers:
            worker.stdin.close()
            worker.wait(timeout=20)
            worker.stdout.close()

    assert count_calls(sandbox, "token") == ROUNDS
    assert TwitterAccount.objects.get(pk=acme.pk).status == "active"


def test_account_is_never_lost_when_threads_race_after_a_refused_call(
    sandbox: Any, acme: TwitterAccount
) -> None:
    for _ in range(20):
        sandbox.control.expire_tokens(acme.twitter_id)
        copies = [TwitterAccount.objects.get(pk=acme.pk) for _ in range(3)]
        names: list[str] = []

        def call(copy: TwitterAccount, names: list[str] = names) -> None:
            names.append(call_x(copy, lambda x: x.get_me()).username)

        run_together(*(lambda copy=copy: call(copy) for copy in copies))

        assert names == ["acme"] * 3
    assert TwitterAccount.objects.get(pk=acme.pk).status == "active"
