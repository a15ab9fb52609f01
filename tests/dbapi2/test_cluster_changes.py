"""Instances below a connection, and clusters that are renamed, dropped, stopped or moved below it."""

from __future__ import annotations

from contextlib import closing

import apsw
import pytest

import clusterdb
import clusterdb.errors
from clusterdb import dbapi2
from tests.dbapi2.tables import count, fill


@pytest.mark.parametrize("endpoint", ["reader", "r"])
def test_connection_through_a_reader_reads_and_cannot_write(fleet: clusterdb.Cluster, endpoint: str) -> None:
    """Through a reader everything is seen, and nothing written."""
    with closing(dbapi2.connect(fleet, endpoint=endpoint)) as reader:
        assert count(reader) == 5
        with pytest.raises(dbapi2.OperationalError, match="readonly") as caught:
            reader.execute("INSERT INTO t (b) VALUES ('z')")
        assert caught.value.sqlite_errorcode == apsw.SQLITE_READONLY
        assert count(reader) == 5


def test_refused_write_on_a_reader_leaves_no_stale_transaction(fleet: clusterdb.Cluster) -> None:
    """After a refused write and a rollback the reader sees what the writer commits next."""
    with closing(dbapi2.connect(fleet, endpoint="reader")) as reader, closing(dbapi2.connect(fleet)) as writer:
        with pytest.raises(dbapi2.OperationalError):
            reader.execute("DELETE FROM t")
        reader.rollback()
        writer.execute("DELETE FROM t WHERE id = 1")
        writer.commit()
        assert count(reader) == 4


def test_unknown_endpoint_is_a_pep_249_error(fleet: clusterdb.Cluster) -> None:
    """An endpoint that is not there is a PEP 249 error of its own."""
    with pytest.raises(clusterdb.EndpointNotFoundError):
        dbapi2.connect("prod", store=fleet.store, endpoint="w2")


def test_aurora_functions_tables_and_alter_system_work(fleet: clusterdb.Cluster) -> None:
    """Functions, tables and ALTER SYSTEM of an instance work through DB-API."""
    with closing(dbapi2.connect(fleet)) as writer:
        names = [row[0] for row in writer.execute("SELECT server_id FROM aurora_replica_status()")]
        assert sorted(names) == ["r", "w"]
        with pytest.raises(dbapi2.ProgrammingError):
            writer.execute("SELECT aurora_inject_crash('bogus')")
        writer.execute("ALTER SYSTEM CRASH INSTANCE")
        with pytest.raises(clusterdb.InstanceRestartedError):
            writer.execute("SELECT 1")


def test_crash_fails_open_connections_and_allows_new_ones(fleet: clusterdb.Cluster) -> None:
    """Its connections fail with an OperationalError, can be closed, and new ones work."""
    with closing(dbapi2.connect(fleet)) as writer:
        writer.execute("DELETE FROM t")
        fleet.crash_instance("w")
        for use in (writer.commit, lambda: writer.execute("SELECT * FROM t")):
            with pytest.raises(dbapi2.OperationalError):
                use()
    with closing(dbapi2.connect(fleet)) as writer:
        assert count(writer) == 5


# --- the cluster changes under the connection -------------------------------------------------------------------------
def test_rename_does_not_affect_an_open_connection(connection: dbapi2.Connection) -> None:
    """It goes on as if nothing had happened."""
    assert connection.cluster is not None
    store = connection.cluster.store
    connection.cluster.rename("new")
    connection.execute("DELETE FROM t WHERE id = 1")
    connection.commit()
    with closing(dbapi2.connect("new", store=store)) as other:
        assert count(other) == 4
    with pytest.raises(clusterdb.ClusterNotFoundError):
        dbapi2.connect("prod", store=store)


def test_drop_fails_statements_of_an_open_connection(connection: dbapi2.Connection) -> None:
    """Statements fail with a code; closing works."""
    assert connection.cluster is not None
    connection.cluster.delete()
    with pytest.raises(dbapi2.OperationalError, match="dropped") as caught:
        connection.execute("SELECT * FROM t")
    assert caught.value.sqlite_errorname.startswith("SQLITE_IOERR")
    with pytest.raises(dbapi2.Error):
        connection.execute("INSERT INTO t (b) VALUES ('z')")
    connection.rollback()


def test_drop_fails_the_commit_of_an_open_transaction(connection: dbapi2.Connection) -> None:
    """The transaction cannot be committed; rollback and close still work."""
    connection.execute("DELETE FROM t")
    assert connection.cluster is not None
    connection.cluster.delete()
    with pytest.raises(dbapi2.OperationalError):
        connection.commit()
    connection.rollback()
    assert not connection.in_transaction


def test_stop_fails_open_connections_until_a_start(connection: dbapi2.Connection) -> None:
    """Old connections fail with an OperationalError; a stopped cluster cannot be connected to; a started one can."""
    cluster = connection.cluster
    assert cluster is not None
    cluster.stop()
    with pytest.raises(dbapi2.OperationalError):
        connection.execute("SELECT * FROM t")
    with pytest.raises(clusterdb.ClusterStateError):
        dbapi2.connect(cluster)
    cluster.start()
    with closing(dbapi2.connect(cluster)) as later:
        assert count(later) == 5


def test_error_after_a_stop_says_how_to_continue(connection: dbapi2.Connection) -> None:
    """The error says what may have happened, and what to do."""
    assert connection.cluster is not None
    connection.cluster.stop()
    with pytest.raises(dbapi2.OperationalError, match="terminated by a failover"):
        connection.execute("SELECT * FROM t")


def test_backtrack_shows_the_past_to_the_next_query(store: clusterdb.Store) -> None:
    """A query that is being read keeps its state; the next sees the past, with the schema that was there."""
    cluster = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        version = cluster.stats().version
        connection.execute("ALTER TABLE t ADD COLUMN c")
        connection.execute("DELETE FROM t WHERE id > 2")
        connection.commit()
        cursor = connection.execute("SELECT * FROM t")
        cluster.backtrack(version)
        assert cursor.fetchall() == [(1, "a", None), (2, "b", None)]
        cursor = connection.execute("SELECT * FROM t")
        assert cursor.fetchall() == list(enumerate("abcde", 1))
        assert [column[0] for column in cursor.description or ()] == ["id", "b"]


def test_backtrack_fails_the_commit_of_an_open_transaction(store: clusterdb.Store) -> None:
    """A transaction that has written cannot be committed; after a rollback the connection continues."""
    cluster = store.create_cluster("prod", backtrack_window_s=3600)
    with closing(dbapi2.connect(cluster)) as connection:
        fill(connection)
        version = cluster.stats().version
        connection.execute("DELETE FROM t WHERE id = 1")
        connection.commit()
        connection.execute("DELETE FROM t")
        cluster.backtrack(version)
        with pytest.raises(dbapi2.OperationalError):
            connection.commit()
        connection.rollback()
        assert count(connection) == 5


def test_reset_shows_the_source_to_open_connections(store: clusterdb.Store) -> None:
    """A clone that is reset shows its source's present state to connections that were open."""
    source = store.create_cluster("prod")
    with closing(dbapi2.connect(source)) as prod:
        fill(prod)
        clone = source.clone("copy")
        with closing(dbapi2.connect(clone)) as connection:
            connection.execute("DELETE FROM t")
            connection.commit()
            prod.execute("INSERT INTO t (b) VALUES ('f')")
            prod.commit()
            clone.reset()
            assert count(connection) == 6


def test_attach_of_an_unknown_cluster_suggests_the_nearest(connection: dbapi2.Connection) -> None:
    """As in ``sqlite3`` for a file that cannot be opened; the nearest name is suggested."""
    with pytest.raises(dbapi2.OperationalError, match="did you mean 'prod'") as caught:
        connection.execute("ATTACH 'prd' AS other")
    assert caught.value.sqlite_errorcode == apsw.SQLITE_CANTOPEN
