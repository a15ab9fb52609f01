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
