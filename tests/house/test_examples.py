"""The examples and the code in the README run as they are and print the expected text."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "analytics_beside_a_writer": (
        "the report sees (20000, 59997) and later (20000, 59997)\nthe source has (20500, 184747)\n"
    ),
    "clone_for_a_test": "withdrawal (10000, 999970)\nclosing (9999, 999900)\ntemplate (10000, 1000000)\n",
    "backup_and_restore_drill": (
        "before the mistake: Ada,Grace,Edsger\nnow: Ada,Edsger\nrestored: 3 users\n"
        "cluster prod pays 16384 bytes\nsnapshot nightly pays 0 bytes\n"
    ),
    "failover_and_lag": (
        "orders on the reader: 0\norders on the reader, with lag: 0\nthe new writer is r1\n"
        "the old writer fails: instance 'w1' was restarted, or failed over: open a new connection\n"
        "orders after the failover: [('umbrella',)]\norders after the backtrack: []\n"
    ),
    "rehearse_a_migration": (
        "people without a separate family name: ['Cher']\nprod -> rehearsal\n~ table people\n"
        "    - CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)\n"
        "    + CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, family TEXT)\n"
        "people: 3 updated\n  ~ id 1: family NULL -> 'Lovelace'\n  ~ id 2: family NULL -> 'Hopper'\n"
        "  ~ id 3: family NULL -> 'Cher'\n"
        "exported 8192 bytes for inspection\nclusters left: ['prod']\n"
    ),
}


def test_every_example_is_tested() -> None:
    """No example goes without a look at its output."""
    there = {path.stem for path in (ROOT / "examples").iterdir() if not path.name.startswith(("_", "."))}
    assert there == {*EXPECTED, "data_api", "web_shop"}


def test_data_api_tests_pass(tmp_path: Path) -> None:
    """Its tests pass: boto3 clones a cluster, and the application asks the clone by the Data API."""
    pytest.importorskip("boto3")
    (tmp_path / "data_api").mkdir()
    for path in (ROOT / "examples" / "data_api").glob("*.py"):
        shutil.copy(path, tmp_path / "data_api")
    assert "4 passed" in run_pytest(tmp_path / "data_api")


def test_web_shop_tests_pass_in_two_processes(tmp_path: Path) -> None:
    """Its tests pass, in two processes that build one template."""
    (tmp_path / "web_shop").mkdir()
    for path in (ROOT / "examples" / "web_shop").glob("*.py"):
        shutil.copy(path, tmp_path / "web_shop")
    answer = run_pytest(tmp_path / "web_shop", "-n", "2", "--clusterdb-stats")
    assert "4 passed" in answer and "clones made: 4" in answer and answer.count("template built") == 1


def run_pytest(folder: Path, *options: str) -> str:
    """What pytest says of the tests in a folder."""
    has_plugin = metadata.entry_points(group="pytest11", name="clusterdb")
    plugin = [] if has_plugin else ["-p", "clusterdb.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", *plugin, *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", EXPECTED)
def test_example_prints_its_expected_output(name: str) -> None:
    """An example prints what its text says."""
    answer = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"], capture_output=True, text=True, check=False
    )
    assert (answer.stdout, answer.stderr) == (EXPECTED[name], "")


def test_readme_tests_pass(tmp_path: Path) -> None:
    """The conftest and the tests in the README pass, each with a clone of its own."""
    text = (ROOT / "README.md").read_text()
    files = dict(re.findall(r"```python title=\"(.*?)\"\n(.*?)```", text, re.DOTALL))
    assert set(files) == {"conftest.py", "test_prices.py"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    answer = run_pytest(tmp_path, "--clusterdb-stats")
    assert "2 passed" in answer and "clones made: 2" in answer


def test_readme_python_prints_its_comments(tmp_path: Path) -> None:
    """The Python in the README runs, and prints what stands beside it."""
    text = (ROOT / "README.md").read_text()
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    expected = re.findall(r"# prints (.*)", code)
    make = "import sqlite3; c = sqlite3.connect('app.db'); c.execute('CREATE TABLE users (id INTEGER PRIMARY KEY)'); "
    make += "c.executemany('INSERT INTO users VALUES (?)', [(n,) for n in range(1, 5001)]); c.commit()"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True)
    answer = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    assert answer.stdout.splitlines() == expected
