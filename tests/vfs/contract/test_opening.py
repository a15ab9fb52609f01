"""xOpen, xFullPathname, xAccess and xDelete: which names are clusters."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import vfs_of
from tests.vfs.contract.files import (
    MAIN,
    MAIN_READONLY,
    NONE,
    RESERVED,
    SHARED,
    TEMPORARY,
    Open,
    pattern,
    store_bytes,
    stored,
)


# --- opening ----------------------------------------------------------------------------------------------------------
def test_open_returns_the_flags_it_was_given(store: clusterdb.Store) -> None:
    """SQLite learns from the second flag word what it really got."""
    store.create_cluster("prod")
    for flags in (MAIN, MAIN_READONLY):
        both = [flags, 0]
        file = vfs_of(store).xOpen("prod", both)
        assert both[1] == flags
        file.xClose()


def test_open_of_an_unknown_name_suggests_a_known_one(store: clusterdb.Store) -> None:
    """A misspelt cluster is refused with the name that was meant."""
    store.create_cluster("prod")
    with pytest.raises(apsw.CantOpenError, match=r"no cluster 'prdo'; did you mean 'prod'\?"):
        vfs_of(store).xOpen("prdo", [MAIN, 0])


def test_open_for_reading_refuses_the_writer_lock(opened: Open) -> None:
    """A file opened read-only can be read and never written."""
    file = opened(flags=MAIN_READONLY)
    file.xLock(SHARED)
    with pytest.raises(apsw.ReadOnlyError):
        file.xLock(RESERVED)
    file.xUnlock(NONE)


def test_dropped_cluster_is_refused_at_the_next_lock(store: clusterdb.Store, opened: Open) -> None:
    """An open file of a deleted cluster fails with an I/O error that names the cluster."""
    file = opened()
    store_bytes(file, pattern(4096))
    store.cluster("prod").delete()
    with pytest.raises(apsw.IOError, match="prod"):
        file.xLock(SHARED)


def test_nameless_files_are_opened_by_the_stock_vfs(opened: Open) -> None:
    """Temporary databases and sorter runs are SQLite's own temporary files."""
    for kind in (apsw.SQLITE_OPEN_TEMP_DB, apsw.SQLITE_OPEN_TRANSIENT_DB, apsw.SQLITE_OPEN_SUBJOURNAL):
        file = opened(None, kind | TEMPORARY)
        assert isinstance(file, apsw.VFSFile)
        file.xWrite(b"spilled", 0)
        assert file.xRead(7, 0) == b"spilled"


def test_paths_with_a_slash_are_opened_by_the_stock_vfs(opened: Open, tmp_path: Path) -> None:
    """A path is a plain file, whatever it is opened as."""
    path = tmp_path / "plain"
    file = opened(str(path), MAIN | apsw.SQLITE_OPEN_CREATE)
    assert isinstance(file, apsw.VFSFile)
    file.xWrite(b"plain bytes", 0)
    assert path.read_bytes() == b"plain bytes"


def test_default_vfs_may_be_that_of_a_store(store: clusterdb.Store, tmp_path: Path) -> None:
    """Plain files, other stores, imports and temporary databases go where they went before."""
    default = apsw.vfs_names()[0]
    store.create_cluster("prod").connect().execute("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    apsw.set_default_vfs(store.vfs)
    try:
        for name, mode in (("plain.db", "delete"), ("wal.db", "wal")):
            plain = apsw.Connection(str(tmp_path / name))
            assert plain.pragma("journal_mode", mode) == mode
            plain.execute("CREATE TABLE p (a); INSERT INTO p VALUES (2)")
            assert plain.execute("SELECT a FROM p").get == 2
            plain.close()
        with clusterdb.open(tmp_path / "other", create=True) as other:
            dev = other.create_cluster("dev").connect()
            dev.execute(f"ATTACH '{tmp_path / 'plain.db'}' AS p; CREATE TEMP TABLE q (a); CREATE TABLE r (a)")
            assert dev.execute("SELECT a FROM p.p").get == 2
            dev.close()
            apsw.set_default_vfs(other.vfs)
            raw = apsw.Connection("prod", vfs=store.vfs)
            raw.execute(f"ATTACH '{tmp_path / 'plain.db'}' AS p")
            assert raw.execute("SELECT t.a + p.a FROM t, p.p").get == 3
            raw.close()
        apsw.set_default_vfs(store.vfs)
        store.create_cluster("copy", from_file=tmp_path / "plain.db").export(tmp_path / "copy.db")
        raw = apsw.Connection("copy")
        assert raw.execute("SELECT a FROM p").get == 2
        raw.close()
    finally:
        apsw.set_default_vfs(default)
    assert sqlite3.connect(tmp_path / "copy.db").execute("SELECT a FROM p").fetchall() == [(2,)]


@pytest.mark.parametrize("page_size", [512, 4096, 8192, 65536])
def test_connection_knows_the_page_size_before_it_reads(store: clusterdb.Store, page_size: int) -> None:
    """As that to a plain file does, since SQLite looks at the header when it opens one."""
    connection = store.create_cluster("prod").connect()
    connection.execute(f"PRAGMA page_size = {page_size}; VACUUM; CREATE TABLE t (a)")
    connection.close()
    raw = apsw.Connection("prod", vfs=store.vfs)
    assert raw.pragma("page_size") == page_size
    assert raw.execute("SELECT count(*) FROM t").get == 0
    raw.close()
    assert apsw.Connection("prod", vfs=store.vfs).pragma("page_size") == page_size


# --- names ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["prod", "Prod-2", "a", "x" + "-1" * 31, "test_site_gw0", "a__"])
def test_cluster_names_never_become_files_of_the_working_directory(
    store: clusterdb.Store, opened: Open, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The full path of a cluster's name lies elsewhere, is its own full path, and opens the cluster again."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "cwd" / name).write_bytes(b"bait")
    full = vfs_of(store).xFullPathname(name)
    assert Path(full).name == name
    assert not full.startswith(str(tmp_path / "cwd"))
    assert vfs_of(store).xFullPathname(full) == full
    if name != "prod":
        store.create_cluster(name)
    store_bytes(opened(full), name.encode())
    assert stored(opened(name)) == stored(opened(full)) == name.encode()


@pytest.mark.parametrize("name", ["./prod", "copy.db", "sub/prod", "../prod", "_prod", "./a_b", "a_b.db"])
def test_other_names_become_absolute_paths(
    store: clusterdb.Store, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anything with a slash or a dot is a file, relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    full = vfs_of(store).xFullPathname(name)
    assert Path(full).resolve() == (tmp_path / name).resolve()
    assert full.startswith("/")


@pytest.mark.parametrize("name", ["prod", "prod-journal", "prod-wal", "a_b", "a_b-journal"])
@pytest.mark.parametrize("flags", [apsw.SQLITE_ACCESS_EXISTS, apsw.SQLITE_ACCESS_READWRITE])
def test_access_denies_every_cluster_name(
    store: clusterdb.Store, name: str, flags: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No volume ever has a journal or WAL, also not when a file of that name lies around."""
    store.create_cluster("prod")
    monkeypatch.chdir(tmp_path)
    full = Path(vfs_of(store).xFullPathname(name))
    for bait in (tmp_path / name, *([full] if full.parent.exists() else [])):
        bait.write_bytes(b"bait")
    assert vfs_of(store).xAccess(name, flags) is False
    assert vfs_of(store).xAccess(str(full), flags) is False


def test_access_of_a_path_is_the_stock_answer(store: clusterdb.Store, tmp_path: Path) -> None:
    """Journals of attached plain files are found."""
    path = tmp_path / "plain-journal"
    assert not vfs_of(store).xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)
    path.write_bytes(b"x")
    assert vfs_of(store).xAccess(str(path), apsw.SQLITE_ACCESS_EXISTS)


@pytest.mark.parametrize("name", ["prod-journal", "prod-wal", "prod", "a_b", "a_b-wal"])
def test_delete_of_a_cluster_name_touches_nothing(
    store: clusterdb.Store, opened: Open, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting a journal that never was a file harms neither the cluster nor a file of that name."""
    monkeypatch.chdir(tmp_path)
    bait = tmp_path / name
    bait.write_bytes(b"bait")
    store_bytes(opened(), pattern(4096))
    vfs_of(store).xDelete(name, False)
    vfs_of(store).xDelete(vfs_of(store).xFullPathname(name), False)
    assert bait.read_bytes() == b"bait"
    assert stored(opened()) == pattern(4096)


def test_delete_of_a_path_deletes_the_file(store: clusterdb.Store, tmp_path: Path) -> None:
    """Journals of attached plain files go away at commit."""
    path = tmp_path / "plain-journal"
    path.write_bytes(b"x")
    vfs_of(store).xDelete(str(path), False)
    assert not path.exists()
