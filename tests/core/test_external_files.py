"""Files that come in and go out: whatever is wrong with them is a clusterdb error that names the file and says why."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.access.copies import copy
from tests.support.inside import catalog_of
from tests.support.stores import assert_clean, rows
from vfs.storage import device

PAGE = 4096


def killed_while_writing(path: Path, *, journal_mode: str) -> None:
    """A database whose writer was killed in a transaction, with part of it in the file already."""
    script = f"""
import os, sqlite3
db = sqlite3.connect({str(path)!r}, isolation_level=None)
db.execute("PRAGMA journal_mode = {journal_mode}")
db.execute("PRAGMA cache_size = 1")
db.execute("PRAGMA wal_autocheckpoint = 0")
db.execute("CREATE TABLE t (n, body)")
db.execute("INSERT INTO t VALUES (1, 'kept')")
db.execute("BEGIN")
db.execute("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 5000) "
           "INSERT INTO t SELECT x, hex(zeroblob(100)) FROM c")
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def damaged(sample: Path) -> Path:
    """A database that opens, and whose schema can be read, but one page is not what it was."""
    with sample.open("r+b") as file:
        file.seek(5 * PAGE)
        file.write(bytes(range(256)) * 4)
    assert rows(apsw.Connection(str(sample)), "SELECT count(*) FROM sqlite_schema") == [(2,)]
    return sample


# --- in ---------------------------------------------------------------------------------------------------------------
def test_file_with_a_hot_journal_is_refused(store: clusterdb.Store, tmp_path: Path) -> None:
    """It would have to be rolled back, and a file to import is only read."""
    path = tmp_path / "hot.db"
    killed_while_writing(path, journal_mode="DELETE")
    before = path.read_bytes(), Path(f"{path}-journal").read_bytes()
    with pytest.raises(clusterdb.ImportSourceError, match=r"hot\.db' cannot be imported: its program was interrupted"):
        store.create_cluster("x", from_file=path)
    assert (path.read_bytes(), Path(f"{path}-journal").read_bytes()) == before
    assert store.clusters() == []
    assert sqlite3.connect(path).execute("SELECT body FROM t").fetchall() == [("kept",)]
    store.create_cluster("x", from_file=path)


def test_committed_rows_in_a_hot_wal_are_imported(store: clusterdb.Store, tmp_path: Path) -> None:
    """Rows that a killed process committed to its write-ahead log are imported; uncommitted ones are not."""
    path = tmp_path / "hot.db"
    killed_while_writing(path, journal_mode="WAL")
    assert Path(f"{path}-wal").stat().st_size
    cluster = store.create_cluster("x", from_file=path)
    assert rows(cluster.connect(), "SELECT body FROM t") == [("kept",)]


def test_locked_file_is_refused_after_the_busy_timeout(
    store: clusterdb.Store, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time that one waits for a lock."""
    monkeypatch.setattr("clusterdb.access.copies.BUSY_TIMEOUT_MS", 10)
    other = apsw.Connection(str(sample))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(clusterdb.ImportSourceError, match="it is locked by another process"):
        store.create_cluster("x", from_file=sample)
    other.execute("ROLLBACK")
    store.create_cluster("x", from_file=sample)


def test_damaged_pages_are_refused_unless_unchecked(store: clusterdb.Store, damaged: Path) -> None:
    """Unless the check is left out; then the cluster is as damaged as the file."""
    with pytest.raises(clusterdb.DatabaseDamagedError, match=r"it is damaged \(.*check=False\)"):
        store.create_cluster("x", from_file=damaged)
    assert store.clusters() == []
    cluster = store.create_cluster("x", from_file=damaged, check=False)
    with pytest.raises(apsw.CorruptError):
        rows(cluster.connect(), "SELECT * FROM t")


def test_rows_that_violate_constraints_are_imported(store: clusterdb.Store, tmp_path: Path) -> None:
    """Such files are whole: they come in as they are."""
    path = tmp_path / "forbidden.db"
    plain = apsw.Connection(str(path))
    plain.execute("CREATE TABLE t (n, m); INSERT INTO t VALUES (NULL, -1); PRAGMA writable_schema = 1;")
    plain.execute("UPDATE sqlite_schema SET sql = 'CREATE TABLE t (n NOT NULL, m CHECK (m > 0))'")
    plain.close()
    assert rows(apsw.Connection(str(path)), "PRAGMA quick_check") != [("ok",)]
    assert rows(store.create_cluster("x", from_file=path).connect(), "SELECT * FROM t") == [(None, -1)]


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (a TEXT COLLATE own); CREATE INDEX i ON t (a)",
        "CREATE TABLE t (a TEXT COLLATE own PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE t (a CHECK (own(a) IS NOT NULL))",
        "CREATE TABLE t (a, b AS (own(a)) NOT NULL)",
        "CREATE TABLE t (a, b AS (own(a)) STORED NOT NULL)",
        "CREATE TABLE t (a); CREATE INDEX i ON t (own(a)); CREATE INDEX j ON t (a) WHERE own(a)",
        "CREATE VIRTUAL TABLE f USING fts5(a); CREATE TABLE t (a)",
    ],
)
@pytest.mark.parametrize("is_damaged", [False, True], ids=["sound", "damaged"])
def test_collations_and_functions_of_the_owner_are_not_needed(
    store: clusterdb.Store, tmp_path: Path, sql: str, is_damaged: bool
) -> None:
    """Collations and functions of the owner are stood in for, and damage is still seen."""
    path = tmp_path / "own.db"
    plain = apsw.Connection(str(path))
    plain.create_collation("own", lambda a, b: (a < b) - (a > b))
    plain.create_scalar_function("own", lambda *values: values[0], 1, deterministic=True)
    plain.execute(sql)
    with plain:
        plain.executemany("INSERT INTO t (a) VALUES (?)", [(f"row {n:05}",) for n in range(5000)])
    plain.close()
    if is_damaged:
        with path.open("r+b") as file:
            file.seek(12 * PAGE)
            file.write(b"\xff" * 1000)
        with pytest.raises(clusterdb.DatabaseDamagedError, match="it is damaged"):
            store.create_cluster("x", from_file=path)
    else:
        store.create_cluster("x", from_file=path)


def test_unreadable_table_does_not_prevent_the_check_of_others(store: clusterdb.Store, damaged: Path) -> None:
    """A tokenizer that is not there fails the check of all; every other table is then checked by itself."""
    sound = damaged.with_name("sound.db")
    for path in (damaged, sound):
        plain = apsw.Connection(str(path))
        plain.execute("CREATE VIRTUAL TABLE f USING fts5(a); PRAGMA writable_schema = 1")
        plain.execute("UPDATE sqlite_schema SET sql = replace(sql, '(a)', '(a, tokenize = own)') WHERE name = 'f'")
        plain.close()
    with pytest.raises(clusterdb.DatabaseDamagedError, match="it is damaged"):
        store.create_cluster("x", from_file=damaged)
    store.create_cluster("x", from_file=sound)


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "missing"])
def test_pipes_and_devices_are_refused_at_once(store: clusterdb.Store, tmp_path: Path, kind: str) -> None:
    """Importing from a pipe does not wait for its writer."""
    path = tmp_path / "it"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    with pytest.raises(clusterdb.NotADatabaseError, match=r"it is not a regular file|it does not exist"):
        store.create_cluster("x", from_file=path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission_is_refused(store: clusterdb.Store, sample: Path) -> None:
    """The error is one of clusterdb."""
    sample.chmod(0)
    with pytest.raises(clusterdb.NotADatabaseError, match="it cannot be opened"):
        store.create_cluster("x", from_file=sample)


def test_import_on_a_full_disk_blames_the_store_not_the_file(
    store: clusterdb.Store, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device of the store is full, not the file wrong."""
    with full_pool(monkeypatch), pytest.raises(clusterdb.StoreFullError, match="no space left"):
        store.create_cluster("x", from_file=sample)
    assert store.clusters() == []


@contextmanager
def full_pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing can be written to the pool."""

    def pwritev(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(device.CALLS, "pwritev", pwritev)
        yield


# --- out --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def cluster(disk_store: clusterdb.Store, sample: Path) -> clusterdb.Cluster:
    """A cluster, and a snapshot of it."""
    cluster = disk_store.create_cluster("prod", from_file=sample)
    cluster.snapshot("s")
    return cluster


def export(cluster: clusterdb.Cluster, how: str, path: Path, *, overwrite: bool = False) -> None:
    if how == "cluster":
        cluster.export(path, overwrite=overwrite)
    else:
        cluster.store.export_snapshot("s", path, overwrite=overwrite)


both = pytest.mark.parametrize("how", ["cluster", "snapshot"])


@both
def test_export_to_a_full_disk_is_an_error_and_leaves_nothing(
    cluster: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The error names the target, and no file remains."""
    (tmp_path / "out").mkdir()

    def copy_with_limit(source: apsw.Connection, target: apsw.Connection, progress: Any) -> None:
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 * PAGE, limits[1]))
        try:
            copy(source, target, progress)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr("clusterdb.access.copies.copy", copy_with_limit)
        with pytest.raises(clusterdb.ExportTargetError, match=r"copy\.db' cannot be written: .*disk"):
            export(cluster, how, tmp_path / "out" / "copy.db")
    assert list((tmp_path / "out").iterdir()) == []
    export(cluster, how, tmp_path / "out" / "copy.db")


@pytest.mark.parametrize("code", [apsw.SQLITE_FULL, apsw.SQLITE_IOERR_WRITE])
def test_failed_export_has_a_useful_message(
    cluster: clusterdb.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """A failed backup has the text "not an error"."""

    def fail(*_: object) -> None:
        error = apsw.exception_for(code)
        raise type(error)("not an error")

    monkeypatch.setattr("clusterdb.access.copies.copy", fail)
    with pytest.raises(clusterdb.ExportTargetError, match=r"the disk is full|writing the disk failed"):
        cluster.export(tmp_path / "copy.db")


@both
@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "no directory", "exists", "long name"])
def test_export_replaces_only_a_file_and_only_when_asked(
    cluster: clusterdb.Cluster, tmp_path: Path, how: str, kind: str
) -> None:
    """Nothing that is there is replaced, unless it is a file and that was asked for."""
    path = tmp_path / "it"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/full")
    elif kind == "no directory":
        path = tmp_path / "none" / "it"
    elif kind == "exists":
        path.write_text("mine")
    else:
        path = tmp_path / ("x" * 300)
    before = set(tmp_path.iterdir())
    with pytest.raises(clusterdb.ExportTargetError, match=str(path.name)):
        export(cluster, how, path, overwrite=kind != "exists")
    assert set(tmp_path.iterdir()) == before
    if kind == "device":
        assert path.is_char_device()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_export_without_permission_has_the_systems_message(cluster: clusterdb.Cluster, tmp_path: Path) -> None:
    """The text is the system's."""
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(clusterdb.ExportTargetError, match="Permission denied"):
        cluster.export(tmp_path / "closed" / "copy.db")


@both
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600), (0o000, 0o666)])
def test_exported_file_has_the_mode_of_the_umask(
    cluster: clusterdb.Cluster, tmp_path: Path, how: str, umask: int, mode: int
) -> None:
    """As a file that any program creates; one that is replaced keeps its mode."""
    former = os.umask(umask)
    try:
        export(cluster, how, tmp_path / "copy.db")
        assert (tmp_path / "copy.db").stat().st_mode & 0o777 == mode
        (tmp_path / "copy.db").chmod(0o640)
        export(cluster, how, tmp_path / "copy.db", overwrite=True)
        assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(former)


def test_export_through_a_link_replaces_its_target(cluster: clusterdb.Cluster, tmp_path: Path) -> None:
    """The link stays."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "elsewhere" / "real.db")
    cluster.export(tmp_path / "link.db")
    assert (tmp_path / "link.db").is_symlink()
    assert rows(apsw.Connection(str(tmp_path / "elsewhere" / "real.db")), "SELECT count(*) FROM t") == [(3000,)]
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["real.db"]


def test_export_of_a_damaged_cluster_names_the_cluster(sample: Path, tmp_path: Path) -> None:
    """The store is what is damaged."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        store.create_cluster("prod", from_file=sample)
    damage(path)
    with clusterdb.open(path, verify_reads=True) as store, pytest.raises(clusterdb.CorruptStoreError, match="prod"):
        store.cluster("prod").export(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def damage(path: Path) -> None:
    with (path / "pool").open("r+b") as file:
        content = file.read()
        at = content.index(b"row 1500 of the sample") & -PAGE
        file.seek(at)
        file.write(bytes(PAGE))


# --- connections to the past ------------------------------------------------------------------------------------------
def test_collected_connection_to_the_past_returns_its_pin_silently(
    disk_store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is printed when it is collected, in a cycle or not, and what was lent to it is given back."""
    cluster = disk_store.create_cluster("prod")
    cluster.connect().execute("CREATE TABLE t (n)")
    cluster.snapshot("s")
    before = [row.volume for row in catalog_of(disk_store).volumes.volume_rows()]
    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    for is_cyclic in (False, True):
        connection = cluster.connect(at="s")
        assert rows(connection, "SELECT count(*) FROM t") == [(0,)]
        if is_cyclic:
            connection.itself = connection  # type: ignore[attr-defined]
        del connection
        gc.collect()
    assert printed == []
    disk_store.expire()
    assert [row.volume for row in catalog_of(disk_store).volumes.volume_rows()] == before
    assert_clean(disk_store)


def test_store_closes_despite_a_forgotten_connection_to_the_past(tmp_path: Path) -> None:
    """The store takes back what it has lent."""
    with clusterdb.open(tmp_path / "store") as store:
        cluster = store.create_cluster("prod")
        cluster.snapshot("s")
        cluster.connect(at="s")
    with clusterdb.open(tmp_path / "store") as store:
        assert len(catalog_of(store).volumes.volume_rows()) == 1
        assert_clean(store)
