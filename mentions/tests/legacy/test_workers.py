"""The processes that load, and what they cost."""

import json
import subprocess
import sys

from django.conf import settings

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
