"""Transactions: savepoints, spills, data_version, snapshots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import assert_clean, extended_result, rows
from tests.vfs.features.content import assert_sound, fill, hash_of


def test_nested_savepoints_roll_back_and_release(connection: apsw.Connection) -> None:
    """Nested savepoints, ROLLBACK TO and RELEASE."""
    connection.execute("CREATE TABLE s (x)")
    connection.execute("SAVEPOINT a; INSERT INTO s VALUES (1); SAVEPOINT b; INSERT INTO s VALUES (2)")
    connection.execute("SAVEPOINT c; INSERT INTO s VALUES (3); ROLLBACK TO b; INSERT INTO s VALUES (4); RELEASE b")
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]
    connection.execute("SAVEPOINT d; DELETE FROM s; ROLLBACK TO d; RELEASE a")
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]
    connection.execute("SAVEPOINT e; DELETE FROM s; ROLLBACK TO e; RELEASE e")
    assert connection.get_autocommit()
    assert rows(connection, "SELECT x FROM s") == [(1,), (4,)]


def spill_savepoints(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Savepoints whose pages have left the cache; the sample must be unchanged before."""
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = body || '-one'; SAVEPOINT s")
    connection.execute("UPDATE t SET n = n + 1000; DELETE FROM t WHERE id % 2; SAVEPOINT inner; DELETE FROM t")
    connection.execute("ROLLBACK TO inner; ROLLBACK TO s; UPDATE t SET n = -n WHERE id = 5; COMMIT")
    expected = [(x, -5 if x == 5 else x % 97, f"row {x} of the sample-one") for x in range(1, 3001)]
    assert rows(cluster.connect(), "SELECT * FROM t ORDER BY id") == expected
    assert_sound(cluster)


def spill_transactions(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """A rollback and a commit of more than the cache holds; the sample must be unchanged before."""
    before, reader = hash_of(cluster), cluster.connect()
    connection.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = upper(body), n = -n; DELETE FROM t")
    assert rows(connection, "SELECT count(*) FROM t") == [(0,)]
    assert dbhash(reader) == before
    connection.execute("ROLLBACK")
    assert dbhash(connection) == dbhash(reader) == before
    connection.execute("BEGIN; UPDATE t SET body = upper(body), n = -n; COMMIT")
    expected = [(x, -(x % 97), f"ROW {x} OF THE SAMPLE") for x in range(1, 3001)]
    assert rows(reader, "SELECT * FROM t ORDER BY id") == expected
    assert_sound(cluster)


def test_savepoints_roll_back_after_a_cache_spill(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """ROLLBACK TO finds what it needs though the pages have left the cache."""
    spill_savepoints(cluster, connection)


@pytest.mark.parametrize("mode", ["MEMORY", "DELETE", "TRUNCATE", "PERSIST"])
def test_transaction_larger_than_the_page_cache_is_atomic(
    cluster: clusterdb.Cluster, connection: apsw.Connection, mode: str
) -> None:
    """Rolled back, nothing has happened; committed, everything has; in every journal mode."""
    assert connection.pragma("journal_mode", mode) == mode.lower()
    spill_transactions(cluster, connection)


@pytest.mark.parametrize("spill", [spill_savepoints, spill_transactions])
@pytest.mark.parametrize("mode", ["MEMORY", "PERSIST"])
def test_transaction_larger_than_the_staging_limit_is_atomic(
    plain_sample: Path, monkeypatch: pytest.MonkeyPatch, spill: Callable[..., None], mode: str
) -> None:
    """Pages that move to the pool before the commit are rolled back or committed as a whole."""
    monkeypatch.setattr("vfs.storage.writer.STAGED_PAGES_MAX", 4)
    with clusterdb.open(":memory:") as store:
        source = store.create_cluster("source", from_file=plain_sample)
        clone, before = source.clone("clone"), hash_of(source)
        connection = clone.connect()
        connection.pragma("journal_mode", mode)
        spill(clone, connection)
        assert hash_of(source) == before
        assert_clean(store)


@pytest.mark.slow
def test_transaction_of_tens_of_mebibytes_is_atomic(tmp_path: Path) -> None:
    """Rolled back and committed, with what is staged in memory by default."""
    with clusterdb.open(tmp_path / "store") as store:
        cluster = store.create_cluster("cluster")
        connection = cluster.connect()
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, body); CREATE INDEX t_n ON t (n)")
        before = hash_of(cluster)
        connection.execute("PRAGMA cache_size = 10; BEGIN")
        fill(connection, "t", 100_000)
        connection.execute("ROLLBACK")
        assert hash_of(cluster) == before
        connection.execute("BEGIN")
        fill(connection, "t", 100_000)
        connection.execute("COMMIT")
        assert rows(connection, "SELECT count(*), sum(id) FROM t") == [(100_000, 5_000_050_000)]
        assert_sound(cluster)
        assert_clean(store)


def test_data_version_changes_with_commits_of_others(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """PRAGMA data_version changes when another connection commits, and only then."""
    other = cluster.connect()
    first = connection.pragma("data_version")
    connection.execute("INSERT INTO t (n) VALUES (1)")
    other.execute("BEGIN; INSERT INTO t (n) VALUES (2); ROLLBACK")
    assert connection.pragma("data_version") == first
    other.execute("INSERT INTO t (n) VALUES (3)")
    second = connection.pragma("data_version")
    assert second != first
    assert connection.pragma("data_version") == second


def test_read_transaction_sees_one_version(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """A reader keeps its snapshot through other connections' commits and VACUUM, then sees the newest."""
    writer, before = cluster.connect(), hash_of(cluster)
    connection.execute("BEGIN; SELECT * FROM t LIMIT 1").fetchall()
    writer.execute("DELETE FROM t WHERE id > 10; VACUUM; PRAGMA page_size = 8192; VACUUM")
    assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
    with pytest.raises(apsw.BusyError) as caught:
        connection.execute("DELETE FROM t")
    assert extended_result(caught.value) == apsw.SQLITE_BUSY_SNAPSHOT
    connection.execute("COMMIT")
    assert rows(connection, "SELECT count(*) FROM t") == [(10,)]
    assert hash_of(cluster) != before
