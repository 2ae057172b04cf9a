"""What the documents say of files, and the links between them, compared with the tree."""

import re
from pathlib import Path

import pytest
from django.apps import apps

from accounts.models import Role
from autores.celery import app as celery_app
from autores.tests.documents import (
    ARCHITECTURE,
    DOCS,
    DOCUMENTS,
    OPERATIONS,
    README,
    ROOT,
    find_check_ids,
    in_code_marks,
    read_section,
)


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
