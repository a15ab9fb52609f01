"""House rules for the tests themselves, as tests/README.md states them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
LINES_MAX = 620
PROGRAMS = {"tests.house.test_import_rings"}
"""Test modules that are programs as well, whose functions others may use."""


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS))


def test_readme_has_every_directory() -> None:
    """A directory of tests has a row in the table of tests/README.md, and each row its directory."""
    table = re.findall(r"^\| (.*?) \|", (TESTS / "README.md").read_text(), re.MULTILINE)
    rows = {name for cell in table for name in re.findall(r"`(\w+)/`", cell)}
    assert rows == {path.name for path in TESTS.iterdir() if path.is_dir() and (path / "__init__.py").exists()}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file_is_short(path: Path) -> None:
    count = len(path.read_text().splitlines())
    assert count <= LINES_MAX, f"{count} lines: split the file by topic"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_imported_from_conftest_or_tests(path: Path) -> None:
    """Shared code is in helper modules; a test module imports from them, and from its own package."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            last = name.rpartition(".")[2]
            is_test = name.startswith("tests.") and last.startswith("test_") and name not in PROGRAMS
            assert last != "conftest" and not is_test, name


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_names_begin_with_their_subject(path: Path) -> None:
    """``test_source_...`` and not ``test_a_source_...``, ``test_what_...`` or ``test_who_...``."""
    names = re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
    unclear = [name for name in names if re.match(r"test_(an?|the|what|who|whoever)_", name)]
    assert unclear == [], "name the subject, what it does, and when"
