"""Backtrack and reset: a cluster goes over to another volume in place."""

from __future__ import annotations

import threading
from contextlib import closing, nullcontext
from typing import Any

import apsw
import pytest

import clusterdb
from tests.past.numbers import KEEPS, fill, numbers, numbers_of
from tests.support.inside import catalog_of, pages_of
from tests.support.mishaps import at
from tests.support.stores import rows
from vfs.format.shared import HALTED
from vfs.registry import VolumeRow
from vfs.storage.reader import successor


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


def test_reader_leaves_the_mark_of_a_move_that_has_not_committed(
    store: clusterdb.Store, prod: clusterdb.Cluster
) -> None:
    """A connection that meets it waits: had it cleared the mark, its next commit would be in the cluster's past."""
    states = fill(prod)
    is_shared = store.path != ":memory:"
    with (
        clusterdb.open(store.path) if is_shared else nullcontext(store) as other,
        closing(other.cluster("prod").connect()) as connection,
    ):
        numbers(connection)
        reader = threading.Thread(target=numbers, args=(connection,))

        def read_for_a_while() -> None:
            reader.start()
            reader.join(0.1)

        with at("move: handles told", read_for_a_while):
            prod.backtrack(next(iter(states)))
        reader.join()
        connection.execute("INSERT INTO t VALUES (100, NULL)")
        assert numbers(connection) == numbers_of(prod) == [1, 100]


def test_connection_that_meets_a_halt_which_ends_at_that_moment_goes_unharmed(
    store: clusterdb.Store, prod: clusterdb.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(prod, 3)
    volume = catalog_of(store).volumes.volume_of_cluster("prod")
    assert volume is not None
    record = pages_of(store).volume(volume)
    with closing(prod.connect()) as connection:
        numbers(connection)
        record.id |= HALTED

        def look_late(*arguments: Any, **named: Any) -> VolumeRow | None:
            record.id &= ~HALTED
            return successor(*arguments, **named)

        for module in ("vfs.native", "vfs.storage.reader"):
            monkeypatch.setattr(f"{module}.successor", look_late)
        assert numbers(connection) == [1, 2, 3]
