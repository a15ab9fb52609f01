"""The past is given up in order, and its space comes back."""

from __future__ import annotations

import pytest

import clusterdb
from tests.past.numbers import fill, give_up, numbers_of
from tests.support.inside import pages_of
from tests.support.stores import assert_clean
from vfs.storage.volumes import pinned
from vfs.storage.walk import reached


def test_past_is_dropped_from_its_beginning(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """As the past is given up from its beginning, its space comes back; what clones and snapshots hold stays."""
    connection = prod.connect()
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body); INSERT INTO t VALUES (1, NULL)")
    for _ in range(30):
        connection.execute("UPDATE t SET body = randomblob(20000)")
    connection.close()
    head = prod.stats().version
    fifth = prod.clone("fifth", at=5)
    prod.snapshot("tenth", at=10)
    used = [store.stats().used_bytes]
    for before in (5, 11, 20, head):
        give_up(store, prod, before)
        used.append(store.stats().used_bytes)
        assert_clean(store)
    assert used == sorted(used, reverse=True)
    assert used[-1] < used[0] / 5
    with pytest.raises(clusterdb.InvalidRestoreTimeError):
        prod.clone("new", at=12)
    assert numbers_of(fifth) == numbers_of(store.restore_snapshot("tenth", "again")) == [1]


def test_reader_keeps_a_dropped_past_version(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A pinned past version stays readable until its reader lets go (H2, H3)."""
    states = fill(prod)
    first = min(states)
    with pinned(pages_of(store), store.context.volume_of(prod), first) as volume:
        give_up(store, prod, max(states))
        store.create_cluster("filler").connect().execute("CREATE TABLE x AS SELECT randomblob(900000)")
        assert bytes(volume.read(16, 0)) == b"SQLite format 3\0"
        assert volume.page(volume.version.page_count - 1)
        read_slot = pages_of(store).read_slot
        assert all(read_slot(at.entry.slot) for at in reached(read_slot, volume.version))
    assert_clean(store)


def test_settings_turn_retention_on_and_off(store: clusterdb.Store) -> None:
    """A cluster keeps its past from when it is told to, until it is told not to."""
    plain = store.create_cluster("plain")
    fill(plain, 3)
    plain.modify(backtrack_window_s=60)
    since = plain.stats().version
    connection = plain.connect()
    connection.execute("DELETE FROM t")
    connection.close()
    plain.backtrack(since)
    assert numbers_of(plain) == [1, 2, 3]
    plain.modify(backtrack_window_s=0)
    with pytest.raises(clusterdb.BacktrackDisabledError):
        plain.backtrack(since)
    plain.delete()
    assert store.stats().used_bytes == 4096
