"""Bad names, files and arguments: each its own error class with the name in it, one line, nothing changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.stores import rows

BAD_NAMES = ["", "9lives", "-x", "a b", "_a", "a@b", "a.b", "a/b", "ä", "x" * 64, "prod\n", "naïve"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_illegal_names_are_refused(store: clusterdb.Store, name: str) -> None:
    """A name that is none never gets into the catalog, by any door."""
    prod = store.create_cluster("prod")
    for attempt in (
        lambda: store.create_cluster(name),
        lambda: prod.clone(name),
        lambda: prod.rename(name),
        lambda: store.cluster(name),
    ):
        with pytest.raises(clusterdb.InvalidNameError) as caught:
            attempt()
        assert repr(name) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert [cluster.name for cluster in store.clusters()] == ["prod"]


@pytest.mark.parametrize("name", ["a", "Prod", "a-", "a--b", "test_site_gw0", "a_", "a__-b", "x" * 63])
def test_similar_names_stay_apart_by_every_way_of_creating(store: clusterdb.Store, name: str, tmp_path: Path) -> None:
    """Clusters with similar names stay apart, and so do those created from files, points in time and instances."""
    cluster = store.create_cluster(name)
    other = store.create_cluster("y" + name[1:].replace("_", "-"))
    for at, one in enumerate((cluster, other)):
        with clusterdb.connect(one) as connection:
            connection.execute("CREATE TABLE t (a)")
            connection.execute("INSERT INTO t VALUES (?)", (at,))
        connection.close()
    cluster.snapshot("before_it")
    connection = other.connect()
    connection.execute(f"ATTACH '{name}' AS o; UPDATE o.t SET a = 7")
    connection.close()
    again = store.restore_snapshot("before_it", "again_")
    for one, value in ((cluster, 7), (other, 1), (again, 0)):
        connection = one.connect()
        assert rows(connection, "SELECT a FROM t") == [(value,)]
        connection.close()
    cluster.export(tmp_path / name)
    assert sqlite3.connect(tmp_path / name).execute("SELECT a FROM t").fetchall() == [(7,)]
    cluster.add_instance("w_1")
    cluster.clone("c_1").rename("c__1")
    cluster.delete()
    assert {one.name for one in store.clusters()} == {other.name, "again_", "c__1"}


@pytest.mark.parametrize("name", ["a", "A", "x" * 63, "prod-2026", "a-", "prod-journal", "prod-wal"])
def test_legal_names_work(store: clusterdb.Store, name: str) -> None:
    """Every legal name can be created, opened and written to, also one that ends like a journal file's."""
    connection = store.create_cluster(name).connect()
    connection.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    assert rows(connection, "SELECT x FROM t") == [(1,)]
    connection.close()


def test_taken_names_are_refused(store: clusterdb.Store, sample: Path) -> None:
    """Creating, cloning and renaming to a taken name changes nothing."""
    prod, other = store.create_cluster("prod"), store.create_cluster("other")
    before = store.stats()
    for attempt in (
        lambda: store.create_cluster("prod"),
        lambda: store.create_cluster("prod", from_file=sample),
        lambda: other.clone("prod"),
        lambda: other.rename("prod"),
    ):
        with pytest.raises(clusterdb.ClusterExistsError, match="'prod'"):
            attempt()
    assert store.stats() == before
    prod.rename("prod")


def test_unknown_names_suggest_the_nearest(store: clusterdb.Store) -> None:
    """A typing mistake is answered with what was meant."""
    store.create_cluster("staging")
    with pytest.raises(clusterdb.ClusterNotFoundError, match="'stagin'; did you mean 'staging'"):
        store.cluster("stagin")
    with pytest.raises(apsw.CantOpenError, match="did you mean 'staging'"):
        apsw.Connection("stagin", vfs=store.vfs)


def test_verbs_of_a_deleted_cluster_name_it(store: clusterdb.Store) -> None:
    """Every verb on a handle of a deleted cluster names it."""
    gone = store.create_cluster("gone")
    gone.delete()
    for attempt in (
        gone.connect,
        gone.stats,
        gone.delete,
        lambda: gone.clone("x"),
        lambda: gone.rename("x"),
        lambda: gone.export("x.db"),
    ):
        with pytest.raises(clusterdb.ClusterNotFoundError, match="'gone'"):
            attempt()
    assert store.clusters() == []


@pytest.mark.parametrize("page_size", [0, 256, 1000, 131072, -4096])
def test_page_sizes_that_sqlite_lacks_are_refused(store: clusterdb.Store, page_size: int) -> None:
    """SQLite knows powers of two from 512 to 65536."""
    with pytest.raises(clusterdb.InvalidArgumentError, match=str(page_size)):
        store.create_cluster("x", page_size=page_size)
    assert store.clusters() == []


def test_page_size_and_import_exclude_each_other(store: clusterdb.Store, sample: Path) -> None:
    """An import keeps the page size of its file."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="page_size"):
        store.create_cluster("x", from_file=sample, page_size=8192)


def damaged(sample: Path, kind: str) -> Path:
    data = sample.read_bytes()
    bad = sample.with_name(f"{kind}.db")
    if kind == "text":
        bad.write_text("this is not a database, but long enough to look at " * 10)
    elif kind == "truncated":
        bad.write_bytes(data[: len(data) // 2])
    elif kind == "half-a-page":
        bad.write_bytes(data[:-100])
    elif kind == "scribbled":
        bad.write_bytes(data[:100] + b"\xff" * 3996 + data[4096:])
    elif kind == "folder":
        bad.mkdir()
    return bad  # "missing" is not made at all


@pytest.mark.parametrize("kind", ["text", "truncated", "half-a-page", "scribbled", "missing", "folder"])
def test_failed_import_leaves_no_cluster(store: clusterdb.Store, sample: Path, kind: str) -> None:
    """A file that is not a database, or damaged, is refused by name; the store is unchanged."""
    before = store.stats()
    bad = damaged(sample, kind)
    expected = (
        clusterdb.DatabaseDamagedError
        if kind in ("truncated", "half-a-page", "scribbled")
        else clusterdb.NotADatabaseError
    )
    with pytest.raises(expected, match=f"{kind}.db"):
        store.create_cluster("x", from_file=bad)
    assert store.clusters() == []
    assert store.stats().used_bytes == before.used_bytes


def test_interrupted_import_leaves_no_cluster(store: clusterdb.Store, sample: Path) -> None:
    """Ctrl-C in the progress callback undoes the import."""

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    before = store.stats()
    with pytest.raises(KeyboardInterrupt):
        store.create_cluster("x", from_file=sample, progress=interrupt)
    assert store.clusters() == []
    assert store.stats().used_bytes == before.used_bytes


def test_empty_file_is_imported_as_an_empty_database(store: clusterdb.Store, tmp_path: Path) -> None:
    """As in SQLite, a file of no bytes is an empty database."""
    (tmp_path / "empty.db").touch()
    connection = store.create_cluster("x", from_file=tmp_path / "empty.db").connect()
    assert rows(connection, "SELECT * FROM sqlite_schema") == []
    connection.close()


def test_export_overwrites_only_when_asked(store: clusterdb.Store, sample: Path, tmp_path: Path) -> None:
    """An existing file stays as it is; with overwrite it is replaced whole."""
    cluster = store.create_cluster("x", from_file=sample)
    target = tmp_path / "there.db"
    target.write_text("precious")
    with pytest.raises(clusterdb.ExportTargetError, match=r"there\.db"):
        cluster.export(target)
    assert target.read_text() == "precious"
    cluster.export(target, overwrite=True)
    assert rows(apsw.Connection(str(target)), "SELECT count(*) FROM t") == [(3000,)]
    with pytest.raises(clusterdb.ExportTargetError, match="nowhere"):
        cluster.export(tmp_path / "nowhere" / "x.db")
    assert sorted(path.name for path in tmp_path.glob("*partial*")) == []
