"""Snapshots: they outlive their cluster."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import clusterdb
from tests.past.numbers import fill, numbers, numbers_of
from tests.support.stores import assert_clean


def test_snapshot_survives_its_cluster(store: clusterdb.Store, prod: clusterdb.Cluster, tmp_path: Path) -> None:
    """Taken, copied, listed, restored, exported and deleted, with the cluster long gone; then all space is back."""
    states = fill(prod, 5)
    third = list(states)[2]
    prod.snapshot("head")
    prod.snapshot("third", at=third)
    prod.delete()
    store.copy_snapshot("third", "copy")
    store.delete_snapshot("third")
    assert [(snapshot.name, snapshot.cluster, snapshot.version) for snapshot in store.snapshots()] == [
        ("copy", "prod", third),
        ("head", "prod", max(states)),
    ]
    again = store.restore_snapshot("copy", "again")
    assert numbers_of(again) == [1, 2, 3]
    assert numbers_of(store.restore_snapshot("head", "prod")) == [1, 2, 3, 4, 5]
    store.export_snapshot("copy", tmp_path / "plain.db")
    assert numbers(apsw.Connection(str(tmp_path / "plain.db"))) == [1, 2, 3]
    assert_clean(store)
    for name in ("copy", "head"):
        store.delete_snapshot(name)
    for cluster in store.clusters():
        cluster.delete()
    assert store.stats().used_bytes == 4096


def test_snapshot_names_are_unique_and_valid(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A name is given once, must be legal, and the nearest is suggested for one that there is not."""
    prod.snapshot("nightly")
    with pytest.raises(clusterdb.SnapshotExistsError, match="has a snapshot 'nightly' already"):
        prod.snapshot("nightly")
    with pytest.raises(clusterdb.SnapshotExistsError):
        store.copy_snapshot("nightly", "nightly")
    with pytest.raises(clusterdb.InvalidNameError):
        prod.snapshot("no name")
    with pytest.raises(clusterdb.SnapshotNotFoundError, match="did you mean 'nightly'"):
        store.delete_snapshot("nightli")
    assert [snapshot.name for snapshot in store.snapshots()] == ["nightly"]
