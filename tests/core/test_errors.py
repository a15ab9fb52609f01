"""Bad input: its own error class with the name in it, one line, nothing changed."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from tests.support.stores import rows
from vfs.format import layout

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


# --- the store itself -------------------------------------------------------------------------------------------------
def test_paths_without_a_store_are_refused_and_unchanged(tmp_path: Path) -> None:
    """A file, a folder of other things, a missing folder: each says what it is, and is left alone."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("x")
    for name in ("file", "folder"):
        with pytest.raises(clusterdb.NotAStoreError, match=name):
            clusterdb.open(tmp_path / name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["mine.txt"]
    with pytest.raises(clusterdb.NotAStoreError, match="missing"):
        clusterdb.open(tmp_path / "missing", create=False)
    assert not (tmp_path / "missing").exists()


def test_new_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """Other users cannot read a new store."""
    clusterdb.open(tmp_path / "s").close()
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o700
    for file in (tmp_path / "s").glob("[!c]*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A store that a later release wrote is refused, by the pool's format and by the catalog's."""
    clusterdb.open(tmp_path / "pool").close()
    with open(tmp_path / "pool" / "pool", "r+b") as file:
        file.seek(8)
        file.write((layout.FORMAT + 1).to_bytes(4, "little"))
    with pytest.raises(clusterdb.StoreFormatError, match=f"format {layout.FORMAT + 1}"):
        clusterdb.open(tmp_path / "pool")
    clusterdb.open(tmp_path / "catalog").close()
    apsw.Connection(str(tmp_path / "catalog" / "catalog.db")).execute("PRAGMA user_version = 99")
    with pytest.raises(clusterdb.StoreFormatError, match="format 99"):
        clusterdb.open(tmp_path / "catalog")


def test_pool_and_catalog_of_different_stores_are_refused(tmp_path: Path) -> None:
    """A pool beside the catalog of another store, or without any, is refused before anything is written."""
    for name in ("a", "b"):
        with clusterdb.open(tmp_path / name) as store:
            store.create_cluster("x").connect().execute("CREATE TABLE t (x)")
    (tmp_path / "a" / "pool").write_bytes((tmp_path / "b" / "pool").read_bytes())
    with pytest.raises(clusterdb.CorruptStoreError, match="not of the same store"):
        clusterdb.open(tmp_path / "a")
    for file in (tmp_path / "b").glob("catalog.db*"):
        file.unlink()
    with pytest.raises(clusterdb.CorruptStoreError, match="catalog"):
        clusterdb.open(tmp_path / "b")


def test_catalog_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    """Garbage in catalog.db is named as such."""
    clusterdb.open(tmp_path / "s").close()
    (tmp_path / "s" / "catalog.db").write_bytes(b"garbage " * 1000)
    for journal in (tmp_path / "s").glob("catalog.db-*"):
        journal.unlink()
    with pytest.raises(clusterdb.CorruptStoreError, match=r"catalog\.db"):
        clusterdb.open(tmp_path / "s")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_directory_is_reported_as_missing_permission(tmp_path: Path) -> None:
    """Missing rights are said to be missing rights."""
    clusterdb.open(tmp_path / "s").close()
    (tmp_path / "s").chmod(0)
    try:
        with pytest.raises(clusterdb.StoreUnreadableError, match="Permission denied"):
            clusterdb.open(tmp_path / "s")
    finally:
        (tmp_path / "s").chmod(0o700)


def test_directory_that_cannot_be_created_gives_the_systems_reason() -> None:
    """Where no directory can be made, the system's reason is given."""
    with pytest.raises(clusterdb.StoreUnreadableError, match="/proc/nope"):
        clusterdb.open("/proc/nope/store")


def test_verbs_of_a_closed_store_are_refused(tmp_path: Path) -> None:
    """Every verb of a closed store and of its clusters is refused; closing again does no harm."""
    store = clusterdb.open(tmp_path / "s")
    cluster = store.create_cluster("x")
    store.close()
    store.close()
    for attempt in (store.clusters, store.stats, cluster.connect, cluster.stats, cluster.delete):
        with pytest.raises(clusterdb.ClosedError, match="closed"):
            attempt()


def test_close_is_refused_while_foreign_connections_are_open(tmp_path: Path) -> None:
    """Connections that the store did not make must be closed by who made them; then closing works."""
    store = clusterdb.open(tmp_path / "s")
    store.create_cluster("x")
    connection = apsw.Connection("x", vfs=store.vfs)
    with pytest.raises(clusterdb.StoreInUseError, match="connections to x"):
        store.close()
    connection.close()
    store.close()


@pytest.mark.parametrize("synchronous", ["EXTRA", "full", 2])
def test_unknown_synchronous_setting_is_refused(tmp_path: Path, synchronous: str) -> None:
    """The setting is one of three words."""
    with pytest.raises(clusterdb.InvalidArgumentError, match="synchronous"):
        clusterdb.open(tmp_path / "s", synchronous=synchronous)  # type: ignore[arg-type]
    assert not (tmp_path / "s").exists()


def test_default_store_is_the_environment_variable_or_dot_clusterdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """$CLUSTERDB_STORE, else ./.clusterdb."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CLUSTERDB_STORE", raising=False)
    clusterdb.open().close()
    assert (tmp_path / ".clusterdb" / "pool").exists()
    monkeypatch.setenv("CLUSTERDB_STORE", str(tmp_path / "elsewhere"))
    clusterdb.open().close()
    assert (tmp_path / "elsewhere" / "pool").exists()


@pytest.mark.parametrize(
    ("mode", "text"), [(0o770, "mode 0770"), (0o702, "mode 0702"), (0o1777, "mode 1777"), (0o2775, "mode 2775")]
)
def test_store_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, text: str) -> None:
    """The text says what to do; nothing is changed, and after that it opens."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    path.chmod(mode)
    choices: list[dict[str, Any]] = [{}, {"create": False}, {"read_only": True}]
    for options in choices:
        with pytest.raises(clusterdb.StoreUnsafeError, match="other users can write to the directory") as caught:
            clusterdb.open(path, **options)
        assert str(caught.value) == (
            f"other users can write to the directory of store '{path}' ({text}), and replace its files: run chmod go-w "
            f"'{path}'"
        )
    with pytest.raises(clusterdb.StoreUnsafeError):
        clusterdb.repair(path)
    assert path.stat().st_mode & 0o7777 == mode
    subprocess.run(["chmod", "go-w", str(path)], check=True)
    clusterdb.open(path).close()


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o500 | 0o200])
def test_store_that_others_can_list_is_accepted(tmp_path: Path, mode: int) -> None:
    """Its files cannot be read by others all the same."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    path.chmod(mode)
    clusterdb.open(path).close()
    assert all(not file.stat().st_mode & 0o077 for file in path.iterdir())


def test_empty_directory_becomes_private(tmp_path: Path) -> None:
    """One that mkdir has made under a loose umask can become a store, and is its owner's alone then."""
    path = tmp_path / "store"
    path.mkdir()
    path.chmod(0o777)
    clusterdb.open(path).close()
    assert path.stat().st_mode & 0o777 == 0o700


def test_store_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner could replace its files at any time."""
    path = tmp_path / "store"
    clusterdb.open(path).close()
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner == 0:
        clusterdb.open(path).close()  # of root's there is nothing to fear
        os.chown(path, 12345, -1)
        owner = 12345
    with pytest.raises(clusterdb.StoreUnsafeError, match=rf"belongs to another user \(uid {owner}\)"):
        clusterdb.open(path)
