"""Rows of the catalog that a process remembers: used only while no other process has changed the catalog."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

import clusterdb
from clusterdb.catalog.rows import ClusterRow
from tests.core.races.family import Opener
from tests.support.inside import catalog_of, pages_of
from tests.support.statements import counted
from vfs import failpoints


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


def test_row_that_was_read_before_a_commit_is_not_remembered_after_it(open_store: Opener) -> None:
    """A commit whose number has moved becomes visible, and is over, while the row is read."""
    store, other = open_store(), open_store()
    cluster, same = store.create_cluster("prod"), other.cluster("prod")
    clusters, database = catalog_of(store).clusters, catalog_of(store).database
    database.forget()
    has_moved, is_read = Event(), Event()

    def hold_up() -> None:
        failpoints.armed.disarm("catalog: number moved")
        has_moved.set()
        assert is_read.wait(60)

    with ThreadPoolExecutor(1) as pool:
        failpoints.armed["catalog: number moved"] = hold_up
        renamed = pool.submit(same.rename, "main")
        assert has_moved.wait(60)

        def read(number: int) -> ClusterRow | None:
            row = next((row for row in clusters.all() if row.cluster == number), None)
            is_read.set()
            renamed.result()
            return row

        row = database.row(("cluster", cluster.id), read, cluster.id)
    assert row is not None and row.name == "prod"
    row = clusters.get(cluster.id)
    assert row is not None and row.name == "main"


def test_volume_that_is_gone_is_not_pinned(store: clusterdb.Store) -> None:
    """And a pinned one is not removed: the transaction is undone."""
    cluster = store.create_cluster("prod")
    cluster.clone("dev")
    volumes = catalog_of(store).volumes
    source = volumes.volume_of_cluster("prod")
    assert source is not None
    before = volumes.volume_rows(), volumes.all_pin_rows()
    with pytest.raises(clusterdb.CorruptStoreError, match="1 is to be removed, but is pinned"), volumes.transaction():
        volumes.remove_volume(source.volume)
    with pytest.raises(clusterdb.CorruptStoreError, match="to pin volume 8, which is not"), volumes.transaction():
        volumes.add_pin(8, "volume:9", source.base)
    assert (volumes.volume_rows(), volumes.all_pin_rows()) == before


def test_session_that_dies_after_the_seal_is_not_buried_by_it(
    open_store: Opener, store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row whose owner is dead is buried, taken and left again by others, between the seal and the burial (S3)."""
    other = open_store()
    pages = pages_of(store)
    registry = pages.registry
    dead = pages_of(other).open_session()
    row, seal = dead.row, registry.seal
    dead.locks.close()  # as the death of its process

    def seal_late() -> None:
        seal()
        monkeypatch.undo()
        with pages_of(other).session() as session:
            assert pages_of(other).queue.bury(session, row)
        (later := pages_of(other).open_session()).locks.close()
        assert later.row == row

    monkeypatch.setattr(registry, "seal", seal_late)
    with pages.session() as session:
        assert pages.queue.bury(session, row)
        assert pages.tables.session(row).owner
        assert pages.queue.bury(session, row)
        assert not pages.tables.session(row).owner
