"""sqlglot takes a third of a second to import: only connections to clusters of another engine do so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

IS_IMPORTED = "'sqlglot' in sys.modules"
CLI = f"""
import sys
from clusterdb.cli import main
try:
    main()
except SystemExit as exit:
    assert not exit.code, exit
print({IS_IMPORTED}, file=sys.stderr)
"""
SESSION = f"""
import sys
import clusterdb
with clusterdb.open(sys.argv[1]) as store:
    cluster = store.create_cluster("prod", engine=sys.argv[2])
    assert not {IS_IMPORTED}, "creating a cluster imports sqlglot"
    connection = clusterdb.connect(cluster)
    connection.execute("CREATE TABLE t (a INT)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]
    connection.close()
print({IS_IMPORTED}, file=sys.stderr)
"""
PLUGIN = f"""
import sys

def test_clone(clusterdb_connection):
    clusterdb_connection.execute("INSERT INTO t VALUES (2)")
    assert clusterdb_connection.execute("SELECT count(*) FROM t").fetchone() == (2,)
    assert not {IS_IMPORTED}
"""
TEMPLATE = """
from clusterdb.testing import template_fixture

clusterdb_template = template_fixture("seed.sql")
"""


def imports_sqlglot(code: str, *arguments: str | Path) -> bool:
    """Whether a program has imported sqlglot when it ends, as the last line of its standard error says."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {"True": True, "False": False}[done.stderr.splitlines()[-1]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a store with a cluster."""
    path = tmp_path / "store"
    assert not imports_sqlglot(SESSION, path, "sqlite")
    return path


def test_import_of_the_package_does_not_import_sqlglot() -> None:
    """Every module of the public API is imported, none that needs sqlglot."""
    modules = "clusterdb, clusterdb.dbapi2, clusterdb.errors, clusterdb.testing, clusterdb.sqlalchemy"
    assert not imports_sqlglot(f"import sys, {modules}; print({IS_IMPORTED}, file=sys.stderr)")


def test_help_does_not_import_sqlglot() -> None:
    """The command line lists its commands without sqlglot."""
    assert not imports_sqlglot(CLI, "--help")


@pytest.mark.parametrize("command", [["ls"], ["show", "prod"], ["sql", "prod", "SELECT a FROM t"], ["check"]])
def test_commands_on_plain_clusters_do_not_import_sqlglot(path: Path, command: list[str]) -> None:
    """Commands that read a store, or run SQL in a cluster of SQLite's own SQL, do without sqlglot."""
    assert not imports_sqlglot(CLI, "--store", path, *command)


def test_connection_to_a_plain_cluster_does_not_import_sqlglot(tmp_path: Path) -> None:
    """The DB-API runs statements in a cluster of SQLite's own SQL without sqlglot."""
    assert not imports_sqlglot(SESSION, tmp_path / "store", "sqlite")


def test_plugin_does_not_import_sqlglot(tmp_path: Path) -> None:
    """The pytest plugin builds a template and clones it without sqlglot."""
    (tmp_path / "seed.sql").write_text("CREATE TABLE t (a INT); INSERT INTO t VALUES (1);")
    (tmp_path / "conftest.py").write_text(TEMPLATE)
    (tmp_path / "test_clone.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_connection_to_a_cluster_of_another_engine_imports_sqlglot(tmp_path: Path, engine: str) -> None:
    """The first statement in the engine's SQL needs it."""
    assert imports_sqlglot(SESSION, tmp_path / "store", engine)
