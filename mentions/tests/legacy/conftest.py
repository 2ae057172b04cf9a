import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mentions.tests.legacy.database import LegacyDatabase


@pytest.fixture
def legacy(mariadb: str) -> Iterator[LegacyDatabase]:
    database = LegacyDatabase(mariadb)
    yield database
    database.drop()


@pytest.fixture
def run_import(legacy: LegacyDatabase, transactional_db: None) -> Callable[..., dict[str, Any]]:
    """Runs the command with --json; ``exit_code`` is added to the report it prints."""

    def run(*arguments: str) -> dict[str, Any]:
        out = io.StringIO()
        code = 0
        try:
            call_command(
                "migrate_from_mysql", "--json", "--source", legacy.url, *arguments, stdout=out
            )
        except CommandError as error:
            if error.returncode != 2:
                raise
            code = error.returncode
        return {**json.loads(out.getvalue()), "exit_code": code}

    return run


@pytest.fixture
def imported(legacy: LegacyDatabase, run_import: Callable[..., dict[str, Any]]) -> LegacyDatabase:
    """An account and three messages, taken over."""
    legacy.add_user()
    legacy.add_message("1", text="first")
    legacy.add_message("2", text="second", redirected=2)
    legacy.add_message("3", text="third")
    run_import("--quiet")
    return legacy


@pytest.fixture
def set_global(legacy: LegacyDatabase) -> Iterator[Callable[[str, Any], None]]:
    """Sets a global variable of the shared server, and puts it back."""
    before: dict[str, Any] = {}

    def set_variable(name: str, value: Any) -> None:
        ((found,),) = legacy.execute(f"SELECT @@GLOBAL.{name}")
        before.setdefault(name, found)
        legacy.execute(f"SET GLOBAL {name} = %s", value)

    yield set_variable
    for name, value in before.items():
        legacy.execute(f"SET GLOBAL {name} = %s", value)
