"""Connections made without clusterdb: names, URIs, read-only ones."""

from __future__ import annotations

from contextlib import closing

import apsw
import pytest

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import rows
from tests.vfs.features.content import READWRITE, READWRITE_URI, assert_sound, hash_of


# --- connections of other making --------------------------------------------------------------------------------------
def test_plain_apsw_connection_commits_and_rolls_back(store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
    """apsw.Connection(name, vfs=store.vfs) works without our help: commit, rollback, rollback after a cache spill."""
    before = hash_of(cluster)
    with closing(apsw.Connection(cluster.name, flags=READWRITE, vfs=store.vfs)) as plain:
        assert plain.pragma("journal_mode") == "delete"
        plain.execute("BEGIN; INSERT INTO t (n) VALUES (-1); ROLLBACK")
        assert hash_of(cluster) == dbhash(plain) == before
        plain.execute("PRAGMA cache_size = 10; BEGIN; UPDATE t SET body = upper(body); DELETE FROM t WHERE id % 2")
        plain.execute("ROLLBACK")
        assert hash_of(cluster) == dbhash(plain) == before
        plain.execute("INSERT INTO t (n) VALUES (-1)")
        assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]
        assert rows(plain, "PRAGMA journal_mode = WAL") == [("delete",)]
    assert_sound(cluster)


# --- names and URIs ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("query", ["", "&mode=rw", "&psow=1", "&cache=private", "&cache=shared"])
def test_file_uri_opens_a_cluster_for_writing(store: clusterdb.Store, cluster: clusterdb.Cluster, query: str) -> None:
    """file:name?vfs=... opens a cluster from any code that takes a database name."""
    with closing(apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}{query}", flags=READWRITE_URI)) as connection:
        connection.execute("INSERT INTO t (n) VALUES (-1)")
    assert rows(cluster.connect(), "SELECT count(*) FROM t WHERE n = -1") == [(1,)]


def test_uri_with_mode_ro_refuses_writes(store: clusterdb.Store, cluster: clusterdb.Cluster) -> None:
    """mode=ro reads, sees new commits, and refuses writes."""
    with closing(apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}&mode=ro", flags=READWRITE_URI)) as connection:
        assert rows(connection, "SELECT count(*) FROM t") == [(3000,)]
        with pytest.raises(apsw.ReadOnlyError):
            connection.execute("DELETE FROM t")
        cluster.connect().execute("DELETE FROM t WHERE id > 5")
        assert rows(connection, "SELECT count(*) FROM t") == [(5,)]


@pytest.mark.parametrize("query", ["nolock=1", "immutable=1", "mode=ro&nolock=1", "mode=ro&immutable=1"])
def test_uri_without_locks_shows_the_content_or_is_refused(
    store: clusterdb.Store, cluster: clusterdb.Cluster, query: str
) -> None:
    """nolock and immutable, under which SQLite calls no xLock, show the content or are refused, but do not hide it."""
    try:
        connection = apsw.Connection(f"file:{cluster.name}?vfs={store.vfs}&{query}", flags=READWRITE_URI)
    except apsw.CantOpenError:
        return
    with closing(connection):
        assert rows(connection, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [("t",)]


def test_read_only_connection_reads_commits_and_refuses_writes(cluster: clusterdb.Cluster) -> None:
    """It reads, sees what others commit, and refuses every kind of write."""
    reader, before = cluster.connect(read_only=True), hash_of(cluster)
    for statement in ("DELETE FROM t", "CREATE TABLE x (y)", "VACUUM", "PRAGMA user_version = 3"):
        with pytest.raises(apsw.ReadOnlyError):
            reader.execute(statement)
    assert hash_of(cluster) == before
    reader.execute("CREATE TEMP TABLE mine AS SELECT * FROM t")
    cluster.connect().execute("DELETE FROM t")
    assert rows(reader, "SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM mine)") == [(0, 3000)]


@pytest.mark.parametrize("flags", [READWRITE, READWRITE | apsw.SQLITE_OPEN_CREATE, apsw.SQLITE_OPEN_READONLY])
def test_unknown_cluster_is_refused_and_not_created(
    store: clusterdb.Store, cluster: clusterdb.Cluster, flags: int
) -> None:
    """A wrong name never creates anything, and the error suggests the right one."""
    unknown = cluster.name + "s"
    expected = f"no cluster '{unknown}'; did you mean '{cluster.name}'"
    with pytest.raises(apsw.CantOpenError, match=expected):
        apsw.Connection(unknown, flags=flags, vfs=store.vfs)
    with pytest.raises(apsw.CantOpenError, match=expected):
        cluster.connect().execute(f"ATTACH '{unknown}' AS wrong")
    assert unknown not in [other.name for other in store.clusters()]
