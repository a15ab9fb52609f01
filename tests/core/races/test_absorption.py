"""A clone takes the place of its dead source (invariants A1-A7)."""

from __future__ import annotations

from pathlib import Path

import pytest

import clusterdb
from tests.core.races.family import DEV, PROD, Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import (
    Device,
    at,
    copy_store,
    damage,
    fill,
    filled,
    head_slot,
    letters,
    letters_of,
    rewrite,
    run_until_killed,
)
from tests.support.points import ABSORB_POINTS
from tests.support.stores import assert_clean
from vfs.format.layout import SLOT_BYTES
from vfs.reclaim import absorb
from vfs.registry import PinRow, Registry, VolumeRow
from vfs.storage.heads import head_of


def used_slots(store: clusterdb.Store) -> int:
    return store.stats().used_bytes // SLOT_BYTES


def own_slots(store: clusterdb.Store, name: str) -> int:
    return store.cluster(name).stats().own_bytes // SLOT_BYTES


def counted_slots(store: clusterdb.Store, name: str) -> int:
    """What the counters say that the cluster has for its own, without the walk of ``stats``."""
    row = catalog_of(store).volumes.volume_of_cluster(name)
    assert row is not None
    return head_of(pages_of(store), row).own_count + row.base.own_count + 1


def assert_alone(store: clusterdb.Store, name: str) -> None:
    """The only cluster has all that is in use (but the pool's header), and its counters know it."""
    assert used_slots(store) == 1 + own_slots(store, name)
    assert counted_slots(store, name) == own_slots(store, name)


@pytest.mark.parametrize("is_written", [True, False], ids=["written", "fresh"])
@pytest.mark.parametrize("point", ABSORB_POINTS)
def test_death_during_absorption_leaves_the_clone_whole(
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
def test_power_failure_after_absorption_leaves_the_clone_whole(
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


def test_source_with_two_clones_is_not_absorbed(store: clusterdb.Store) -> None:
    """While another clone is based on the deleted source, neither clone frees any of its pages (A1)."""
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


def test_clone_of_the_absorbing_clone_keeps_its_pages(store: clusterdb.Store) -> None:
    """Pages that the absorbing clone has superseded, but a clone of it reaches, wait for that clone (A4, R5)."""
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


def test_reader_of_the_absorbing_clone_keeps_its_version(store: clusterdb.Store) -> None:
    """The version that a reader of the clone has pinned is not freed when the source is deleted (R1)."""
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


def test_sweep_during_absorption_frees_each_slot_once(open_store: Opener) -> None:
    """Slots of the source that the clone has superseded are freed once, by the absorbing process (A4, R8)."""
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


def test_clone_dropped_during_absorption_frees_its_source_once(open_store: Opener) -> None:
    """A clone dropped in the middle absorbs nothing, and its base is freed once, after it (A1, C1)."""
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
def test_unsettled_slots_of_the_source_belong_to_the_absorbing_clone(open_store: Opener, is_rewritten: bool) -> None:
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


def test_absorption_waits_for_an_open_transaction_of_the_clone(store: clusterdb.Store) -> None:
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


def test_connection_opened_before_absorption_frees_superseded_slots(open_store: Opener) -> None:
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


def test_last_clone_absorbs_a_chain_of_deleted_sources(store: clusterdb.Store) -> None:
    """The last clone of a chain absorbs all sources before it, whatever the order of their deletion."""
    filled(store, "c0", 60, "d").close()
    for number in range(1, 5):
        clone = store.cluster(f"c{number - 1}").clone(f"c{number}").connect()
        rewrite(clone, "efgh"[number - 1], below=10 * number)
        clone.close()
    for number in (2, 0, 3, 1):
        store.cluster(f"c{number}").delete()
    assert letters_of(store, "c4") == {"d": 20, "h": 40}
    assert_alone(store, "c4")


def test_source_that_absorbs_meanwhile_is_read_again_under_its_lock(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead source takes the place of its own source just before the clone locks it: the clone's base follows (A2)."""
    store, other = open_store(), open_store()
    filled(store, "c0", 60, "d").close()
    for number in (1, 2):
        clone = store.cluster(f"c{number - 1}").clone(f"c{number}").connect()
        rewrite(clone, "de"[number - 1], below=10 * number)
        clone.close()
    look, waiting = absorb._only_pin, ["c0"]

    def look_then_absorb(registry: Registry, source: VolumeRow, heir: VolumeRow) -> PinRow | None:
        pin = look(registry, source, heir)
        if pin is not None and waiting:
            other.cluster(waiting.pop()).delete()
        return pin

    monkeypatch.setattr(absorb, "_only_pin", look_then_absorb)
    store.cluster("c1").delete()
    assert not waiting
    assert_clean(store)
    assert letters_of(store, "c2") == {"d": 40, "e": 20}
    assert_alone(store, "c2")
    store.cluster("c2").delete()
    assert used_slots(store) == 1


def test_clone_with_a_lost_head_is_refused_after_absorption(path: Path, store: clusterdb.Store) -> None:
    """When the head slot of such a clone is destroyed, recovery refuses it rather than serve its oldest state (A6)."""
    empty = store.create_cluster(PROD, backup_retention_days=0)
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
