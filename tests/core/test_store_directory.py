"""The directory of a store: whose it is, who may read and write it, and what is refused."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from vfs.format import layout


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
        store_id = layout.unpack_pool_header(file.read(4096)).store_id
        file.seek(0)
        file.write(2 * layout.pack_header_sector(store_id, layout.FORMAT + 1))
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
    with pytest.raises(clusterdb.CorruptStoreError, match="belong to different stores"):
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
