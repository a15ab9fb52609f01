"""Instances: names, limits, and what becomes of them with their cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.catalog.rows import InstanceRow
from clusterdb.core.context import Context
from clusterdb.ha import instances
from clusterdb.ha.gate import InstanceState
from clusterdb.ha.instances import state_of
from tests.ha.fleet import FAR_MS, add, cluster_with, commit, event_messages, roles, seen, seen_by
from tests.support.inside import catalog_of


def test_first_instance_is_the_writer(prod: clusterdb.Cluster) -> None:
    """The first is the writer, all others readers; they are listed the writer first, then by name."""
    instances = [prod.add_instance(name) for name in ("m", "z", "a", "k")]
    assert [instance.role for instance in instances] == ["writer", "reader", "reader", "reader"]
    assert roles(prod) == [("m", "writer"), ("a", "reader"), ("k", "reader"), ("z", "reader")]
    assert prod.instances() == [instances[0], instances[2], instances[3], instances[1]]


def test_instance_is_listed_with_its_settings(prod: clusterdb.Cluster) -> None:
    """An instance is listed as it was asked for, and as it was changed."""
    add(prod, "a")
    prod.add_instance(
        "b",
        instance_class="db.r6g.large",
        promotion_tier=15,
        availability_zone="here",
        replica_lag_ms=20,
        lag_jitter_ms=2.5,
    )
    assert prod.instances()[1] == clusterdb.Instance("b", "reader", "db.r6g.large", 15, "here", 20, 2.5)
    changed = prod.modify_instance("b", promotion_tier=0, lag_jitter_ms=7)
    assert (changed.promotion_tier, changed.replica_lag_ms, changed.lag_jitter_ms) == (0, 20, 7)
    assert prod.instances()[1] == changed


def test_lag_of_a_deleted_instance_is_not_the_next_ones(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes an instance whose lag is being changed, and adds one, which gets its row."""
    add(prod, "a", "b")

    def replace() -> None:
        monkeypatch.undo()
        prod.delete_instance("b")
        prod.add_instance("c")

    def state_late(context: Context, row: InstanceRow) -> InstanceState:
        if not catalog_of(store).database.is_in_transaction:  # else the other process has to wait
            replace()
        return state_of(context, row)

    monkeypatch.setattr(instances, "state_of", state_late)
    prod.modify_instance("b", replica_lag_ms=FAR_MS)
    if "c" not in {instance.name for instance in prod.instances()}:
        replace()
    row = instances.require(store.context, store.context.row_of(prod), "c")
    assert not state_of(store.context, row).lags


def test_instance_names_are_unique_in_the_store(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """No two instances of a store have the same name, whatever their clusters."""
    other = cluster_with(store, "other")
    for cluster in (trio, other):
        with pytest.raises(clusterdb.InstanceExistsError, match="'b' already"):
            cluster.add_instance("b")
    trio.delete_instance("b")
    other.add_instance("b")
    assert roles(other) == [("b", "writer")]


@pytest.mark.parametrize("name", ["", "1a", "_a", "a b", "a" * 64, "ä", 5, None])
def test_invalid_instance_names_are_refused(prod: clusterdb.Cluster, name: Any) -> None:
    """Instances and endpoints are named as clusters are."""
    with pytest.raises(clusterdb.InvalidNameError):
        prod.add_instance(name)
    with pytest.raises(clusterdb.InvalidNameError):
        prod.add_endpoint(name)
    assert prod.instances() == []


@pytest.mark.parametrize("name", ["writer", "reader"])
def test_instance_cannot_be_named_like_a_cluster_endpoint(prod: clusterdb.Cluster, name: str) -> None:
    """'writer' and 'reader' always mean the endpoints."""
    with pytest.raises(clusterdb.Error):
        prod.add_instance(name)


def test_instance_cannot_be_named_like_a_custom_endpoint(trio: clusterdb.Cluster) -> None:
    """A custom endpoint keeps leading where it did."""
    trio.add_endpoint("reports", members=["b"])
    with pytest.raises(clusterdb.Error):
        trio.add_instance("reports")


@pytest.mark.parametrize(
    "values",
    [
        *({"promotion_tier": tier} for tier in (16, -1, True, "1", 1.0)),
        *(
            {key: value}
            for key in ("replica_lag_ms", "lag_jitter_ms")
            for value in (-1, True, "1", float("nan"), float("inf"), 3_600_001)
        ),
    ],
)
def test_invalid_tiers_and_lags_are_refused(trio: clusterdb.Cluster, values: dict[str, Any]) -> None:
    """Tiers and lags out of bounds, or of another type, are refused, and nothing changes."""
    before = trio.instances()
    with pytest.raises(clusterdb.InvalidArgumentError, match=next(iter(values))):
        trio.add_instance("new", **values)
    with pytest.raises(clusterdb.InvalidArgumentError, match=next(iter(values))):
        trio.modify_instance("b", **values)
    assert trio.instances() == before


@pytest.mark.parametrize("key", ["instance_class", "availability_zone"])
def test_invalid_classes_and_zones_are_refused(prod: clusterdb.Cluster, key: str) -> None:
    """A class or zone that is no text is refused as such."""
    values: dict[str, Any] = {key: None}
    with pytest.raises(clusterdb.InvalidArgumentError):
        prod.add_instance("a", **values)


def test_sixteenth_reader_is_refused(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A 16th reader is refused, and changes nothing; when one was deleted there is room again."""
    add(prod, "w", *(f"r{number}" for number in range(15)))
    before, events = prod.instances(), catalog_of(store).events.all()
    with pytest.raises(clusterdb.TooManyReadersError, match="15 readers already"):
        prod.add_instance("one-more")
    assert (prod.instances(), catalog_of(store).events.all()) == (before, events)
    prod.delete_instance("r3")
    prod.add_instance("one-more")
    assert len(prod.instances()) == 16


def test_deleted_writer_is_replaced_by_a_reader(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """A reader takes a deleted writer's place; without instances the cluster is as it was before it had any."""
    commit(trio, 1)
    trio.delete_instance("c")
    assert roles(trio) == [("a", "writer"), ("b", "reader")]
    trio.delete_instance("a")
    assert roles(trio) == [("b", "writer")]
    commit(trio, 2)
    trio.delete_instance("b")
    assert roles(trio) == []
    commit(trio, 3)
    assert seen_by(trio, "writer") == seen_by(trio, "reader") == [1, 2, 3]
    assert event_messages(store, "deletion") == [f"instance '{name}' deleted" for name in "cab"]
    with pytest.raises(clusterdb.InstanceNotFoundError, match="no instance 'b'"):
        trio.delete_instance("b")


def test_deleted_instance_has_no_connections(trio: clusterdb.Cluster) -> None:
    """Connections through a deleted instance fail, even if another takes its name."""
    connection = trio.connect("c")
    assert seen(connection) == []
    trio.delete_instance("c")
    for _ in range(2):
        with pytest.raises(clusterdb.InstanceRestartedError, match="'c' was restarted"):
            seen(connection)
        if len(trio.instances()) == 2:
            trio.add_instance("c")


def test_past_is_dropped_with_the_last_lagging_instance(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """When the only instance that lags is deleted, no past is kept for it any more."""

    def retained() -> int:
        volume = catalog_of(store).volumes.volume_of(prod.id)
        assert volume is not None
        return volume.retained

    add(prod, "a")
    assert not retained()
    prod.add_instance("b", replica_lag_ms=FAR_MS)
    assert retained()
    prod.modify_instance("b", replica_lag_ms=0)
    assert not retained()
    prod.modify_instance("b", replica_lag_ms=FAR_MS)
    prod.delete_instance("b")
    assert not retained()


def test_clone_has_no_instances(trio: clusterdb.Cluster) -> None:
    """Instances and endpoints are the cluster's alone."""
    trio.add_endpoint("reports")
    commit(trio, 1)
    clone = trio.clone("dev")
    assert clone.instances() == []
    assert [endpoint.name for endpoint in clone.endpoints()] == ["writer", "reader"]
    commit(clone, 2)
    assert (seen_by(clone), seen_by(trio)) == ([1, 2], [1])


def test_instances_are_deleted_with_their_cluster(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """A deleted cluster's instances are gone: their names are free, their connections fail."""
    connection = trio.connect("b")
    trio.delete()
    with pytest.raises((apsw.IOError, clusterdb.Error)):
        seen(connection)
    with pytest.raises(clusterdb.ClusterNotFoundError):
        trio.instances()
    other = cluster_with(store, "other")
    add(other, "a", "b", "c")
    commit(other, 1)
    assert seen_by(other, "b") == [1]


def test_rename_of_a_cluster_keeps_its_instances(trio: clusterdb.Cluster) -> None:
    """Instances, endpoints and connections through them go on after a rename."""
    trio.add_endpoint("reports", members=["c"])
    connection = trio.connect("b")
    trio.rename("production")
    commit(trio, 1)
    assert roles(trio) == [("a", "writer"), ("b", "reader"), ("c", "reader")]
    assert seen(connection) == seen_by(trio, "reports") == [1]


def test_cluster_without_instances_has_an_implicit_writer(prod: clusterdb.Cluster) -> None:
    """There is an implicit writer; it is no instance, and nobody can be failed over to."""
    commit(prod, 1)
    assert seen_by(prod) == seen_by(prod, "reader") == [1]
    assert [(endpoint.name, endpoint.members) for endpoint in prod.endpoints()] == [("writer", ()), ("reader", ())]
    assert prod.replica_status() == []
    with pytest.raises(clusterdb.NoReaderError, match="no reader"):
        prod.failover()
    with pytest.raises(clusterdb.EndpointNotFoundError):
        prod.connect("a")


def test_instances_survive_reopening_the_store(tmp_path: Path) -> None:
    """Instances, their lag and their endpoints are there when a store is opened again, if only to be read."""
    with clusterdb.open(tmp_path / "store") as store:
        cluster = cluster_with(store)
        add(cluster, "a", "b")
        cluster.add_endpoint("reports", members=["b"])
        commit(cluster, 1)
        before = cluster.instances(), cluster.endpoints()
    for read_only in (False, True):
        with clusterdb.open(tmp_path / "store", read_only=read_only) as store:
            cluster = store.cluster("prod")
            assert (cluster.instances(), cluster.endpoints()) == before
            assert [seen_by(cluster, name) for name in ("a", "b", "reader", "reports")] == [[1]] * 4
