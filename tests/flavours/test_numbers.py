"""The numbers of new rows in clusters of another engine, as several connections and clones see them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

import clusterdb
from clusterdb.cli import cli
from tests.support.stores import assert_clean

ENGINES = {
    "aurora-mysql": "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT UNIQUE)",
    "aurora-postgresql": "CREATE TABLE t (id SERIAL PRIMARY KEY, a INT UNIQUE)",
}


@pytest.fixture(params=ENGINES)
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[clusterdb.Cluster]:
    """A cluster of each engine, with an empty table that numbers its rows."""
    with clusterdb.open(tmp_path / "store", create=True, synchronous="OFF") as store:
        cluster = store.create_cluster("prod", engine=request.param)
        with closing(clusterdb.connect(cluster)) as connection:
            connection.execute(ENGINES[request.param])
        yield cluster
        assert_clean(store)


def added(connection: clusterdb.Connection, *values: int) -> list[int]:
    """The numbers of new rows."""
    for value in values:
        connection.execute("INSERT INTO t (a) VALUES (?)", (value,))
    marks = ", ".join("?" * len(values))
    return [row[0] for row in connection.execute(f"SELECT id FROM t WHERE a IN ({marks}) ORDER BY id", values)]


def test_rollback_reuses_no_number(cluster: clusterdb.Cluster) -> None:
    """rollback() is as ROLLBACK, and so is a with block that fails."""
    with closing(clusterdb.connect(cluster)) as connection:
        assert added(connection, 1, 2) == [1, 2]
        connection.rollback()
        assert added(connection, 3) == [3]
        connection.commit()
        with pytest.raises(ZeroDivisionError), connection:
            added(connection, 4)
            raise ZeroDivisionError
        assert added(connection, 5) == [5]
        connection.rollback()
        connection.executescript("BEGIN; INSERT INTO t (a) VALUES (6); ROLLBACK; INSERT INTO t (a) VALUES (7);")
        assert connection.execute("SELECT id FROM t WHERE a = 7").fetchone() == (7,)


def test_failed_statement_in_autocommit_uses_up_numbers(cluster: clusterdb.Cluster) -> None:
    """The rows of a statement that fails are numbered in vain."""
    with closing(clusterdb.connect(cluster, isolation_level=None)) as connection:
        assert added(connection, 1) == [1]
        with pytest.raises(clusterdb.IntegrityError):
            connection.execute("INSERT INTO t (a) VALUES (2), (3), (1)")
        (number,) = added(connection, 4)
        assert number >= 4


def test_connections_continue_the_numbers_of_one_another(cluster: clusterdb.Cluster) -> None:
    """Committed numbers, and those that a transaction gave and did not use, are known to all connections."""
    with closing(clusterdb.connect(cluster)) as first, closing(clusterdb.connect(cluster)) as second:
        assert added(first, 1, 2) == [1, 2]
        first.commit()
        assert added(second, 3) == [3]
        second.commit()
        added(first, 4, 5)
        first.execute("DELETE FROM t WHERE a > 3")
        first.commit()
        assert added(second, 6) == [6]
        second.rollback()
        assert added(first, 7) == [6]  # what another connection has rolled back comes again
        first.commit()
        assert added(second, 8) == [7]


def test_clone_continues_the_numbers_of_its_source_separately(cluster: clusterdb.Cluster) -> None:
    """Numbers are the cluster's: a clone has its own from then on."""
    with closing(clusterdb.connect(cluster)) as connection:
        added(connection, 1, 2)
        connection.execute("DELETE FROM t")
        connection.commit()
        with closing(clusterdb.connect(cluster.clone("copy"))) as copy:
            assert added(copy, 3, 4) == [3, 4]
            copy.commit()
            assert added(connection, 5) == [3]
            connection.commit()


def test_rowcount_excludes_bookkeeping_of_numbers(cluster: clusterdb.Cluster) -> None:
    """rowcount is that of the statement."""
    with closing(clusterdb.connect(cluster)) as connection:
        assert connection.execute("INSERT INTO t (a) VALUES (1), (2), (3)").rowcount == 3
        many = connection.executemany("INSERT INTO t (a) VALUES (?)", [(4,), (5,)])
        assert many.rowcount == 2
        assert connection.execute("UPDATE t SET a = a + 100").rowcount == 5


# --- PostgreSQL's sequences -------------------------------------------------------------------------------------------
@pytest.fixture
def books(tmp_path: Path) -> Iterator[clusterdb.Cluster]:
    """A cluster of PostgreSQL's SQL with a sequence."""
    with clusterdb.open(tmp_path / "store", create=True, synchronous="OFF") as store:
        cluster = store.create_cluster("books", engine="aurora-postgresql")
        with closing(clusterdb.connect(cluster)) as connection:
            connection.execute("CREATE SEQUENCE s")
        yield cluster
        assert_clean(store)


def test_table_of_sequences_is_not_listed(books: clusterdb.Cluster) -> None:
    """The table that keeps them is not told of."""
    with closing(clusterdb.connect(books)) as connection:
        connection.execute("CREATE TABLE t (id SERIAL PRIMARY KEY)")
        assert connection.execute("SELECT table_name FROM information_schema.tables").fetchall() == [("t",)]
        assert connection.execute("SELECT column_name FROM information_schema.columns").fetchall() == [("id",)]


def test_failed_create_table_leaves_no_sequence(books: clusterdb.Cluster) -> None:
    """A corrected statement can create it; a name that is taken is refused before anything is created."""
    with closing(clusterdb.connect(books)) as connection:
        for _ in range(2):
            with pytest.raises(clusterdb.DatabaseError, match="unknown column"):
                connection.execute("CREATE TABLE t (id SERIAL PRIMARY KEY, FOREIGN KEY (b) REFERENCES t (id))")
        connection.execute("CREATE TABLE t (id SERIAL PRIMARY KEY, a INT)")
        for _ in range(2):
            with pytest.raises(clusterdb.OperationalError, match="already exists"):
                connection.execute("CREATE TABLE t (id SERIAL PRIMARY KEY, a INT)")
        assert added(connection, 5) == [1]
        connection.execute("CREATE SEQUENCE u_id_seq")
        with pytest.raises(clusterdb.ProgrammingError, match='relation "u_id_seq" already exists'):
            connection.execute("CREATE TABLE u (id SERIAL PRIMARY KEY)")
        with pytest.raises(clusterdb.OperationalError, match='relation "u" does not exist'):
            connection.execute("SELECT * FROM u")


def test_currval_and_lastval_belong_to_the_session(books: clusterdb.Cluster) -> None:
    """currval() and lastval() are about the connection."""
    with closing(clusterdb.connect(books)) as first, closing(clusterdb.connect(books)) as second:
        assert first.execute("SELECT nextval('s')").fetchone() == (1,)
        assert second.execute("SELECT nextval('s')").fetchone() == (2,)
        assert first.execute("SELECT currval('s'), lastval()").fetchone() == (1, 1)
        first.execute("SELECT setval('s', 7)")
        assert second.execute("SELECT nextval('s'), currval('s')").fetchone() == (8, 8)


def test_nextval_on_a_read_only_connection_is_refused(books: clusterdb.Cluster) -> None:
    """nextval() writes, which a read-only connection says."""
    with closing(clusterdb.connect(books, mode="ro")) as connection:
        with pytest.raises(clusterdb.OperationalError, match="read-only transaction"):
            connection.execute("SELECT nextval('s')")
        with pytest.raises(clusterdb.ProgrammingError, match="not yet defined in this session"):
            connection.execute("SELECT currval('s')")


def test_sequences_of_temporary_tables_belong_to_the_session(books: clusterdb.Cluster) -> None:
    """Two sessions number tables of one name each for itself, and nothing of it is kept."""
    with closing(clusterdb.connect(books)) as first, closing(clusterdb.connect(books)) as second:
        for connection in (first, second):
            connection.execute("CREATE TEMP TABLE t (id SERIAL PRIMARY KEY, a INT)")
            assert added(connection, 1, 2) == [1, 2]
            connection.commit()
        assert added(first, 3) == [3]
        first.commit()
    with closing(clusterdb.connect(books)) as connection:
        assert connection.execute("SELECT name FROM clusterdb_sequences").fetchall() == [("s",)]


def test_rows_written_outside_the_engine_leave_the_sequence_behind(books: clusterdb.Cluster) -> None:
    """Rows written without the engine do not move the sequence: PostgreSQL's SQL gives their numbers again."""
    with closing(clusterdb.connect(books)) as connection, closing(books.connect()) as plain:
        connection.execute("CREATE TABLE t (id SERIAL PRIMARY KEY, a INT)")
        plain.execute("INSERT INTO t (a) VALUES (1)")
        with pytest.raises(clusterdb.IntegrityError):
            added(connection, 2)


# --- scripts ----------------------------------------------------------------------------------------------------------
def test_script_prints_results_of_its_statements_only(cluster: clusterdb.Cluster) -> None:
    """Auxiliary statements, and statements without effect, print nothing on the command line."""
    script = "DROP TABLE t; {}; BEGIN; SAVEPOINT p; ROLLBACK TO p; COMMIT; COMMIT; SELECT id FROM t; TRUNCATE TABLE t"
    zone = "SET time_zone = '+00:00'" if cluster.settings.engine == "aurora-mysql" else "SET TIME ZONE 'UTC'"
    text = script.format(f"{ENGINES[cluster.settings.engine]}; {zone}; INSERT INTO t (a) VALUES (7)")
    done = CliRunner().invoke(cli, ["--store", str(cluster.store.path), "sql", "prod", text])
    assert done.output.split() == ["id", "----", "1"]
    assert done.exit_code == 0


def test_schema_change_in_a_script_commits_as_in_the_engine(cluster: clusterdb.Cluster) -> None:
    """A change of the schema ends a transaction of MySQL's, and is part of one of PostgreSQL's."""
    script = "BEGIN; INSERT INTO t (a) VALUES (1); CREATE TABLE u (a INT); ROLLBACK"
    with closing(clusterdb.connect(cluster)) as connection:
        connection.executescript(script)
        is_mysql = cluster.settings.engine == "aurora-mysql"
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (int(is_mysql),)
