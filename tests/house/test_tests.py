"""House rules for the tests themselves, as tests/README.md states them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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


def test_files_are_short() -> None:
    """Longer ones are split by topic."""
    counts = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert {name: count for name, count in counts.items() if count > LINES_MAX} == {}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_nothing_is_imported_from_conftest_or_tests() -> None:
    """Shared code is in helper modules; a test module imports from them, and from its own package."""
    for path in FILES:
        for name in _imports(path):
            last = name.rpartition(".")[2]
            is_test = name.startswith("tests.") and last.startswith("test_") and name not in PROGRAMS
            assert not is_test and last != "conftest", f"{name_of(path)} imports {name}"


def test_names_begin_with_their_subject() -> None:
    """``test_source_...`` and not ``test_a_source_...``, ``test_what_...`` or ``test_who_...``."""
    names = [name for path in FILES for name in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)]
    unclear = [name for name in names if re.match(r"test_(an?|the|what|who|whoever)_", name)]
    assert unclear == [], "name the subject, what it does, and when"
