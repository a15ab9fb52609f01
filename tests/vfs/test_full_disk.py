"""A full file system is an error that can be handled, on tmpfs too, where a hole that is read must be allocated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tmpfs import run_on_tmpfs
from vfs.plane import available

FULL_TMPFS = """
import sys
import apsw, clusterdb
from tests.support.tmpfs import filled

path = sys.argv[1]
with clusterdb.open(path + "/store") as store:
    prod = store.create_cluster("prod")
    connection = prod.connect()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    # One large transaction: the pool grows by what it asks for, and leaves a hole behind it.
    connection.execute(
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 400)"
        "INSERT INTO t SELECT x, zeroblob(4000) FROM c"
    )
    connection.close()
    if sys.argv[2] == "shrunk":
        gone = store.create_cluster("gone")
        connection = gone.connect()
        connection.execute("CREATE TABLE t (v); INSERT INTO t VALUES (zeroblob(1000000))")
        connection.close()
        gone.delete()
        store.shrink()
    clones = [prod.clone(f"dev{number}") for number in range(300)]
    connections = [clone.connect() for clone in clones]
    with filled(path):
        for connection in connections:
            try:
                connection.execute("UPDATE t SET v = 1 WHERE id = 1")
            except apsw.FullError:
                print("full")
    for connection in connections:
        connection.execute("UPDATE t SET v = 1 WHERE id = 1")
        connection.close()
    assert store.check().ok
print("done")
"""


SYNCED = """
import os, sys
import clusterdb
from tests.support.tmpfs import filled

path = sys.argv[1]
with clusterdb.open(path + "/store") as store:
    prod = store.create_cluster("prod", backup_retention_days=0)
    connection = prod.connect()
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v, body)")
    for first in range(0, 900, 20):
        connection.execute(
            "WITH RECURSIVE c(x) AS (VALUES (?1) UNION ALL SELECT x + 1 FROM c WHERE x < ?1 + 19)"
            "INSERT INTO t SELECT x, 0, zeroblob(4000) FROM c", (first,)
        )
    with filled(path):
        before = os.path.getsize(path + "/store/pool")
        connection.execute("PRAGMA synchronous = FULL")
        for number in range(1000):
            connection.execute("UPDATE t SET v = v + 1 WHERE id = ?", (37 * number % 900,))
        assert os.path.getsize(path + "/store/pool") == before
    connection.close()
    assert store.check().ok
print("done")
"""


@pytest.mark.parametrize("plane", available())
def test_small_synced_commits_continue_on_a_full_tmpfs(tmp_path: Path, plane: str) -> None:
    """The pool would grow, so that their slots are adjacent: it stays as it is, without holes, and has free slots."""
    output = run_on_tmpfs(tmp_path, SYNCED, TMPDIR="/tmp", CLUSTERDB_IMPL=plane)
    assert output.split()[-1] == "done"


@pytest.mark.parametrize("plane", available())
@pytest.mark.parametrize("pool", ["grown", "shrunk"])
def test_first_commit_of_a_clone_on_a_full_tmpfs_is_an_error(tmp_path: Path, pool: str, plane: str) -> None:
    """It is SQLITE_FULL and not SIGBUS: no slot that is read through the mapping is a hole (M5)."""
    output = run_on_tmpfs(tmp_path, FULL_TMPFS, pool, TMPDIR="/tmp", CLUSTERDB_IMPL=plane)
    assert output.split()[-1] == "done"
    assert "full" in output
