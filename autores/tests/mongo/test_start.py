"""What a process does before it can use the database."""

import subprocess
import sys

from django.conf import settings

# Every program that is started while Django loads, by Python's own audit events.
_PROBE = """
import sys
started = []
sys.addaudithook(lambda name, found: started.append(found) if name == "subprocess.Popen" else None)
import django
django.setup()
print(len(started))
"""


def test_no_program_is_started_when_django_loads() -> None:
    found = subprocess.run(
        [sys.executable, "-c", _PROBE],
        cwd=settings.BASE_DIR,
        env={"DJANGO_SETTINGS_MODULE": "autores.settings", "AUTORES_DOTENV": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not found.returncode, found.stderr
    assert found.stdout.strip() == "0"
