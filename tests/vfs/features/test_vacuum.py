"""VACUUM, page sizes and auto-vacuum."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import rows
from tests.vfs.features.content import PAGE_SIZES, assert_sound, file_hash, fill, hash_of


def test_vacuum_frees_pages_and_changes_no_row(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """VACUUM gives back free pages and changes no row."""
    connection.execute("DELETE FROM t WHERE id % 3")
    before, pages = hash_of(cluster), connection.pragma("page_count")
    connection.execute("VACUUM")
    assert hash_of(cluster) == before
    assert connection.pragma("page_count") < pages
    assert connection.pragma("freelist_count") == 0
    assert_sound(cluster)


def test_vacuum_into_a_path_writes_a_plain_file(
    cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path
) -> None:
    """VACUUM INTO a path writes a plain file with the same content."""
    connection.execute("VACUUM INTO ?", (str(tmp_path / "x.db"),))
    assert file_hash(tmp_path / "x.db") == hash_of(cluster)


def test_vacuum_into_a_file_name_writes_to_the_working_directory(
    cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name with a dot is a file in the working directory."""
    monkeypatch.chdir(tmp_path)
    connection.execute("VACUUM INTO 'copy.db'")
    assert file_hash(tmp_path / "copy.db") == hash_of(cluster)


def test_vacuum_into_fills_an_empty_cluster_only(
    store: clusterdb.Store, cluster: clusterdb.Cluster, connection: apsw.Connection
) -> None:
    """VACUUM INTO a cluster's name fills it if it is empty, and refuses it if not."""
    target = store.create_cluster("target")
    connection.execute("VACUUM INTO 'target'")
    assert hash_of(target) == hash_of(cluster)
    with pytest.raises(apsw.SQLError, match="already exists"):
        connection.execute("VACUUM INTO 'target'")
    assert_sound(target)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_vacuum_changes_the_page_size(cluster: clusterdb.Cluster, connection: apsw.Connection, page_size: int) -> None:
    """PRAGMA page_size and VACUUM rebuild the database, there and back."""
    before = hash_of(cluster)
    for size in (page_size, 4096):
        connection.execute(f"PRAGMA page_size = {size}; VACUUM")
        with closing(cluster.connect()) as other:
            assert other.pragma("page_size") == size
        assert hash_of(cluster) == before
        assert_sound(cluster)


@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_empty_cluster_takes_any_page_size(store: clusterdb.Store, page_size: int) -> None:
    """An empty cluster takes any page size, by PRAGMA as by create_cluster; commits and rollbacks work in it."""
    by_pragma, by_argument = store.create_cluster("a"), store.create_cluster("b", page_size=page_size)
    for cluster in (by_pragma, by_argument):
        connection = cluster.connect()
        if cluster is by_pragma:
            connection.execute(f"PRAGMA page_size = {page_size}")
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
        fill(connection, "t", 500)
        clone = cluster.clone(f"{cluster.name}-clone")
        before = hash_of(clone)
        connection.execute("PRAGMA cache_size = 5; BEGIN; UPDATE t SET body = body || n; ROLLBACK")
        assert hash_of(cluster) == before
        connection.execute("DELETE FROM t WHERE n > 50; VACUUM")
        assert hash_of(clone) == before != hash_of(cluster)
        with closing(clone.connect()) as other:
            assert other.pragma("page_size") == page_size
        assert_sound(cluster)
        assert_sound(clone)
    assert hash_of(by_pragma) == hash_of(by_argument)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_auto_vacuum_modes_free_pages_as_in_sqlite(
    cluster: clusterdb.Cluster, connection: apsw.Connection, mode: int
) -> None:
    """NONE keeps free pages, FULL gives them back at commit, INCREMENTAL when asked."""
    connection.execute(f"PRAGMA auto_vacuum = {mode}; VACUUM")
    pages = connection.pragma("page_count")
    connection.execute("DELETE FROM t WHERE id > 100")
    free = connection.pragma("freelist_count")
    assert connection.pragma("auto_vacuum") == mode
    if mode == 1:
        assert free == 0 and connection.pragma("page_count") < pages
    else:
        assert free > 10 and connection.pragma("page_count") == pages
    connection.execute("PRAGMA incremental_vacuum(10)").fetchall()
    assert connection.pragma("freelist_count") == (free - 10 if mode == 2 else free)
    connection.execute("PRAGMA incremental_vacuum").fetchall()
    assert connection.pragma("freelist_count") == (0 if mode else free)
    assert rows(connection, "SELECT count(*), max(id) FROM t") == [(100, 100)]
    assert_sound(cluster)
