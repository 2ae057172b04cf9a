"""Programs that some tests drive and Python packages cannot bring: a browser, curl."""

import os
import shutil

import pytest


def require_program(*names: str, remedy: str) -> str:
    """Return the path of the first program that is there; otherwise skip, or fail where CI is set.

    A developer may lack a browser; continuous integration that silently lacks it checks nothing.
    """
    for name in names:
        if path := shutil.which(name):
            return path
    sentence = f"{' or '.join(names)} is not on PATH: {remedy}"
    if os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
