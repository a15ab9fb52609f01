"""journal_mode, locking_mode and synchronous."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import rows
from tests.vfs.features.content import CREATE_URI, assert_sound, hash_of


@pytest.mark.parametrize("asked", ["WAL", "wal", "OFF", "'off'"])
@pytest.mark.parametrize("schema", ["", "main."])
def test_wal_and_off_are_answered_with_the_mode_in_force(
    cluster: clusterdb.Cluster, connection: apsw.Connection, asked: str, schema: str
) -> None:
    """Asked for WAL or OFF a connection stays in its mode, says so, and goes on to publish and to roll back."""
    before = hash_of(cluster)
    assert rows(connection, f"PRAGMA {schema}journal_mode = {asked}") == [("memory",)]
    assert connection.pragma("journal_mode") == "memory"
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET n = n + 1; ROLLBACK")
    assert hash_of(cluster) == before
    connection.execute("INSERT INTO t (n) VALUES (-1)")
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]


@pytest.mark.parametrize("asked", ["WAL", "OFF"])
def test_wal_and_off_are_refused_for_an_attached_cluster(
    store: clusterdb.Store, connection: apsw.Connection, asked: str
) -> None:
    """An attached cluster keeps its journal mode."""
    other = store.create_cluster("other")
    connection.execute("ATTACH 'other' AS o")
    mode = connection.pragma("journal_mode", schema="o")
    assert rows(connection, f"PRAGMA o.journal_mode = {asked}") == [(mode,)]
    connection.execute("CREATE TABLE o.x (y)")
    assert rows(other.connect(), "SELECT count(*) FROM x") == [(0,)]


@pytest.mark.parametrize("locking", ["NORMAL", "EXCLUSIVE"])
def test_wal_for_all_databases_changes_plain_files_only(
    store: clusterdb.Store, cluster: clusterdb.Cluster, tmp_path: Path, locking: str
) -> None:
    """WAL asked of a plain file with a cluster attached: what the cluster takes it keeps, the rest it refuses."""
    taken_count = 0
    with closing(apsw.Connection(str(tmp_path / "plain.db"), flags=CREATE_URI)) as plain:
        plain.execute(f"CREATE TABLE p (x); ATTACH 'file:{cluster.name}?vfs={store.vfs}' AS c")
        plain.pragma("locking_mode", locking)
        try:
            assert plain.pragma("journal_mode", "WAL") == "wal"
            plain.execute("INSERT INTO c.t (n) VALUES (-1)")
            taken_count = 1
        except apsw.CantOpenError as error:
            assert cluster.name in str(error) and locking == "EXCLUSIVE"
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(taken_count,)]
    cluster.connect().execute("INSERT INTO t (n) VALUES (-2)")
    assert_sound(cluster)


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "MEMORY"])
def test_every_rollback_journal_mode_commits_and_rolls_back(
    cluster: clusterdb.Cluster,
    connection: apsw.Connection,
    mode: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every rollback-journal mode commits and rolls back, again and again, and leaves no file behind."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert connection.pragma("journal_mode", mode) == mode.lower()
    for turn in range(3):
        connection.execute("BEGIN; DELETE FROM t WHERE id % 2; ROLLBACK")
        connection.execute("UPDATE t SET n = ? WHERE id = 1", (turn + 1000,))
        with pytest.raises(apsw.ConstraintError):
            connection.execute("INSERT INTO t (id) VALUES (9999), (1)")
        assert rows(cluster.connect(), "SELECT n, (SELECT count(*) FROM t) FROM t WHERE id = 1") == [
            (turn + 1000, 3000)
        ]
    assert list(Path.cwd().iterdir()) == []
    assert_sound(cluster)


@pytest.mark.parametrize("mode", ["MEMORY", "DELETE", "PERSIST"])
def test_exclusive_connection_publishes_every_commit(
    cluster: clusterdb.Cluster, connection: apsw.Connection, mode: str
) -> None:
    """An exclusive connection publishes every commit, stays the only writer, and lets others in when it goes back."""
    other = cluster.connect()
    other.set_busy_timeout(0)
    connection.pragma("journal_mode", mode)
    assert connection.pragma("locking_mode", "EXCLUSIVE") == "exclusive"
    connection.execute("PRAGMA cache_size = 10")
    for turn in range(3):
        connection.execute("UPDATE t SET n = ? WHERE id <= 2000", (turn,))
        connection.execute("BEGIN; UPDATE t SET n = -5; DELETE FROM t WHERE id > 9; ROLLBACK")
        assert rows(other, "SELECT n, count(*) FROM t WHERE id <= 2000 GROUP BY n") == [(turn, 2000)]
        assert rows(other, "SELECT count(*) FROM t") == [(3000,)]
        with pytest.raises(apsw.BusyError):
            other.execute("DELETE FROM t")
    connection.pragma("locking_mode", "NORMAL")
    connection.execute("SELECT * FROM t LIMIT 1").fetchall()
    other.execute("DELETE FROM t WHERE id <= 2000")
    assert rows(connection, "SELECT count(*) FROM t") == [(1000,)]
    assert_sound(cluster)


@pytest.mark.parametrize("value", ["OFF", "NORMAL", "FULL", "EXTRA", "0", "1", "2"])
def test_every_synchronous_setting_publishes_commits(
    cluster: clusterdb.Cluster, connection: apsw.Connection, value: str
) -> None:
    """PRAGMA synchronous answers what was set, and commits are seen by others in every setting."""
    connection.execute(f"PRAGMA synchronous = {value}")
    number = {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}.get(value)
    assert connection.pragma("synchronous") == (int(value) if number is None else number)
    for turn in range(3):
        connection.execute("UPDATE t SET n = ?", (turn,))
        assert rows(cluster.connect(), "SELECT DISTINCT n FROM t") == [(turn,)]
