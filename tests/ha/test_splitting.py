"""A connection that reads from readers: what goes where, and that nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import clusterdb

FAR_MS = 3_600_000


@pytest.fixture
def prod(store: clusterdb.Store) -> clusterdb.Cluster:
    """A cluster with a writer and a reader, and a table with one row."""
    prod = store.create_cluster("prod", backup_retention_days=0)
    prod.add_instance("w")
    prod.add_instance("r")
    with clusterdb.connect(prod) as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body)")
        connection.execute("INSERT INTO t VALUES (1, 'one')")
    connection.close()
    return prod


@pytest.fixture
def split(prod: clusterdb.Cluster) -> Iterator[clusterdb.SplitConnection]:
    connection = clusterdb.connect(prod, factory=clusterdb.SplitConnection)
    yield connection
    connection.close()


def ran_on(connection: clusterdb.Connection, sql: str) -> str:
    """Where a statement ran."""
    endpoint: str = connection.execute(sql).endpoint
    return endpoint


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t",
        "WITH c AS (SELECT n FROM t) SELECT upper(n) FROM c",
        "VALUES (1), (2)",
        "  -- a comment\n SELECT count(*) FROM t",
    ],
)
def test_queries_run_on_the_reader(split: clusterdb.SplitConnection, sql: str) -> None:
    """Queries of every form run on the reader."""
    assert ran_on(split, sql) == "reader"


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (2, 'two')",
        "WITH c(x) AS (VALUES (7)) INSERT INTO t SELECT x, x FROM c",
        "UPDATE t SET body = 'x' RETURNING n",
        "DELETE FROM t",
        "CREATE TABLE u (n)",
        "PRAGMA foreign_keys = ON",
        "PRAGMA foreign_keys",
        "SELECT last_insert_rowid()",
        "SELECT n FROM t WHERE n = changes() OR n = total_changes()",
        "BEGIN",
        "ATTACH ':memory:' AS other",
    ],
)
def test_writes_and_connection_state_run_on_the_writer(split: clusterdb.SplitConnection, sql: str) -> None:
    """Writes, transactions, and statements about the state of the connection run on the writer."""
    assert ran_on(split, sql) == "writer"


def test_transactions_run_on_the_writer(split: clusterdb.SplitConnection) -> None:
    """Inside of one everything goes to the writer, outside of it to the reader again."""
    split.execute("INSERT INTO t VALUES (2, 'two')")
    cursor = split.execute("SELECT count(*) FROM t")
    assert (cursor.endpoint, cursor.fetchone()) == ("writer", (2,))
    split.commit()
    assert ran_on(split, "SELECT count(*) FROM t") == "reader"


def test_temporary_and_attached_tables_are_read_on_the_writer(split: clusterdb.SplitConnection) -> None:
    """The reader's connection does not have them."""
    split.execute("CREATE TEMP TABLE mine AS SELECT 5 AS n")
    assert ran_on(split, "SELECT count(*) FROM mine") == "writer"
    split.execute("CREATE TEMP TABLE t AS SELECT 1 AS n WHERE 0")
    assert split.execute("SELECT count(*) FROM t").fetchall() == [(0,)], "it hides the table of that name"
    split.execute("DROP TABLE temp.t")
    cursor = split.execute("SELECT n FROM mine")
    assert (cursor.endpoint, cursor.fetchall()) == ("writer", [(5,)])
    split.execute("ATTACH ':memory:' AS other")
    split.execute("CREATE TABLE other.t2 (n)")
    assert split.execute("SELECT * FROM t2").fetchall() == []


def test_functions_and_collations_are_registered_on_readers(
    prod: clusterdb.Cluster, split: clusterdb.SplitConnection
) -> None:
    """They are registered on readers that are connected later, too."""
    split.create_function("twice", 1, lambda value: 2 * value)
    split.create_collation("backwards", lambda a, b: (a < b) - (a > b))
    for _ in range(2):
        cursor = split.execute("SELECT twice(n) FROM t ORDER BY body COLLATE backwards")
        assert (cursor.endpoint, cursor.fetchall()) == ("reader", [(2,)])
        prod.add_instance("r2")
        prod.crash_instance("r")
        prod.delete_instance("r")
        prod.add_instance("r")
        prod.delete_instance("r2")


def test_writer_answers_until_the_reader_has_caught_up(prod: clusterdb.Cluster) -> None:
    """Until the reader has come so far, the writer answers; others' writes are waited for by nobody."""
    prod.modify_instance("r", replica_lag_ms=FAR_MS)
    for reads_yours, seen in ((False, [(1,)]), (True, [(1,), (2,)])):
        connection = clusterdb.connect(prod, factory=clusterdb.SplitConnection, read_your_writes=reads_yours)
        with connection:
            connection.execute("DELETE FROM t WHERE n > 1")
            connection.execute("INSERT INTO t VALUES (2, 'two')")
        numbers = connection.execute("SELECT n FROM t ORDER BY n").fetchall()
        assert numbers == seen or not reads_yours
        connection.close()
    connection = clusterdb.connect(prod, factory=clusterdb.SplitConnection, read_your_writes=True)
    assert ran_on(connection, "SELECT n FROM t") == "reader"  # it has written nothing
    connection.execute("UPDATE t SET body = 'x'")
    connection.commit()
    assert ran_on(connection, "SELECT n FROM t") == "writer"
    prod.modify_instance("r", replica_lag_ms=0)
    assert ran_on(connection, "SELECT n FROM t") == "reader"
    connection.close()


def test_failover_of_the_reader_is_transparent_for_queries(
    prod: clusterdb.Cluster, split: clusterdb.SplitConnection
) -> None:
    """Queries go to another reader; what writes says what happened."""
    assert split.execute("SELECT n FROM t").fetchall() == [(1,)]
    prod.failover()
    assert split.execute("SELECT n FROM t").fetchall() == [(1,)]
    with pytest.raises(clusterdb.OperationalError, match="failed over"):
        split.execute("INSERT INTO t VALUES (3, 'three')")


def test_split_connection_to_a_plain_file_or_endpoint_is_refused(prod: clusterdb.Cluster, tmp_path: Path) -> None:
    """A plain file has no readers; endpoints are chosen by the connection."""
    with pytest.raises(clusterdb.ProgrammingError, match="plain file"):
        clusterdb.connect(tmp_path / "x.db", factory=clusterdb.SplitConnection)
    with pytest.raises(clusterdb.ProgrammingError, match="omit endpoint="):
        clusterdb.connect(prod, factory=clusterdb.SplitConnection, endpoint="reader")
