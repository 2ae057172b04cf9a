"""The documents, and the parts of them that tests compare with the code."""

import ast
import re
from pathlib import Path

from django.conf import settings

from autores import env
from autores.celery import app as celery_app

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
