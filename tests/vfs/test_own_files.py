"""The files of a store are never opened through its VFS, whatever path leads to them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import pages_of
from tests.support.stores import assert_clean, rows

FILES = ("catalog.db", "catalog.db-wal", "catalog.db-shm", "pool", "map", "readers", "locks", "history/1")


def symlinked(path: Path, elsewhere: Path) -> str:
    elsewhere.symlink_to(path)
    return str(elsewhere)


def hard_linked(path: Path, elsewhere: Path) -> str:
    elsewhere.hardlink_to(path)
    return str(elsewhere)


def behind_a_linked_directory(path: Path, elsewhere: Path) -> str:
    elsewhere.symlink_to(path.parent)
    return str(elsewhere / path.name)


SPELLINGS: dict[str, Callable[[Path, Path], str]] = {
    "relative": lambda path, _: f"./{os.path.relpath(path)}",
    "with dots": lambda path, _: f"{path.parent}/../{path.parent.name}/./{path.name}",
    "URI": lambda path, _: f"file:{path.parent}/%2E/{path.name}?mode=rw",
    "read-only URI": lambda path, _: f"file:{path.parent}/%2E/{path.name}?mode=ro&immutable=1",
    "symbolic link": symlinked,
    "hard link": hard_linked,
    "linked directory": behind_a_linked_directory,
}


@pytest.fixture
def opened(disk_store: clusterdb.Store) -> clusterdb.Store:
    """A store that has all its files."""
    cluster = disk_store.create_cluster("prod", backtrack_window_s=3600)
    cluster.connect().execute("CREATE TABLE t (n); INSERT INTO t VALUES (1)")
    return disk_store


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", FILES)
def test_files_of_a_store_cannot_be_attached(opened: clusterdb.Store, tmp_path: Path, name: str, spelling: str) -> None:
    """Neither for writing nor for reading."""
    path = Path(opened.path).absolute() / name
    assert path.exists()
    connection = opened.cluster("prod").connect()
    # By its full path a name without a dot is that of a cluster, see the module docstring of sqlite_vfs.py.
    with pytest.raises(apsw.CantOpenError, match=rf"is a file of a store|has no cluster '{name}'"):
        connection.execute(f"ATTACH '{SPELLINGS[spelling](path, tmp_path / 'elsewhere')}' AS cat")


def test_descriptors_of_a_store_cannot_be_attached(store: clusterdb.Store) -> None:
    """A store in memory has no paths, but its descriptors have."""
    connection = store.create_cluster("prod").connect()
    for fd in pages_of(store).open_files():
        with pytest.raises(apsw.CantOpenError, match="is a file of a store"):
            connection.execute(f"ATTACH '/proc/self/fd/{fd}' AS cat")


@pytest.mark.parametrize("name", ["./new.db", "history/new.db", "catalog.db-journal"])
@pytest.mark.parametrize("sql", ["ATTACH '{}' AS new; CREATE TABLE new.t (x)", "VACUUM INTO '{}'"])
def test_attach_creates_no_file_in_a_store(opened: clusterdb.Store, tmp_path: Path, name: str, sql: str) -> None:
    """No file is created behind a dangling link, either."""
    connection = opened.cluster("prod").connect()
    path = Path(opened.path, name)
    (tmp_path / "link").symlink_to(path)
    before = sorted(Path(opened.path).rglob("*"))
    for spelling in (path, tmp_path / "link"):
        with pytest.raises(apsw.CantOpenError, match="is a file of a store"):
            connection.execute(sql.format(spelling)).fetchall()
    assert sorted(Path(opened.path).rglob("*")) == before


def test_files_of_another_store_cannot_be_attached(opened: clusterdb.Store, tmp_path: Path) -> None:
    """The other store need not be open in this process."""
    with clusterdb.open(tmp_path / "other") as other:
        other.create_cluster("x")
    with pytest.raises(apsw.CantOpenError, match="is a file of a store"):
        opened.cluster("prod").connect().execute(f"ATTACH '{tmp_path}/other/catalog.db' AS cat")


def test_journal_of_an_attached_file_cannot_lead_into_a_store(opened: clusterdb.Store, tmp_path: Path) -> None:
    """SQLite opens it itself, to see whether something is to be rolled back."""
    apsw.Connection(str(tmp_path / "plain.db")).execute("CREATE TABLE t (x)")
    (tmp_path / "plain.db-journal").symlink_to(Path(opened.path, "pool").absolute())
    before = Path(opened.path, "pool").read_bytes()
    connection = opened.cluster("prod").connect()
    with pytest.raises(apsw.CantOpenError, match="is a file of a store"):
        connection.execute(f"ATTACH '{tmp_path}/plain.db' AS plain; INSERT INTO plain.t VALUES (1)")
    assert Path(opened.path, "pool").read_bytes()[:4096] == before[:4096]


def test_plain_files_beside_a_store_can_be_attached(opened: clusterdb.Store, tmp_path: Path) -> None:
    """A file that is called like one of the store's is still a file of its own."""
    connection = opened.cluster("prod").connect()
    for name in ("catalog.db", "pool.db"):
        connection.execute(f"ATTACH '{tmp_path / name}' AS plain; CREATE TABLE plain.t (x); DETACH plain")
    connection.execute(f"VACUUM INTO '{tmp_path}/copy.db'").fetchall()
    assert rows(apsw.Connection(str(tmp_path / "copy.db")), "SELECT n FROM t") == [(1,)]
    assert_clean(opened)


@pytest.mark.parametrize("name", ["catalog.db", "pool", "new.db"])
def test_export_replaces_no_file_of_a_store(opened: clusterdb.Store, name: str) -> None:
    """Overwriting or not."""
    path = Path(opened.path, name)
    with pytest.raises(clusterdb.ExportTargetError, match="is in the directory of a store"):
        opened.cluster("prod").export(path, overwrite=True)
    opened.cluster("prod").snapshot("s")
    with pytest.raises(clusterdb.ExportTargetError, match="is in the directory of a store"):
        opened.export_snapshot("s", path, overwrite=True)
    assert [cluster.name for cluster in opened.clusters()] == ["prod"]
