"""Failover: which instance becomes the writer, and that the old writer is fenced."""

from __future__ import annotations

import apsw
import pytest

import clusterdb
from clusterdb.ha.failover import size_rank
from tests.ha.fleet import add, cluster_with, code_of, commit, event_messages, reached, roles, run, seen, seen_by
from tests.support.inside import catalog_of
from tests.support.stores import rows
from vfs import failpoints


def test_failover_prefers_low_tier_then_large_class(prod: clusterdb.Cluster) -> None:
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


def test_instance_classes_are_ranked_by_their_size() -> None:
    """Classes are as large as their last part says; what is unknown is the smallest."""
    ordered = ["db.local", "db.t3.micro", "db.t3.small", "db.t3.medium", "db.r6g.large", "db.r6g.xlarge"]
    ordered += ["db.r6g.2xlarge", "db.r6g.12xlarge", "db.x2g.16xlarge"]
    ranks = [size_rank(instance_class) for instance_class in ordered]
    assert ranks == sorted(set(ranks))


def test_failover_to_the_writer_or_an_unknown_instance_is_refused(
    store: clusterdb.Store, trio: clusterdb.Cluster
) -> None:
    """The writer, or an instance that there is not, cannot be failed over to; nothing changes, nobody is fenced."""
    connection = trio.connect()
    add(cluster_with(store, "other"), "elsewhere")
    before, events = trio.instances(), catalog_of(store).events.all()
    with pytest.raises(clusterdb.InvalidArgumentError, match="'a' is the writer"):
        trio.failover("a")
    for name in ("x", "elsewhere", ""):
        with pytest.raises(clusterdb.InstanceNotFoundError, match=f"no instance '{name}'"):
            trio.failover(name)
    assert (trio.instances(), catalog_of(store).events.all()) == (before, events)
    connection.execute("INSERT INTO t VALUES (1)")
    trio.delete_instance("b")
    trio.delete_instance("c")
    with pytest.raises(clusterdb.NoReaderError, match="no reader"):
        trio.failover()
    connection.execute("INSERT INTO t VALUES (2)")


@pytest.mark.parametrize("spills", [False, True])
def test_old_writer_is_fenced(trio: clusterdb.Cluster, spills: bool) -> None:
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


def test_commit_in_progress_is_fenced(trio: clusterdb.Cluster) -> None:
    """COMMIT without an earlier look at the role, as in ``with connection``, commits nothing."""
    connection = trio.connect()
    with pytest.raises((apsw.IOError, apsw.ReadOnlyError)), connection:
        connection.execute("INSERT INTO t VALUES (1)")
        trio.failover()
    assert seen_by(trio) == []


@pytest.mark.parametrize("is_writing", [False, True])
def test_plain_connection_is_fenced(store: clusterdb.Store, trio: clusterdb.Cluster, is_writing: bool) -> None:
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
def test_interrupted_failover_leaves_one_writer(
    trio: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    """A process that dies in a failover leaves the old writer or the new one, not both."""
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


def test_fenced_connection_stays_fenced_after_a_move(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
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


def test_readers_of_unchanged_instances_continue(trio: clusterdb.Cluster) -> None:
    """Connections through an instance that changes its role fail, those through another one continue."""
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


def test_failover_updates_endpoints_and_events(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
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
    assert event_messages(store, "failover") == ["failover from 'a' to 'b'", "failover from 'b' to 'a'"]
    assert event_messages(store, "creation")[-3:] == [f"instance '{name}' added to cluster 'prod'" for name in "abc"]


def test_cursor_of_a_fenced_connection_raises_too(trio: clusterdb.Cluster) -> None:
    """Statements through a cursor of one's own are as those through the connection."""
    connection = trio.connect()
    cursor = connection.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    trio.failover()
    with pytest.raises(clusterdb.InstanceRestartedError):
        cursor.execute("INSERT INTO t VALUES (1)")
