"""What the documents say of the code, compared with the code."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.apps import apps
from django.conf import settings
from django.core.management import get_commands, load_command_class
from dotenv import dotenv_values

from accounts.models import AccountStatus, Role
from autores import env
from autores.celery import app as celery_app
from mentions.models import DraftState, MessageStatus, ReplyState

ROOT = Path(settings.BASE_DIR)
DOCS = ROOT / "docs"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
OURS = [
    path
    for package in ("autores", "accounts", "mentions")
    for path in (ROOT / package).rglob("*.py")
    if "tests" not in path.parts
]
ARCHITECTURE = (DOCS / "architecture.md").read_text()
OPERATIONS = (DOCS / "operations.md").read_text()
SETTINGS = (DOCS / "settings.md").read_text()
README = (ROOT / "README.md").read_text()
VARIABLES = {variable.name: variable for variable in env.VARIABLES}


celery_app.loader.import_default_modules()


def read_rows(text: str) -> list[list[str]]:
    """The cells of every row of every table."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def in_code_marks(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


def read_section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"there is no section {heading}"
    return found.group(1)


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


def find_check_ids() -> set[str]:
    found = set()
    for path in OURS:
        text = path.read_text()
        found |= set(re.findall(r'id="(autores\.(?:\w+\.)?[EW]\d{3})"', text))
    source = (ROOT / "autores" / "checks.py").read_text()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in {"_error", "_warning"}
        ):
            level = "E" if node.func.id == "_error" else "W"
            number = node.args[0]
            assert isinstance(number, ast.Constant)
            found.add(f"autores.{level}{number.value}")
    return found


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


# -- the tree, links --------------------------------------------------------------------------


def read_tree() -> set[str]:
    """Paths of the tree, resolved; a line may name several of one folder."""
    block = re.search(r"## The tree\n+```\n(.*?)```", ARCHITECTURE, re.S)
    assert block
    paths, package = set(), ""
    for line in block.group(1).splitlines():
        names = re.match(r"\s*((?:[\w./]+(?:\.py|/)\s?)+)", line)
        assert names, line
        if not line.startswith(" "):
            package = names.group(1).strip()
            paths.add(package)
            continue
        paths |= {package + name for name in names.group(1).split()}
    return paths


def test_folders_and_modules_are_in_the_tree() -> None:
    tree = read_tree()

    assert [path for path in tree if not (ROOT / path).exists()] == []
    for package in ("autores/", "accounts/", "mentions/"):
        real = {
            f"{package}{entry.name}{'/' if entry.is_dir() else ''}"
            for entry in (ROOT / package).iterdir()
            if (entry.is_dir() and any(entry.rglob("*.py"))) or entry.suffix == ".py"
        }
        missing = {path for path in real - tree if path.rpartition("/")[2] != "__init__.py"}
        small = {"apps", "errors", "browser", "counting", "guessing", "personal", "wire", "choices"}
        assert {path for path in missing if Path(path).stem not in small} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_and_modules_exist_when_a_document_names_them(document: Path) -> None:
    text = document.read_text()
    missing = []
    for mark in in_code_marks(text):
        if re.fullmatch(r"(?:autores|accounts|mentions|docs)/[\w./-]+", mark):
            if not (ROOT / mark).exists():
                missing.append(mark)
        elif re.fullmatch(r"(?:autores|accounts|mentions)(?:\.\w+)+", mark) and not exists(mark):
            missing.append(mark)

    assert missing == []


def exists(dotted: str) -> bool:
    """A module, something defined in one, a task, or a check."""
    if dotted in celery_app.tasks or dotted in find_check_ids():
        return True
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        for path in (base.with_suffix(".py"), base / "__init__.py", base):
            if not path.exists():
                continue
            if length == len(parts):
                return True
            if path.is_file() and re.search(rf"\b{parts[length]}\b", path.read_text()):
                return True
    return False


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text()
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.M)
    }
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        assert (document.parent / path).exists(), target
        assert path or anchor in headings, target


def test_decisions_are_numbered_short_and_listed() -> None:
    records = sorted(path for path in (DOCS / "decisions").glob("0*.md"))
    listed = re.findall(r"\[(\d{4})\]\((\S+)\)", (DOCS / "decisions" / "README.md").read_text())

    assert [(path.name[:4], path.name) for path in records] == listed
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        lines = path.read_text().splitlines()
        assert lines[0].startswith(f"# {path.name[:4]}: ")
        assert len(lines) <= 40, path.name


def test_roles_are_named_as_in_the_code() -> None:
    section = read_section(OPERATIONS, "Connect accounts")
    assert all(role in section for role in Role.values)


def test_pictures_are_small_enough_for_a_readme() -> None:
    pictures = list((DOCS / "images").glob("*.png"))

    assert {path.name for path in pictures} == {"mentions.png", "desk.png"}
    assert all(f"docs/images/{path.name}" in README for path in pictures)
    assert all(10_000 < path.stat().st_size < 250_000 for path in pictures)


def test_collections_are_named_as_the_former_tables() -> None:
    tables = {model._meta.db_table for model in apps.get_models()}
    assert {"users", "messages", "oauth_states"} <= tables
