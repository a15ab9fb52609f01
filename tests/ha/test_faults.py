"""Crashes and faults that can be simulated: disks, congestion, replication."""

from __future__ import annotations

import apsw
import pytest

import clusterdb
from tests.ha.fleet import FOR, MS_NS, SECOND_NS, Clock, add, commit, event_messages, roles, seen, seen_by


@pytest.mark.parametrize("kind", ["instance", "dispatcher", "node", "INSTANCE"])
def test_crash_of_the_writer_fails_over_to_a_reader(store: clusterdb.Store, trio: clusterdb.Cluster, kind: str) -> None:
    """A reader takes a crashed writer's place; what was not committed is lost."""
    commit(trio, 1)
    connection = trio.connect()
    connection.execute("BEGIN; INSERT INTO t VALUES (2)")
    connection.execute("SELECT aurora_inject_crash(?)", (kind,)).fetchall()
    with pytest.raises(clusterdb.InstanceRestartedError):
        connection.execute("COMMIT")
    assert roles(trio)[0] == ("b", "writer")
    assert seen_by(trio) == [1]
    assert event_messages(store, "failure") == ["instance 'a' crashed"]
    assert event_messages(store, "failover") == ["failover from 'a' to 'b'"]


def test_crash_of_the_only_instance_fails_its_connections(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
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


def test_crash_of_a_reader_affects_only_its_connections(trio: clusterdb.Cluster) -> None:
    """Connections through other instances continue."""
    crashed, other, writer = trio.connect("c"), trio.connect("b"), trio.connect()
    crashed.execute("ALTER SYSTEM CRASH")
    writer.execute("INSERT INTO t VALUES (1)")
    assert seen(other) == seen_by(trio, "c") == [1]
    with pytest.raises(clusterdb.InstanceRestartedError):
        seen(crashed)
    assert roles(trio)[0] == ("a", "writer")


def test_crash_instance_crashes_writer_or_named_reader(prod: clusterdb.Cluster) -> None:
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
def test_invalid_fault_arguments_are_refused(trio: clusterdb.Cluster, sql: str) -> None:
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
def test_invalid_fault_times_are_refused(trio: clusterdb.Cluster, sql: str) -> None:
    """Durations that are not times are refused."""
    with pytest.raises(clusterdb.InvalidArgumentError):
        trio.connect().execute(sql).fetchall()


def test_disk_failure_fails_reads_and_commits_of_its_instance(trio: clusterdb.Cluster, clock: Clock) -> None:
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


def test_fault_of_zero_percent_never_happens(trio: clusterdb.Cluster, clock: Clock) -> None:
    """Faults of no probability never happen."""
    connection = trio.connect()
    connection.execute("ALTER SYSTEM SIMULATE 0 PERCENT DISK FAILURE FOR INTERVAL 1 HOUR")
    connection.execute(f"ALTER SYSTEM SIMULATE 0 PERCENT DISK CONGESTION BETWEEN 5 AND 9 MILLISECONDS {FOR}")
    for n in range(20):
        connection.execute("INSERT INTO t VALUES (?)", (n,))
    assert (seen(connection), clock.slept) == (list(range(20)), [])


def test_disk_congestion_delays_reads_and_commits(trio: clusterdb.Cluster, clock: Clock) -> None:
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
def test_replica_failure_freezes_a_reader(trio: clusterdb.Cluster, clock: Clock, lag_ms: int, has_read: bool) -> None:
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


def test_faults_are_removed_with_their_instance(trio: clusterdb.Cluster) -> None:
    """An instance that is added has none of the faults of one that was deleted."""
    trio.connect("c").execute("ALTER SYSTEM SIMULATE 100 PERCENT DISK FAILURE FOR INTERVAL 1 HOUR")
    trio.delete_instance("c")
    trio.add_instance("d")
    assert seen_by(trio, "d") == []
