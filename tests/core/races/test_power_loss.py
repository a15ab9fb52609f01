"""Power failures: what was not synced, and records that killed writers left."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import pages_of
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
    letters_of,
    names,
    newest_record,
    press_ctrl_c,
    records,
    rewrite,
    run_until_killed,
    word,
)
from tests.support.stores import assert_clean, rows
from vfs.format.layout import Version
from vfs.storage.walk import reached


def test_power_failure_keeps_the_version_that_a_clone_is_based_on(
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


def test_damaged_source_is_not_reverted_behind_its_clone(path: Path) -> None:
    """If what a clone stands on is damaged, its source is reported as damaged, and does not begin again before that."""
    with clusterdb.open(path) as store:
        writer = filled(store, "prod", 100, "a")
        writer.execute("PRAGMA synchronous = NORMAL")
        rewrite(writer, "b")
        rewrite(writer, "c")
        durable = word(store, "prod", "durable")
        store.cluster("prod").clone("dev")
        pinned = newest_record(store, "prod")
        assert pinned.durable <= durable < pinned.version
    damage(path, pinned.root.slot, 4000)
    boot_again(path)
    with clusterdb.open(path) as store:
        with pytest.raises(clusterdb.CorruptStoreError, match="prod"):
            store.cluster("prod").connect()
        assert store.check().problems != []


def test_database_survives_power_failure_after_off_and_normal_commits(
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


def test_delete_of_a_clone_frees_no_slot_that_recovery_may_need(
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


def test_new_cluster_survives_loss_of_the_pool_length(
    path: Path, tmp_path: Path, store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new cluster is there after a power loss: the catalog names no slot that is not on the device yet (M3)."""
    filled(store, "prod", 250, "a")
    slot_count = pages_of(store).slot_map.slot_count
    device = Device(path, monkeypatch)
    created = ["prod"]
    while head_slot(store, created[-1]) < slot_count:
        created.append(f"new-{len(created)}")
        store.create_cluster(created[-1])
    lost = tmp_path / "lost"
    copy_store(path, lost)
    os.truncate(lost / "pool", len(device.synced))
    with clusterdb.open(lost) as after:
        assert names(after) == sorted(created)
        fill(after.cluster(created[-1]).connect(), 20, "n")
        assert letters_of(after, created[-1]) == {"n": 20}
        assert letters_of(after, "prod") == {"a": 250}
        assert_clean(after)


def test_unpublished_record_of_a_killed_writer_never_replaces_a_later_commit(
    path: Path, store: clusterdb.Store
) -> None:
    """What a killed writer left half-published does not come up in the place of a later commit (V2).

    The dead one, with synchronous=OFF, need not use the sector that the next commit with NORMAL uses.
    """
    writer = filled(store, "prod", 10, "a")

    def versions() -> list[int]:
        return [record.version if record else 0 for record in records(store, "prod")]

    while versions().index(word(store, "prod", "durable")) != 0:
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
    remaining = [version for version in versions() if version]
    assert sorted(set(remaining)) == sorted(remaining)
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
    slot_map = pages_of(store).slot_map
    with pages_of(store).session() as session:
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
    slots = {at.entry.slot for at in reached(pages_of(store).read_slot, unfinished, before)}
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


def test_record_of_a_killed_writer_is_erased_before_its_slots_are_reused(
    path: Path, tmp_path: Path, store: clusterdb.Store
) -> None:
    """A commit that a killed process did not finish is not believed after a power loss, though a clone has used its
    slots for just the same bytes (V2, W4)."""
    make_twins(store)
    run_until_killed(path, "commit: synced", f"c = store.cluster('prod').connect(); kill(); c.execute({TWIN_SQL!r})")
    unfinished = newest_record(store, "prod")
    assert store.reclaim().freed_count > 0
    assert_twin_is_alone(path, tmp_path / "lost", store, unfinished)


def test_next_writer_erases_the_record_of_a_killed_one(path: Path, store: clusterdb.Store) -> None:
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
def test_record_of_an_interrupted_writer_is_erased_before_its_slots_are_reused(
    path: Path, tmp_path: Path, store: clusterdb.Store, point: str
) -> None:
    """After Ctrl-C the process lives on, and frees the slots itself (V2)."""
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
