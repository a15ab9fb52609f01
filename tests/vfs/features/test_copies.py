"""Copies in and out: backup, serialize, blobs, import and export."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.dbhash import dbhash
from tests.support.stores import rows
from tests.vfs.features.content import FEATURES, PAGE_SIZES, QUERIES, SERIES, assert_sound, file_hash, fill, hash_of


# --- copies in and out ------------------------------------------------------------------------------------------------
def test_backup_api_copies_out_and_in(cluster: clusterdb.Cluster, connection: apsw.Connection, tmp_path: Path) -> None:
    """SQLite's backup API copies a cluster to a plain database and back."""
    before = hash_of(cluster)
    with closing(apsw.Connection(str(tmp_path / "copy.db"))) as plain:
        with plain.backup("main", connection, "main") as backup:
            while not backup.done:
                backup.step(7)
        assert dbhash(plain) == before
        connection.execute("DELETE FROM t; CREATE TABLE extra (x)")
        with connection.backup("main", plain, "main") as backup:
            while not backup.done:
                backup.step(7)
    assert hash_of(cluster) == dbhash(connection) == before
    assert_sound(cluster)


@pytest.mark.parametrize("page_size", [512, 65536])
def test_backup_into_a_cluster_takes_the_page_size(
    cluster: clusterdb.Cluster, connection: apsw.Connection, page_size: int
) -> None:
    """A backup into a filled cluster replaces everything, page size included."""
    with closing(apsw.Connection(":memory:")) as plain:
        plain.execute(f"PRAGMA page_size = {page_size}; CREATE TABLE small (x); INSERT INTO small VALUES (1), (2)")
        with connection.backup("main", plain, "main") as backup:
            backup.step(-1)
        assert hash_of(cluster) == dbhash(plain)
    assert cluster.connect().pragma("page_size") == page_size
    assert_sound(cluster)


def test_serialized_cluster_opens_in_memory(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """The bytes of a cluster open as a database in memory; deserializing over a connection leaves the cluster alone."""
    before, data = hash_of(cluster), connection.serialize("main")
    assert data.startswith(b"SQLite format 3\0")
    assert len(data) == connection.pragma("page_size") * connection.pragma("page_count")
    with closing(apsw.Connection(":memory:")) as memory:
        memory.deserialize("main", data)
        assert dbhash(memory) == before
    connection.deserialize("main", data)
    connection.execute("DELETE FROM t")
    assert rows(connection, "SELECT count(*) FROM t") == [(0,)]
    assert hash_of(cluster) == before


def test_incremental_blobs_are_read_and_written(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Blobs of many pages are read and written in pieces."""
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY, data); INSERT INTO b VALUES (1, zeroblob(100000))")
    with connection.blob_open("main", "b", "data", 1, True) as blob:
        for at in range(0, 100_000, 5000):
            blob.seek(at)
            blob.write(at.to_bytes(4, "big"))
    with cluster.connect().blob_open("main", "b", "data", 1, False) as blob:
        data = blob.read()
    assert data == b"".join(at.to_bytes(4, "big") + bytes(4996) for at in range(0, 100_000, 5000))
    connection.execute("BEGIN")
    with connection.blob_open("main", "b", "data", 1, True) as blob:
        blob.write(b"rolled back")
    connection.execute("ROLLBACK")
    assert rows(connection, "SELECT hex(substr(data, 1, 4)), length(data) FROM b") == [("00000000", 100_000)]


def test_temporary_tables_stay_private(cluster: clusterdb.Cluster, connection: apsw.Connection) -> None:
    """Temporary tables work, however large, and never enter the cluster."""
    before = cluster.stats()
    connection.execute("PRAGMA temp_store = FILE; CREATE TEMP TABLE tmp (id INTEGER PRIMARY KEY, n, body)")
    connection.execute("PRAGMA temp.cache_size = 5")
    fill(connection, "tmp", 5000)
    connection.execute("CREATE INDEX temp.tmp_body ON tmp (body)")
    assert rows(connection, "SELECT count(*) FROM tmp JOIN t USING (id)") == [(3000,)]
    assert cluster.stats() == before
    assert rows(cluster.connect(), "SELECT count(*) FROM sqlite_temp_schema") == [(0,)]


@pytest.mark.slow
def test_sort_of_a_million_rows_spills_to_temporary_files(connection: apsw.Connection) -> None:
    """Sorts larger than memory spill to temporary files."""
    connection.execute("PRAGMA temp_store = FILE; PRAGMA cache_size = 100")
    sql = (
        "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 1000000) "
        "SELECT count(*), sum(x) FROM (SELECT x, row_number() OVER (ORDER BY random()) FROM c)"
    )
    assert rows(connection, sql) == [(1_000_000, 500_000_500_000)]


# --- import and export ------------------------------------------------------------------------------------------------
@pytest.fixture
def plain_file(tmp_path: Path) -> Iterator[apsw.Connection]:
    """A connection to a new plain file, open while the test runs."""
    with closing(apsw.Connection(str(tmp_path / "plain.db"))) as connection:
        yield connection


def assert_round_trip(store: clusterdb.Store, plain: apsw.Connection, tmp_path: Path) -> clusterdb.Cluster:
    """Import what the plain connection sees, export it, and export a clone: all the same.  The file is only read."""
    path = Path(plain.filename)
    file_bytes = path.read_bytes()
    cluster = store.create_cluster("imported", from_file=path)
    assert path.read_bytes() == file_bytes
    assert hash_of(cluster) == dbhash(plain)
    cluster.export(tmp_path / "exported.db")
    cluster.clone("imported-clone").export(tmp_path / "exported-clone.db")
    assert file_hash(tmp_path / "exported.db") == file_hash(tmp_path / "exported-clone.db") == dbhash(plain)
    assert_sound(cluster)
    return cluster


@pytest.mark.parametrize("wal", [False, True])
@pytest.mark.parametrize("page_size", PAGE_SIZES)
def test_import_keeps_every_page_size(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, page_size: int, wal: bool
) -> None:
    """An imported file keeps its page size; a WAL that is not merged into the file yet is imported too."""
    plain_file.execute(f"PRAGMA page_size = {page_size}; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    if wal:
        assert plain_file.pragma("journal_mode", "WAL") == "wal"
        plain_file.pragma("wal_autocheckpoint", 0)
    fill(plain_file, "t", 600)
    plain_file.execute("DELETE FROM t WHERE id % 3 = 0; PRAGMA user_version = 77; PRAGMA application_id = 78")
    cluster = assert_round_trip(store, plain_file, tmp_path)
    connection = cluster.connect()
    assert connection.pragma("page_size") == page_size
    assert connection.pragma("journal_mode") == "memory"
    assert rows(connection, "SELECT count(*) FROM t") == [(400,)]
    connection.execute("INSERT INTO t (n) VALUES (1)")
    assert rows(plain_file, "SELECT count(*) FROM t") == [(400,)]


def test_import_does_not_see_an_open_transaction(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path
) -> None:
    """From a WAL-mode file in use, what is committed is imported."""
    plain_file.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)").fetchall()
    plain_file.execute("PRAGMA cache_size = 5; BEGIN")
    plain_file.execute(f"{SERIES} INSERT INTO t SELECT zeroblob(3000) FROM c", (50,))
    cluster = store.create_cluster("imported", from_file=tmp_path / "plain.db")
    plain_file.execute("COMMIT")
    assert rows(cluster.connect(), "SELECT x FROM t") == [(1,)]


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_import_keeps_the_auto_vacuum_mode(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, mode: int
) -> None:
    """An imported file keeps its auto-vacuum mode and its free pages' order."""
    plain_file.execute(f"PRAGMA auto_vacuum = {mode}; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    fill(plain_file, "t", 500)
    plain_file.execute("DELETE FROM t WHERE id > 50")
    connection = assert_round_trip(store, plain_file, tmp_path).connect()
    assert connection.pragma("auto_vacuum") == mode
    connection.execute("PRAGMA incremental_vacuum; DELETE FROM t").fetchall()
    assert connection.pragma("freelist_count") == 0 or mode != 1


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_import_and_export_keep_every_kind_of_table(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path, encoding: str
) -> None:
    """FTS5, R-Tree and the rest, in every text encoding, come through an import and an export."""
    plain_file.execute(f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (id INTEGER PRIMARY KEY, n, body)")
    plain_file.execute(f"{SERIES} INSERT INTO t SELECT x, x % 97, 'sample é ' || x FROM c", (300,))
    plain_file.execute(FEATURES)
    connection = assert_round_trip(store, plain_file, tmp_path).connect()
    for query in QUERIES:
        assert rows(connection, query) == rows(plain_file, query), query


def test_import_reads_the_wal_of_a_crashed_process(
    store: clusterdb.Store, plain_file: apsw.Connection, tmp_path: Path
) -> None:
    """A file left with a WAL by a process that died is imported with what was committed in it."""
    plain_file.execute("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1), (2)").fetchall()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"plain.db{suffix}", tmp_path / f"crashed.db{suffix}")
    cluster = store.create_cluster("imported", from_file=tmp_path / "crashed.db")
    assert hash_of(cluster) == dbhash(plain_file)
