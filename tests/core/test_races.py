"""Races, crashes and damage: what once went wrong, or could, where processes meet, die, or lose their power.

Most tests here make one unlucky moment happen on purpose.  They stop at a named point (vfs/failpoints.py) to let
somebody else act, to press Ctrl-C or to die there; they put a device under the pool that remembers what was synced and
then lose the power; or they damage a slot.  ``R1``, ``C1``, ``S1``, ``V1``, ``M1``, ``W1`` are the invariants at the
head of reclaim.py, chores.py, sessions.py, volume.py, slots.py and sweep.py.

However a test went, in the end every store it opened is clean, and its allocation map is what a rebuild from the heads
and pins would make of it (M4).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw
import pytest

import clusterdb
from tests.support.mishaps import (
    Device,
    assert_accounted,
    at,
    boot_again,
    copy_store,
    damage,
    fill,
    filled,
    head_slot,
    letters,
    letters_of,
    names,
    newest_record,
    press_ctrl_c,
    records,
    rewrite,
    run_until_killed,
    word,
)
from tests.support.points import ABSORB_POINTS, COMMIT_POINTS, PAST_POINTS, named_points
from tests.support.stores import assert_clean, rows
from vfs import osio
from vfs.layout import RESERVED, SECTOR_BYTES, SLOT_BYTES, V_DURABLE, Version, pack_version, unpack_entry
from vfs.table import reached


# --- stores ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store of a test is."""
    return tmp_path / "store"


@pytest.fixture
def opened(path: Path) -> Iterator[list[clusterdb.Store]]:
    """The stores a test has opened; at its end they are closed, and the store is clean and well accounted for."""
    stores: list[clusterdb.Store] = []
    yield stores
    for store in stores:
        store.close()
    assert_accounted(path)


Opener = Callable[..., clusterdb.Store]


@pytest.fixture
def open_store(path: Path, opened: list[clusterdb.Store]) -> Opener:
    """A function that opens the store: once more for every call, as another process would."""

    def open_once(**options: Any) -> clusterdb.Store:
        opened.append(clusterdb.open(path, **options))
        return opened[-1]

    return open_once


@pytest.fixture
def store(open_store: Opener) -> clusterdb.Store:
    """The store, on disk."""
    return open_store()


# --- one party frees a slot -----------------------------------------------------------------------------------------
def test_what_one_process_is_about_to_free_another_leaves_alone(open_store: Opener) -> None:
    """Deleting a clone does not take space that another process has replaced and not yet given back (R5, C2)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 100, "a")
    store.cluster("prod").clone("dev")
    rewrite(writer, "b", below=60)  # too few slots to be freed at once
    other.cluster("dev").delete()
    reuser = filled(other, "new", 150, "n")
    for number in range(40):  # now they are freed
        writer.execute("UPDATE t SET v = ? WHERE id = 90", ("c" * number,))
    filled(other, "more", 400, "m")
    reuser.close()
    assert letters_of(store, "new") == {"n": 150}
    assert_clean(store)


def test_a_slot_waits_once(store: clusterdb.Store) -> None:
    """Under synchronous=NORMAL, what a commit replaced and a deleted clone held comes free once, not twice (R5, C2)."""
    writer = filled(store, "prod", 100, "a")
    writer.execute("PRAGMA synchronous = NORMAL")
    rewrite(writer, "b", below=60)
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "c", below=60)
    clone.delete()
    reuser = store.create_cluster("new").connect()
    reuser.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v)")
    for number in range(80):
        reuser.execute("INSERT INTO t VALUES (?, ?)", (number, "n" * (900 if number < 40 else 3500)))
    writer.execute("PRAGMA synchronous = FULL")
    for number in range(60):
        writer.execute("UPDATE t SET v = ? WHERE id = 90", ("c" * number,))
    assert_clean(store)
    assert letters_of(store, "new") == {"n": 80}


def test_replaced_slots_die_with_their_process_not_with_its_row(
    path: Path, open_store: Opener, opened: list[clusterdb.Store]
) -> None:
    """A process that closes the store leaves nothing in its name: the next to die in its place frees no data (R8).

    Neither what a clone stands on, nor what somebody still reads.
    """
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    store.cluster("prod").clone("dev")
    rewrite(writer, "b")
    reader = other.cluster("prod").connect()
    reader.execute("PRAGMA cache_size = 1; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    rewrite(writer, "c")
    keeper_row = store._pages.keeper().row
    opened.remove(store)
    store.close()
    work = f"""
connections = [store.cluster('prod').connect() for _ in range({keeper_row} + 1)]
for c in connections:
    c.execute('SELECT count(*) FROM t').fetchall()
"""
    run_until_killed(path, "", work)
    store = open_store()
    filled(store, "filler", 1000, "f")
    assert letters_of(store, "dev") == {"a": 200}
    assert letters(reader) == {"b": 200}
    reader.execute("COMMIT")
    assert store.reclaim().put_off == ""


# --- clones and their sources ---------------------------------------------------------------------------------------
def test_a_deleted_clone_stays_whole_for_its_reader(store: clusterdb.Store) -> None:
    """A read transaction on a deleted clone goes on seeing all of it, also what came from the source (C1)."""
    writer = filled(store, "prod", 200, "a")
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "z")
    reader = clone.connect()
    reader.execute("PRAGMA cache_size = 2; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    clone.delete()
    filler = filled(store, "filler", 2000, "f")
    filler.close()
    assert letters(reader) == {"a": 200}
    reader.close()
    assert_clean(store)


def test_a_writer_hears_of_a_clone_made_elsewhere(open_store: Opener) -> None:
    """A writer that knew of no clone does not free what one stands on that another process has just made (R1, R9)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    for letter in "bcd":
        rewrite(writer, letter)
    other.cluster("prod").clone("dev")
    for letter in "efg":
        rewrite(writer, letter)
    filled(store, "filler", 300, "f")
    assert letters_of(other, "dev") == {"d": 200}


def test_cloning_what_is_being_deleted_is_refused(open_store: Opener) -> None:
    """Who clones a cluster that somebody deletes just then is told so, and gets no clone of freed pages (R2, R7)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    clone = store.cluster("prod").clone("dev")
    rewrite(writer, "z")
    with (
        at("volume: head slot taken", other.cluster("dev").delete),
        pytest.raises(clusterdb.ClusterNotFoundError, match="'dev' was deleted"),
    ):
        clone.clone("new")
    assert names(store) == ["prod"]
    assert_clean(store)
    filled(store, "filler", 1000, "f")
    assert letters_of(store, "prod") == {"z": 200}


def nothing_more(_: clusterdb.Store) -> None:
    """The first deleter does nothing else."""


def create_another(store: clusterdb.Store) -> None:
    """The table row of the deleted cluster is given to a new one."""
    store.create_cluster("new")


def fill_another(store: clusterdb.Store) -> None:
    """The table row of the deleted cluster is given to a new one, which is written to."""
    filled(store, "new", 100, "n").close()


def write_a_neighbour(store: clusterdb.Store) -> None:
    """Slots of the deleted cluster are used by another one."""
    connection = store.cluster("neighbour").connect()
    for number in range(5):
        connection.execute("UPDATE t SET v = replace(v, 'o', 'p') WHERE id = ?", (number,))
    connection.close()


@pytest.mark.parametrize("meanwhile", [nothing_more, create_another, fill_another, write_a_neighbour])
def test_one_of_two_deleters_is_told_that_the_cluster_is_gone(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[clusterdb.Store], None]
) -> None:
    """Of two processes that delete one cluster, the second touches nothing, whoever has its place by then (S4, C3)."""
    store, other = open_store(), open_store()
    filled(store, "neighbour", 10, "o").close()
    filled(store, "dev", 200, "a").close()
    transaction = other._catalog.transaction

    @contextlib.contextmanager
    def wait_for_the_first(*, waits: bool) -> Iterator[None]:
        """BEGIN IMMEDIATE, when another process was first."""
        monkeypatch.undo()
        store.cluster("dev").delete()
        meanwhile(store)
        with transaction():
            yield

    monkeypatch.setattr(other._catalog, "transaction", wait_for_the_first)
    with pytest.raises(clusterdb.ClusterNotFoundError, match="'dev' was deleted"):
        other.cluster("dev").delete()
    for cluster in store.clusters():
        filler = cluster.connect()
        fill(filler, 100, "x")
        filler.close()
        assert letters_of(other, cluster.name) == {"x": 100}
    assert_clean(store)


def test_a_source_being_written_hears_of_the_clone_deleted_meanwhile(open_store: Opener) -> None:
    """What only a deleted clone held comes back, though its source was just being published (C1)."""
    store, other = open_store(), open_store()
    writer = filled(store, "prod", 200, "a")
    store.cluster("prod").clone("dev")
    with at("commit: pages written", lambda: other.cluster("dev").delete()):  # it cannot reclaim in the source
        rewrite(writer, "b")
    assert len(store._catalog.all_pin_rows()) == 1
    writer.execute("UPDATE t SET v = 'c' WHERE id = 1")
    assert store._catalog.all_pin_rows() == []
    writer.close()
    assert_clean(store)


# --- Ctrl-C and other failures in the middle ------------------------------------------------------------------------
UNPUBLISHED = [point for point, state in COMMIT_POINTS.items() if state == "a"]


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_ctrl_c_in_a_commit(store: clusterdb.Store, point: str) -> None:
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
def test_an_interrupted_commit_keeps_no_sweep_waiting(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A connection that got Ctrl-C in its commit and is idle since does not look like one that is committing."""
    monkeypatch.setattr("vfs.sweep._ATTEMPTS", 2, raising=False)
    writer = filled(store, "prod", 100, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        rewrite(writer, "b")
    assert store.reclaim().put_off == ""
    assert_clean(store)


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_opening_the_store_brings_back_what_ctrl_c_left(path: Path, open_store: Opener, point: str) -> None:
    """What an interrupted commit could not give back comes back when the store is opened, as that of the killed."""
    store = open_store()
    writer = filled(store, "prod", 100, "a")
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        rewrite(writer, "b")
    writer.close()
    assert_clean(open_store())


@pytest.mark.parametrize("point", UNPUBLISHED)
def test_ctrl_c_in_a_commit_loses_nobody_elses(store: clusterdb.Store, point: str) -> None:
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


def test_a_commit_without_a_free_descriptor(open_store: Opener) -> None:
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
def test_ctrl_c_in_making_a_clone(store: clusterdb.Store, point: str) -> None:
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
def test_ctrl_c_in_deleting_a_clone(store: clusterdb.Store, point: str) -> None:
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


def test_ctrl_c_while_waiting_for_the_catalog(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the moment a change begins leaves the store usable for this process and for all others."""
    store, other = open_store(), open_store()
    with monkeypatch.context() as patched:
        patched.setattr(store._catalog, "_connection", InterruptedDatabase(store._catalog._db))
        with pytest.raises(KeyboardInterrupt):
            store.create_cluster("first")
    other._catalog._db.set_busy_timeout(0)
    other.create_cluster("second")
    store.create_cluster("third")
    assert names(store) == ["second", "third"] == names(other)


def test_a_failed_sync_is_final_for_clones_too(
    path: Path, open_store: Opener, opened: list[clusterdb.Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failed sync nothing is built on what the device may not have, until the store is opened again."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "input/output error")

    store = open_store(synchronous="NORMAL")
    writer = filled(store, "prod", 20, "a")
    with monkeypatch.context() as patched:
        patched.setattr(osio.CALLS, "fdatasync", fail)
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
def test_a_failed_commit_in_exclusive_mode_stays_failed(
    store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under locking_mode=EXCLUSIVE too, a commit for which there was no space is not part of the next one."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    writer = filled(store, "prod", 20, "a")
    assert rows(writer, "PRAGMA locking_mode = EXCLUSIVE") == [("exclusive",)]
    writer.execute("UPDATE t SET v = 'first' WHERE id = 0")
    with monkeypatch.context() as patched:
        patched.setattr(osio.CALLS, "pwritev", full)
        with pytest.raises(apsw.FullError):
            writer.execute("UPDATE t SET v = 'failed' WHERE id = 1")
    sql = "SELECT id, v FROM t WHERE v IN ('first', 'failed', 'later') ORDER BY id"
    assert rows(writer, sql) == [(0, "first")]
    writer.execute("UPDATE t SET v = 'later' WHERE id = 15")
    assert rows(writer, sql) == [(0, "first"), (15, "later")]
    assert rows(writer, "PRAGMA locking_mode = NORMAL") == [("normal",)]
    assert rows(store.cluster("prod").connect(), sql) == [(0, "first"), (15, "later")]


def test_space_comes_back_in_exclusive_mode(store: clusterdb.Store) -> None:
    """Many commits under locking_mode=EXCLUSIVE take no more room than a few."""
    writer = filled(store, "prod", 20, "a")
    assert rows(writer, "PRAGMA locking_mode = EXCLUSIVE") == [("exclusive",)]
    used_bytes = []
    for number in range(400):
        writer.execute("UPDATE t SET v = ? WHERE id = 3", (str(number),))
        used_bytes.append(store.stats().used_bytes)
    assert max(used_bytes[200:]) <= max(used_bytes[:200])


# --- power loss -----------------------------------------------------------------------------------------------------
def test_power_loss_does_not_throw_a_source_back_behind_its_clone(
    path: Path, tmp_path: Path, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With synchronous=NORMAL the last commits may go, but not those a clone was made of; and the clone stays whole.

    A source that began again before its clone's version would count up to it a second time, and free what it holds.
    """
    store = open_store(synchronous="NORMAL")
    device = Device(path, monkeypatch)
    writer = filled(store, "prod", 400, "a")
    writer.execute("PRAGMA synchronous = FULL; CREATE TABLE u (x); INSERT INTO u VALUES (0)")
    writer.execute("PRAGMA synchronous = NORMAL")
    for _ in range(3):
        writer.execute("UPDATE u SET x = x + 1")
    store.cluster("prod").clone("dev")
    for _ in range(3):
        writer.execute("UPDATE u SET x = x + 1")
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=(head_slot(store, "prod"),))
    with clusterdb.open(lost) as after:
        connection = after.cluster("prod").connect()
        assert rows(connection, "SELECT x FROM u") == [(3,)]
        rewrite(connection, "y")
        rewrite(connection, "z")
        filled(after, "filler", 1000, "f")
        assert letters_of(after, "dev") == {"a": 400}
        assert_clean(after)
    assert_accounted(lost)


def test_a_damaged_source_is_not_thrown_back_behind_its_clone(path: Path) -> None:
    """If what a clone stands on is damaged, its source is reported as damaged, and does not begin again before that."""
    with clusterdb.open(path) as store:
        writer = filled(store, "prod", 100, "a")
        writer.execute("PRAGMA synchronous = NORMAL")
        rewrite(writer, "b")
        rewrite(writer, "c")
        durable = word(store, "prod", V_DURABLE)
        store.cluster("prod").clone("dev")
        pinned = newest_record(store, "prod")
        assert pinned.durable <= durable < pinned.version
    damage(path, pinned.root.slot, 4000)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert store.check().problems != []


def test_normal_commits_behind_an_off_one_survive_power_loss(
    path: Path, tmp_path: Path, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After PRAGMA synchronous = OFF and NORMAL again, a power loss costs the last commits, not the database (R3)."""
    store = open_store()
    writer = filled(store, "prod", 20, "a")
    device = Device(path, monkeypatch)
    writer.execute("PRAGMA synchronous = OFF")
    rewrite(writer, "b")
    writer.execute("PRAGMA synchronous = NORMAL")
    device.sync_count = 0
    for letter in "cdefghijklmnop":
        rewrite(writer, letter)
    assert device.sync_count == 1
    lost = tmp_path / "lost"
    device.lose_power(lost, arrived=(head_slot(store, "prod"),))
    with clusterdb.open(lost) as after:
        assert letters_of(after, "prod") == {"c": 20}
        assert_clean(after)


def test_what_is_not_synced_waits_when_a_clone_goes(
    path: Path, tmp_path: Path, store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleting a clone frees nothing that recovery may have to fall back to under synchronous=NORMAL (R3)."""
    device = Device(path, monkeypatch)
    writer = filled(store, "prod", 100, "a")
    writer.execute("CREATE TABLE u (x); INSERT INTO u VALUES (0)")
    first = store.cluster("prod").clone("first")
    rewrite(writer, "b", below=30)
    store.cluster("prod").clone("second")
    writer.execute("UPDATE u SET x = 1")
    for mode in ("NORMAL", "FULL", "NORMAL"):
        writer.execute(f"PRAGMA synchronous = {mode}")
        writer.execute("UPDATE u SET x = x + 1")
    device.sync_count = 0
    first.delete()
    filler = store.create_cluster("filler").connect()
    filler.execute("PRAGMA synchronous = NORMAL")
    fill(filler, 3000, "f")
    assert device.sync_count == 0
    lost = tmp_path / "lost"
    device.lose_power_but_for(lost, lost=(head_slot(store, "prod"),))
    with clusterdb.open(lost) as after:
        connection = after.cluster("prod").connect()
        assert rows(connection, "SELECT x FROM u") == [(3,)]
        assert letters_of(after, "prod") == {"a": 70, "b": 30}
        assert_clean(after)


def test_power_loss_that_takes_the_new_length_of_the_pool(
    path: Path, tmp_path: Path, store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new cluster is there after a power loss: the catalog names no slot that is not on the device yet (M3)."""
    filled(store, "prod", 250, "a")
    slot_count = store._pages.slot_map.slot_count
    device = Device(path, monkeypatch)
    made = ["prod"]
    while head_slot(store, made[-1]) < slot_count:
        made.append(f"new-{len(made)}")
        store.create_cluster(made[-1])
    lost = tmp_path / "lost"
    copy_store(path, lost)
    os.truncate(lost / "pool", len(device.synced))
    with clusterdb.open(lost) as after:
        assert names(after) == sorted(made)
        fill(after.cluster(made[-1]).connect(), 20, "n")
        assert letters_of(after, made[-1]) == {"n": 20}
        assert letters_of(after, "prod") == {"a": 250}
        assert_clean(after)


def test_two_records_of_one_version_never_stand_side_by_side(path: Path, store: clusterdb.Store) -> None:
    """What a killed writer left half-published does not come up in the place of a later commit (V2).

    The dead one, with synchronous=OFF, need not use the sector that the next commit with NORMAL uses.
    """
    writer = filled(store, "prod", 10, "a")

    def versions() -> list[int]:
        return [record.version if record else 0 for record in records(store, "prod")]

    while versions().index(word(store, "prod", V_DURABLE)) != 0:
        writer.execute("UPDATE t SET v = v || 'a' WHERE id = 1")
    writer.execute("PRAGMA synchronous = NORMAL; UPDATE t SET v = v || 'a' WHERE id = 1")
    work = """
c = store.cluster('prod').connect()
c.execute("PRAGMA synchronous = OFF")
kill()
c.execute("UPDATE t SET v = 'dead' WHERE id = 2")
"""
    run_until_killed(path, "commit: record written", work)
    writer.execute("UPDATE t SET v = 'alive' WHERE id = 3")
    found = [version for version in versions() if version]
    assert sorted(set(found)) == sorted(found)
    connection = store.cluster("prod").connect()
    assert rows(connection, "SELECT id FROM t WHERE v = 'dead'") == []
    assert rows(connection, "SELECT id FROM t WHERE v = 'alive'") == [(3,)]
    connection.close()
    writer.close()
    store.reclaim()


TWIN_SQL = "UPDATE t SET v = 'twin' WHERE id = 7"


def make_twins(store: clusterdb.Store) -> clusterdb.Cluster:
    """A source and its clone, in which one statement writes the very same bytes."""
    filled(store, "prod", 50, "a").close()
    return store.cluster("prod").clone("twin")


@contextlib.contextmanager
def nothing_else_free(store: clusterdb.Store, slots: set[int]) -> Iterator[None]:
    """Of all slots of the pool only these can be reserved, so far as they are free."""
    slot_map = store._pages.slot_map
    with store._pages.session() as session:
        with session.pool_locked():
            taken = slot_map.reserve_all_free(session.row, 1, slot_map.slot_count)
        slot_map.free([slot for slot in taken if slot in slots])
        try:
            yield
        finally:
            slot_map.free([slot for slot in taken if slot not in slots])


def assert_twin_is_alone(path: Path, lost: Path, store: clusterdb.Store, unfinished: Version) -> None:
    """The clone commits what its source did not finish, if it can in the same slots; then the power goes.

    The source has not got that commit then, and what it writes does not touch the clone.
    """
    before = unfinished.version - 1
    slots = {at.entry.slot for at in reached(store._pages.read_slot, unfinished, before)}
    twin = store.cluster("twin").connect()
    with nothing_else_free(store, slots):
        twin.execute(TWIN_SQL)
    twin.close()
    copy_store(path, lost)
    with clusterdb.open(lost) as after:
        assert letters_of(after, "prod") == {"a": 50}
        connection = after.cluster("prod").connect()
        rewrite(connection, "y")
        rewrite(connection, "z")
        filled(after, "filler", 100, "f").close()
        assert rows(after.cluster("twin").connect(), "SELECT v FROM t WHERE id = 7") == [("twin",)]
        assert_clean(after)


def test_a_dead_writers_record_is_gone_before_its_slots_are(path: Path, tmp_path: Path, store: clusterdb.Store) -> None:
    """A commit that a killed process did not finish is not believed after a power loss, though a clone has used its
    slots for just the same bytes (V2, W4)."""
    make_twins(store)
    run_until_killed(path, "commit: synced", f"c = store.cluster('prod').connect(); kill(); c.execute({TWIN_SQL!r})")
    unfinished = newest_record(store, "prod")
    assert store.reclaim().freed_count > 0
    assert_twin_is_alone(path, tmp_path / "lost", store, unfinished)


def test_the_next_writer_wipes_a_dead_ones_record(path: Path, store: clusterdb.Store) -> None:
    """Before another record is written, none stands that is newer than what is published (V2)."""
    make_twins(store)
    published = newest_record(store, "prod").version
    run_until_killed(path, "commit: synced", f"c = store.cluster('prod').connect(); kill(); c.execute({TWIN_SQL!r})")
    dead = newest_record(store, "prod")
    assert dead.version == published + 1
    writer = store.cluster("prod").connect()
    with at("commit: record written", lambda: None):
        writer.execute("CREATE TABLE other (x)")
    versions = [record.version for record in records(store, "prod") if record]
    assert versions.count(published + 1) == 1
    assert newest_record(store, "prod") != dead
    writer.close()
    store.reclaim()


@pytest.mark.parametrize("point", ["commit: record written", "commit: synced"])
def test_an_interrupted_writers_record_is_gone_before_its_slots_are(
    path: Path, tmp_path: Path, store: clusterdb.Store, point: str
) -> None:
    """The same after Ctrl-C: the process lives on, and gives the slots back itself (V2)."""
    make_twins(store)
    writer = store.cluster("prod").connect()
    unfinished: list[Version] = []

    def interrupt() -> None:
        unfinished.append(newest_record(store, "prod"))
        press_ctrl_c()

    with at(point, interrupt), pytest.raises(KeyboardInterrupt):
        writer.execute(TWIN_SQL)
    assert_twin_is_alone(path, tmp_path / "lost", store, unfinished[0])
    writer.close()


# --- damage ---------------------------------------------------------------------------------------------------------
def test_a_cluster_whose_records_are_all_damaged_is_no_empty_cluster(path: Path) -> None:
    """Who opens a damaged cluster is told so, does not find an empty one, and the other clusters are as they were."""
    with clusterdb.open(path) as store:
        filled(store, "good", 50, "g").close()
        writer = filled(store, "prod", 100, "a")
        writer.execute("PRAGMA synchronous = OFF")
        for number in range(3):
            writer.execute("UPDATE t SET v = 'q' WHERE id = ?", (number,))
        volume = store._catalog.volume_of_cluster("prod")
        assert volume is not None
        roots = {record.root.slot for record in store._pages.head_records(volume) if record}
    for root in roots:
        damage(path, root, 20)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert len(store.check().problems) == 1
        fill(store.cluster("good").connect(), 500, "h")
        assert letters_of(store, "good") == {"h": 500}


def test_a_damaged_newest_version_is_not_replaced_by_one_long_gone(path: Path) -> None:
    """Of a damaged cluster no older version is shown whose pages others have used since, and none of theirs is freed.

    The slots that only the newest version reaches stay out of use, so that a person can still look.
    """
    with clusterdb.open(path) as store:
        writer = filled(store, "prod", 100, "a")
        writer.execute("CREATE TABLE u (x); INSERT INTO u VALUES (1)")
        rewrite(writer, "b")
        writer.close()
        filled(store, "good", 1000, "g").close()
        newest = newest_record(store, "prod")
    damage(path, newest.root.slot, 4000)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert len(store.check().problems) == 1
        filled(store, "new", 300, "n").close()
        assert letters_of(store, "good") == {"g": 1000}
        assert letters_of(store, "new") == {"n": 300}


def test_shrinking_a_damaged_database_frees_nothing_of_others(path: Path) -> None:
    """VACUUM over a damaged page table fails, instead of freeing what its bytes happen to name (T1)."""
    with clusterdb.open(path) as store:
        filled(store, "good", 100, "g").close()
        writer = filled(store, "prod", 4100, "a")
        writer.execute("DELETE FROM t WHERE id > 50")
        root = store._pages.read_slot(newest_record(store, "prod").root.slot)
        leaf = unpack_entry(root, 3).slot
        theirs = unpack_entry(store._pages.read_slot(newest_record(store, "good").root.slot), 5).slot
        damage(path, leaf, 7 * 16, theirs.to_bytes(4, "little"))
        with pytest.raises(apsw.CorruptError, match="fails its checksum"):
            writer.execute("VACUUM")
        assert [problem for problem in store.check().problems if "free in the map" in problem] == []
        filled(store, "filler", 500, "f").close()
        assert letters_of(store, "good") == {"g": 100}
        writer.close()


# --- processes that die ---------------------------------------------------------------------------------------------
def test_what_a_killed_process_had_reserved_beyond_the_old_end_of_the_pool(path: Path, store: clusterdb.Store) -> None:
    """Space comes back too that a process took after the pool had grown out of our sight (M1)."""
    filled(store, "prod", 1, "a").close()
    used_bytes, slot_count = store.stats().used_bytes, store._pages.slot_map.slot_count
    work = """
vfs.volume.STAGED_PAGES_MAX = 16
store._pages._idle_sessions.pop().close()  # of the dead sessions, let the one with the slots be the first to be seen
c = store.cluster('prod').connect()
c.execute("PRAGMA cache_size = 10; BEGIN")
c.executemany("INSERT INTO t VALUES (?, randomblob(3500))", [(number,) for number in range(10, 1000)])
"""
    run_until_killed(path, "", work)
    assert store._pages.slot_map.slot_count > slot_count + 500
    store.reclaim()
    assert store.stats().used_bytes == used_bytes


class Speaker:
    """Another process that runs a script and says 'ready'; it or its children read standard input until we hang up."""

    def __init__(self, script: str, *arguments: str) -> None:
        """Start it and wait until it is ready."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> Speaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.read()  # to its end: no child of the process lives any more
        self._process.stdout.close()

    def wait(self) -> int:
        """Until the process itself has died; its children may live on."""
        return self._process.wait()


CHILD_OPENS_THE_STORE = """
import os, signal, sys
import clusterdb
store = clusterdb.open(sys.argv[1])
store.clusters()
read_fd, write_fd = os.pipe()
if os.fork() == 0:
    mine = clusterdb.open(sys.argv[1])
    mine.clusters()
    os.write(write_fd, b"x")
    sys.stdin.read()
    os._exit(0)
os.read(read_fd, 1)
print("ready", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

PARENT_DIES_WRITING = """
import os, signal, sys
import clusterdb
store = clusterdb.open(sys.argv[1])
c = store.cluster("prod").connect()
c.execute("BEGIN IMMEDIATE; UPDATE t SET v = 'x'")
if os.fork() == 0:
    print("ready", flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_locked_by_a_reader(database: Path) -> bool:
    """Whether some process holds SQLite's SHARED lock on a file (https://sqlite.org/src/file?name=src/os.h)."""
    first, count = 0x40000000 + 2, 510
    with open(database, "r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
        except (BlockingIOError, PermissionError):
            return True
    return False


def test_a_forked_child_locks_the_catalog_itself(path: Path) -> None:
    """A child that opens the store anew has locks of its own on the catalog, when its parent has gone too.

    POSIX locks are not inherited: with a connection carried across the fork the child would believe it had them.
    """
    clusterdb.open(path).close()
    assert not is_locked_by_a_reader(path / "catalog.db")
    with Speaker(CHILD_OPENS_THE_STORE, str(path)) as parent:
        assert parent.wait() == -signal.SIGKILL
        assert is_locked_by_a_reader(path / "catalog.db")
    assert not is_locked_by_a_reader(path / "catalog.db")


def test_an_idle_child_keeps_no_lock_of_its_dead_parent(path: Path, store: clusterdb.Store) -> None:
    """A killed writer leaves no lock, though a child that it forked in the middle lives on."""
    filled(store, "prod", 20, "a").close()
    with Speaker(PARENT_DIES_WRITING, str(path)) as parent:
        assert parent.wait() == -signal.SIGKILL
        writer = store.cluster("prod").connect()
        writer.set_busy_timeout(0)
        rewrite(writer, "b")
        writer.close()
    assert letters_of(store, "prod") == {"b": 20}
    store.reclaim()


# --- sweeps: what the killed leave behind ---------------------------------------------------------------------------
PROD, DEV = "prod", "dev"

COMMIT = "c = store.cluster('prod').connect(); kill(); c.execute(\"UPDATE t SET v = replace(v, 'a', 'b')\")"
WORKS = {
    "commit": COMMIT,
    "many commits": """
c = store.cluster('prod').connect()
kill()
for letter in 'cdefghijb' * 2:
    c.execute("UPDATE t SET v = replace(v, substr(v, 1, 1), ?)", (letter,))
""",
    "clone": "kill(); store.cluster('prod').clone('new')",
    "delete": "kill(); store.cluster('dev').delete()",
    "reclaim": "kill(); store.reclaim()",
    "shrink": "kill(); store.shrink()",
}
"""What a process may be doing when it dies."""

DEATHS: list[tuple[str, str, set[str], set[str]]] = [
    *((point, "commit", {state}, {"dev", "prod"}) for point, state in COMMIT_POINTS.items()),
    ("drain: before pins are read", "many commits", set("cdefghijb"), {"dev", "prod"}),
    ("drain: readers read", "many commits", set("cdefghijb"), {"dev", "prod"}),
    ("volume: head slot taken", "clone", {"a"}, {"dev", "prod"}),
    ("catalog: before commit", "clone", {"a"}, {"dev", "prod"}),
    ("catalog: committed", "clone", {"a"}, {"dev", "new", "prod"}),
    ("drop: closed to readers", "delete", {"a"}, {"dev", "prod"}),
    ("reclaim: slots kept", "delete", {"a"}, {"dev", "prod"}),
    ("catalog: before commit", "delete", {"a"}, {"dev", "prod"}),
    ("catalog: committed", "delete", {"a"}, {"prod"}),
    ("drop: committed", "delete", {"a"}, {"prod"}),
    ("reclaim: catalog has forgotten", "delete", {"a"}, {"prod"}),
    ("reclaim: rows removed", "delete", {"a"}, {"prod"}),
    ("sweep: epoch moved", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: marked", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: heads synced", "reclaim", {"a"}, {"dev", "prod"}),
    ("sweep: freed", "reclaim", {"a"}, {"dev", "prod"}),
    ("shrink: tail cut", "shrink", {"a"}, {"dev", "prod"}),
]
"""Where a process dies, what it was doing, which letters 'prod' may have then, and which clusters there are."""


def test_every_named_point_has_its_death() -> None:
    """No step of anything that changes a store is left out below."""
    assert named_points() == {point for point, _, _, _ in DEATHS} | set(ABSORB_POINTS) | set(PAST_POINTS)


def make_family(store: clusterdb.Store) -> apsw.Connection:
    """'prod' with 60 rows 'a', its clone 'dev' from when it had 'd', 40 of which became 'e' there; and 'neighbour'.

    Returns a connection to the neighbour.
    """
    connection = filled(store, PROD, 60, "d")
    clone = store.cluster(PROD).clone(DEV).connect()
    rewrite(clone, "e", below=40)
    clone.close()
    rewrite(connection, "a")
    connection.close()
    return filled(store, "neighbour", 30, "n")


def assert_family(store: clusterdb.Store, prod: set[str], clusters: set[str]) -> None:
    """Every cluster is whole, and is what it was before or after what the dead process did."""
    assert set(names(store)) == clusters | {"neighbour"}
    ((letter, count),) = letters_of(store, PROD).items()
    assert count == 60 and letter in prod
    if DEV in clusters:
        assert letters_of(store, DEV) == {"d": 20, "e": 40}


@pytest.mark.parametrize(
    ("point", "work", "prod", "clusters"),
    DEATHS,
    ids=[f"{work} - {point}" for point, work, _, _ in DEATHS],
)
def test_reclaim_brings_back_what_the_dead_left(
    path: Path, store: clusterdb.Store, point: str, work: str, prod: set[str], clusters: set[str]
) -> None:
    """Wherever a process is killed, the others go on, find a committed state, and get its space back (W1-W5, R2-R6)."""
    neighbour = make_family(store)
    run_until_killed(path, point, WORKS[work])
    fill(neighbour, 40, "o")
    assert_family(store, prod, clusters)
    writer = store.cluster(PROD).connect()  # the dead one's pins must be heard of (S3, R9)
    for letter in "vwx":
        rewrite(writer, letter)
    filled(store, "filler", 100, "f").close()
    store.cluster("filler").delete()
    with (
        at("sweep: epoch moved", lambda: rewrite(neighbour, "p")),
        at("sweep: marked", lambda: [rewrite(neighbour, "q"), rewrite(writer, "y")]),
    ):
        assert store.reclaim().put_off == ""
    neighbour.close()
    writer.close()
    assert store.reclaim().put_off == ""
    assert_clean(store)
    assert_family(store, {"y"}, clusters)
    assert letters_of(store, "neighbour") == {"q": 40}
    if "new" in clusters:
        assert letters_of(store, "new") == {"a": 60}


@pytest.mark.parametrize("point", COMMIT_POINTS)
def test_opening_the_store_brings_back_what_the_dead_left(path: Path, open_store: Opener, point: str) -> None:
    """Nobody has to ask for it: the next to open the store gets the space of a killed writer back for all."""
    store = open_store()
    neighbour = make_family(store)
    run_until_killed(path, point, COMMIT)
    rewrite(neighbour, "o")
    with at("sweep: marked", lambda: rewrite(neighbour, "p")):
        other = open_store()
    neighbour.close()
    assert_clean(other)
    assert_family(store, {COMMIT_POINTS[point]}, {DEV, PROD})
    assert letters_of(other, "neighbour") == {"p": 30}


def test_a_sweep_waits_for_a_reader_of_an_old_version(path: Path, store: clusterdb.Store) -> None:
    """What leaked may be part of what somebody still reads: it comes back when that reader has gone, not before (W5).

    Here the dead process took with it the knowledge of what it had replaced under the reader.
    """
    neighbour = make_family(store)
    reader = store.cluster(PROD).connect()
    reader.execute("PRAGMA cache_size = 1; BEGIN")
    assert rows(reader, "SELECT count(*) FROM t WHERE id < 5") == [(5,)]
    run_until_killed(path, "", COMMIT)
    put_off = store.reclaim()
    assert put_off.freed_count == 0
    assert str(os.getpid()) in put_off.put_off and "reads an old version" in put_off.put_off
    fill(neighbour, 300, "o")
    assert letters(reader) == {"a": 60}
    reader.execute("COMMIT")
    done = store.reclaim()
    assert done.put_off == "" and done.freed_count > 10
    assert letters(reader) == {"b": 60}
    assert_clean(store)


def test_a_store_can_be_opened_after_a_sweep_was_put_off(path: Path, open_store: Opener) -> None:
    """What a put-off sweep leaves is an errand for the next to open the store, not an obstacle."""
    store = open_store()
    make_family(store)
    reader = store.cluster(PROD).connect()
    reader.execute("BEGIN")
    letters(reader)
    run_until_killed(path, "", COMMIT)
    assert store.reclaim().put_off != ""
    reader.execute("COMMIT")
    assert_clean(open_store())


LEAK = """
with store._pages.session() as session:
    store._pages.reclaim.leak(session, session.take_slots(20))
"""
SWEEP_POINTS = ["sweep: epoch moved", "sweep: marked", "sweep: heads synced"]


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_a_killed_sweep_is_made_again_by_the_next_to_open_the_store(path: Path, open_store: Opener, point: str) -> None:
    """What a sweep was about to bring back when its process was killed is not forgotten."""
    store = open_store()
    make_family(store)
    run_until_killed(path, point, LEAK + WORKS["reclaim"])
    assert_clean(open_store())


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_ctrl_c_in_a_sweep(store: clusterdb.Store, point: str) -> None:
    """A sweep can be interrupted and made again; then it brings back what the first would have."""
    make_family(store)
    exec(LEAK, {"store": store})
    with at(point, press_ctrl_c), pytest.raises(KeyboardInterrupt):
        store.reclaim()
    assert store.reclaim().freed_count >= 20
    assert_clean(store)


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_what_leaks_during_a_sweep_that_is_cut_short(open_store: Opener, point: str) -> None:
    """It comes back too, by the next sweep or by the one after it, which nobody has to ask for."""
    store = open_store()
    make_family(store)

    def leak_and_interrupt() -> None:
        exec(LEAK, {"store": store})
        press_ctrl_c()

    with at(point, leak_and_interrupt), pytest.raises(KeyboardInterrupt):
        store.reclaim()
    try:
        assert store.reclaim().put_off == ""
        assert_clean(open_store())
    finally:
        store.reclaim()


def test_a_sweep_waits_for_a_commit_in_progress(store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit between labelling its pages and publishing them loses none of them to a sweep (M2, W1)."""
    monkeypatch.setattr("vfs.sweep._ATTEMPTS", 2, raising=False)
    make_family(store)
    is_there, may_go_on = threading.Event(), threading.Event()

    def stop() -> None:
        is_there.set()
        assert may_go_on.wait(60)

    def commit() -> None:
        writer = store.cluster(PROD).connect()
        rewrite(writer, "b")
        writer.close()

    with ThreadPoolExecutor() as pool, at("commit: slots labelled", stop):
        done = pool.submit(commit)
        try:
            assert is_there.wait(60)
            report = store.reclaim()
            assert report.freed_count == 0 and "is in a commit" in report.put_off
        finally:
            may_go_on.set()
        done.result()
    filled(store, "filler", 300, "f")
    assert store.reclaim().put_off == ""
    assert letters_of(store, PROD) == {"b": 60}
    assert_clean(store)


@pytest.mark.parametrize("point", SWEEP_POINTS)
def test_clones_come_and_go_in_the_middle_of_a_sweep(open_store: Opener, point: str) -> None:
    """A sweep frees nothing that a clone made meanwhile stands on, and nothing that is freed already (W1, R8)."""
    store, other = open_store(), open_store()
    make_family(store)
    writer = other.cluster(PROD).connect()

    def come_and_go() -> None:
        other.cluster(PROD).clone("new")
        rewrite(writer, "b")
        other.cluster(DEV).delete()
        other.cluster("new").clone("newer")
        other.cluster("new").delete()

    with at(point, come_and_go):
        store.reclaim()
    filled(store, "filler", 300, "f").close()
    assert letters_of(store, "newer") == {"a": 60}
    assert letters_of(store, PROD) == {"b": 60}
    writer.close()
    assert store.reclaim().put_off == ""
    assert_clean(store)


class Crowd:
    """Writers, cloners and sweepers of one store, each in a thread, with a fixed number of things to do."""

    def __init__(self, store: clusterdb.Store, other: clusterdb.Store, seed: int) -> None:
        self.store = store
        self.other = other
        self.seed = seed

    def write(self, name: str) -> None:
        """Change a few rows at a time; n counts the changes."""
        choose = random.Random(f"{self.seed} {name}")
        connection = self.store.cluster(name).connect()
        for number in range(600):
            connection.execute(
                "UPDATE t SET n = n + 1, v = ? WHERE id % 7 = ?", (chr(97 + number % 25) * 900, choose.randrange(7))
            )
        connection.close()

    def read(self, name: str) -> None:
        """See one version, however long it takes."""
        connection = self.other.cluster(name).connect()
        connection.execute("PRAGMA cache_size = 1")
        for _ in range(200):
            connection.execute("BEGIN")
            before = rows(connection, "SELECT sum(n), count(*) FROM t")
            assert letters(connection).keys() <= set("abcdefghijklmnopqrstuvwxy")
            assert rows(connection, "SELECT sum(n), count(*) FROM t") == before
            connection.execute("COMMIT")
        connection.close()

    def clone(self, sources: list[str]) -> None:
        """Make clones of all depths, look at them, write to them, and delete them in any order."""
        choose = random.Random(f"{self.seed} clone")
        made: list[str] = []
        for number in range(120):
            clone = self.other.cluster(choose.choice(sources + made)).clone(f"clone-{number}")
            made.append(clone.name)
            connection = clone.connect()
            before = letters(connection)
            connection.execute("DELETE FROM t WHERE id % 5 = 0 AND v < 'z'; INSERT INTO t VALUES (NULL, 0, 'z')")
            assert letters(connection)["z"] == before.get("z", 0) + 1
            connection.close()
            while len(made) > 4:
                self.other.cluster(made.pop(choose.randrange(len(made)))).delete()

    def sweep(self) -> None:
        """Leak some slots, sweep, and shrink now and then."""
        pages = self.other._pages
        for number in range(150):
            with pages.session() as session:
                pages.reclaim.leak(session, session.take_slots(5))
            self.other.reclaim()
            if number % 10 == 0:
                self.other.shrink()


def test_sweeps_among_writers_cloners_and_readers(open_store: Opener) -> None:
    """Whatever others do during a sweep, it frees nothing that anybody can still see (W1-W3, R1-R9)."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    crowd = Crowd(open_store(synchronous="NORMAL"), open_store(synchronous="NORMAL"), seed)
    written = ["first", "second"]
    for name in written:
        connection = crowd.store.create_cluster(name).connect()
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n, v)")
        with connection:
            connection.executemany("INSERT INTO t VALUES (?, 0, ?)", [(number, "a" * 900) for number in range(70)])
        connection.close()
    with ThreadPoolExecutor() as pool:
        works = [pool.submit(crowd.write, name) for name in written]
        works += [pool.submit(crowd.clone, written), pool.submit(crowd.read, "first"), pool.submit(crowd.sweep)]
        for work in works:
            work.result()
    assert crowd.store.reclaim().put_off == ""
    assert_clean(crowd.store)
    for cluster in crowd.store.clusters():
        letters_of(crowd.store, cluster.name)
    for name in written:
        assert rows(crowd.store.cluster(name).connect(), "SELECT sum(n) FROM t") == [(6000,)]


# --- shrink ---------------------------------------------------------------------------------------------------------
def test_shrink_gives_space_back_while_others_work(open_store: Opener) -> None:
    """The pool takes less room on the disk, everything is as it was, and nobody had to wait (M3)."""
    store, other = open_store(), open_store()
    neighbour = filled(store, "first", 50, "a")
    filled(store, "hole", 2000, "h").close()
    filled(store, "second", 50, "b").close()
    filled(store, "tail", 2000, "t").close()
    elsewhere = other.cluster("second").connect()
    assert letters(elsewhere) == {"b": 50}
    for name in ("hole", "tail"):
        store.cluster(name).delete()
    assert rows(neighbour, "BEGIN; SELECT count(*) FROM t") == [(50,)]
    before = store.stats().pool_bytes
    with at("shrink: tail cut", lambda: [rewrite(elsewhere, "c"), fill(elsewhere, 600, "d")]):
        given_back = store.shrink()
    after = store.stats().pool_bytes
    assert given_back > 0 and after < before // 2
    assert letters(neighbour) == {"a": 50}
    neighbour.execute("COMMIT")
    assert letters_of(store, "second") == {"d": 600} == letters(elsewhere)
    filled(other, "new", 3000, "n").close()  # where there was nothing a moment ago
    assert letters_of(store, "new") == {"n": 3000}
    assert letters_of(store, "first") == {"a": 50}
    assert_clean(store)


def test_shrink_cuts_the_end_of_the_pool(path: Path, store: clusterdb.Store) -> None:
    """Free space at the end shortens the file; a second time there is nothing left to give."""
    filled(store, "prod", 50, "a").close()
    length = (path / "pool").stat().st_size
    filled(store, "big", 2000, "b").close()
    store.cluster("big").delete()
    assert store.shrink() > 0
    assert (path / "pool").stat().st_size <= length
    assert store.shrink() == 0
    assert letters_of(store, "prod") == {"a": 50}


# --- slots that two could take for theirs -----------------------------------------------------------------------------
def test_a_slot_written_again_with_the_same_bytes(path: Path, store: clusterdb.Store) -> None:
    """When two records that power left behind name the same slots, recovery believes one of them."""
    filled(store, PROD, 60, "d").close()
    names = ("one", "two")
    first, _ = (store.cluster(PROD).clone(name) for name in names)
    connection = first.connect()
    connection.execute("PRAGMA synchronous = NORMAL").fetchall()
    rewrite(connection, "e")
    record = newest_record(store, "one")
    row = store._catalog.volume_of_cluster("two")
    assert row is not None
    copy = path.with_name("copy")
    copy_store(path, copy)
    damage(copy, row.head_slot, SECTOR_BYTES, pack_version(record._replace(volume=row.volume)))
    with clusterdb.open(copy) as rebuilt:
        assert {*letters_of(rebuilt, "one"), *letters_of(rebuilt, "two")} == {"d", "e"}
        assert_clean(rebuilt)
    connection.close()


# --- clones that take the place of a dead source ----------------------------------------------------------------------
def used_slots(store: clusterdb.Store) -> int:
    return store.stats().used_bytes // SLOT_BYTES


def own_slots(store: clusterdb.Store, name: str) -> int:
    return store.cluster(name).stats().own_bytes // SLOT_BYTES


def counted_slots(store: clusterdb.Store, name: str) -> int:
    """What the counters say that the cluster has for its own, without the walk of ``stats``."""
    row = store._catalog.volume_of_cluster(name)
    assert row is not None
    return store._pages.head_of(row).own_count + row.base.own_count + 1


def assert_alone(store: clusterdb.Store, name: str) -> None:
    """The only cluster has all that is in use (but the pool's header), and its counters know it."""
    assert used_slots(store) == 1 + own_slots(store, name)
    assert counted_slots(store, name) == own_slots(store, name)


@pytest.mark.parametrize("is_written", [True, False], ids=["written", "fresh"])
@pytest.mark.parametrize("point", ABSORB_POINTS)
def test_a_death_while_a_clone_takes_its_sources_place(
    path: Path, open_store: Opener, point: str, is_written: bool
) -> None:
    """Wherever the process dies, the clone is whole, in this boot and the next, and the space comes back (A3-A5)."""
    store = open_store()
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    if is_written:
        rewrite(dev, "e")
    letter = "e" if is_written else "d"
    run_until_killed(path, point, "kill(); store.cluster('prod').delete()")
    assert letters(dev) == {letter: 60}
    copy = path.with_name("copy")
    copy_store(path, copy)
    with clusterdb.open(copy) as rebuilt:
        assert letters_of(rebuilt, DEV) == {letter: 60}
        assert_clean(rebuilt)
    rewrite(dev, "f")
    rewrite(dev, "g")
    dev.close()
    assert store.reclaim().put_off == ""
    open_store()
    assert_alone(store, DEV)


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL", "OFF", ""], ids=lambda text: text or "fresh")
def test_a_power_loss_after_a_clone_took_its_sources_place(
    path: Path, store: clusterdb.Store, synchronous: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head of a clone is on the device before its base is another's, whether and however it has committed (A3)."""
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    device = Device(path, monkeypatch)
    if synchronous:
        dev.execute(f"PRAGMA synchronous = {synchronous}").fetchall()
        rewrite(dev, "e")
    store.cluster(PROD).delete()
    device.lose_power(path.with_name("copy"))
    with clusterdb.open(path.with_name("copy")) as rebuilt:
        assert letters_of(rebuilt, DEV) == {"e" if synchronous else "d": 60}
        assert_clean(rebuilt)
        assert_alone(rebuilt, DEV)
    dev.close()


def test_what_two_stand_on_is_nobodys(store: clusterdb.Store) -> None:
    """As long as another clone stands on the dead source, one of them gives back nothing of it (A1)."""
    filled(store, PROD, 60, "d").close()
    first, second = (store.cluster(PROD).clone(name).connect() for name in ("first", "second"))
    store.cluster(PROD).delete()
    rewrite(first, "e")
    rewrite(first, "f")
    assert letters(second) == {"d": 60}
    second.close()
    store.cluster("second").delete()
    assert letters(first) == {"f": 60}
    first.close()
    assert_alone(store, "first")


def test_a_clone_of_the_heir_keeps_what_it_has(store: clusterdb.Store) -> None:
    """What the heir has lost, but a clone of it still reaches, waits for that clone (A4, R5)."""
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    rewrite(dev, "e", below=20)
    middle = store.cluster(DEV).clone("middle").connect()
    rewrite(dev, "f")
    store.cluster(PROD).delete()
    rewrite(dev, "g")
    assert letters(middle) == {"d": 40, "e": 20}
    middle.close()
    store.cluster("middle").delete()
    assert letters(dev) == {"g": 60}
    dev.close()
    assert_alone(store, DEV)


def test_a_reader_of_the_heir_keeps_its_version(store: clusterdb.Store) -> None:
    """What a reader of the clone has pinned is not freed under it when the source goes (R1)."""
    filled(store, PROD, 60, "d").close()
    dev, reader = (connect() for connect in [store.cluster(PROD).clone(DEV).connect, store.cluster(DEV).connect])
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    rewrite(dev, "e")
    store.cluster(PROD).delete()
    filled(store, "filler", 100, "x").close()
    assert letters(reader) == {"d": 60}
    reader.execute("COMMIT")
    rewrite(dev, "f")
    for connection in (reader, dev):
        connection.close()
    store.cluster("filler").delete()
    assert_alone(store, DEV)


def test_a_sweep_while_a_clone_takes_its_sources_place(open_store: Opener) -> None:
    """What the clone has lost of the source is freed once, by who absorbed it (A4, R8)."""
    store, other = open_store(), open_store()
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    rewrite(dev, "e")

    def sweep_and_fill() -> None:
        other.reclaim()
        filled(other, "filler", 100, "x").close()

    with at("absorb: catalog has forgotten", sweep_and_fill):
        store.cluster(PROD).delete()
    filled(store, "more", 100, "y").close()
    assert [letters_of(store, name) for name in (DEV, "filler", "more")] == [{"e": 60}, {"x": 100}, {"y": 100}]
    dev.close()


def test_a_clone_dropped_while_it_takes_its_sources_place(open_store: Opener) -> None:
    """Who is dropped in the middle takes nobody's place, and what it stood on goes once, after it (A1, C1)."""
    store, other = open_store(), open_store()
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    rewrite(dev, "e", below=20)
    reader = other.cluster(DEV).connect()
    reader.execute("BEGIN; SELECT count(*) FROM t").fetchall()
    with at("absorb: slots kept", lambda: other.cluster(DEV).delete()):
        store.cluster(PROD).delete()
    filled(store, "filler", 100, "x").close()
    assert letters(reader) == {"d": 40, "e": 20}
    open_store()  # finds the tables as the catalog says
    dev.close()
    reader.close()
    assert letters_of(store, "filler") == {"x": 100}
    store.cluster("filler").delete()
    assert used_slots(store) == 1


@pytest.mark.parametrize("is_rewritten", [False, True])
def test_what_a_writer_of_the_source_has_not_settled(open_store: Opener, is_rewritten: bool) -> None:
    """What was superseded in the source, but waits in another process to be looked at, is the clone's (A7).

    If the clone has overwritten it too, a sweep finds it.
    """
    store, other = open_store(), open_store()
    writer = filled(store, PROD, 10, "d")
    dev = other.cluster(PROD).clone(DEV).connect()
    rewrite(writer, "e")
    if is_rewritten:
        rewrite(dev, "f")
    other.cluster(PROD).delete()
    writer.close()
    filled(other, "filler", 100, "x").close()
    assert letters(dev) == {"f" if is_rewritten else "d": 10}
    other.cluster("filler").delete()
    dev.close()
    assert other.reclaim().put_off == ""
    assert_alone(other, DEV)


def test_a_writer_at_work_is_left_alone(store: clusterdb.Store) -> None:
    """A clone in whose transaction the source goes takes its place with the next one (A2)."""
    filled(store, PROD, 60, "d").close()
    dev = store.cluster(PROD).clone(DEV).connect()
    dev.execute("BEGIN IMMEDIATE; UPDATE t SET v = replace(v, 'd', 'e')")
    store.cluster(PROD).delete()
    dev.execute("COMMIT")
    rewrite(dev, "f")
    rewrite(dev, "g")
    assert letters(dev) == {"g": 60}
    dev.close()
    assert_alone(store, DEV)


def test_a_handle_that_knew_the_former_base(open_store: Opener) -> None:
    """A connection of another process that was open all the while frees what it supersedes of the source (A5)."""
    store, other = open_store(), open_store()
    filled(store, PROD, 60, "d").close()
    store.cluster(PROD).clone(DEV)
    dev = other.cluster(DEV).connect()
    rewrite(dev, "e", below=20)
    store.cluster(PROD).delete()
    rewrite(dev, "f")
    rewrite(dev, "g")
    dev.close()
    assert_alone(store, DEV)


def test_a_line_of_dead_sources(store: clusterdb.Store) -> None:
    """The last of a line takes the place of all before it, in whatever order they went."""
    filled(store, "c0", 60, "d").close()
    for number in range(1, 5):
        clone = store.cluster(f"c{number - 1}").clone(f"c{number}").connect()
        rewrite(clone, "efgh"[number - 1], below=10 * number)
        clone.close()
    for number in (2, 0, 3, 1):
        store.cluster(f"c{number}").delete()
    assert letters_of(store, "c4") == {"d": 20, "h": 40}
    assert_alone(store, "c4")


def test_a_lost_head_is_not_the_base(path: Path, store: clusterdb.Store) -> None:
    """When the head slot of such a clone is destroyed, recovery refuses it rather than serve its oldest state (A6)."""
    empty = store.create_cluster(PROD)
    dev = store.cluster(PROD).clone(DEV).connect()
    fill(dev, 60, "e")
    middle = store.cluster(DEV).clone("middle")
    dev.close()
    store.cluster(DEV).delete()
    empty.delete()
    slot = head_slot(store, "middle")
    damage(path, slot, 0, bytes(SLOT_BYTES))
    copy = path.with_name("copy")
    copy_store(path, copy)
    with clusterdb.open(copy) as rebuilt, pytest.raises(clusterdb.CorruptStoreError):
        letters_of(rebuilt, "middle")
    middle.delete()


# --- a sweep and a keeper ------------------------------------------------------------------------------------------
def test_what_a_sweep_took_for_live_is_left_to_sweeps(store: clusterdb.Store) -> None:
    """A slot whose state a sweep overwrote just as it was superseded is freed once, by another sweep (W2, R5)."""
    writer = filled(store, PROD, 100, "a")
    reader = store.cluster(PROD).connect()
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    rewrite(writer, "b")
    pages = store._pages
    kept = pages.slot_map.slots_in_state(RESERVED + pages.keeper().row)
    assert kept
    pages.slot_map.label_live(kept)  # the unlucky sweep
    reader.execute("COMMIT")
    reader.close()
    assert store.reclaim().freed_count >= len(kept)
    filled(store, "filler", 100, "x").close()
    rewrite(writer, "c")
    writer.close()
    filled(store, "more", 100, "y").close()
    assert [letters_of(store, name) for name in (PROD, "filler", "more")] == [{"c": 100}, {"x": 100}, {"y": 100}]
    store.reclaim()


# --- fencing ----------------------------------------------------------------------------------------------------------
def fence(store: clusterdb.Store, name: str) -> None:
    """Begin a new epoch of a cluster, as a failover does."""
    row = store._catalog.volume_of_cluster(name)
    assert row is not None
    store._pages.fence_writers(row)


def test_a_fenced_writer_keeps_nobody_waiting(open_store: Opener) -> None:
    """A writer fenced in the middle of a transaction: the next one writes at once, nothing of the old is seen."""
    store, other = open_store(), open_store()
    old = filled(store, PROD, 60, "a")
    old.execute("BEGIN IMMEDIATE; UPDATE t SET v = replace(v, 'a', 'x')")
    fence(other, PROD)
    new = other.cluster(PROD).connect()
    new.set_busy_timeout(0)
    rewrite(new, "b")
    with pytest.raises(apsw.IOError, match="failover"):
        old.execute("COMMIT")
    rewrite(new, "c")
    with pytest.raises(apsw.ReadOnlyError, match="failover") as caught:
        old.execute("SELECT * FROM t")
    assert caught.value.extendedresult == apsw.SQLITE_READONLY_DBMOVED
    old.close()
    rewrite(new, "d")
    new.close()
    assert letters_of(store, PROD) == {"d": 60}


@pytest.mark.parametrize("point", UNPUBLISHED)
def test_nobody_is_fenced_in_the_middle_of_a_publication(open_store: Opener, point: str) -> None:
    """A failover waits for a commit that is being published: it counts, and the new writer builds on it (V5)."""
    store, other = open_store(), open_store()
    old = filled(store, PROD, 60, "a")
    fencing = threading.Thread(target=lambda: fence(other, PROD))

    def meanwhile() -> None:
        fencing.start()
        fencing.join(0.05)
        assert fencing.is_alive()

    with at(point, meanwhile):
        rewrite(old, "b")
    fencing.join()
    new = other.cluster(PROD).connect()
    assert letters(new) == {"b": 60}
    rewrite(new, "c")
    with pytest.raises(apsw.ReadOnlyError, match="failover"):
        rewrite(old, "x")
    old.close()
    new.close()
    assert letters_of(store, PROD) == {"c": 60}


def test_readers_are_not_fenced(store: clusterdb.Store) -> None:
    """A read-only connection reads on through a failover."""
    filled(store, PROD, 60, "a").close()
    reader = store.cluster(PROD).connect(read_only=True)
    fence(store, PROD)
    assert letters(reader) == {"a": 60}
    reader.close()
