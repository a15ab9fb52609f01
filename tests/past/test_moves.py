"""Backtrack and reset: a cluster goes over to another volume in place."""

from __future__ import annotations

from typing import Any

import apsw
import pytest

import clusterdb
from tests.past.numbers import KEEPS, fill, numbers, numbers_of
from tests.support.stores import rows


def test_cluster_backtracks_and_returns_forward(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """Within its window a cluster goes back in place, goes on from there, and forward again to what it had left."""
    states = fill(prod)
    versions = list(states)
    connection = prod.connect()
    prod.backtrack(versions[2])
    assert numbers(connection) == [1, 2, 3]
    connection.execute("INSERT INTO t VALUES (100, NULL)")
    prod.backtrack(versions[-1])
    assert numbers(connection) == states[versions[-1]]
    prod.backtrack(versions[0])
    assert numbers(connection) == [1]
    connection.close()


def test_reset_brings_a_clone_to_the_state_of_its_source(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """reset() brings a clone to its source's present state, under its name, with its connections."""
    fill(prod, 3)
    dev = prod.clone("dev")
    connection = dev.connect()
    for n in range(10, 15):
        connection.execute("INSERT INTO t VALUES (?, NULL)", (n,))
        connection.execute(f"CREATE TABLE more{n} (x)")
        source = prod.connect()
        source.execute("INSERT INTO t VALUES (?, NULL)", (n + 100,))
        source.close()
        dev.reset()
        assert numbers(connection) == numbers_of(prod)
        assert rows(connection, "SELECT name FROM sqlite_schema") == [("t",)]
    connection.close()


def test_reset_needs_a_source(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A cluster that is not a clone, or whose source is deleted, can be reset to a snapshot only."""
    fill(prod, 2)
    with pytest.raises(clusterdb.NoSourceError, match="'prod' is not a clone"):
        prod.reset()
    dev = prod.clone("dev")
    dev.snapshot("clean")
    prod.delete()
    with pytest.raises(clusterdb.NoSourceError, match="has lost its source 'prod'"):
        dev.reset()
    connection = dev.connect()
    connection.execute("DELETE FROM t")
    dev.reset("clean")
    assert numbers(connection) == [1, 2]
    connection.close()


@pytest.mark.parametrize("keeps", [KEEPS, {}], ids=["keeping the past", "not keeping it"])
def test_transactions_keep_their_version_across_a_reset(store: clusterdb.Store, keeps: dict[str, Any]) -> None:
    """Open reads keep their version; open writes cannot be committed; the next transaction sees the new state."""
    prod = store.create_cluster("prod")
    fill(prod, 3)
    dev = prod.clone("dev", **{**KEEPS, **dict.fromkeys(KEEPS, 0)} | keeps)
    reader, writer, idle = dev.connect(), dev.connect(), dev.connect()
    idle.execute("INSERT INTO t VALUES (50, NULL); CREATE TABLE own (x)")
    prepared = idle.cursor().execute("SELECT count(*) FROM own")
    prepared.fetchall()
    reader.execute("BEGIN; SELECT * FROM t").fetchall()
    writer.execute("BEGIN IMMEDIATE; DELETE FROM t")
    dev.reset()
    assert numbers(idle) == [1, 2, 3]
    with pytest.raises(apsw.SQLError, match="no such table: own"):
        idle.execute("SELECT count(*) FROM own")
    idle.execute("INSERT INTO t VALUES (60, NULL)")  # nobody waits for the writer of what was
    assert numbers(reader) == [1, 2, 3, 50]
    with pytest.raises(apsw.Error, match=r"was reset|dropped"):
        writer.execute("COMMIT")
    reader.execute("COMMIT")
    assert numbers(reader) == numbers(writer) == [1, 2, 3, 60]
    for connection in (reader, writer, idle):
        connection.close()


def test_backtrack_and_reset_return_what_they_did(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """The version before, and the one whose content the cluster has; its own numbers continue."""
    fill(prod, 3)
    head, *_, first, _empty = prod.versions()
    switched = prod.backtrack(first.version)
    assert (switched.former_version, switched.version, switched.time) == (head.version, first.version, first.time)
    back = prod.backtrack(head.version)
    assert back.version == head.version < back.former_version < prod.versions(1)[0].version
    dev = prod.clone("dev")
    assert dev.origin == prod.versions(1)[0]
    db = dev.connect()
    db.execute("DELETE FROM t")
    db.close()
    prod.snapshot("s")
    assert dev.reset().version == dev.reset("s").version == store.snapshot("s").version


def test_versions_are_those_that_can_be_cloned(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """The newest first, also those before a backtrack."""
    states = fill(prod, 3)
    prod.backtrack(min(states))
    moments = prod.versions(100)
    assert [moment.version for moment in moments] == sorted((moment.version for moment in moments), reverse=True)
    assert prod.versions(2) == moments[:2]
    assert set(states) < {moment.version for moment in moments}
    for moment in moments:
        clone = prod.clone("x", at=moment.version)
        assert clone.origin == moment
        clone.delete()
    alone = store.create_cluster("alone")
    assert [moment.version for moment in alone.versions()] == [1]


def test_clones_and_source_follow_names_and_deletion(store: clusterdb.Store, prod: clusterdb.Cluster) -> None:
    """A clone keeps the name that its source had; a deleted source has no clones to ask for."""
    dev, test = prod.clone("dev"), prod.clone("test")
    dev.clone("again")
    assert [cluster.name for cluster in prod.clones()] == ["dev", "test"]
    assert (dev.source, prod.source) == ("prod", None)
    assert (prod.origin, prod.clone("whole", copy_type="full-copy").origin) == (None, None)
    test.delete()
    prod.rename("live")
    assert [cluster.name for cluster in prod.clones()] == ["dev", "whole"]
    assert dev.source == "prod"
    prod.delete()
    with pytest.raises(clusterdb.ClusterNotFoundError):
        prod.clones()
