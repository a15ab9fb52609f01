"""Arrays of aurora-postgresql's SQL: values, types and errors are the server's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

import clusterdb
from clusterdb.flavours.postgresql.arrays import read, written

SETUP = (
    "CREATE TABLE a (id int primary key, i int[], t text[] DEFAULT '{}', n numeric(5,2)[], v varchar(9)[] NOT NULL "
    "DEFAULT ARRAY['x'], b boolean[], d date[], m int[][], f double precision[], ts timestamp[])",
    "INSERT INTO a (id, i, t, n, b, d, m, f, ts) VALUES (1, '{1,NULL,3}', ARRAY['a b', 'c,d', '', NULL, 'NULL', "
    "'q\"\\'], '{1.5,2}', '{t,f,NULL}', '{2024-01-31}', '{{1,2},{3,4}}', ARRAY[1.5, 1e20], "
    "ARRAY['2024-01-31 12:00']::timestamp[])",
    "INSERT INTO a (id, i, t, v) VALUES (2, ARRAY[]::int[], string_to_array('x,y,z', ','), '{p,q}')",
    "INSERT INTO a (id, i, t, v) VALUES (3, NULL, NULL, '{}')",
)
QUERIES = (
    "SELECT i, t, n, v, b, d, m, f, ts FROM a ORDER BY id",
    "SELECT i::text, t::text, n::text, v::text, b::text, d::text, m::text, f::text, ts::text FROM a ORDER BY id",
    "SELECT ARRAY[1, 2, NULL], ARRAY['a', 'b c'], ARRAY[1.5, 2], ARRAY[true, NULL], ARRAY[]::text[]",
    "SELECT ARRAY[[1, 2], [3, 4]], ARRAY[ARRAY['a'], ARRAY['b']], ARRAY[1, 2]::text[], ARRAY['1', '2']::int[]",
    "SELECT '{1,2}'::int[], '{{a,b},{c,d}}'::text[], '{ x , \"y z\" , null }'::text[], '{}'::int[]",
    "SELECT '{1.50,2}'::numeric[]",
    "SELECT '{1,2}'::text[]::int[], '{1,2}'::int[]::numeric[], '{t,no,1}'::boolean[], '{2024-1-5}'::date[]",
    "SELECT string_to_array('1,2,,3', ','), string_to_array('1,2,,3', ',', ''), string_to_array('', ','), "
    "string_to_array('abc', NULL), string_to_array('abc', ''), string_to_array(NULL, ',')",
    "SELECT string_to_array('1,2', ',')::int[], array_to_string(ARRAY[1, NULL, 3], ','), "
    "array_to_string(ARRAY[1, NULL, 3], ',', '*'), array_to_string(m, '-'), array_to_string(t, '|', '?') FROM a",
    "SELECT id, array_length(i, 1), cardinality(i), array_ndims(m), array_dims(m), array_upper(m, 2), "
    "array_lower(i, 1) FROM a ORDER BY id",
    "SELECT array_append(i, 9), array_prepend(0, i), array_cat(i, ARRAY[7, 8]), i || 5, 5 || i, i || ARRAY[6], "
    "i || '{7}' FROM a ORDER BY id",
    "SELECT array_remove(ARRAY[1, 2, 1], 1), array_replace(ARRAY[1, 2, 1], 1, 5), "
    "array_position(ARRAY['a', 'b'], 'b'), array_positions(ARRAY[1, 2, 1], 1), array_position(ARRAY[1, 2], 7)",
    "SELECT i[1], i[3], i[4], i[2], t[1], m[2][1], n[1], b[2], d[1], ts[1], i[2:3], i[:2], i[2:] FROM a ORDER BY id",
    "SELECT (ARRAY[5, 6, 7])[2], (string_to_array('a-b', '-'))[2], i[id] FROM a ORDER BY id",
    "SELECT id FROM a WHERE 3 = ANY(i)",
    "SELECT id FROM a WHERE 'y' = ANY(t) OR 2.00 = ANY(n) ORDER BY id",
    "SELECT id, 3 = ANY(i), 4 = ANY(i), 1 <> ALL(i), 0 < ALL(i), 2 > ANY(i), true = ANY(b), 'x' = ANY(v) "
    "FROM a ORDER BY id",
    "SELECT id FROM a WHERE id = ANY('{1,3}'::int[]) ORDER BY id",
    "SELECT id FROM a WHERE id = ANY(string_to_array('1,2', ',')::int[]) ORDER BY id",
    "SELECT id FROM a WHERE id < ANY(ARRAY[2, 3]) AND id >= ALL('{1,2}'::int[]) ORDER BY id",
    "SELECT i = '{1,NULL,3}', i <> ARRAY[1], i < ARRAY[2], i @> ARRAY[3], ARRAY[1] <@ i, i && ARRAY[3, 9] "
    "FROM a ORDER BY id",
    "SELECT ARRAY[1.50] = ARRAY[1.5], ARRAY['a', 'b'] > ARRAY['a'], ARRAY[1, NULL] > ARRAY[1, 5], t @> '{y}' FROM a",
    "SELECT unnest(ARRAY[3, 1, 2])",
    "SELECT unnest('{a,NULL,b}'::text[]) AS x",
    "SELECT id, unnest(i) AS x FROM a ORDER BY id, x",
    "SELECT * FROM unnest(ARRAY[3, 1]) AS u(x) ORDER BY x",
    "SELECT u.x, u.n FROM unnest('{b,a}'::text[]) WITH ORDINALITY AS u(x, n) ORDER BY n",
    "SELECT x FROM unnest(ARRAY[1.5, 2.25]) x WHERE x > 2",
    "SELECT a.id, u FROM a, unnest(a.t) AS u WHERE u <> '' ORDER BY a.id, u",
    "SELECT id, x * 2 AS y FROM a CROSS JOIN LATERAL unnest(i) AS u(x) WHERE x > 1 ORDER BY id",
    "SELECT id, (SELECT sum(x) FROM unnest(i) AS x) FROM a ORDER BY id",
    "SELECT array_agg(id ORDER BY id DESC), array_agg(t[1] ORDER BY id), array_agg(id) FILTER (WHERE id > 5) FROM a",
    "SELECT ARRAY(SELECT id FROM a ORDER BY id DESC), ARRAY(SELECT v FROM a WHERE false)",
    "SELECT coalesce(i, '{}'), CASE WHEN id = 1 THEN i ELSE ARRAY[0] END FROM a ORDER BY id",
    "SELECT to_json(i), to_jsonb(t), json_build_object('m', m) FROM a WHERE id = 1",
    "SELECT v, count(*) FROM a WHERE id = 1 GROUP BY v",
    "SELECT i IS NULL, i IS NOT DISTINCT FROM '{1,NULL,3}' FROM a ORDER BY id",
    "INSERT INTO a (id, i, t, n) VALUES (4, '{7}', '{x}', '{1.005}'), (5, ARRAY[1, 2], ARRAY['y'], ARRAY[2]) "
    "RETURNING i, t, n, v",
    "UPDATE a SET i = array_append(i, 4), t = '{n}' WHERE id = 1 RETURNING i, t",
    "SELECT data_type FROM information_schema.columns WHERE table_name = 'a' AND column_name IN ('i', 'id') ORDER BY 1",
)
ERRORS = (
    ("SELECT '{1,2'::int[]", "22P02"),
    ("SELECT '1,2'::int[]", "22P02"),
    ("SELECT '{1,}'::int[]", "22P02"),
    ("SELECT '{a}'::int[]", "22P02"),
    ("SELECT '{{1},{2,3}}'::int[]", "22P02"),
    ("INSERT INTO a (id, i) VALUES (9, '{x}')", "22P02"),
    ("INSERT INTO a (id, v) VALUES (9, NULL)", "23502"),
)


def plain(value: Any) -> Any:
    """Values of the drivers as they are compared: dates as texts, numbers without their types."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bool) or value is None:
        return int(value) if value is not None else None
    if isinstance(value, Decimal | float):
        return round(float(value), 9)
    if hasattr(value, "isoformat"):
        return value.isoformat(" ") if hasattr(value, "hour") else value.isoformat()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    ("sql", "parameters", "row"),
    [
        (
            "SELECT i, b, n, t FROM a WHERE id = 1",
            (),
            "[1, None, 3] [True, False, None] [Decimal('1.50'), Decimal('2.00')] ",
        ),
        ("SELECT m, d, ts FROM a WHERE id = 1", (), "[[1, 2], [3, 4]] ['2024-01-31'] ['2024-01-31 12:00:00']"),
        ("SELECT :0::int[], :1::text[]", {"0": "{1,2}", "1": '{"a b",NULL}'}, "[1, 2] ['a b', None]"),
        ("SELECT string_to_array(:0, ',')::int[], ARRAY[:1, 5]", {"0": "1,2", "1": 4}, "[1, 2] [4, 5]"),
        ("SELECT ARRAY[:0, :1]::int[]", {"0": 1, "1": "2"}, "[1, 2]"),
        ("SELECT id FROM a WHERE id = ANY(:ids)", {"ids": "{2}"}, "2"),
        ("SELECT i[:2], i[1:3] FROM a WHERE id = :0", {"0": 1}, "[1, None] [1, None, 3]"),
        ("SELECT i[:n], i[(:0)], i[2 + :0], i[1:id] FROM a WHERE id = 1", {"n": 3, "0": 1}, "3 1 3 [1]"),
        ("FETCH 1 FROM c", (), "[1, None, 3]"),
    ],
)
def test_arrays_are_lists(sql: str, parameters: Any, row: str, connection: clusterdb.Connection) -> None:
    """Results are lists of the types of their elements, without a setting."""
    connection.execute("DECLARE c CURSOR WITH HOLD FOR SELECT i FROM a ORDER BY id")
    values = connection.execute(sql, parameters).fetchone()
    assert " ".join(map(repr, values)).startswith(row)


def test_columns_tell_the_type_of_the_elements(connection: clusterdb.Connection) -> None:
    """Names begin with an underscore, as those of PostgreSQL."""
    columns = connection.execute("SELECT i, t, n, v, b, ARRAY[1.5], string_to_array('a', ',') FROM a").columns
    names = [(column.type_name, column.jdbc_type, column.element_jdbc_type) for column in columns]
    assert names == [
        ("_int4", 2003, 4),
        ("_text", 2003, 12),
        ("_numeric", 2003, 2),
        ("_varchar", 2003, 12),
        ("_bool", 2003, -7),
        ("_numeric", 2003, 2),
        ("_text", 2003, 12),
    ]


@pytest.mark.parametrize(("sql", "state"), ERRORS)
def test_wrong_array_has_the_state_of_the_server(sql: str, state: str, connection: clusterdb.Connection) -> None:
    """Malformed literals, and elements that the type does not have."""
    with pytest.raises(clusterdb.Error) as caught:
        connection.execute(sql).fetchall()
    assert caught.value.sqlstate == state


@pytest.mark.parametrize(
    "items", [[], ["a"], [None, "NULL", ""], ['"', "\\", "{", "}", ","], [" x ", "y\nz"], [["a"], ["b"]]]
)
def test_text_of_an_array_is_read_back(items: list[Any]) -> None:
    """Reading is the inverse of writing."""
    assert read(written(items)) == items


# --- the real server --------------------------------------------------------------------------------------------------
@pytest.mark.slow
def test_server_has_the_same_arrays(connection: clusterdb.Connection, postgresql_server: Any) -> None:
    """Rows, names of types and states of errors."""
    server = postgresql_server.connect()
    try:
        for statement in SETUP:
            postgresql_server.execute(server, statement, ())
        types = dict(server.execute("SELECT oid, typname FROM pg_type").fetchall())
        differing = []
        for sql in QUERIES:
            cursor = server.execute(sql)
            names = [f"{column.name} {types[column.type_code]}" for column in cursor.description]
            rows = plain([list(row) for row in cursor.fetchall()])
            try:
                own = connection.execute(sql)
                own_names = [f"{column.name} {column.type_name}" for column in own.columns]
                own_rows = plain([list(row) for row in own.fetchall()])
            except clusterdb.Error as error:
                differing.append((sql, str(error)))
                continue
            if "json" in sql or "information_schema" in sql:
                own_rows, rows = str(len(own_rows)), str(len(rows))
            if own_rows != rows:
                differing.append((sql, f"{own_rows} instead of {rows}"))
            if "information_schema" not in sql and own_names != names:
                differing.append((sql, f"{own_names} instead of {names}"))
        assert not differing, "\n".join(map(" -> ".join, differing))
        for sql, state in ERRORS:
            with pytest.raises(Exception) as caught:
                server.execute(sql)
            assert getattr(caught.value, "sqlstate", None) == state, sql
    finally:
        server.close()
