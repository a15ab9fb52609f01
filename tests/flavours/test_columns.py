"""Result columns have the engines' types, and values in Python of these types where that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

import clusterdb
from clusterdb import dbapi2

POSTGRESQL = (
    "CREATE TABLE t (id serial primary key, b bigint, sm smallint, v varchar(7) not null, c char(3), x text, "
    "n numeric(8,2), nn numeric, f real, d double precision, ts timestamp, tz timestamptz, t3 timestamp(3), da date, "
    "ti time, j json, jb jsonb, bytes bytea, u uuid, i interval, ok boolean, w varchar)",
    "INSERT INTO t (v, n, nn, ok, b, f, d, da) VALUES ('a', 1.5, 2.25, true, 4, 0.1, 2.5, '2024-01-31')",
)
MYSQL = (
    "CREATE TABLE t (id int auto_increment primary key, b bigint unsigned, t1 tinyint(1), t4 tinyint, m mediumint, "
    "v varchar(7) not null, c char(3), x text, lt longtext, n decimal(8,2), f float, d double, dt datetime(3), "
    "ts timestamp null, da date, ti time, y year, j json, bytes blob, bi binary(4), vb varbinary(9), sm smallint, "
    "e enum('a', 'b'), s set('a', 'b'))",
    "INSERT INTO t (v, n, t1, b, f, d) VALUES ('a', 1.5, 1, 4, 0.5, 2.5)",
)
POSTGRESQL_EXPRESSIONS = (
    *("1", "id + 1", "b + 1", "n", "n * 2", "n / 3", "nn", "avg(id) OVER ()", "sum(id) OVER ()", "sum(b) OVER ()"),
    *("count(*) OVER ()", "n > 1", "ok AND n > 1", "v || 'x'", "upper(v)", "length(v)", "'x'", "NULL", "now()"),
    *("current_date", "da + 1", "da + INTERVAL '1 day'", "f + f", "d * 2", "coalesce(n, 0)", "CASE WHEN ok THEN 1 END"),
    *("jb -> 'a'", "jb ->> 'a'", "extract(year FROM da)", "1.5::numeric(5,2)", "v::char(2)", "version()", "round(n)"),
    *("pg_catalog.version()", "gen_random_uuid()", "date_trunc('day', ts)", "to_char(da, 'YYYY')", "ok::text"),
)
MYSQL_EXPRESSIONS = (
    *("n", "n * 2", "v", "concat(v, 'x')", "upper(v)", "now()", "curdate()", "d * 2", "sum(id) OVER ()"),
    *("n / 3", "count(*) OVER ()", "coalesce(n, 0)", "date(dt)", "round(n, 1)", "CAST(v AS CHAR)"),
)
Connect = Callable[..., clusterdb.Connection]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """What connects to a cluster of an engine with its table."""
    with clusterdb.open(":memory:") as store:
        opened: list[clusterdb.Connection] = []

        def connect(engine: str, **options: Any) -> clusterdb.Connection:
            cluster = store.create_cluster(engine, engine=engine)
            connection = clusterdb.connect(cluster, autocommit=True, trusted=False, **options)
            for statement in POSTGRESQL if engine == "aurora-postgresql" else MYSQL:
                connection.execute(statement)
            opened.append(connection)
            return connection

        yield connect
        for connection in opened:
            connection.close()


def test_postgresql_columns_have_what_pgjdbc_tells(connect: Connect) -> None:
    """Of a column of a table all, of an expression its type."""
    connection = connect("aurora-postgresql")
    columns = connection.execute("SELECT id AS key, v, n, ok, n * 2 AS more FROM t").columns
    shown = [
        (c.label, c.column, c.table, c.schema, c.type_name, c.jdbc_type, c.precision, c.scale, c.nullable)
        for c in columns
    ]
    assert shown == [
        ("key", "id", "t", "public", "serial", 4, 10, 0, 0),
        ("v", "v", "t", "public", "varchar", 12, 7, 0, 0),
        ("n", "n", "t", "public", "numeric", 2, 8, 2, 1),
        ("ok", "ok", "t", "public", "bool", -7, 1, 0, 1),
        ("more", "", "", "", "numeric", 2, 0, 2, 2),
    ]
    assert [(c.is_auto_increment, c.is_signed, c.is_case_sensitive) for c in columns[:2]] == [
        (True, True, False),
        (False, False, True),
    ]


def test_mysql_columns_have_what_connector_j_tells(connect: Connect) -> None:
    """Of a column of a table all, of an expression its type."""
    columns = connect("aurora-mysql").execute("SELECT id, v, n, t1, b, n * 2 AS more FROM t AS u").columns
    shown = [
        (c.label, c.table, c.type_name, c.jdbc_type, c.precision, c.scale, c.nullable, c.is_auto_increment)
        for c in columns
    ]
    assert shown == [
        ("id", "t", "INT", 4, 10, 0, 0, True),
        ("v", "t", "VARCHAR", 12, 7, 0, 0, False),
        ("n", "t", "DECIMAL", 3, 8, 2, 1, False),
        ("t1", "t", "TINYINT", -7, 1, 0, 1, False),
        ("b", "t", "BIGINT UNSIGNED", -5, 19, 0, 1, False),
        ("more", "", "DECIMAL", 3, 65, 2, 2, False),
    ]


@pytest.mark.parametrize("engine", ["aurora-mysql", "aurora-postgresql"])
def test_returned_columns_have_types_too(engine: str, connect: Connect) -> None:
    """Views, subqueries, columns of the same name; in PostgreSQL, RETURNING and FETCH."""
    connection = connect(engine)
    connection.execute("CREATE VIEW w AS SELECT n AS m, v FROM t")
    number = "numeric" if engine == "aurora-postgresql" else "DECIMAL"
    text = "varchar" if engine == "aurora-postgresql" else "VARCHAR"
    queries = ["SELECT m, v FROM w", "SELECT n, n, v FROM (SELECT n, v FROM t) AS q"]
    if engine == "aurora-postgresql":
        queries += ["UPDATE t SET n = n RETURNING n, v", "INSERT INTO t (v) VALUES ('x') RETURNING n, v"]
        connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT n, v FROM t")
        queries.append("FETCH 1 FROM c")
    for query in queries:
        names = [column.type_name for column in connection.execute(query).columns]
        assert names[-2:] == [number, text], query


@pytest.mark.parametrize(
    ("engine", "sql", "row"),
    [
        ("aurora-postgresql", "SELECT n, n * 2, n > 1, ok, nn, b FROM t", "1.50 3.00 True True 2.25 4"),
        ("aurora-postgresql", "SELECT 0.1 + 0.2, sum(n) FROM t", "0.3 1.50"),
        ("aurora-postgresql", "SELECT NULL::numeric, NULL::boolean", "None None"),
        ("aurora-postgresql", "UPDATE t SET ok = false RETURNING ok, n", "False 1.50"),
        ("aurora-mysql", "SELECT n, n * 2, t1, t4, b, n / 3 FROM t", "1.50 3.00 True None 4 0.500000"),
    ],
)
def test_values_have_the_types_of_the_engine_where_asked_for(engine: str, sql: str, row: str, connect: Connect) -> None:
    """Exact numbers with their scale, booleans."""
    connection = connect(engine, detect_types=dbapi2.PARSE_ENGINE_TYPES)
    cursor = connection.execute(sql)
    assert " ".join(map(str, cursor.fetchone())) == row
    assert [" ".join(map(str, each_row)) for each_row in connection.execute(sql)] == [row]
    assert " ".join(map(str, connection.execute(sql).fetchall()[0])) == row


def test_values_are_as_sqlite_has_them_by_default(connect: Connect) -> None:
    """Programs that read floats go on to."""
    row = connect("aurora-postgresql").execute("SELECT n, ok FROM t").fetchone()
    assert row == (1.5, 1)
    assert [type(value) for value in row] == [float, int]


# --- the real servers -------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_postgresql_server_has_the_types(connect: Connect, postgresql_server: Any) -> None:
    """Names of types; of columns their digits and characters too; values with all of their digits."""
    connection = connect("aurora-postgresql", detect_types=dbapi2.PARSE_ENGINE_TYPES)
    server = postgresql_server.connect()
    for statement in POSTGRESQL:
        postgresql_server.execute(server, statement, ())
    names = dict(server.execute("SELECT oid, typname FROM pg_type").fetchall())
    try:
        cursor = server.execute("SELECT * FROM t")
        columns = connection.execute("SELECT * FROM t").columns
        for own, other in zip(columns, cursor.description, strict=True):
            assert own.type_name.replace("serial", "int4") == names[other.type_code], own.name
            if own.type_name in ("numeric", "varchar", "bpchar") and own.precision != 2**31 - 1:
                size = other.precision if own.type_name == "numeric" else other.display_size
                assert (own.precision, own.scale) == (size or 0, other.scale or 0), own.name
        for expression in POSTGRESQL_EXPRESSIONS:
            sql = f"SELECT {expression} FROM t"
            cursor = server.execute(sql)
            (column,) = connection.execute(sql).columns
            assert column.type_name == names[cursor.description[0].type_code], expression
            value, own_value = cursor.fetchone()[0], connection.execute(sql).fetchone()[0]
            if isinstance(value, bool | Decimal) and column.kind is not None and "/" not in expression:
                assert type(own_value) is type(value), expression
                if column.kind.scale is not None:
                    assert str(own_value) == str(value), expression
    finally:
        server.close()


_FIELD_TYPES = {0: "DECIMAL", 246: "DECIMAL", 1: "TINYINT", 2: "SMALLINT", 3: "INT", 4: "FLOAT", 5: "DOUBLE"}
_FIELD_TYPES |= {7: "TIMESTAMP", 8: "BIGINT", 9: "MEDIUMINT", 10: "DATE", 11: "TIME", 12: "DATETIME", 13: "YEAR"}
_FIELD_TYPES |= {253: "VARCHAR", 254: "CHAR", 252: "BLOB"}
_SAME_FIELD = {"TEXT": "BLOB", "LONGTEXT": "BLOB", "JSON": "BLOB", "BINARY": "CHAR", "VARBINARY": "VARCHAR"}


@pytest.mark.slow
def test_mysql_server_has_the_types(connect: Connect, mysql_server: Any) -> None:
    """The types of fields, of which texts and bytes have the same; values with all of their digits."""
    connection = connect("aurora-mysql", detect_types=dbapi2.PARSE_ENGINE_TYPES)
    server = mysql_server.connect()
    for statement in MYSQL:
        mysql_server.execute(server, statement, ())
    try:
        for sql in ("SELECT * FROM t", *(f"SELECT {expression} FROM t" for expression in MYSQL_EXPRESSIONS)):
            cursor = mysql_server.execute(server, sql, ())
            for own, other in zip(connection.execute(sql).columns, cursor.description, strict=True):
                name = own.type_name.removesuffix(" UNSIGNED")
                assert _SAME_FIELD.get(name, name) == _FIELD_TYPES[other[1]], (sql, own.name)
            for value, own_value in zip(cursor.fetchone(), connection.execute(sql).fetchone(), strict=True):
                if isinstance(value, Decimal):
                    assert str(own_value) == str(value), sql
    finally:
        server.close()
