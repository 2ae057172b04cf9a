"""What some tests need and Python packages cannot bring: a browser, curl, a C compiler."""

import os
import shutil
from typing import NoReturn

import pytest


def require_program(*names: str, remedy: str) -> str:
    """Return the path of the first program that is there; otherwise ``leave_out``."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        leave_out(f"{' or '.join(names)} is not on PATH: {remedy}")
    return path


def leave_out(sentence: str) -> NoReturn:
    """Skip the test, or fail where CI is set.

    A developer may lack a browser; continuous integration that silently lacks it checks nothing.
    """
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
