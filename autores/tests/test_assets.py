"""The admin's pages use no class that no style sheet has."""

import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for folder in ("accounts", "autores", "mentions")
    for path in (ROOT / folder / "templates" / "admin").rglob("*.html")
)
# For our scripts and tests.
_MARKS = {"autores-desk"}


def list_known_classes() -> set[str]:
    sheets = [finders.find(name) for name in ("unfold/css/styles.css", "autores/admin.css")]
    text = "".join(Path(str(sheet)).read_text() for sheet in sheets)
    return {re.sub(r"\\(.)", r"\1", name) for name in re.findall(r"\.((?:\\.|[\w-])+)", text)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name + "/" + path.name)
def test_every_class_of_a_page_is_known(path: Path) -> None:
    page = re.sub(r"{%.*?%}|{{.*?}}", " ", path.read_text())
    used = {name for found in re.findall(r'class="([^"]*)"', page) for name in found.split()}
    assert used - list_known_classes() <= _MARKS
