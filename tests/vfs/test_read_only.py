"""A store on read-only media, or opened so: everything can be read, and not one byte of it changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.support.inside import catalog_of
from tests.support.stores import rows
from vfs.format.layout import SLOT_BYTES

Print = dict[str, tuple[bytes, int]]


@pytest.fixture
def path(tmp_path: Path, sample: Path) -> Path:
    """A closed store with 'prod', its clone 'dev' of another content, and 'again', a clone of that."""
    path = tmp_path / "store"
    with clusterdb.open(path) as store:
        prod = store.create_cluster("prod", from_file=sample)
        connection = prod.clone("dev").connect()
        connection.execute("DELETE FROM t WHERE id > 1000")
        store.cluster("dev").clone("again")
        connection.execute("DELETE FROM t WHERE id > 500")
    return path


@pytest.fixture(params=["as it was closed", "in another boot"])
def untouched(request: pytest.FixtureRequest, path: Path) -> Iterator[Path]:
    """That store, which must not change while the test runs."""
    if request.param == "in another boot":
        for name in ("map", "readers", "locks"):
            (path / name).unlink()
    before = print_of(path)
    yield path
    assert print_of(path) == before


def print_of(path: Path) -> Print:
    """The files of a directory: content and time of the last change."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()}


def counts(store: clusterdb.Store) -> dict[str, object]:
    """How many rows each cluster has."""
    contents = {}
    for cluster in store.clusters():
        connection = cluster.connect()
        contents[cluster.name] = rows(connection, "SELECT count(*) FROM t")[0][0]
        connection.close()
    return contents


def test_read_only_store_can_be_read(untouched: Path, tmp_path: Path) -> None:
    """Queries, statistics, check, dump and export work, also with plain apsw connections."""
    with clusterdb.open(untouched, read_only=True) as store:
        assert counts(store) == {"prod": 3000, "dev": 500, "again": 1000}
        assert store.check().problems == []
        assert store.cluster("dev").stats().version > 1
        assert "prod" in store.dump()
        store.cluster("again").export(tmp_path / "plain.db")
        plain = apsw.Connection("dev", vfs=store.vfs)
        assert rows(plain, "SELECT count(*) FROM t") == [(500,)]
        plain.close()
    assert rows(apsw.Connection(str(tmp_path / "plain.db")), "SELECT count(*) FROM t") == [(1000,)]


def test_writes_to_a_read_only_store_are_refused(untouched: Path) -> None:
    """SQL that writes is SQLITE_READONLY, verbs that write say what to do."""
    with clusterdb.open(untouched, read_only=True) as store:
        for connection in (store.cluster("prod").connect(), apsw.Connection("prod", vfs=store.vfs)):
            with pytest.raises(apsw.ReadOnlyError):
                connection.execute("DELETE FROM t")
            connection.close()
        prod = store.cluster("prod")
        for verb in (
            lambda: store.create_cluster("new"),
            lambda: prod.clone("new"),
            lambda: prod.rename("new"),
            prod.delete,
            store.reclaim,
            store.shrink,
        ):
            with pytest.raises(clusterdb.StoreReadOnlyError, match="open read-only: open it for writing, or copy it"):
                verb()
        assert counts(store) == {"prod": 3000, "dev": 500, "again": 1000}


def test_several_processes_can_read_read_only_media(untouched: Path) -> None:
    """Readers of read-only media do not exclude each other."""
    with clusterdb.open(untouched, read_only=True) as one, clusterdb.open(untouched, read_only=True) as two:
        assert counts(one) == counts(two)


def test_lockless_open_is_refused_while_a_process_writes(path: Path) -> None:
    """A store that somebody has open for writing is not read without the protection of its locks."""
    with clusterdb.open(path), pytest.raises(clusterdb.StoreInUseError, match="open it for writing too"):
        clusterdb.open(path, read_only=True)


def test_catalog_rows_in_the_wal_are_read(path: Path, tmp_path: Path) -> None:
    """A store whose processes were killed has a part of its catalog in the log: it is read too."""
    with clusterdb.open(path) as store:
        store.cluster("prod").clone("late")
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("catalog.db", "catalog.db-wal", "pool"):
            shutil.copy(path / name, copy / name)
    before = print_of(copy)
    with clusterdb.open(copy, read_only=True) as store:
        assert counts(store)["late"] == 3000
    assert print_of(copy) == before


def test_head_that_recovery_cannot_write_is_read_at_its_pin(path: Path) -> None:
    """A cluster whose version records are lost is read at its pinned newest version, as if it had been repaired."""
    with clusterdb.open(path) as store:
        store.cluster("dev").clone("third")
        row = catalog_of(store).volumes.volume_of_cluster("dev")
        assert row is not None
    with open(path / "pool", "r+b") as file:
        file.seek(row.head_slot * SLOT_BYTES)
        file.write(bytes(SLOT_BYTES))
    (path / "map").unlink()
    with clusterdb.open(path, read_only=True) as store:
        assert counts(store) == {"prod": 3000, "dev": 500, "again": 1000, "third": 500}


def test_cluster_that_lost_its_records_is_not_read_at_an_older_pin(path: Path) -> None:
    """Commits after the newest pin are reported as missing, and not forgotten."""
    with clusterdb.open(path) as store:
        row = catalog_of(store).volumes.volume_of_cluster("dev")
        assert row is not None
    with open(path / "pool", "r+b") as file:
        file.seek(row.head_slot * SLOT_BYTES)
        file.write(bytes(SLOT_BYTES))
    with (
        clusterdb.open(path, read_only=True) as store,
        pytest.raises(clusterdb.CorruptStoreError, match="no version record"),
    ):
        store.cluster("dev").connect()


def test_open_for_reading_creates_no_store(tmp_path: Path) -> None:
    """Opening for reading creates nothing, and cannot be asked of a store in memory."""
    with pytest.raises(clusterdb.NotAStoreError, match="there is no store"):
        clusterdb.open(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
    with pytest.raises(clusterdb.InvalidArgumentError, match="in memory"):
        clusterdb.open(":memory:", read_only=True)


ON_A_READ_ONLY_MOUNT = """
import sys, clusterdb
with clusterdb.open(sys.argv[1]) as store:
    assert store.read_only
    print(store.cluster("prod").connect().execute("SELECT count(*) FROM t").get)
try:
    clusterdb.repair(sys.argv[1])
except clusterdb.StoreReadOnlyError as error:
    print("refused")
"""


def test_read_only_media_are_opened_read_only(untouched: Path) -> None:
    """On a file system that is mounted read-only nobody has to ask for it."""
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" "$1" && exec "$2" -c "$3" "$1"'
    arguments = ["sh", "-c", script, "sh", str(untouched), sys.executable, ON_A_READ_ONLY_MOUNT]
    unshare = ["unshare", "--mount"] if os.getuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    answer = subprocess.run([*unshare, *arguments], capture_output=True, text=True)
    if "mount" in answer.stderr or "unshare" in answer.stderr:
        pytest.skip(f"mounting is not allowed here: {answer.stderr.strip()}")
    assert (answer.stdout, answer.stderr) == ("3000\nrefused\n", "")
