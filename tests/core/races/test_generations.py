"""Rows of the catalog that a process remembers: used only while no other process has changed the catalog."""

from __future__ import annotations

import pytest

import clusterdb
from tests.core.races.family import Opener
from tests.support.inside import catalog_of
from tests.support.statements import counted


def test_changes_by_another_process_are_seen_at_once(open_store: Opener) -> None:
    """Renaming, stopping, resetting and deleting a cluster."""
    store, other = open_store(), open_store()
    cluster, same = store.create_cluster("prod"), other.cluster("prod")
    cluster.connect().close()
    same.rename("main")
    with cluster.connect() as connection:
        assert connection.db_filename("main").endswith("main")
    same.stop()
    with pytest.raises(clusterdb.ClusterStateError):
        cluster.connect()
    same.start()
    clone = cluster.clone("dev")
    clone.connect().close()
    other.cluster("dev").reset()
    clone.connect().close()
    same.add_instance("a")
    assert [instance.name for instance in cluster.instances()] == ["a"]
    other.cluster("dev").delete()
    with pytest.raises(clusterdb.ClusterNotFoundError):
        clone.connect()


def test_connecting_again_reads_nothing_from_the_catalog(store: clusterdb.Store) -> None:
    """Neither after this process has created the cluster, nor after a connection."""
    cluster = store.create_cluster("prod")
    with counted(store) as statements:
        cluster.connect().close()
    assert statements == []


def test_rows_are_read_while_a_commit_may_be_unfinished(open_store: Opener) -> None:
    """A process that died between the two steps leaves the catalog readable, and rows unremembered."""
    store, other = open_store(), open_store()
    cluster = store.create_cluster("prod")
    other.cluster("prod").connect().close()
    header = store.context.pages.tables.header
    header.catalog_begun += 1  # as it was when that process died
    for _ in range(2):
        with counted(other) as statements:
            other.cluster("prod").connect().close()
        assert len(statements) > 1
    cluster.clone("dev")
    other.cluster("prod").connect().close()
    assert header.catalog_begun == header.catalog_settled
    same = other.cluster("prod")
    with counted(other) as statements:
        same.connect().close()
    assert statements == []


def test_undone_changes_are_not_remembered(store: clusterdb.Store) -> None:
    """A transaction that is rolled back leaves the remembered rows as they were."""
    cluster = store.create_cluster("prod")
    catalog = catalog_of(store)
    with pytest.raises(RuntimeError), catalog.transaction():
        catalog.clusters.set_status(cluster.id, "stopped")
        row = catalog.clusters.get(cluster.id)
        assert row is not None and row.status == "stopped"
        raise RuntimeError
    assert cluster.status == "available"
