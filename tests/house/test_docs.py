"""The documentation: every block of code in docs/ is run, page by page, or is a file that a later block runs.

python    run in one namespace a page; prints what stands behind ``# prints``, and nothing else
console   each line after ``$ `` is a command for bash, in the page's own folder; the lines below it are what it prints
a block with a caption is written to the page's folder as the file of that name, whatever its language

Values that differ from run to run, such as times, are shown as one run printed them and compared by their kind; see
``tests/support/pages.py``.  A page that says ``slow: true`` at its head is a slow test.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sybil import Document, Example
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.myst import CodeBlockParser

import clusterdb
from clusterdb import cli
from clusterdb.dbapi2 import opening
from tests.support.commands import install
from tests.support.pages import MASK, comparable

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("**/*.md"))
LANGUAGES = ("python", "console", "sql", "ini", "toml")
GENERATED = {"toctree", "include", "literalinclude", "eval-rst", "clusterdb"}
"""Directives without code of their own."""


# --- running a block --------------------------------------------------------------------------------------------------
def is_file(example: Example) -> bool:
    return "caption" in example.region.lexemes.get("options", {})


def written(example: Example) -> None:
    """A block with a caption is a file."""
    path = Path(example.region.lexemes["options"]["caption"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example.parsed)


def python(example: Example) -> None:
    """Python prints what the comments say."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        PythonEvaluator()(example)
    require_same("".join(f"{line}\n" for line in re.findall(r"# prints (.*)", example.parsed)), printed.getvalue())


def console(example: Example) -> None:
    """A command answers, on standard output and error, what stands below it."""
    assert example.parsed.startswith("$ "), f"line {example.line}: a console block begins with a command"
    for command, expected in re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", example.parsed, re.MULTILINE):
        require_same(expected, answer(command), command)


def answer(command: str) -> str:
    """What a command prints, run by bash; one of clusterdb alone right here, as starting Python is most of its time."""
    unquoted = re.sub(r"""'[^']*'|"[^"$`\\]*\"""", "", command)
    if not re.fullmatch(r"(?:clusterdb|cldb) [^|&;<>$`\\*]*", unquoted):
        run = subprocess.run(
            ["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return run.stdout
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(sys, "argv", shlex.split(command))
        patch.setattr(sys, "stdout", printed)
        patch.setattr(sys, "stderr", printed)
        cli.main()
    return printed.getvalue()


def require_same(expected: str, got: str, what: str = "it") -> None:
    """Ends of lines apart, and what differs from run to run."""
    shown, printed = comparable(expected), comparable(got, Path.cwd())
    if shown != printed:
        lines = difflib.unified_diff(shown.splitlines(True), printed.splitlines(True), "the page", "the answer")
        raise AssertionError(f"{what} answers something else:\n{''.join(lines)}")


def run(example: Example) -> None:
    """One block, by its caption or its language."""
    if is_file(example):
        written(example)
    else:
        {"python": python, "console": console}[example.region.lexemes["arguments"]](example)


def examples_of(page: Path) -> list[Example]:
    """The blocks of a page, in their order."""
    return list(Document.parse(str(page), *(CodeBlockParser(language, run) for language in LANGUAGES)).examples())


# --- pages ------------------------------------------------------------------------------------------------------------
def parameters() -> Iterator[Any]:
    for page in PAGES:
        if examples_of(page):
            is_slow = bool(re.match(r"---\n(?:.*\n)*?slow: true\n", page.read_text()))
            name = str(page.relative_to(ROOT / "docs"))
            yield pytest.param(page, id=name, marks=[pytest.mark.slow] if is_slow else [])


@pytest.fixture
def folder(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to be in, with the command line at hand and nothing in the environment of this run of pytest or
    of the machine it is on: where pytest finds ``CI`` or ``BUILD_NUMBER``, it shows failures in full."""
    foreign = ("PYTEST", "CLUSTERDB", "COV", "CI", "BUILD_NUMBER", "FORCE_COLOR", "NO_COLOR", "PY_COLORS")
    for name in [name for name in os.environ if name.startswith(foreign)]:
        monkeypatch.delenv(name)
    commands = tmp_path_factory.mktemp("commands") / "bin"
    install(commands)
    folders = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    opening._close_stores()


@pytest.mark.parametrize("page", list(parameters()))
def test_every_block_of_a_page_runs(page: Path, folder: Path) -> None:
    """Every block of a page runs."""
    examples = examples_of(page)
    try:
        for example in examples:
            example.evaluate()
    finally:
        for value in list(examples[0].namespace.values()):
            if isinstance(value, clusterdb.Store):
                value.close()


def test_readme_session_runs(folder: Path) -> None:
    """The session at the terminal in the README, with a database like the one it is about."""
    with contextlib.closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER)")
        rows = [(number, f"product {number}", number % 90 + 10) for number in range(1, 100_001)]
        connection.executemany("INSERT INTO products VALUES (?, ?, ?)", rows)
    sessions = [block for block in examples_of(ROOT / "README.md") if block.region.lexemes["arguments"] == "console"]
    assert sessions
    for session in sessions:
        session.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_every_fence_is_a_block_or_a_known_directive(page: Path) -> None:
    """A fence is a block that runs, or a directive that is known to have no code of its own."""
    lines = page.read_text().splitlines()
    fences = [(number, line.strip().strip("`~")) for number, line in enumerate(lines, 1) if is_fence(line)]
    opened = fences[::2]
    assert all(not info for _, info in fences[1::2]), f"{page}: fences inside of fences"
    left = [info for _, info in opened if info.strip("{}").split("} ")[0] not in GENERATED]
    examples = examples_of(page)
    assert not examples or not is_file(examples[-1]), f"{page}: a file is for a block that comes later"
    ran = [example.region.lexemes["arguments"] for example in examples]
    assert [info.removeprefix("{code-block} ") for info in left] == ran


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_output_shows_a_mask(page: Path) -> None:
    """Outputs are shown with plausible values: readers cannot know what an ellipsis stands for."""
    blocks = re.findall(r"^(?:```|~~~)(?:console|text)\n(.*?)^(?:```|~~~)$", page.read_text(), re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^    \S.*$", page.read_text(), re.MULTILINE)
    comments = re.findall(r"# prints (.*)", page.read_text())
    assert [text for text in [*blocks, *indented, *comments] if MASK.search(text)] == []


def is_fence(line: str) -> bool:
    return line.strip().startswith(("```", "~~~"))


# --- the reference ----------------------------------------------------------------------------------------------------
def test_reference_has_every_public_name() -> None:
    """Every public name stands in the reference."""
    text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
    errors = set(import_module("clusterdb.errors").__all__)  # listed by a directive
    for module in ("clusterdb", "clusterdb.dbapi2", "clusterdb.testing"):
        names = set(import_module(module).__all__) - errors
        missing = sorted(name for name in names if not re.search(rf"(?:[.`]|:: ){name}\b", text))
        assert not missing, f"{module}: {', '.join(missing)}"


def test_events_page_has_every_kind_and_category() -> None:
    """The page on events has every kind and category that there is."""
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    source = "".join(path.read_text() for path in (ROOT / "clusterdb").rglob("*.py"))
    events = re.findall(r"""events\.add\(\s*"(\w+)", [\w.]+, "([\w ]+)",""", source)
    assert len(set(events)) > 5
    for kind, category in events:
        assert re.search(rf"^{kind} [\w-]+ -- {category} -- ", page, re.MULTILINE), f"{kind}: {category}"
