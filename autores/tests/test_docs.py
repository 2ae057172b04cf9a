"""What the documents say of settings, states, tasks and commands, compared with the code."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class
from dotenv import dotenv_values

from accounts.models import AccountStatus
from autores import env
from autores.celery import app as celery_app
from autores.tests.documents import (
    ARCHITECTURE,
    DOCS,
    DOCUMENTS,
    OPERATIONS,
    OURS,
    README,
    ROOT,
    SETTINGS,
    VARIABLES,
    find_check_ids,
    in_code_marks,
    read_rows,
    read_section,
)
from mentions.models import DraftState, MessageStatus, ReplyState

# -- settings ---------------------------------------------------------------------------------


def read_default(variable: env.Variable) -> str:
    default = variable.default
    if default in ("", []):
        return "—"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, list):
        return f'`["{default[0]}"]`'
    return f"`{default}`"


def test_settings_are_all_documented_with_their_defaults() -> None:
    rows = {row[0].strip("`"): row for row in read_rows(SETTINGS) if row[0].strip("`").isupper()}

    assert list(rows) == list(VARIABLES)
    for name, variable in VARIABLES.items():
        _, default, meaning, production = rows[name]
        assert default == read_default(variable), name
        assert variable.help.replace("|", "\\|") in meaning, name
        assert ("*Secret.*" in meaning) is variable.is_secret, name
        assert not variable.is_required_in_production or production == "required", name


def test_settings_are_all_in_the_example_with_their_defaults() -> None:
    text = (ROOT / ".env.example").read_text()
    assignments = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if re.match(r"(# )?[A-Z][A-Z0-9_]+=", line)
    ]

    assert [line.partition("=")[0] for line in assignments] == list(VARIABLES)
    for line in assignments:
        name, _, value = line.partition("=")
        variable = VARIABLES[name]
        value = "".join(shlex.split(value))
        if value:
            assert variable.parse(value) == variable.default, name
        else:
            assert variable.default in ("", []) or name == "TWITTER_CALLBACK_URL", name
        assert f"# {variable.help}\n" in text, name


def test_example_gives_no_secret_and_misses_nothing_production_wants(tmp_path: Path) -> None:
    active = dotenv_values(ROOT / ".env.example")

    required = {name for name, variable in VARIABLES.items() if variable.is_required_in_production}
    assert required <= set(active)
    secrets = [name for name, value in active.items() if VARIABLES[name].is_secret and value]
    assert secrets == ["MONGODB_URL", "REDIS_URL"], "addresses without a password"
    loaded = env.load({}, dotenv_path=ROOT / ".env.example")
    assert loaded.problems == loaded.typos == []


def test_compose_file_and_dockerfile_name_known_settings_only() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    named = {name for s in compose["services"].values() for name in s.get("environment", {})}

    known = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)}
    of_the_image_of_mysql = {name for name in named if name.startswith("MYSQL_")} - known
    assert named - known - of_the_image_of_mysql == set()
    assert {"MONGODB_URL", "REDIS_URL", "ENVIRONMENT"} <= named
    assert of_the_image_of_mysql <= set(compose["services"]["mysql"]["environment"])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_settings_exist_when_a_document_names_them(document: Path) -> None:
    elsewhere = {"AUTORES_DOTENV", "MYSQL_TEST_URL", "ENVIRONMENT", "SIGTERM", "README", "PATH"}
    prefixes = tuple({f"{name.partition('_')[0]}_" for name in VARIABLES if "_" in name})
    named = {
        name
        for mark in in_code_marks(document.read_text())
        for name in re.findall(r"\b[A-Z][A-Z0-9]+(?:_[A-Z0-9]+)+\b", mark)
        if name.startswith(prefixes)
    }

    known = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES)} | elsewhere
    assert named - known == set()


# -- checks, states, tasks, commands ----------------------------------------------------------


def test_checks_are_all_documented() -> None:
    documented = [row[0].strip("`") for row in read_rows(read_section(SETTINGS, "Checks"))[2:]]

    assert len(documented) == len(set(documented))
    assert set(documented) == find_check_ids()
    for document in DOCUMENTS:
        named = set(re.findall(r"autores\.(?:\w+\.)?[EW]\d{3}", document.read_text()))
        assert named <= find_check_ids(), document.name


def test_states_are_all_documented() -> None:
    documented: dict[str, list[str]] = {}
    for of, state, *_ in read_rows(read_section(ARCHITECTURE, "States"))[2:]:
        documented.setdefault(of, []).append(state.strip("`"))

    assert documented == {
        "message": list(MessageStatus.values),
        "draft": list(DraftState.values),
        "reply": list(ReplyState.values),
        "account": list(AccountStatus.values),
    }


def test_states_lead_to_states_that_exist() -> None:
    kinds: dict[str, Any] = {
        "message": MessageStatus,
        "draft": DraftState,
        "reply": ReplyState,
        "account": AccountStatus,
    }
    for of, _, _, goes_to in read_rows(read_section(ARCHITECTURE, "States"))[2:]:
        assert in_code_marks(goes_to) <= set(kinds[of].values), (of, goes_to)


def test_runbook_has_every_state_an_operator_meets() -> None:
    accounts = read_section(OPERATIONS, "Accounts: what a state means")
    outbox = read_section(OPERATIONS, "The outbox")

    assert {row[0].strip("`") for row in read_rows(accounts)[2:]} == set(AccountStatus.values)
    shown = {row[0].strip("`") for row in read_rows(outbox)[2:]}
    assert shown == set(ReplyState.values) - {"sent"}


def test_runbook_names_codes_that_exist() -> None:
    codes = {"credits_depleted", "usage_cap", "duplicate_content"}
    named = {mark for mark in in_code_marks(OPERATIONS) if mark in codes}
    source = "\n".join(path.read_text() for path in OURS)

    assert named == codes
    for code in codes:
        assert f'"{code}"' in source, code


# Said to a person in the admin, to a caller of Python alone, or of one field, in ``errors``.
NO_ANSWERS_OF_THE_API = {
    *("already_member", "draft_changed", "draft_gone", "no_draft", "reply_gone", "too_many"),
    *("empty", "max_value", "read_only", "unknown_field"),
}
NAMED_FIRST = {"ApiProblem", "SignInProblem", "ReviewConflictError", "OutboxRefusedError"}


def list_codes() -> Iterator[str]:
    """Every code that an error is given: ``code="…"``, ``default_code``, or its first argument."""
    for path in OURS:
        if path.parts[len(ROOT.parts) + 1] == "sandbox":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            given: list[ast.expr] = []
            if isinstance(node, ast.Call):
                given = [word.value for word in node.keywords if word.arg == "code"]
                if ast.unparse(node.func) in NAMED_FIRST:
                    given += node.args[:1]
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "default_code":
                given = [node.value]
            for value in given:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def test_codes_of_errors_are_all_documented() -> None:
    codes = set(list_codes()) - NO_ANSWERS_OF_THE_API
    assert len(codes) > 100
    assert codes <= in_code_marks((DOCS / "api.md").read_text())


def test_tasks_are_all_documented() -> None:
    tasks = {name for name in celery_app.tasks if name.startswith(("mentions.", "accounts."))}
    rows = read_rows(read_section(ARCHITECTURE, "Tasks"))[2:]

    assert {row[0].strip("`") for row in rows} == tasks
    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {row[0].strip("`") for row in rows if row[1].startswith("every")} == scheduled


def test_commands_are_all_in_the_readme() -> None:
    ours = {
        name
        for name, owner in get_commands().items()
        if owner in {"accounts", "mentions", "autores"}
    }
    documented = {
        mark.split()[1] for mark in in_code_marks(README) if mark.startswith("manage.py ")
    }

    assert documented == ours | {"check"}


def find_shell_lines() -> Iterator[tuple[str, str]]:
    for document in DOCUMENTS:
        for block in re.findall(r"^ *```sh\n(.*?)^ *```", document.read_text(), re.M | re.S):
            for line in block.replace("\\\n", " ").splitlines():
                yield document.name, line.strip()


def test_options_exist_when_a_document_shows_a_command_of_ours() -> None:
    checked = 0
    for document, line in find_shell_lines():
        found = re.search(r"manage\.py (\w+)([^#|]*)", line)
        if not found:
            continue
        name, rest = found.groups()
        owner = get_commands()[name]
        command = owner if not isinstance(owner, str) else load_command_class(owner, name)
        parser = command.create_parser("manage.py", name)
        known = {option for action in parser._actions for option in action.option_strings}
        known |= {"--clear", "--times"} if name == "sandbox" else set()
        given = {word.partition("=")[0] for word in rest.split() if word.startswith("--")}
        assert given <= known | {"--help"}, f"{document}: {line}"
        checked += 1
    assert checked > 10


def test_make_targets_exist_when_a_document_names_them() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set()
    for document in DOCUMENTS:
        text = document.read_text()
        named |= set(re.findall(r"`make ([a-z]+)", text))
    named |= {
        found.group(1)
        for _, line in find_shell_lines()
        if (found := re.match(r"make ([a-z]+)", line))
    }

    assert {"demo", "test", "check"} <= named <= targets
