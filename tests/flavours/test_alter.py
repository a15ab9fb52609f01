"""ALTER TABLE of aurora-postgresql clusters: what no single statement shows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import clusterdb
from tests.support.stores import assert_clean

SCHEMA = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE parent (id SERIAL PRIMARY KEY, a INT UNIQUE, m mood DEFAULT 'sad');
CREATE TABLE child (id INT PRIMARY KEY, p INT REFERENCES parent ON DELETE CASCADE);
CREATE INDEX by_p ON child (p);
CREATE VIEW sums AS SELECT p, count(*) FROM child GROUP BY p;
INSERT INTO parent (a) VALUES (1), (2);
INSERT INTO child VALUES (10, 1), (20, 2);
"""
REFUSED = (
    "ALTER TABLE parent ADD COLUMN b INT DEFAULT 3, ADD CONSTRAINT c CHECK (a > 1)",
    "ALTER TABLE parent ADD COLUMN s SERIAL, ADD COLUMN n INT NOT NULL",
    "ALTER TABLE parent ALTER COLUMN a TYPE TEXT, DROP CONSTRAINT nope",
    "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES parent (id)",
    "ALTER TABLE parent ADD COLUMN b INT; ALTER TABLE parent ADD COLUMN a INT",
    "ALTER TABLE child DROP COLUMN id, DROP COLUMN p",
    "DROP TABLE child",
    "TRUNCATE parent",
    "DROP TYPE mood",
)


@pytest.fixture
def cluster() -> Iterator[clusterdb.Cluster]:
    """A cluster of two tables, one of which refers to the other."""
    with clusterdb.open(":memory:") as store:
        cluster = store.create_cluster("altered", engine="aurora-postgresql")
        connection = clusterdb.connect(cluster, autocommit=True)
        connection.executescript(SCHEMA)
        connection.close()
        yield cluster
        assert_clean(store)


@pytest.fixture
def connection(cluster: clusterdb.Cluster) -> Iterator[clusterdb.Connection]:
    """A connection in autocommit mode."""
    connection = clusterdb.connect(cluster, autocommit=True)
    yield connection
    connection.close()


def _content(cluster: clusterdb.Cluster) -> list[tuple[object, ...]]:
    """The definitions and the rows, as SQLite has them."""
    db = cluster.connect()
    schema = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    rows = [db.execute(f"SELECT * FROM {table}").fetchall() for table in ("parent", "child", "clusterdb_sequences")]
    db.close()
    return [*schema, *map(tuple, rows)]


@pytest.mark.parametrize("sql", REFUSED)
@pytest.mark.parametrize("begin", [False, True])
def test_refused_statement_changes_nothing(
    sql: str, begin: bool, cluster: clusterdb.Cluster, connection: clusterdb.Connection
) -> None:
    """Tables, the open transaction and the enforcement of foreign keys are as before."""
    before = _content(cluster)
    if begin:
        connection.execute("BEGIN")
    with pytest.raises(clusterdb.DatabaseError):
        connection.execute(sql)
    assert connection.in_transaction == begin
    with pytest.raises(clusterdb.IntegrityError):
        connection.execute("INSERT INTO child VALUES (30, 99)")
    if begin:
        connection.execute("COMMIT")
    assert _content(cluster) == before


def test_other_connections_see_new_labels_and_columns(
    cluster: clusterdb.Cluster, connection: clusterdb.Connection
) -> None:
    """A statement that was planned for the old definitions is planned anew."""
    other = clusterdb.connect(cluster, autocommit=True)
    insert = "INSERT INTO parent (a, m) VALUES (3, 'so so')"
    with pytest.raises(clusterdb.DatabaseError):
        other.execute(insert)
    connection.execute("ALTER TYPE mood ADD VALUE 'so so' BEFORE 'happy'")
    other.execute(insert)
    connection.execute("ALTER TABLE parent ALTER COLUMN a TYPE TEXT")
    assert other.execute("SELECT a || m FROM parent ORDER BY m DESC, a").fetchone() == ("3so so",)
    other.close()


@pytest.mark.parametrize(
    "sql", ["TRUNCATE child", "DELETE FROM child; UPDATE parent SET a = a + 5", "TRUNCATE parent CASCADE"]
)
def test_statement_of_several_steps_can_be_rolled_back(sql: str, cluster: clusterdb.Cluster) -> None:
    """The DB-API begins a transaction before it, as before a single statement that writes."""
    before = _content(cluster)
    connection = clusterdb.connect(cluster)
    connection.execute(sql)
    assert connection.in_transaction
    connection.rollback()
    connection.close()
    assert _content(cluster) == before


def test_broken_view_does_not_prevent_alter_table(cluster: clusterdb.Cluster, connection: clusterdb.Connection) -> None:
    """A view of a table that does not exist depends on nothing."""
    db = cluster.connect()
    db.execute("CREATE VIEW broken AS SELECT * FROM missing")
    db.close()
    connection.execute("ALTER TABLE parent ALTER COLUMN a TYPE BIGINT, DROP COLUMN m")
    connection.execute("DROP TABLE parent CASCADE")
    assert connection.execute("SELECT p, count FROM sums ORDER BY p").fetchall() == [(1, 1), (2, 1)]


def test_rebuilt_table_keeps_indexes_and_foreign_keys(
    cluster: clusterdb.Cluster, connection: clusterdb.Connection
) -> None:
    """Its indexes have its rows, and foreign keys lead somewhere."""
    connection.executescript(
        "ALTER TABLE parent ALTER COLUMN id TYPE BIGINT, ALTER COLUMN a SET NOT NULL, ADD CONSTRAINT c CHECK (a < 9);"
        "ALTER TABLE child ALTER COLUMN id TYPE BIGINT, ADD COLUMN s SERIAL, ADD CONSTRAINT u UNIQUE (s, id);"
    )
    db = cluster.connect()
    assert db.pragma("integrity_check") == "ok"
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")]
    assert names == ["by_p"]
    db.close()
    assert connection.execute("DELETE FROM parent WHERE id = 1 RETURNING a").fetchall() == [(1,)]
    assert connection.execute("SELECT id, p, s FROM child").fetchall() == [(20, 2, 2)]
