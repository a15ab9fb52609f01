"""ATTACH: clusters, plain files, and commits over several of them."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import rows
from tests.vfs.features.content import CREATE_URI, READWRITE, SERIES, assert_sound, file_hash


def test_attached_cluster_can_be_joined_and_written(store: clusterdb.Store, connection: apsw.Connection) -> None:
    """ATTACH by name: joins, writes to both, commit and rollback."""
    other = store.create_cluster("other")
    connection.execute("ATTACH 'other' AS o; CREATE TABLE o.names (id INTEGER PRIMARY KEY, name)")
    connection.execute(
        "BEGIN; INSERT INTO o.names SELECT id, 'n' || n FROM t WHERE id <= 5; DELETE FROM t WHERE id = 4"
    )
    connection.execute("COMMIT; BEGIN; DELETE FROM o.names; DELETE FROM t; ROLLBACK")
    joined = rows(connection, "SELECT t.id, name FROM t JOIN o.names USING (id) ORDER BY t.id")
    assert joined == [(1, "n1"), (2, "n2"), (3, "n3"), (5, "n5")]
    assert rows(other.connect(), "SELECT count(*) FROM names") == [(5,)]
    connection.execute("DETACH o")
    assert_sound(other)


def test_attached_clone_can_be_compared_with_its_source(store: clusterdb.Store, connection: apsw.Connection) -> None:
    """Source and clone side by side: their difference is one query."""
    name = Path(connection.filename).name
    twin = store.cluster(name).clone("twin")
    connection.execute("UPDATE t SET body = 'changed' WHERE id IN (7, 70)")
    connection.execute("ATTACH 'twin' AS twin")
    assert rows(connection, "SELECT id FROM (SELECT * FROM t EXCEPT SELECT * FROM twin.t)") == [(7,), (70,)]
    connection.execute("INSERT OR REPLACE INTO twin.t SELECT * FROM t WHERE id = 7")
    assert rows(twin.connect(), "SELECT body FROM t WHERE id IN (7, 70) ORDER BY id")[0] == ("changed",)


@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
def test_attached_plain_files_can_be_joined_and_written(
    connection: apsw.Connection, tmp_path: Path, journal_mode: str
) -> None:
    """ATTACH by path: joins and writes across a cluster and plain files, also one in WAL mode."""
    path = tmp_path / "plain.db"
    with closing(apsw.Connection(str(path))) as plain:
        plain.execute(f"PRAGMA journal_mode = {journal_mode}; CREATE TABLE p (id INTEGER PRIMARY KEY, x)").fetchall()
    connection.execute("ATTACH ? AS plain", (str(path),))
    connection.execute("BEGIN; INSERT INTO plain.p SELECT id, n FROM t; UPDATE t SET n = 0 WHERE id = 1; COMMIT")
    connection.execute("BEGIN; DELETE FROM plain.p; DELETE FROM t; ROLLBACK")
    assert rows(connection, "SELECT count(*) FROM t JOIN plain.p USING (id)") == [(3000,)]
    assert connection.pragma("journal_mode", schema="plain") == journal_mode.lower()
    connection.execute("DETACH plain")
    with closing(apsw.Connection(str(path))) as plain:
        assert rows(plain, "SELECT count(*), sum(id) FROM p") == [(3000, 4_501_500)]


def test_attach_creates_a_plain_file(connection: apsw.Connection, tmp_path: Path) -> None:
    """ATTACH of a path that does not exist creates the file, as on any connection of Python's sqlite3."""
    connection.execute("ATTACH ? AS new", (str(tmp_path / "new.db"),))
    connection.execute("CREATE TABLE new.copy AS SELECT * FROM t")
    connection.execute("DETACH new")
    with closing(apsw.Connection(str(tmp_path / "new.db"))) as plain:
        assert rows(plain, "SELECT count(*) FROM copy") == [(3000,)]


def test_plain_connection_attaches_a_cluster_by_uri(
    store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path
) -> None:
    """A connection to a plain file attaches a cluster by URI."""
    with closing(apsw.Connection(str(tmp_path / "plain.db"), flags=CREATE_URI)) as plain:
        plain.execute(f"ATTACH 'file:{cluster.name}?vfs={store.vfs}' AS c")
        plain.execute("BEGIN; CREATE TABLE copy AS SELECT * FROM c.t; DELETE FROM c.t WHERE id > 10; COMMIT")
        assert rows(plain, "SELECT (SELECT count(*) FROM copy), (SELECT count(*) FROM c.t)") == [(3000, 10)]
    assert rows(cluster.connect(), "SELECT count(*) FROM t") == [(10,)]


@pytest.mark.parametrize("mode", ["DELETE", "PERSIST", "TRUNCATE"])
def test_transaction_over_several_clusters_commits_and_rolls_back(
    store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Transactions over attached clusters commit and roll back in all of them, and leave no file behind."""
    monkeypatch.chdir(tmp_path)
    there = set(tmp_path.iterdir())
    store.create_cluster("second")
    store.create_cluster("third")
    with closing(apsw.Connection(cluster.name, flags=READWRITE, vfs=store.vfs)) as plain:
        plain.execute("ATTACH 'second' AS b; ATTACH 'third' AS c; CREATE TABLE b.x (y); CREATE TABLE c.x (y)")
        for schema in ("main", "b", "c"):
            assert plain.pragma("journal_mode", mode, schema=schema) == mode.lower()
        plain.execute("BEGIN; INSERT INTO b.x SELECT id FROM t; INSERT INTO c.x SELECT n FROM t; DELETE FROM t; COMMIT")
        plain.execute("BEGIN; DELETE FROM b.x; DELETE FROM c.x; INSERT INTO t (n) VALUES (1); ROLLBACK")
    assert rows(cluster.connect(), "SELECT count(*) FROM t") == [(0,)]
    for name in ("second", "third"):
        assert rows(store.cluster(name).connect(), "SELECT count(*) FROM x") == [(3000,)]
    assert set(tmp_path.iterdir()) == there


CRASH = """
    import os, sys, apsw, clusterdb

    class DyingFile(apsw.VFSFile):
        def __init__(self, name, flags):
            super().__init__("", name, flags)
            self.is_database = flags[0] & apsw.SQLITE_OPEN_MAIN_DB

        def xWrite(self, data, offset):
            global writes_left
            super().xWrite(data, offset)
            if self.is_database and writes_left is not None:
                writes_left -= 1
                if not writes_left:
                    os._exit(9)

    class DyingVFS(apsw.VFS):
        def __init__(self):
            super().__init__("dying", base="")

        def xOpen(self, name, flags):
            return DyingFile(name, flags)

    writes_left = None
    vfs = DyingVFS()
    store = clusterdb.open(sys.argv[1])
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
    ours = sys.argv[2] == "ours"
    connection = store.cluster("prod").connect() if ours else apsw.Connection("prod", flags=flags, vfs=store.vfs)
    for at, path in enumerate(sys.argv[3:]):
        connection.execute(f"ATTACH 'file:{path}?vfs=dying' AS plain{at}")
    connection.execute("BEGIN; INSERT INTO x VALUES (2)")
    for at in range(len(sys.argv[3:])):
        connection.execute(f"UPDATE plain{at}.p SET x = zeroblob(2000)")
    writes_left = 4
    connection.execute("COMMIT")
    sys.exit("the process was to die in the commit")
"""


@pytest.mark.parametrize(("kind", "file_count"), [("ours", 1), ("ours", 2), ("plain", 1)])
def test_attached_plain_files_survive_a_crash_in_a_commit(tmp_path: Path, kind: str, file_count: int) -> None:
    """A process that dies while it commits to a cluster and to plain files does not damage the files."""
    with clusterdb.open(tmp_path / "store") as store:
        store.create_cluster("prod").connect().execute("CREATE TABLE x (y); INSERT INTO x VALUES (1)")
    paths = [tmp_path / f"plain{at}.db" for at in range(file_count)]
    for path in paths:
        with closing(apsw.Connection(str(path))) as plain:
            plain.execute("CREATE TABLE p (id INTEGER PRIMARY KEY, x)")
            plain.execute(f"{SERIES} INSERT INTO p SELECT x, printf('%02000d', x) FROM c", (30,))
    before = [file_hash(path) for path in paths]
    program = [sys.executable, "-c", textwrap.dedent(CRASH), str(tmp_path / "store"), kind, *map(str, paths)]
    died = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert died.returncode == 9, died.stderr
    for path in paths:
        with closing(apsw.Connection(str(path))) as plain:
            assert rows(plain, "PRAGMA integrity_check") == [("ok",)]
    assert [file_hash(path) for path in paths] == before
