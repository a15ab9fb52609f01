"""Connections, cursors and anonymous clusters let go when the last reference to them goes."""

from __future__ import annotations

import weakref
from contextlib import closing
from typing import Any

import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import anonymous, count, fill
from tests.support.inside import open_file_count


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it would hold the connection
def test_unreferenced_connection_closes_its_files(store: clusterdb.Store, no_collector: None) -> None:
    """Nothing of it waits for the collector: files are closed, and an open transaction is undone."""
    cluster = store.create_cluster("prod")
    connection = dbapi2.connect(cluster)
    connection.row_factory = dbapi2.Row
    connection.create_function("f", 1, lambda x: x)
    connection.create_aggregate("g", 1, type("G", (), {"step": lambda *_: None, "finalize": lambda _: 1}))
    connection.set_trace_callback(lambda _: None)
    connection.set_authorizer(lambda *_: dbapi2.SQLITE_OK)
    connection.set_progress_handler(lambda: None, 1000)
    fill(connection)
    for row in connection.execute("SELECT f(id) FROM t"):
        assert row[0]
        break
    with pytest.raises(dbapi2.OperationalError):
        connection.execute("SELECT * FROM nowhere")
    with pytest.raises(dbapi2.OperationalError):
        connection.create_function("f", 9999, abs)
    connection.execute("DELETE FROM t")
    gone = weakref.ref(connection)
    del connection
    assert gone() is None
    assert open_file_count(store) == 0
    with closing(dbapi2.connect(cluster, timeout=0)) as later:
        later.execute("DELETE FROM t WHERE id = 1")
        later.commit()
        assert count(later) == 4


@pytest.mark.parametrize("endpoint", ["writer", "reader"])
def test_unreferenced_connection_through_an_instance_closes_its_files(
    fleet: clusterdb.Cluster, endpoint: str, no_collector: None
) -> None:
    """A connection through an instance closes its files with its last reference."""
    connection = dbapi2.connect(fleet, endpoint=endpoint)
    connection.execute("SELECT * FROM t").fetchone()
    connection.execute("SELECT * FROM aurora_replica_status()").fetchall()
    del connection
    assert open_file_count(fleet.store) == 0


@pytest.mark.parametrize("uri", [":memory:", "file:forgotten?mode=memory&cache=shared"])
def test_unreferenced_anonymous_cluster_is_dropped(uri: str, no_collector: None) -> None:
    """They disappear with the last reference to their connection."""
    with closing(dbapi2.connect(":memory:")) as keeper:
        assert keeper.cluster is not None
        before, files = anonymous(keeper), open_file_count(keeper.cluster.store)
        connection = dbapi2.connect(uri, uri=True)
        fill(connection)
        cursor = connection.execute("SELECT * FROM t")
        cursor.fetchone()
        del connection
        assert len(anonymous(keeper)) == len(before) + 1  # the cursor holds it
        del cursor
        assert anonymous(keeper) == before
        assert open_file_count(keeper.cluster.store) == files


def test_failed_connect_leaves_nothing_open(store: clusterdb.Store, no_collector: None) -> None:
    """Nothing is left of it."""
    cluster = store.create_cluster("prod")
    for options in ({"isolation_level": "BOGUS"}, {"autocommit": 7}, {"endpoint": "nowhere"}):
        with pytest.raises((ValueError, dbapi2.Error)):
            dbapi2.connect(cluster, **options)
    assert open_file_count(store) == 0


@pytest.mark.parametrize("text_factory", [str, bytes])
@pytest.mark.parametrize("read", ["fetchone", "fetchmany", "next"])
def test_unreferenced_cursor_ends_its_query(
    connection: dbapi2.Connection, read: str, text_factory: Any, no_collector: None
) -> None:
    """A query that is read in part holds nothing once its cursor is gone."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT * FROM t")
    match read:
        case "fetchone":
            cursor.fetchone()
        case "fetchmany":
            cursor.fetchmany(2)
        case "next":
            next(cursor)
    with pytest.raises(dbapi2.OperationalError, match="locked"):
        connection.execute("DROP TABLE t")
    del cursor
    connection.execute("DROP TABLE t")


@pytest.mark.parametrize("text_factory", [str, bytes])
@pytest.mark.parametrize("read", ["fetchone", "fetchmany", "next"])
def test_query_ends_with_its_last_row(connection: dbapi2.Connection, read: str, text_factory: Any) -> None:
    """After the last row is fetched the schema can change without another fetch."""
    connection.text_factory = text_factory
    cursor = connection.execute("SELECT * FROM t WHERE id < 3")
    for _ in range(2):
        next(cursor) if read == "next" else getattr(cursor, read)()
    connection.execute("DROP TABLE t")
    assert cursor.fetchone() is None


def test_loop_over_a_query_ends_it_with_the_last_row(connection: dbapi2.Connection) -> None:
    """``for name, in execute("SELECT name ..."): execute(f"DROP TABLE {name}")`` works for one table."""
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'"):
        connection.execute(f"DROP TABLE {name}")
