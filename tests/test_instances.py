"""Instances and endpoints: who writes, who reads how far behind, failover, and the faults that can be simulated."""

from __future__ import annotations

import os
import random
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.instances import alter_system, size_rank
from conftest import rows
from torture import kills
from vfs import failpoints
from vfs.instances import InstanceView

FAR_MS = 10_000
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
FOR = "FOR INTERVAL 2 MINUTE"


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with an empty table and no instances."""
    return cluster_with(store)


@pytest.fixture
def trio(prod: clusterdb.Cluster) -> clusterdb.Cluster:
    """A cluster with the writer 'a' and the readers 'b' and 'c'; 'b' is the next writer."""
    add(prod, "a", "b")
    prod.add_instance("c", promotion_tier=2)
    return prod


class Clock:
    """The clocks of a store: real time and an offset, or frozen; what is slept is noted instead."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.offset_ns = 0
        self.frozen_ns = 0
        self.slept: list[float] = []

    def time_ns(self) -> int:
        return self.frozen_ns or time.time_ns() + self.offset_ns

    def clock_gettime_ns(self, which: int) -> int:
        return time.clock_gettime_ns(which) + self.time_ns() - time.time_ns()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which instances lag and faults end."""
    made = Clock()
    monkeypatch.setattr("vfs.instances.time", made)
    monkeypatch.setattr("vfs.clock.time", made)
    return made


def cluster_with(store: clusterdb.Store, name: str = "prod", **settings: Any) -> clusterdb.Cluster:
    cluster = store.create_cluster(name, **settings)
    run(cluster, "CREATE TABLE t (n INTEGER PRIMARY KEY)")
    return cluster


def add(cluster: clusterdb.Cluster, *names: str, **values: Any) -> None:
    for name in names:
        cluster.add_instance(name, **values)


def run(cluster: clusterdb.Cluster, sql: str, endpoint: str = "writer") -> list[tuple[object, ...]]:
    """The answer to a statement on a connection of its own."""
    connection = cluster.connect(endpoint)
    try:
        return rows(connection, sql)
    finally:
        connection.close()


def commit(cluster: clusterdb.Cluster, *numbers: int) -> None:
    for n in numbers:
        run(cluster, f"INSERT INTO t VALUES ({n})")


def seen(connection: apsw.Connection) -> list[int]:
    return [n for (n,) in rows(connection, "SELECT n FROM t ORDER BY n")]  # type: ignore[misc]


def seen_by(cluster: clusterdb.Cluster, endpoint: str = "writer") -> list[int]:
    connection = cluster.connect(endpoint)
    try:
        return seen(connection)
    finally:
        connection.close()


def reached(cluster: clusterdb.Cluster, endpoint: str, attempts: int = 60) -> set[str]:
    """The instances that connections to an endpoint come to; no other may be open."""
    found = set()
    for _ in range(attempts):
        connection = cluster.connect(endpoint)
        (file,) = cluster.store._vfs.files
        assert file._target.instance is not None
        found.add(file._target.instance.name)
        connection.close()
    return found


def roles(cluster: clusterdb.Cluster) -> list[tuple[str, str]]:
    return [(each.name, each.role) for each in cluster.instances()]


def endpoint_of(cluster: clusterdb.Cluster, name: str) -> clusterdb.instances.Endpoint:
    (found,) = [each for each in cluster.endpoints() if each.name == name]
    return found


def code_of(error: Any) -> int:
    return int(error.extendedresult)


def told(store: clusterdb.Store, category: str) -> list[str]:
    return [event.message for event in store._catalog.events() if event.category == category]


# --- instances ------------------------------------------------------------------------------------------------------
def test_the_first_instance_is_the_writer(prod: clusterdb.Cluster) -> None:
    """The first is the writer, all others readers; they are listed the writer first, then by name."""
    made = [prod.add_instance(name) for name in ("m", "z", "a", "k")]
    assert [each.role for each in made] == ["writer", "reader", "reader", "reader"]
    assert roles(prod) == [("m", "writer"), ("a", "reader"), ("k", "reader"), ("z", "reader")]
    assert prod.instances() == [made[0], made[2], made[3], made[1]]


def test_what_an_instance_is_made_of(prod: clusterdb.Cluster) -> None:
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


def test_names_are_unique_in_the_store(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """No two instances of a store have the same name, whatever their clusters."""
    other = cluster_with(store, "other")
    for cluster in (trio, other):
        with pytest.raises(clusterdb.InstanceExistsError, match="'b' already"):
            cluster.add_instance("b")
    trio.delete_instance("b")
    other.add_instance("b")
    assert roles(other) == [("b", "writer")]


@pytest.mark.parametrize("name", ["", "1a", "_a", "a b", "a" * 64, "ä", 5, None])
def test_names_that_are_none(prod: clusterdb.Cluster, name: Any) -> None:
    """Instances and endpoints are named as clusters are."""
    with pytest.raises(clusterdb.InvalidNameError):
        prod.add_instance(name)
    with pytest.raises(clusterdb.InvalidNameError):
        prod.add_endpoint(name)
    assert prod.instances() == []


@pytest.mark.parametrize("name", ["writer", "reader"])
def test_an_instance_does_not_take_the_name_of_a_cluster_endpoint(prod: clusterdb.Cluster, name: str) -> None:
    """'writer' and 'reader' always mean the endpoints."""
    with pytest.raises(clusterdb.Error):
        prod.add_instance(name)


def test_an_instance_does_not_take_the_name_of_an_endpoint(trio: clusterdb.Cluster) -> None:
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
def test_values_that_are_none(trio: clusterdb.Cluster, values: dict[str, Any]) -> None:
    """Tiers and lags out of bounds, or of another type, are refused, and nothing changes."""
    before = trio.instances()
    with pytest.raises(clusterdb.InvalidArgumentError, match=next(iter(values))):
        trio.add_instance("new", **values)
    with pytest.raises(clusterdb.InvalidArgumentError, match=next(iter(values))):
        trio.modify_instance("b", **values)
    assert trio.instances() == before


@pytest.mark.parametrize("key", ["instance_class", "availability_zone"])
def test_texts_that_are_none(prod: clusterdb.Cluster, key: str) -> None:
    """A class or zone that is no text is refused as such."""
    values: dict[str, Any] = {key: None}
    with pytest.raises(clusterdb.InvalidArgumentError):
        prod.add_instance("a", **values)


def test_fifteen_readers_are_enough(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A 16th reader is refused, and changes nothing; when one was deleted there is room again."""
    add(prod, "w", *(f"r{number}" for number in range(15)))
    before, events = prod.instances(), store._catalog.events()
    with pytest.raises(clusterdb.TooManyReadersError, match="15 readers already"):
        prod.add_instance("one-more")
    assert (prod.instances(), store._catalog.events()) == (before, events)
    prod.delete_instance("r3")
    prod.add_instance("one-more")
    assert len(prod.instances()) == 16


def test_deleting_instances(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
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
    assert told(store, "deletion") == [f"instance '{name}' deleted" for name in "cab"]
    with pytest.raises(clusterdb.InstanceNotFoundError, match="no instance 'b'"):
        trio.delete_instance("b")


def test_a_deleted_instance_has_no_connections(trio: clusterdb.Cluster) -> None:
    """Connections through a deleted instance fail, even if another takes its name."""
    connection = trio.connect("c")
    assert seen(connection) == []
    trio.delete_instance("c")
    for _ in range(2):
        with pytest.raises(clusterdb.InstanceRestartedError, match="'c' was restarted"):
            seen(connection)
        if len(trio.instances()) == 2:
            trio.add_instance("c")


def test_the_past_is_kept_no_longer_than_somebody_lags(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """When the only instance that lags is deleted, no past is kept for it any more."""

    def retained() -> int:
        volume = store._catalog.volume_of(prod.id)
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


def test_a_clone_has_no_instances(trio: clusterdb.Cluster) -> None:
    """Instances and endpoints are the cluster's alone."""
    trio.add_endpoint("reports")
    commit(trio, 1)
    clone = trio.clone("dev")
    assert clone.instances() == []
    assert [each.name for each in clone.endpoints()] == ["writer", "reader"]
    commit(clone, 2)
    assert (seen_by(clone), seen_by(trio)) == ([1, 2], [1])


def test_instances_go_with_their_cluster(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
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


def test_a_rename_keeps_instances(trio: clusterdb.Cluster) -> None:
    """Instances, endpoints and connections through them go on after a rename."""
    trio.add_endpoint("reports", members=["c"])
    connection = trio.connect("b")
    trio.rename("production")
    commit(trio, 1)
    assert roles(trio) == [("a", "writer"), ("b", "reader"), ("c", "reader")]
    assert seen(connection) == seen_by(trio, "reports") == [1]


def test_a_cluster_without_instances(prod: clusterdb.Cluster) -> None:
    """There is an implicit writer; it is no instance, and nobody can be failed over to."""
    commit(prod, 1)
    assert seen_by(prod) == seen_by(prod, "reader") == [1]
    assert [(each.name, each.members) for each in prod.endpoints()] == [("writer", ()), ("reader", ())]
    assert prod.replica_status() == []
    with pytest.raises(clusterdb.NoReaderError, match="no reader"):
        prod.failover()
    with pytest.raises(clusterdb.EndpointNotFoundError):
        prod.connect("a")


def test_instances_outlive_the_process(tmp_path: Path) -> None:
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


# --- endpoints ------------------------------------------------------------------------------------------------------
def test_where_endpoints_lead(trio: clusterdb.Cluster) -> None:
    """The cluster endpoint leads to the writer, the reader endpoint to every reader, an instance's to that."""
    assert reached(trio, "writer", 5) == {"a"}
    assert reached(trio, "reader") == {"b", "c"}
    assert [reached(trio, name, 3) for name in "abc"] == [{"a"}, {"b"}, {"c"}]
    assert [(each.name, each.kind, each.type, each.members) for each in trio.endpoints()] == [
        ("writer", "CLUSTER", "WRITER", ("a",)),
        ("reader", "READER", "READER", ("b", "c")),
        ("a", "INSTANCE", "ANY", ("a",)),
        ("b", "INSTANCE", "ANY", ("b",)),
        ("c", "INSTANCE", "ANY", ("c",)),
    ]


def test_the_reader_endpoint_without_readers(prod: clusterdb.Cluster) -> None:
    """It leads to the writer then, and one can write through it, as with Aurora."""
    add(prod, "a")
    assert reached(prod, "reader", 5) == {"a"}
    assert endpoint_of(prod, "reader").members == ("a",)
    run(prod, "INSERT INTO t VALUES (1)", "reader")
    assert seen_by(prod) == [1]


@pytest.mark.parametrize(
    ("kind", "chosen", "before", "after"),
    [
        ("ANY", {}, {"a", "b", "c"}, {"a", "b", "c"}),
        ("WRITER", {}, {"a"}, {"b"}),
        ("READER", {}, {"b", "c"}, {"a", "c"}),
        ("ANY", {"members": ["a", "c"]}, {"a", "c"}, {"a", "c"}),
        ("READER", {"members": ["a", "c"]}, {"c"}, {"a", "c"}),
        ("WRITER", {"members": ["b"]}, set(), {"b"}),
        ("READER", {"members": ["b"]}, {"b"}, set()),
        ("ANY", {"excluded": ["c"]}, {"a", "b"}, {"a", "b"}),
        ("READER", {"excluded": ["c"]}, {"b"}, {"a"}),
        ("READER", {"excluded": ["b", "c"]}, set(), {"a"}),
    ],
)
def test_custom_endpoints(
    trio: clusterdb.Cluster, kind: Any, chosen: dict[str, list[str]], before: set[str], after: set[str]
) -> None:
    """A custom endpoint leads to its members, or all but the excluded, of its type; after a failover as well."""
    made = trio.add_endpoint("reports", kind, **chosen)
    assert made == endpoint_of(trio, "reports")
    assert (made.kind, made.type, set(made.members)) == ("CUSTOM", kind, before)
    for expected in (before, after):
        if expected:
            assert reached(trio, "reports", 40) == expected == set(endpoint_of(trio, "reports").members)
        else:
            with pytest.raises(clusterdb.EndpointNotFoundError, match="leads to no instance"):
                trio.connect("reports")
        if expected is before:
            trio.failover("b")


def test_new_instances_join_an_endpoint_that_excludes(trio: clusterdb.Cluster) -> None:
    """An endpoint with exclusions takes up what is added later, one with members does not."""
    trio.add_endpoint("but-b", excluded=["b"])
    trio.add_endpoint("just-b", members=["b"])
    trio.add_instance("d")
    assert endpoint_of(trio, "but-b").members == ("a", "c", "d")
    assert endpoint_of(trio, "just-b").members == ("b",)
    trio.delete_instance("b")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="leads to no instance"):
        trio.connect("just-b")


def test_endpoints_that_are_refused(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """Names that are taken, types that are none, members that are unknown: nothing is added."""
    trio.add_endpoint("reports")
    before = trio.endpoints()
    for name in ("writer", "reader", "a", "reports"):
        with pytest.raises(clusterdb.EndpointExistsError, match=f"'{name}' already"):
            trio.add_endpoint(name)
    with pytest.raises(clusterdb.InvalidArgumentError, match="type='reader'"):
        trio.add_endpoint("new", "reader")  # type: ignore[arg-type]
    with pytest.raises(clusterdb.InvalidArgumentError, match="members= and excluded="):
        trio.add_endpoint("new", members=["a"], excluded=["b"])
    unknown: tuple[dict[str, Any], ...] = ({"members": ["x"]}, {"excluded": ["a", "x"]})
    for values in unknown:
        with pytest.raises(clusterdb.InstanceNotFoundError, match="no instance 'x'"):
            trio.add_endpoint("new", **values)
    assert trio.endpoints() == before
    cluster_with(store, "other").add_endpoint("reports")  # of another cluster


def test_a_text_is_no_list_of_members(trio: clusterdb.Cluster) -> None:
    """Whoever forgets the brackets is told."""
    with pytest.raises(clusterdb.Error):
        trio.add_endpoint("new", members="ab")


def test_an_unknown_endpoint(trio: clusterdb.Cluster) -> None:
    """An unknown endpoint is refused, with the nearest known name; so is deleting what is not custom."""
    trio.add_endpoint("reports")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="did you mean 'reports'"):
        trio.connect("report")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="did you mean 'writer'"):
        trio.connect("writter")
    for name in ("a", "writer", "none"):
        with pytest.raises(clusterdb.EndpointNotFoundError):
            trio.delete_endpoint(name)


def test_deleting_an_endpoint(trio: clusterdb.Cluster) -> None:
    """It leads nowhere then; connections that were made through it go on."""
    trio.add_endpoint("reports", members=["b"])
    connection = trio.connect("reports")
    trio.delete_endpoint("reports")
    with pytest.raises(clusterdb.EndpointNotFoundError):
        trio.connect("reports")
    commit(trio, 1)
    assert seen(connection) == [1]


# --- readers only read ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("endpoint", ["reader", "b", "custom"])
def test_nothing_is_written_through_a_reader(trio: clusterdb.Cluster, endpoint: str) -> None:
    """It is the engine that refuses, so no PRAGMA helps."""
    trio.add_endpoint("custom", "READER")
    commit(trio, 1)
    connection = trio.connect(endpoint)
    connection.execute("PRAGMA query_only = 0; PRAGMA writable_schema = 1; PRAGMA locking_mode = NORMAL")
    for sql in (
        "INSERT INTO t VALUES (2)",
        "DELETE FROM t",
        "CREATE TABLE u (x)",
        "DROP TABLE t",
        "PRAGMA user_version = 5",
        "BEGIN IMMEDIATE; INSERT INTO t VALUES (2)",  # SQLite begins to read
        "BEGIN EXCLUSIVE; INSERT INTO t VALUES (2)",
        "VACUUM",
    ):
        with pytest.raises(apsw.ReadOnlyError):
            connection.execute(sql)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    connection.execute("CREATE TEMP TABLE mine AS SELECT n FROM t")
    assert seen(connection) == seen_by(trio) == [1]


@pytest.mark.parametrize("name", ["'prod'", "'file:prod'", "'file:prod?mode=rw'", "'file:prod?mode=rwc'"])
def test_nothing_is_written_by_attaching(trio: clusterdb.Cluster, name: str) -> None:
    """Nor does it help to attach the same cluster once more."""
    commit(trio, 1)
    connection = trio.connect("b")
    try:
        connection.execute(f"ATTACH {name} AS again")
    except (apsw.CantOpenError, apsw.PermissionsError, apsw.SQLError):
        return
    for sql in ("INSERT INTO again.t VALUES (2)", "PRAGMA again.user_version = 5", "CREATE TABLE again.u (x)"):
        with pytest.raises(apsw.ReadOnlyError):
            connection.execute(sql)
    assert seen_by(trio) == [1]


def test_what_is_attached_through_a_reader_lags_as_well(trio: clusterdb.Cluster) -> None:
    """A reader shows the cluster as it has it, whatever name it goes by."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 1)
    connection = trio.connect("b")
    connection.execute("ATTACH 'prod' AS again")
    assert rows(connection, "SELECT n FROM again.t") == rows(connection, "SELECT n FROM main.t") == []


def test_a_role_is_looked_at_when_a_connection_is_made(
    trio: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover in the middle of connecting leaves nobody with a reader that can write."""
    original = clusterdb.instances.view

    def late(*arguments: Any) -> InstanceView:
        monkeypatch.setattr("clusterdb.instances.view", original)
        trio.failover("b")
        return original(*arguments)

    monkeypatch.setattr("clusterdb.instances.view", late)
    with pytest.raises((apsw.Error, clusterdb.Error)):
        trio.connect("a").execute("INSERT INTO t VALUES (1)")
    assert roles(trio)[0] == ("b", "writer")


# --- lag ------------------------------------------------------------------------------------------------------------
def test_what_is_committed_now_is_not_seen_yet(trio: clusterdb.Cluster) -> None:
    """A reader that lags by seconds shows nothing of what is committed now; the others show it at once."""
    commit(trio, 1)
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 2)
    old = seen_by(trio, "b")
    assert 2 not in old
    open_one = trio.connect("b")
    for n in range(3, 8):
        commit(trio, n)
        assert seen(open_one) == seen_by(trio, "b") == old
        assert seen_by(trio, "c") == seen_by(trio, "a") == list(range(1, n + 1))


def test_a_lag_changes_on_open_connections(trio: clusterdb.Cluster) -> None:
    """Without lag an open connection shows the newest version at once, and with lag again it does not go back."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    connection = trio.connect("b")
    commit(trio, 1)
    assert seen(connection) == []
    trio.modify_instance("b", replica_lag_ms=0)
    assert seen(connection) == [1]
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 2)
    assert seen(connection) == [1]


def test_a_reader_follows_at_its_distance(trio: clusterdb.Cluster, clock: Clock) -> None:
    """What was committed so long ago is seen, what came later is not."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    connection, moments = trio.connect("b"), []
    for n in (1, 2, 3):
        moments.append(time.time_ns())
        commit(trio, n)
    moments.append(time.time_ns())
    for count, moment in enumerate(moments):
        clock.frozen_ns = moment + FAR_MS * MS_NS
        assert seen(connection) == seen_by(trio, "b") == [1, 2, 3][:count]
    clock.frozen_ns = moments[0] + FAR_MS * MS_NS
    assert (seen(connection), seen_by(trio, "b")) == ([1, 2, 3], [1, 2, 3])  # it does not go back


@pytest.mark.parametrize(
    "opened",
    [
        pytest.param(
            "before",
        ),
        "after",
    ],
)
def test_a_reader_keeps_up_with_a_busy_writer(trio: clusterdb.Cluster, clock: Clock, opened: str) -> None:
    """It shows what is old enough, though newer versions are not, also if it was opened before it lagged."""
    connection = trio.connect("b")
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    if opened == "after":
        connection = trio.connect("b")
    commit(trio, 1)
    clock.frozen_ns = time.time_ns() + FAR_MS * MS_NS
    commit(trio, 2)
    assert seen(connection) == [1]


@pytest.mark.parametrize("seed", range(3))
def test_what_is_seen_never_goes_back(trio: clusterdb.Cluster, seed: int) -> None:
    """Whatever the jitter, a connection's next transaction never sees less than the one before."""
    random.seed(seed)
    run(trio, "CREATE TABLE counter (n)")
    run(trio, "INSERT INTO counter VALUES (0)")
    trio.modify_instance("b", replica_lag_ms=1, lag_jitter_ms=30)
    writer, reader = trio.connect(), trio.connect("b")
    found: list[int] = []
    for _ in range(200):
        writer.execute("UPDATE counter SET n = n + 1")
        found += [n for (n,) in rows(reader, "SELECT n FROM counter")]  # type: ignore[misc]
    assert found == sorted(found), f"seed {seed}"
    trio.modify_instance("b", replica_lag_ms=0, lag_jitter_ms=0)
    assert rows(reader, "SELECT n FROM counter") == [(200,)]


def test_a_read_transaction_stays_on_its_version(trio: clusterdb.Cluster) -> None:
    """Neither commits nor changes of the lag move what a transaction reads."""
    trio.modify_instance("b", lag_jitter_ms=5)
    commit(trio, 1)
    connection = trio.connect("b")
    connection.execute("BEGIN")
    before = seen(connection)
    for n in range(2, 6):
        commit(trio, n)
        trio.modify_instance("b", lag_jitter_ms=0)
        assert seen(connection) == before
    connection.execute("COMMIT")
    assert seen(connection) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("way", ["backtrack", "reset"])
def test_a_lagging_reader_follows_a_cluster_back(store: clusterdb.Store, way: str) -> None:
    """After a backtrack or a reset an open connection shows a state the cluster was in, and goes on from there."""
    cluster = cluster_with(store)
    commit(cluster, 1)
    cluster.modify(backtrack_window_s=3600)
    add(cluster, "a", "b", replica_lag_ms=FAR_MS)
    cluster.snapshot("one")
    version = cluster.stats().version
    commit(cluster, 2, 3)
    connection = cluster.connect("b")
    before = seen(connection)
    assert 2 not in before
    if way == "backtrack":
        cluster.backtrack(version)
    else:
        cluster.reset("one")
    assert seen(connection) in (before, [1])
    assert connection.execute("PRAGMA integrity_check").get == "ok"
    commit(cluster, 4)
    assert seen(connection) in (before, [1])
    cluster.modify_instance("b", replica_lag_ms=0)
    assert seen(connection) == seen_by(cluster) == seen_by(cluster, "b") == [1, 4]


def test_a_backtrack_while_a_lagging_reader_looks(store: clusterdb.Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is about to pin a version when the cluster goes back follows it."""
    cluster = cluster_with(store)
    cluster.modify(backtrack_window_s=3600)
    add(cluster, "a", "b", replica_lag_ms=FAR_MS)
    version = cluster.stats().version
    commit(cluster, 1)
    connection = cluster.connect("b")
    assert seen(connection) == []
    original = store._pages.newest_at

    def late(*arguments: Any) -> Any:
        monkeypatch.setattr(store._pages, "newest_at", original)
        found = original(*arguments)
        cluster.backtrack(version)
        return found

    monkeypatch.setattr(store._pages, "newest_at", late)
    assert seen(connection) == []


def test_the_writer_does_not_lag(prod: clusterdb.Cluster, tmp_path: Path) -> None:
    """The lag of an instance means nothing while it is the writer, nor does it to an export."""
    add(prod, "a", replica_lag_ms=FAR_MS)
    commit(prod, 1)
    assert seen_by(prod) == [1]
    connection = prod.connect(read_only=True)
    assert seen(connection) == [1]
    prod.export(tmp_path / "copy.db")
    plain = apsw.Connection(str(tmp_path / "copy.db"))
    assert seen(plain) == [1]
    plain.close()


def test_replica_status(trio: clusterdb.Cluster) -> None:
    """The table-valued function has a row for every instance, and says what Cluster.replica_status() does."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 1, 2)

    def status() -> list[dict[str, object]]:
        return [
            {key: getattr(each, key) for key in each.__slots__ if key != "last_update_timestamp"}
            for each in trio.replica_status()
        ]

    for endpoint in ("writer", "b", "c"):
        cursor = trio.connect(endpoint).execute("SELECT * FROM aurora_replica_status()")
        columns = [column[0] for column in cursor.get_description()]
        found = [dict(zip(columns, row, strict=True)) for row in cursor]
        assert all(row.pop("last_update_timestamp") for row in found)
        assert found == status()
    writer, lagging, newest = status()
    assert [each["server_id"] for each in (writer, lagging, newest)] == ["a", "b", "c"]
    assert (writer["session_id"], writer["replica_lag_in_msec"]) == ("MASTER_SESSION_ID", None)
    assert (lagging["replica_lag_in_msec"], newest["replica_lag_in_msec"]) == (FAR_MS, 0)
    head = trio.stats().version
    assert newest["current_read_lsn"] == newest["highest_lsn_rcvd"] == head
    assert lagging["highest_lsn_rcvd"] == head
    assert isinstance(lagging["current_read_lsn"], int)
    assert lagging["current_read_lsn"] < head


# --- failover -------------------------------------------------------------------------------------------------------
def test_who_becomes_the_writer(prod: clusterdb.Cluster) -> None:
    """The lowest tier goes first, then the largest class; a target goes before everything."""
    prod.add_instance("a", promotion_tier=9)
    prod.add_instance("b", promotion_tier=3, instance_class="db.r6g.large")
    prod.add_instance("c", promotion_tier=3, instance_class="db.r6g.2xlarge")
    prod.add_instance("d", promotion_tier=5, instance_class="db.r6g.16xlarge")
    assert prod.failover() == "c"
    assert roles(prod) == [("c", "writer"), ("a", "reader"), ("b", "reader"), ("d", "reader")]
    assert prod.failover() == "b"
    assert prod.failover("a") == "a"
    prod.modify_instance("d", promotion_tier=0)
    assert prod.failover() == "d"


def test_how_large_classes_are() -> None:
    """Classes are as large as their last part says; what is unknown is the smallest."""
    ordered = ["db.local", "db.t3.micro", "db.t3.small", "db.t3.medium", "db.r6g.large", "db.r6g.xlarge"]
    ordered += ["db.r6g.2xlarge", "db.r6g.12xlarge", "db.x2g.16xlarge"]
    ranks = [size_rank(each) for each in ordered]
    assert ranks == sorted(set(ranks))


def test_failovers_that_are_refused(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """The writer, or an instance that there is not, cannot be failed over to; nothing changes, nobody is fenced."""
    connection = trio.connect()
    add(cluster_with(store, "other"), "elsewhere")
    before, events = trio.instances(), store._catalog.events()
    with pytest.raises(clusterdb.InvalidArgumentError, match="'a' is the writer"):
        trio.failover("a")
    for name in ("x", "elsewhere", ""):
        with pytest.raises(clusterdb.InstanceNotFoundError, match=f"no instance '{name}'"):
            trio.failover(name)
    assert (trio.instances(), store._catalog.events()) == (before, events)
    connection.execute("INSERT INTO t VALUES (1)")
    trio.delete_instance("b")
    trio.delete_instance("c")
    with pytest.raises(clusterdb.NoReaderError, match="no reader"):
        trio.failover()
    connection.execute("INSERT INTO t VALUES (2)")


@pytest.mark.parametrize("spills", [False, True])
def test_the_old_writer_is_fenced(trio: clusterdb.Cluster, spills: bool) -> None:
    """Its open transaction is lost, and its connections fail; the new writer need not wait for it."""
    commit(trio, 1)
    connection = trio.connect()
    if spills:
        connection.execute("PRAGMA cache_size = 5")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES (2)")
    if spills:
        connection.execute(
            "CREATE TABLE much AS WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < 3000) "
            "SELECT randomblob(3000) FROM c"
        )
    trio.failover("b")
    commit(trio, 3)
    for sql in ("INSERT INTO t VALUES (4)", "SELECT * FROM t", "COMMIT"):
        with pytest.raises(clusterdb.InstanceRestartedError, match="'a' was restarted, or failed over"):
            connection.execute(sql)
    connection.close()
    assert seen_by(trio) == seen_by(trio, "a") == [1, 3]
    assert rows(trio.connect(), "SELECT name FROM sqlite_schema") == [("t",)]


def test_a_commit_in_progress_is_fenced(trio: clusterdb.Cluster) -> None:
    """Who commits without asking first, as `with connection` does, commits nothing either."""
    connection = trio.connect()
    with pytest.raises((apsw.IOError, apsw.ReadOnlyError)), connection:
        connection.execute("INSERT INTO t VALUES (1)")
        trio.failover()
    assert seen_by(trio) == []


@pytest.mark.parametrize("is_writing", [False, True])
def test_a_plain_connection_is_fenced(store: clusterdb.Store, trio: clusterdb.Cluster, is_writing: bool) -> None:
    """A connection that knows nothing of instances is fenced in the storage layer."""
    commit(trio, 1)
    connection = apsw.Connection("prod", vfs=store.vfs)
    assert seen(connection) == [1]
    if is_writing:
        connection.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)")
    trio.failover("b")
    commit(trio, 3)
    if is_writing:
        with pytest.raises(apsw.IOError) as lost:
            connection.execute("COMMIT")
        assert code_of(lost.value) == apsw.SQLITE_IOERR_WRITE
    for sql in ("INSERT INTO t VALUES (4)", "SELECT * FROM t"):
        with pytest.raises(apsw.ReadOnlyError) as fenced:
            connection.execute(sql)
        assert code_of(fenced.value) == apsw.SQLITE_READONLY_DBMOVED
    connection.close()
    assert seen_by(trio) == [1, 3]


@pytest.mark.parametrize("point", ["catalog: before commit", "catalog: committed"])
def test_a_failover_that_is_interrupted(trio: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Who dies in a failover leaves either the old writer or the new one, not both."""
    connection = trio.connect()

    def dies() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setitem(failpoints.armed, point, dies)
        with pytest.raises(KeyboardInterrupt):
            trio.failover("b")
    assert roles(trio)[0][0] == ("b" if point == "catalog: committed" else "a")
    if roles(trio)[0][0] == "b":
        with pytest.raises((apsw.ReadOnlyError, clusterdb.InstanceRestartedError)):
            connection.execute("INSERT INTO t VALUES (1)")


def test_who_is_fenced_stays_fenced(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """A connection that was fenced does not come back when its cluster goes over to another volume."""
    dev = trio.clone("dev")
    add(dev, "d", "e")
    plain, connection = apsw.Connection("dev", vfs=store.vfs), dev.connect()
    assert seen(plain) == seen(connection) == []
    dev.failover()
    dev.reset()
    with pytest.raises(clusterdb.InstanceRestartedError):
        connection.execute("INSERT INTO t VALUES (1)")
    try:
        with pytest.raises(apsw.Error):
            plain.execute("INSERT INTO t VALUES (2)")
    finally:
        plain.close()
    assert seen_by(dev) == []


def test_connections_without_instance_are_fenced(prod: clusterdb.Cluster) -> None:
    """A connection from before there were instances is the writer's, until there is a failover."""
    connection = prod.connect()
    add(prod, "a", "b")
    connection.execute("INSERT INTO t VALUES (1)")
    prod.failover()
    with pytest.raises(apsw.ReadOnlyError):
        connection.execute("INSERT INTO t VALUES (2)")
    assert seen_by(prod) == [1]


def test_other_readers_go_on(trio: clusterdb.Cluster) -> None:
    """Who reads through an instance that changes its role fails, who reads through another one goes on."""
    uninvolved, promoted, read_only = trio.connect("c"), trio.connect("b"), trio.connect(read_only=True)
    uninvolved.execute("BEGIN")
    assert seen(uninvolved) == []
    trio.failover("b")
    commit(trio, 1)
    assert seen(uninvolved) == []
    uninvolved.execute("COMMIT")
    assert seen(uninvolved) == [1]
    for connection in (promoted, read_only):
        with pytest.raises(clusterdb.InstanceRestartedError):
            seen(connection)


def test_after_a_failover(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
    """The endpoints lead to the new roles, and what happened can be read in the events."""
    trio.failover("b")
    assert reached(trio, "writer", 5) == {"b"}
    assert reached(trio, "reader") == {"a", "c"}
    with pytest.raises(apsw.ReadOnlyError):
        run(trio, "INSERT INTO t VALUES (1)", "a")
    commit(trio, 1)
    trio.failover("a")
    commit(trio, 2)
    assert [seen_by(trio, name) for name in ("a", "b", "reader")] == [[1, 2]] * 3
    assert told(store, "failover") == ["failover from 'a' to 'b'", "failover from 'b' to 'a'"]
    assert told(store, "creation")[-3:] == [f"instance '{name}' added to cluster 'prod'" for name in "abc"]


def test_a_cursor_is_told_as_well(trio: clusterdb.Cluster) -> None:
    """Statements through a cursor of one's own are as those through the connection."""
    connection = trio.connect()
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    trio.failover()
    with pytest.raises(clusterdb.InstanceRestartedError):
        cursor.execute("INSERT INTO t VALUES (1)")


# --- crashes and faults ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["instance", "dispatcher", "node", "INSTANCE"])
def test_a_crash_of_the_writer(store: clusterdb.Store, trio: clusterdb.Cluster, kind: str) -> None:
    """A reader takes a crashed writer's place; what was not committed is lost."""
    commit(trio, 1)
    connection = trio.connect()
    connection.execute("BEGIN; INSERT INTO t VALUES (2)")
    connection.execute("SELECT aurora_inject_crash(?)", (kind,)).fetchall()
    with pytest.raises(clusterdb.InstanceRestartedError):
        connection.execute("COMMIT")
    assert roles(trio)[0] == ("b", "writer")
    assert seen_by(trio) == [1]
    assert told(store, "failure") == ["instance 'a' crashed"]
    assert told(store, "failover") == ["failover from 'a' to 'b'"]


def test_a_crash_of_the_only_instance(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Its connections fail, and plain ones; new ones work."""
    add(prod, "a")
    connection, plain = prod.connect(), apsw.Connection("prod", vfs=store.vfs)
    plain.execute("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)")
    connection.execute("SELECT aurora_inject_crash('instance')").fetchall()
    with pytest.raises(clusterdb.InstanceRestartedError):
        seen(connection)
    with pytest.raises(apsw.IOError):
        plain.execute("COMMIT")
    plain.close()
    commit(prod, 2)
    assert seen_by(prod) == [2]
    assert roles(prod) == [("a", "writer")]


def test_a_crash_of_a_reader(trio: clusterdb.Cluster) -> None:
    """Nobody else notices."""
    crashed, other, writer = trio.connect("c"), trio.connect("b"), trio.connect()
    crashed.execute("ALTER SYSTEM CRASH")
    writer.execute("INSERT INTO t VALUES (1)")
    assert seen(other) == seen_by(trio, "c") == [1]
    with pytest.raises(clusterdb.InstanceRestartedError):
        seen(crashed)
    assert roles(trio)[0] == ("a", "writer")


def test_crash_instance(prod: clusterdb.Cluster) -> None:
    """The verb crashes the writer, named or not, the implicit one as well, or a reader."""
    implicit = prod.connect()
    prod.crash_instance()
    with pytest.raises(apsw.ReadOnlyError):
        implicit.execute("INSERT INTO t VALUES (1)")
    add(prod, "a", "b")
    prod.crash_instance()
    assert roles(prod)[0] == ("b", "writer")
    prod.crash_instance("b")
    assert roles(prod)[0] == ("a", "writer")
    with pytest.raises(clusterdb.InstanceNotFoundError):
        prod.crash_instance("x")
    commit(prod, 2)
    assert seen_by(prod) == [2]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT aurora_inject_crash('disk')",
        "SELECT aurora_inject_crash(NULL)",
        "SELECT aurora_inject_disk_failure(101, 0, 0, 5)",
        "SELECT aurora_inject_disk_failure(-1, 0, 0, 5)",
        "SELECT aurora_inject_disk_failure('5', 0, 0, 5)",
        "SELECT aurora_inject_disk_congestion(5, 0, 0, 5, 20, 10)",
        "SELECT aurora_inject_disk_congestion(5, 0, 0, 5, -1, 10)",
        "SELECT aurora_inject_replica_failure(101, 5)",
        "ALTER SYSTEM SIMULATE 101 PERCENT DISK FAILURE FOR INTERVAL 1 SECOND",
    ],
)
def test_faults_that_are_refused(trio: clusterdb.Cluster, sql: str) -> None:
    """Arguments out of bounds are refused, and nothing is simulated."""
    connection = trio.connect()
    with pytest.raises(clusterdb.InvalidArgumentError):
        connection.execute(sql).fetchall()
    assert seen(connection) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT aurora_inject_disk_failure(5, 0, 0, 'soon')",
        "SELECT aurora_inject_disk_failure(5, 0, 0, NULL)",
        "SELECT aurora_inject_disk_failure(5, 0, 0, -1e30)",
        "SELECT aurora_inject_replica_failure(5, 'soon')",
        "SELECT aurora_inject_disk_congestion(5, 0, 0, 5, 'a', 10)",
        "SELECT aurora_inject_disk_congestion(5, 0, 0, 5, 1, 99999999999999999999)",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE FOR INTERVAL 99999999999999 YEAR",
    ],
)
def test_times_that_are_refused(trio: clusterdb.Cluster, sql: str) -> None:
    """So are times that are none."""
    with pytest.raises(clusterdb.InvalidArgumentError):
        trio.connect().execute(sql).fetchall()


def test_a_disk_failure(trio: clusterdb.Cluster, clock: Clock) -> None:
    """Reads and commits through the instance fail, through others not; when the time is over it works again."""
    commit(trio, 1)
    connection, other = trio.connect(), trio.connect("b")
    connection.execute("BEGIN; INSERT INTO t VALUES (2)")
    connection.execute("SELECT aurora_inject_disk_failure(100, 0, 0, 60)").fetchall()
    with pytest.raises(apsw.IOError, match="simulates a disk failure"):
        connection.execute("COMMIT")
    assert not connection.in_transaction
    for sql in ("SELECT n FROM t", "INSERT INTO t VALUES (3)"):
        with pytest.raises(apsw.IOError):
            connection.execute(sql).fetchall()
    assert seen(other) == [1]
    clock.offset_ns += 61 * SECOND_NS
    assert seen(connection) == [1]
    connection.execute("INSERT INTO t VALUES (4)")
    assert seen(other) == seen_by(trio) == [1, 4]


def test_zero_percent_is_no_failure(trio: clusterdb.Cluster, clock: Clock) -> None:
    """Faults of no probability never happen."""
    connection = trio.connect()
    connection.execute("ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 HOUR")
    connection.execute(f"ALTER SYSTEM SIMULATE 0 PERCENT DISK CONGESTION BETWEEN 5 AND 9 MILLISECONDS {FOR}")
    for n in range(20):
        connection.execute("INSERT INTO t VALUES (?)", (n,))
    assert (seen(connection), clock.slept) == (list(range(20)), [])


def test_congestion(trio: clusterdb.Cluster, clock: Clock) -> None:
    """Reads and commits through the instance take as long as asked for, until the time is over."""
    connection = trio.connect()
    connection.execute("SELECT aurora_inject_disk_congestion(100, 0, 0, 60, 10, 25)").fetchall()
    connection.execute("INSERT INTO t VALUES (1)")
    committed = len(clock.slept)
    assert committed
    assert seen_by(trio, "writer") == [1]
    assert len(clock.slept) > committed
    assert all(0.010 <= slept <= 0.025 for slept in clock.slept)
    before = len(clock.slept)
    assert seen_by(trio, "b") == [1]
    clock.offset_ns += 61 * SECOND_NS
    commit(trio, 2)
    assert len(clock.slept) == before


@pytest.mark.parametrize("lag_ms", [0, 1])
@pytest.mark.parametrize("has_read", [False, True])
def test_a_replica_failure(trio: clusterdb.Cluster, clock: Clock, lag_ms: int, has_read: bool) -> None:
    """A reader whose replication fails always stays as it is, until the time is over."""
    trio.modify_instance("b", replica_lag_ms=lag_ms)
    commit(trio, 1)
    clock.offset_ns = lag_ms * MS_NS  # the lag has passed
    reader = trio.connect("b")
    if has_read:
        assert seen(reader) == [1]
    trio.connect().execute("SELECT aurora_inject_replica_failure(100, 60, 'b')").fetchall()
    assert seen(reader) == [1]
    for n in range(2, 6):
        commit(trio, n)
        assert seen(reader) == [1]
        assert seen_by(trio, "c") == list(range(1, n + 1))
    clock.offset_ns += 61 * SECOND_NS
    assert seen(reader) == [1, 2, 3, 4, 5]


def test_faults_end_with_their_instance(trio: clusterdb.Cluster) -> None:
    """An instance that is added has none of the faults of one that was deleted."""
    trio.connect("c").execute("ALTER SYSTEM SIMULATE 100 PERCENT DISK FAILURE FOR INTERVAL 1 HOUR")
    trio.delete_instance("c")
    trio.add_instance("d")
    assert seen_by(trio, "d") == []


@pytest.mark.parametrize(
    ("sql", "call"),
    [
        ("ALTER SYSTEM CRASH", "aurora_inject_crash('instance')"),
        ("alter system crash instance;", "aurora_inject_crash('instance')"),
        (" ALTER\nSYSTEM  CRASH DISPATCHER ; ", "aurora_inject_crash('instance')"),
        ("ALTER SYSTEM CRASH NODE", "aurora_inject_crash('instance')"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE {FOR}", "aurora_inject_replica_failure(5, 120, '')"),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO ALL {FOR}",
            "aurora_inject_replica_failure(5, 120, '')",
        ),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'b' {FOR};",
            "aurora_inject_replica_failure(5, 120, 'b')",
        ),
        (
            f'ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO "b" {FOR}',
            "aurora_inject_replica_failure(5, 120, 'b')",
        ),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE {FOR}", "aurora_inject_disk_failure(5, 0, 0, 120)"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE IN DISK 3 {FOR}", "aurora_inject_disk_failure(5, 0, 0, 120)"),
        (f"ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE IN NODE 3 {FOR}", "aurora_inject_disk_failure(5, 0, 0, 120)"),
        (
            f"ALTER SYSTEM SIMULATE 5 PERCENT DISK CONGESTION BETWEEN 1 AND 2 MILLISECONDS IN NODE 0 {FOR}",
            "aurora_inject_disk_congestion(5, 0, 0, 120, 1, 2)",
        ),
        *(
            (
                f"ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 {unit}",
                f"aurora_inject_disk_failure(0, 0, 0, {seconds})",
            )
            for unit, seconds in (
                ("YEAR", 31_536_000),
                ("QUARTER", 7_884_000),
                ("MONTH", 2_592_000),
                ("WEEK", 604_800),
                ("DAY", 86_400),
                ("HOUR", 3600),
                ("second", 1),
            )
        ),
    ],
)
def test_alter_system(prod: clusterdb.Cluster, sql: str, call: str) -> None:
    """Every form of Aurora's statements is understood, and can be executed."""
    add(prod, "a", "b")
    assert alter_system(sql) == f"SELECT {call}"
    connection = prod.connect()
    connection.execute(sql).fetchall()
    assert (roles(prod)[0][0] == "b") == ("CRASH" in sql.upper())


def test_statements_after_alter_system(prod: clusterdb.Cluster) -> None:
    """They run, be they Aurora's or SQL."""
    add(prod, "a")
    failure = f"ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE {FOR}"
    assert prod.connect().execute(f"{failure};\n{failure}; SELECT 5").fetchall() == [("",), ("",), (5,)]
    with pytest.raises(clusterdb.InvalidArgumentError, match="'ALTER SYSTEM HALT' is no statement of Aurora's"):
        prod.connect().execute(f"{failure}; ALTER SYSTEM HALT; SELECT 5")
    with pytest.raises(clusterdb.InvalidArgumentError, match="ends the connection: no statement can follow it"):
        prod.connect().execute("ALTER SYSTEM CRASH INSTANCE; SELECT 1")
    assert roles(prod) == [("a", "writer")]


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER SYSTEM",
        "ALTER SYSTEM CRASH DISK",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE",
        "ALTER SYSTEM SIMULATE -5 PERCENT DISK FAILURE FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK FAILURE FOR INTERVAL 1 FORTNIGHT",
        "ALTER SYSTEM SIMULATE 5 PERCENT DISK CONGESTION FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'b'' OR 1' FOR INTERVAL 1 SECOND",
        "ALTER SYSTEM SET work_mem = 5",
    ],
)
def test_what_alter_system_is_not(prod: clusterdb.Cluster, sql: str) -> None:
    """Everything else is refused, with what there is; nothing happens."""
    add(prod, "a", "b")
    connection = prod.connect()
    with pytest.raises(clusterdb.InvalidArgumentError, match="use ALTER SYSTEM CRASH"):
        connection.execute(sql)
    assert seen(connection) == []


def test_a_failure_to_an_unknown_replica(prod: clusterdb.Cluster) -> None:
    """A replica failure names an instance of the cluster."""
    add(prod, "a", "b")
    with pytest.raises(clusterdb.InstanceNotFoundError, match="no instance 'x'"):
        prod.connect().execute(
            "ALTER SYSTEM SIMULATE 5 PERCENT READ REPLICA FAILURE TO 'x' FOR INTERVAL 1 SECOND"
        ).fetchall()


def test_other_alter_statements(prod: clusterdb.Cluster) -> None:
    """ALTER TABLE is SQLite's, even of a table called system."""
    add(prod, "a")
    connection = prod.connect()
    connection.execute("CREATE TABLE system (x)")
    connection.execute("ALTER TABLE system ADD COLUMN y")
    connection.execute("  alter table t RENAME TO u")
    assert rows(connection, "SELECT name FROM sqlite_schema ORDER BY name") == [("system",), ("u",)]
    with pytest.raises(apsw.SQLError):
        connection.execute("ALTER SYSTEMS CRASH")


def test_alter_system_through_a_cursor(prod: clusterdb.Cluster) -> None:
    """Aurora's statements work through a cursor, and one of several, as any other."""
    add(prod, "a", "b")
    prod.connect().cursor().execute("ALTER SYSTEM CRASH")
    assert roles(prod)[0] == ("b", "writer")


# --- processes ------------------------------------------------------------------------------------------------------
def test_failovers_under_load(tmp_path: Path) -> None:
    """Nothing acknowledged is lost, and nothing is half there, while writers are failed over."""
    fail_over(tmp_path, 10, seed=1)


@pytest.mark.slow
def test_many_failovers_under_load(tmp_path: Path) -> None:
    """The same, for longer."""
    fail_over(tmp_path, 1000, seed=random.randrange(1000))


def fail_over(folder: Path, times: int, seed: int) -> None:
    """Fail over so often under two processes that transfer money; then check the books."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    kills.create(folder / "store")
    with clusterdb.open(folder / "store") as store:
        bank = store.cluster("bank")
        add(bank, "a", "b", "c")
        with Workers(folder / "store", 2, seed) as workers:
            for _ in range(times):
                workers.wait_for_one()
                if rng.random() < 0.2:
                    bank.crash_instance()
                else:
                    bank.failover(rng.choice([None, bank.instances()[1].name]))
            workers.wait_for_one()
            acknowledged = workers.end()
        assert len(told(store, "failover")) == times
        assert acknowledged
        kills.verify(store, acknowledged)


class Workers:
    """Processes that transfer money through the writer endpoint."""

    def __init__(self, path: Path, count: int, seed: int) -> None:
        self._acks, to = os.pipe()
        self._text = b""
        command = [sys.executable, __file__, str(path)]
        self._processes = [
            subprocess.Popen([*command, str(seed * 10 + n)], stdin=subprocess.PIPE, stdout=to) for n in range(count)
        ]
        os.close(to)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()
        os.close(self._acks)

    def wait_for_one(self) -> None:
        """Until something more is acknowledged than is known."""
        assert select.select([self._acks], [], [], 60)[0], "nobody gets anything done"
        while select.select([self._acks], [], [], 0)[0]:
            self._read()

    def _read(self) -> None:
        text = os.read(self._acks, 1 << 16)
        assert text, "all workers have ended by themselves"
        self._text += text

    def end(self) -> set[str]:
        """Let them end; what was acknowledged."""
        for process in self._processes:
            assert process.poll() is None, "a worker has ended by itself"
            assert process.stdin is not None
            process.stdin.close()
        while text := os.read(self._acks, 1 << 16):
            self._text += text
        assert [process.wait() for process in self._processes] == [0] * len(self._processes)
        return set(self._text.decode().split())


def work(path: str, seed: int) -> None:
    """Transfer money, and print what is acknowledged, until nobody listens any more."""
    rng = random.Random(seed)
    with clusterdb.open(path) as store:
        while not select.select([0], [], [], 0)[0]:
            try:
                kills.transfer(store.cluster("bank"), rng, f"{os.getpid()}-{seed}")
            except (clusterdb.InstanceRestartedError, apsw.BusyError, clusterdb.StoreBusyError):
                pass
            except (apsw.ReadOnlyError, apsw.IOError) as error:
                if "failed over" not in str(error) and "a failover" not in str(error):
                    raise


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
