"""System checks that ask the server: ``manage.py check --database default`` and ``migrate``."""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import connections

from .errors import MongoUnavailableError
from .health import read_server_state


def check_servers(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """``autores.mongo.E002``: no answer; ``autores.mongo.E003``: an answer of an unfit server."""
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor != "mongodb":
            continue
        try:
            problems = read_server_state(using=alias).list_problems()
        except MongoUnavailableError as error:
            found.append(checks.Error(str(error), obj=alias, id="autores.mongo.E002"))
            continue
        found += [checks.Error(text, obj=alias, id="autores.mongo.E003") for text in problems]
    return found
