"""Endpoints: which instances they lead to, and that nothing is written through a reader."""

from __future__ import annotations

from typing import Any

import apsw
import pytest

import clusterdb
from clusterdb.ha import instances
from clusterdb.ha.gate import InstanceState
from tests.ha.fleet import FAR_MS, add, cluster_with, commit, endpoint_of, reached, roles, run, seen, seen_by
from tests.support.stores import rows


# --- endpoints ------------------------------------------------------------------------------------------------------
def test_endpoints_lead_to_writer_readers_or_one_instance(trio: clusterdb.Cluster) -> None:
    """The cluster endpoint leads to the writer, the reader endpoint to every reader, an instance's to that."""
    assert reached(trio, "writer", 5) == {"a"}
    assert reached(trio, "reader") == {"b", "c"}
    assert [reached(trio, name, 3) for name in "abc"] == [{"a"}, {"b"}, {"c"}]
    assert [(endpoint.name, endpoint.kind, endpoint.type, endpoint.members) for endpoint in trio.endpoints()] == [
        ("writer", "CLUSTER", "WRITER", ("a",)),
        ("reader", "READER", "READER", ("b", "c")),
        ("a", "INSTANCE", "ANY", ("a",)),
        ("b", "INSTANCE", "ANY", ("b",)),
        ("c", "INSTANCE", "ANY", ("c",)),
    ]


def test_reader_endpoint_without_readers_leads_to_the_writer(prod: clusterdb.Cluster) -> None:
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
def test_custom_endpoint_leads_to_members_of_its_type(
    trio: clusterdb.Cluster, kind: Any, chosen: dict[str, list[str]], before: set[str], after: set[str]
) -> None:
    """A custom endpoint leads to its members, or all but the excluded, of its type; after a failover as well."""
    endpoint = trio.add_endpoint("reports", kind, **chosen)
    assert endpoint == endpoint_of(trio, "reports")
    assert (endpoint.kind, endpoint.type, set(endpoint.members)) == ("CUSTOM", kind, before)
    for expected in (before, after):
        if expected:
            assert reached(trio, "reports", 40) == expected == set(endpoint_of(trio, "reports").members)
        else:
            with pytest.raises(clusterdb.EndpointNotFoundError, match="has no instance now"):
                trio.connect("reports")
        if expected is before:
            trio.failover("b")


def test_new_instance_joins_an_endpoint_with_exclusions(trio: clusterdb.Cluster) -> None:
    """An endpoint with exclusions takes up what is added later, one with members does not."""
    trio.add_endpoint("but-b", excluded=["b"])
    trio.add_endpoint("just-b", members=["b"])
    trio.add_instance("d")
    assert endpoint_of(trio, "but-b").members == ("a", "c", "d")
    assert endpoint_of(trio, "just-b").members == ("b",)
    trio.delete_instance("b")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="has no instance now"):
        trio.connect("just-b")


def test_invalid_endpoints_are_refused(store: clusterdb.Store, trio: clusterdb.Cluster) -> None:
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


def test_text_instead_of_a_member_list_is_refused(trio: clusterdb.Cluster) -> None:
    """The error says that a list is expected."""
    with pytest.raises(clusterdb.Error):
        trio.add_endpoint("new", members="ab")


def test_unknown_endpoint_suggests_the_nearest(trio: clusterdb.Cluster) -> None:
    """An unknown endpoint is refused, with the nearest known name; so is deleting what is not custom."""
    trio.add_endpoint("reports")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="did you mean 'reports'"):
        trio.connect("report")
    with pytest.raises(clusterdb.EndpointNotFoundError, match="did you mean 'writer'"):
        trio.connect("writter")
    for name in ("a", "writer", "none"):
        with pytest.raises(clusterdb.EndpointNotFoundError):
            trio.delete_endpoint(name)


def test_deleted_endpoint_leads_nowhere(trio: clusterdb.Cluster) -> None:
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
def test_writes_through_a_reader_are_refused_by_the_engine(trio: clusterdb.Cluster, endpoint: str) -> None:
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
def test_writes_to_an_attached_cluster_through_a_reader_are_refused(trio: clusterdb.Cluster, name: str) -> None:
    """Attaching the same cluster once more does not allow writes."""
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


def test_cluster_attached_through_a_reader_lags_too(trio: clusterdb.Cluster) -> None:
    """A reader shows the cluster as it has it, whatever name it goes by."""
    trio.modify_instance("b", replica_lag_ms=FAR_MS)
    commit(trio, 1)
    connection = trio.connect("b")
    connection.execute("ATTACH 'prod' AS again")
    assert rows(connection, "SELECT n FROM again.t") == rows(connection, "SELECT n FROM main.t") == []


def test_failover_during_connect_gives_no_writable_reader(
    trio: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failover in the middle of connecting leaves nobody with a reader that can write."""
    original = instances.state_to_connect

    def late(*arguments: Any) -> InstanceState:
        monkeypatch.setattr("clusterdb.ha.instances.state_to_connect", original)
        trio.failover("b")
        return original(*arguments)

    monkeypatch.setattr("clusterdb.ha.instances.state_to_connect", late)
    with pytest.raises((apsw.Error, clusterdb.Error)):
        trio.connect("a").execute("INSERT INTO t VALUES (1)")
    assert roles(trio)[0] == ("b", "writer")
