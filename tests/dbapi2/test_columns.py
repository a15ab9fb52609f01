"""Typed result columns: ``Cursor.columns``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import clusterdb
from clusterdb import dbapi2
from clusterdb.dbapi2.columns import Column
from clusterdb.dbapi2.statements import Plan

TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20), at DATETIME, free)"


@pytest.fixture
def connection(store: clusterdb.Store) -> Iterator[dbapi2.Connection]:
    with closing(dbapi2.connect(store.create_cluster("prod"))) as connection:
        connection.execute(TABLE)
        yield connection


def test_columns_have_declared_types(connection: dbapi2.Connection) -> None:
    """Of columns of tables, also under another name; expressions and untyped columns have none."""
    cursor = connection.execute("SELECT id, name AS n, at, free, 1 + 1 AS two FROM t")
    assert cursor.columns == (
        Column("id", "INTEGER"),
        Column("n", "VARCHAR(20)"),
        Column("at", "DATETIME"),
        Column("free"),
        Column("two"),
    )
    assert [column[0] for column in cursor.description or ()] == [column.name for column in cursor.columns]


def test_statement_without_rows_has_no_columns(connection: dbapi2.Connection) -> None:
    cursor = connection.cursor()
    assert cursor.columns == ()
    cursor.execute("INSERT INTO t (name) VALUES ('a')")
    assert cursor.columns == ()
    cursor.execute("INSERT INTO t (name) VALUES ('b') RETURNING id, name")
    assert cursor.columns == (Column("id", "INTEGER"), Column("name", "VARCHAR(20)"))
    cursor.executescript("SELECT id FROM t")
    assert cursor.columns == ()


def test_columns_before_within_and_after_the_rows(connection: dbapi2.Connection) -> None:
    """Reading them does not disturb the rows."""
    connection.executemany("INSERT INTO t (name) VALUES (?)", [("a",), ("b",), ("c",)])
    cursor = connection.execute("SELECT name FROM t ORDER BY id")
    seen = [cursor.columns]
    for expected in ("a", "b", "c"):
        assert cursor.fetchone() == (expected,)
        seen.append(cursor.columns)
    assert cursor.fetchone() is None
    assert {*seen, cursor.columns} == {(Column("name", "VARCHAR(20)"),)}


def test_columns_follow_the_schema(connection: dbapi2.Connection) -> None:
    """A statement whose plan is cached shows the types of now; after DROP TABLE those that it was planned with."""
    connection.execute("SELECT name FROM t").fetchall()
    connection.executescript("DROP TABLE t; CREATE TABLE t (name INT)")
    cursor = connection.execute("SELECT name FROM t")
    assert cursor.columns == (Column("name", "INT"),)
    cursor.fetchall()
    connection.execute("DROP TABLE t")
    assert [column.name for column in cursor.columns] == ["name"]


def test_columns_of_converted_rows(store: clusterdb.Store) -> None:
    """Names are without brackets, as in the description."""
    with closing(
        dbapi2.connect(store.create_cluster("prod"), detect_types=dbapi2.PARSE_DECLTYPES | dbapi2.PARSE_COLNAMES)
    ) as connection:
        connection.execute(TABLE)
        cursor = connection.execute('SELECT id, name AS "n [upper]" FROM t')
        assert cursor.columns == (Column("id", "INTEGER"), Column("n", "VARCHAR(20)"))


def test_columns_of_a_closed_cursor(connection: dbapi2.Connection) -> None:
    cursor = connection.execute("SELECT id FROM t")
    cursor.close()
    with pytest.raises(dbapi2.ProgrammingError, match="closed cursor"):
        _ = cursor.columns


def test_nothing_is_prepared_unless_columns_are_read(
    connection: dbapi2.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("INSERT INTO t (name) VALUES ('a')")
    connection.execute("SELECT id FROM t").fetchall()  # planned
    prepared: list[str] = []
    init = Plan.__init__

    def counted(plan: Plan, sql: str, *arguments: object) -> None:
        prepared.append(sql)
        init(plan, sql, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Plan, "__init__", counted)
    cursor = connection.execute("SELECT id FROM t")
    assert cursor.description is not None
    cursor.fetchall()
    assert prepared == []
    assert cursor.columns and prepared == ["SELECT id FROM t"]


def test_columns_of_a_plain_file(tmp_path: Path) -> None:
    with closing(dbapi2.connect(tmp_path / "x.db")) as connection:
        connection.execute(TABLE)
        assert connection.execute("SELECT at FROM t").columns == (Column("at", "DATETIME"),)


@pytest.mark.parametrize(
    ("engine", "expression", "kind", "scale"),
    [
        ("aurora-mysql", "d", "date", None),
        ("aurora-mysql", "m", "decimal", 2),
        ("aurora-mysql", "COUNT(*)", "integer", None),
        ("aurora-mysql", "CAST('2026-01-31' AS DATE)", "date", None),
        ("aurora-postgresql", "d", "date", None),
        ("aurora-postgresql", "m", "decimal", 2),
        ("aurora-postgresql", "b", "boolean", None),
        ("aurora-postgresql", "NOT b", "boolean", None),
        ("aurora-postgresql", "d > '2026-01-31'", "boolean", None),
        ("aurora-postgresql", "d::timestamp", "datetime", None),
    ],
)
def test_engine_knows_the_kinds(
    store: clusterdb.Store, engine: str, expression: str, kind: str, scale: int | None
) -> None:
    """Dates, booleans and decimals, which SQLite keeps as texts and numbers."""
    with closing(dbapi2.connect(store.create_cluster("c", engine=engine))) as connection:
        connection.execute("CREATE TABLE t (d DATE, m DECIMAL(8, 2), b BOOLEAN)")
        (column,) = connection.execute(f"SELECT {expression} AS x FROM t GROUP BY d, m, b").columns
        assert column.name == "x" and column.kind is not None
        assert (column.kind.name, column.kind.scale) == (kind, scale)


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_kinds_of_all_columns(store: clusterdb.Store, engine: str) -> None:
    """``*`` is expanded; columns of one name have kinds of their own; a parameter has none."""
    with closing(dbapi2.connect(store.create_cluster("c", engine=engine))) as connection:
        connection.execute("CREATE TABLE t (d DATE, n INT)")

        def kinds(sql: str, *parameters: object) -> list[str | None]:
            columns = connection.execute(sql, parameters).columns
            return [column.kind.name if column.kind is not None else None for column in columns]

        assert kinds("SELECT * FROM t") == ["date", "integer"]
        assert kinds("SELECT d, ? AS p FROM t", 1) == ["date", None]
        assert kinds("SELECT d, n AS d FROM t") == ["date", "integer"]
        assert kinds("INSERT INTO t VALUES (NULL, 1) RETURNING n" if engine == "aurora-postgresql" else "SHOW TABLES")
