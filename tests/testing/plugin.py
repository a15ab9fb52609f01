"""Suites that use the pytest plugin, as text, and what a store has after they ran."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy  # noqa: F401 - the engine is imported here, or every run inside of this process had another one

import clusterdb
import clusterdb.sqlalchemy
import clusterdb.testing.cases
import clusterdb.testing.fixtures
from tests.support.stores import assert_clean

PLUGIN = (
    [] if importlib.metadata.entry_points(group="pytest11", name="clusterdb") else ["-p", "clusterdb.pytest_plugin"]
)
PLUGIN += ["-p", "no:hypothesispytest"]  # is imported anew in every run, for a second
STORE = Path(".pytest_cache/clusterdb")
CONFTEST = """
    from pathlib import Path
    from clusterdb.testing import clone_fixture, template_fixture

    def accounts(connection):
        with open(Path(__file__).with_name("built"), "a") as file:
            file.write("accounts\\n")
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL)")
        connection.executemany("INSERT INTO accounts VALUES (?, 100)", [(n,) for n in range(1, 11)])

    clusterdb_template = template_fixture(accounts)
"""
Runner = Callable[..., pytest.RunResult]


def names(path: Path = STORE) -> list[str]:
    """The clusters of a store, which must be clean."""
    with clusterdb.open(path, create=False) as store:
        assert_clean(store)
        return [cluster.name for cluster in store.clusters()]


def built() -> list[str]:
    """What the seeds noted as they ran."""
    return Path("built").read_text().split() if Path("built").exists() else []


FAILING = """
    def test_fails(clusterdb_connection):
        clusterdb_connection.execute("DELETE FROM accounts WHERE id > 3")
        clusterdb_connection.commit()
        assert False

    def test_passes(clusterdb): ...
"""


def printed_commands(result: pytest.RunResult) -> list[str]:
    return re.findall(r"^\S.* --store \S+ shell \S+", result.stdout.str(), re.MULTILINE)


def answer_of(command: str, sql: str) -> str:
    """What a command that was printed answers to a statement, when it is pasted to a shell."""
    done = subprocess.run(["bash", "-c", command], input=f"{sql};\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
