"""The command line says in a sentence what is not there."""

import subprocess
import sys

import pytest
from django.conf import settings


@pytest.mark.parametrize(
    ("command", "gone", "sentence"),
    [
        ("resume_x", "MONGODB_URL", "MongoDB cannot be reached: "),
        ("resume_x --traceback", "MONGODB_URL", "Traceback"),
    ],
)
def test_sentence_names_what_cannot_be_reached_when_a_command_needs_it(
    child_environ: dict[str, str], command: str, gone: str, sentence: str
) -> None:
    environ = {**child_environ, gone: "mongodb://127.0.0.1:9/?replicaSet=rs0"}
    found = subprocess.run(
        [sys.executable, "manage.py", *command.split()],
        cwd=settings.BASE_DIR,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    assert sentence in found.stderr
    assert ("Traceback" in found.stderr) == ("--traceback" in command)
