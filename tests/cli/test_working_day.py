"""A working day at a terminal (tmux), typed and recorded: the recording is in the README.

``tests/cli/recordings/working_day.txt`` is what the terminal shows: commands behind ``$``, and their output.
``CLUSTERDB_GOLDEN_UPDATE=1 pytest tests/cli/test_working_day.py`` types the commands again, and records what is shown
now, there and in the README.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.commands import install
from tests.support.terminal import Screen

RECORDING = Path(__file__).parent / "recordings" / "working_day.txt"
README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- a working day: recorded by tests/cli/test_working_day.py -->\n", "<!-- end of the recording -->\n"
VARYING = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.+-]+")
"""A point in time."""


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Screen]:
    """A shell in a folder with a database, where the commands are installed."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: nobody types into a terminal here")
    folder = tmp_path / "shop"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "shop.db")) as database:
        database.executescript(
            "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, product INTEGER REFERENCES products, note TEXT);"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9)"
            " INSERT INTO products SELECT i, iif(i % 3, 'chair ', 'lamp ') || i, 10 * i FROM n;"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
            " INSERT INTO orders SELECT i, 1 + i % 9, printf('%050d', i) FROM n;"
        )
    install(tmp_path / "bin")
    settings = {
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PS1": "$ ",
        "TZ": "UTC",
        "TERM": "tmux-256color",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    shell = [
        "env",
        "-C",
        str(folder),
        "-u",
        "CLUSTERDB_STORE",
        *(f"{name}={value}" for name, value in settings.items()),
    ]
    screen = Screen(tmp_path, shlex.join([*shell, "bash", "--norc", "--noprofile"]), 100)
    yield screen
    screen.end()


def played(terminal: Screen, commands: list[str]) -> str:
    """The terminal after it has been given these commands, one by one."""
    terminal.wait_for("$")
    for count, command in enumerate(commands, 1):
        terminal.type(command, "Enter")
        terminal.wait_for_prompts("$ ", count + 1)
    return terminal.transcript().removesuffix("$\n")


def test_working_day_is_as_recorded(terminal: Screen) -> None:
    """Import, clone, work, compare; an accident, who did it and when, and the way back; the tree of clones."""
    recorded = RECORDING.read_text(encoding="utf-8")
    now = played(terminal, re.findall(r"^\$ (.*)$", recorded, re.MULTILINE))
    if os.environ.get("CLUSTERDB_GOLDEN_UPDATE"):
        RECORDING.write_text(now, encoding="utf-8")
        before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
        README.write_text(f"{before}{BEGIN}{block(now)}{END}{rest.partition(END)[2]}", encoding="utf-8")
    assert VARYING.sub("TIME", now) == VARYING.sub("TIME", recorded)


def block(text: str) -> str:
    return f"\n```text\n{text}```\n\n"


def test_readme_shows_the_recording() -> None:
    shown = README.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert shown == block(RECORDING.read_text(encoding="utf-8"))
