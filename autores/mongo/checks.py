"""System checks that ask the server: ``manage.py check --database default`` and ``migrate``."""

from collections.abc import Sequence
from typing import Any

from django.core import checks
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from pymongo.errors import PyMongoError

from .errors import MongoUnavailableError
from .health import read_server_state
from .restore import list_incomplete_models


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


def check_indexes(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """``autores.mongo.W004``: a collection with documents lacks indexes its model declares.

    Silent while migrations are to be run, which make indexes themselves.
    """
    found: list[checks.CheckMessage] = []
    for alias in databases or ():
        if connections[alias].vendor != "mongodb":
            continue
        try:
            executor = MigrationExecutor(connections[alias])
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                continue
            found += [
                checks.Warning(
                    f"The collection {model._meta.db_table} lacks indexes: {', '.join(names)}. "
                    "Reading it is slow, and nothing may be kept unique.",
                    hint="An import is running, or was killed: run it again, or run `manage.py "
                    "restore_indexes`.",
                    obj=alias,
                    id="autores.mongo.W004",
                )
                for model, names in list_incomplete_models(using=alias)
            ]
        except (PyMongoError, DatabaseError):
            # check_servers says so.
            continue
    return found
