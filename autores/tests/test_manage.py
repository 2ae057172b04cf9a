"""The command line says in a sentence what is not there."""

import subprocess
import sys

from django.conf import settings


def test_sentence_names_the_database_when_a_command_cannot_reach_it(
    child_environ: dict[str, str],
) -> None:
    nowhere = "mongodb://127.0.0.1:9/?directConnection=true&serverSelectionTimeoutMS=500"
    found = subprocess.run(
        [sys.executable, "manage.py", "resume_x"],
        cwd=settings.BASE_DIR,
        env={**child_environ, "MONGODB_URL": nowhere},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1
    (sentence,) = found.stderr.splitlines()
    assert sentence.startswith("MongoDB cannot be reached: ")
    assert "is MONGODB_URL right?" in sentence
