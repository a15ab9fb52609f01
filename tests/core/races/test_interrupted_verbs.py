"""Ctrl-C, failed syncs and full disks in the middle of commits, clones and deletions."""

from __future__ import annotations

import contextlib
import errno
import resource
import sqlite3
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from tests.core.races.family import UNPUBLISHED, Opener
from tests.support.inside import catalog_of
from tests.support.mishaps import (
    at,
    fill,
    filled,
    letters,
    letters_of,
    names,
    press_ctrl_c,
    rewrite,
)
from tests.support.points import COMMIT_POINTS
from tests.support.statements import through
from tests.support.stores import assert_clean, rows
from vfs.storage import device


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_interrupted_commit_is_done_or_not_begun(store: clusterdb.Store, point: str) -> None:
    """The commit happened or did not, and nothing that was published is given to others (V3, M2)."""
    neighbour = filled(store, "neighbour", 5, "n")
    writer = filled(store, "prod", 200, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        rewrite(writer, "b")
    assert not writer.in_transaction
    assert store.check().problems == []
    fill(neighbour, 300, "n")
    assert letters_of(store, "prod") == {COMMIT_POINTS[point]: 200} == letters(writer)
    rewrite(writer, "c")
    assert letters_of(store, "prod") == {"c": 200}
    writer.close()
    assert store.reclaim().put_off == ""
    assert_clean(store)
    assert letters_of(store, "neighbour") == {"n": 300}


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_interrupted_commit_does_not_block_a_sweep(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A connection that got Ctrl-C in its commit and is idle since does not look like one that is committing."""
    monkeypatch.setattr("vfs.reclaim.sweep._ATTEMPTS", 2, raising=False)
    writer = filled(store, "prod", 100, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        rewrite(writer, "b")
    assert store.reclaim().put_off == ""
    assert_clean(store)


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_open_frees_the_slots_of_an_interrupted_commit(path: Path, open_store: Opener, point: str) -> None:
    """Slots that an interrupted commit could not free come back when the store is opened."""
    store = open_store()
    writer = filled(store, "prod", 100, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        rewrite(writer, "b")
    writer.close()
    assert_clean(open_store())


@pytest.mark.parametrize("point", UNPUBLISHED)
def test_interrupted_commit_undoes_no_other_commit(store: clusterdb.Store, point: str) -> None:
    """After Ctrl-C in a commit the connection forgets what it staged, and does not undo what others commit then."""
    writer = filled(store, "prod", 50, "a", size=10)
    other = store.cluster("prod").connect()
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        writer.execute("UPDATE t SET v = 'failed' WHERE id = 1")
    other.execute("UPDATE t SET v = 'other' WHERE id = 2")
    sql = "SELECT id, v FROM t WHERE v IN ('failed', 'other', 'third') ORDER BY id"
    assert rows(writer, sql) == [(2, "other")]
    writer.execute("UPDATE t SET v = 'third' WHERE id = 3")
    assert rows(store.cluster("prod").connect(), sql) == [(2, "other"), (3, "third")]
    for connection in (writer, other):
        connection.close()
    assert store.reclaim().put_off == ""


def test_commit_without_a_free_descriptor_fails_before_it_publishes(open_store: Opener) -> None:
    """A process that cannot open another file fails to commit before anything is published, and can try again (V3)."""
    store, other = open_store(), open_store()
    filled(store, "prod", 1, "a").close()
    neighbour = filled(store, "neighbour", 5, "n")
    writer = other.cluster("prod").connect()
    writer.execute("SELECT * FROM t").fetchall()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(apsw.IOError, match="Too many open files"):
            writer.execute("INSERT INTO t VALUES (1, 'b')")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert_clean(store)
    fill(neighbour, 300, "n")
    assert letters_of(store, "prod") == {"a": 1} == letters(writer)
    writer.execute("INSERT INTO t VALUES (1, 'b')")
    assert letters_of(store, "prod") == {"a": 1, "b": 1}


@pytest.mark.parametrize("point", ["catalog: before commit", "catalog: committed"])
def test_interrupted_clone_is_whole_or_absent(store: clusterdb.Store, point: str) -> None:
    """There is a whole clone or none, and no other cluster gets its place in the store (M1, C3)."""
    writer = filled(store, "prod", 100, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        store.cluster("prod").clone("dev")
    filled(store, "new", 200, "n").close()
    rewrite(writer, "b")
    rewrite(writer, "c")
    filled(store, "filler", 300, "f").close()
    if point == "catalog: committed":
        assert letters_of(store, "dev") == {"a": 100}
        store.cluster("dev").delete()
    assert names(store) == ["filler", "new", "prod"]
    assert letters_of(store, "new") == {"n": 200}
    assert_clean(store)


@pytest.mark.parametrize("point", ["catalog: before commit", "catalog: committed"])
def test_interrupted_delete_leaves_the_clone_whole_or_gone(store: clusterdb.Store, point: str) -> None:
    """The clone is whole or gone with all its space, and its source is untouched (R6)."""
    writer = filled(store, "prod", 100, "a")
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "b")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        clone.delete()
    filled(store, "filler", 300, "f").close()
    if point == "catalog: before commit":
        assert letters_of(store, "dev") == {"a": 100}
        clone.delete()
    assert names(store) == ["filler", "prod"]
    assert letters_of(store, "prod") == {"b": 100}
    assert_clean(store)


class InterruptedDatabase:
    """The catalog's connection, when Ctrl-C comes while BEGIN runs in C."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *values: Any) -> Any:
        """The interpreter raises when the call returns, so the statement has run."""
        cursor = self._connection.execute(sql, *values)
        if sql.startswith("BEGIN"):
            raise KeyboardInterrupt
        return cursor


def test_interrupt_while_waiting_for_the_catalog_leaves_the_store_usable(open_store: Opener) -> None:
    """Ctrl-C in the moment a change begins leaves the store usable for this process and for all others."""
    store, other = open_store(), open_store()
    with through(store, InterruptedDatabase(catalog_of(store).database._db)), pytest.raises(KeyboardInterrupt):
        store.create_cluster("first", backup_retention_days=0)
    catalog_of(other).database._db.set_busy_timeout(0)
    other.create_cluster("second", backup_retention_days=0)
    store.create_cluster("third", backup_retention_days=0)
    assert names(store) == ["second", "third"] == names(other)


def test_failed_sync_refuses_clones_until_the_store_is_reopened(
    path: Path, open_store: Opener, opened: list[clusterdb.Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync nothing is built on what the device may not have, until the store is opened again."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    store = open_store(synchronous="NORMAL")
    writer = filled(store, "prod", 20, "a")
    with monkeypatch.context() as patched:
        patched.setattr(device.CALLS, "fdatasync", fail)
        with pytest.raises(clusterdb.Error, match="until the store is reopened"):
            store.cluster("prod").clone("first")
    with pytest.raises(clusterdb.Error, match="until the store is reopened"):
        store.cluster("prod").clone("second")
    with pytest.raises(apsw.IOError, match="until the store is reopened"):
        rewrite(writer, "b")
    assert names(store) == ["prod"]
    opened.remove(store)
    store.close()
    store = open_store()
    store.cluster("prod").clone("third")
    assert letters_of(store, "third") == {"a": 20}


# --- locking_mode=EXCLUSIVE -----------------------------------------------------------------------------------------
def test_failed_commit_in_exclusive_mode_is_not_part_of_the_next(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under locking_mode=EXCLUSIVE too, a commit for which there was no space is not part of the next one."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    writer = filled(store, "prod", 20, "a")
    assert rows(writer, "PRAGMA locking_mode = EXCLUSIVE") == [("exclusive",)]
    writer.execute("UPDATE t SET v = 'first' WHERE id = 0")
    with monkeypatch.context() as patched:
        patched.setattr(device.CALLS, "pwritev", full)
        with pytest.raises(apsw.FullError):
            writer.execute("UPDATE t SET v = 'failed' WHERE id = 1")
    sql = "SELECT id, v FROM t WHERE v IN ('first', 'failed', 'later') ORDER BY id"
    assert rows(writer, sql) == [(0, "first")]
    writer.execute("UPDATE t SET v = 'later' WHERE id = 15")
    assert rows(writer, sql) == [(0, "first"), (15, "later")]
    assert rows(writer, "PRAGMA locking_mode = NORMAL") == [("normal",)]
    assert rows(store.cluster("prod").connect(), sql) == [(0, "first"), (15, "later")]


def test_space_is_freed_in_exclusive_mode(store: clusterdb.Store) -> None:
    """Many commits under locking_mode=EXCLUSIVE take no more room than a few."""
    writer = filled(store, "prod", 20, "a")
    assert rows(writer, "PRAGMA locking_mode = EXCLUSIVE") == [("exclusive",)]
    used_bytes = []
    for number in range(400):
        writer.execute("UPDATE t SET v = ? WHERE id = 3", (str(number),))
        used_bytes.append(store.stats().used_bytes)
    assert max(used_bytes[200:]) <= max(used_bytes[:200])


@pytest.mark.parametrize("point", ["commit: pages written", "commit: synced", "commit: published"])
def test_import_interrupted_in_its_commit_raises_keyboard_interrupt(
    store: clusterdb.Store, tmp_path: Path, point: str
) -> None:
    """The commit of an import fails with an error of SQLite that is a KeyboardInterrupt too."""
    file = tmp_path / "file.db"
    with contextlib.closing(sqlite3.connect(file)) as plain:
        plain.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1)")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        store.create_cluster("imported", from_file=file)
    assert names(store) == []
    store.create_cluster("imported", from_file=file)
    assert_clean(store)


@pytest.mark.parametrize("point", ["commit: pages written", "commit: published"])
def test_statement_of_the_dbapi_interrupted_in_its_commit_raises_keyboard_interrupt(
    store: clusterdb.Store, point: str
) -> None:
    connection = clusterdb.connect(store.create_cluster("prod", backup_retention_days=0), autocommit=True)
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        connection.execute("CREATE TABLE t (a)")
    connection.close()
