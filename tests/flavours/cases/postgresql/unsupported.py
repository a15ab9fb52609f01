"""Statements that are refused, and values out of range."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, DOCUMENTS, NUMBERS, ORDERS, PEOPLE

_UNSUPPORTED = [
    Case("stored procedures", (), "CREATE PROCEDURE p () LANGUAGE sql AS $$ SELECT 1 $$", unsupported=True),
    Case("stored procedures", (), "CALL p(1)", unsupported=True),
    Case("stored procedures", (), "DO $$ BEGIN RAISE NOTICE 'hello'; END $$", unsupported=True),
    Case(
        "CREATE FUNCTION", (), "CREATE FUNCTION f (a INT) RETURNS INT LANGUAGE sql AS 'SELECT a + 1'", unsupported=True
    ),
    Case(
        "triggers",
        NUMBERS,
        "CREATE TRIGGER t BEFORE INSERT ON numbers FOR EACH ROW EXECUTE FUNCTION f()",
        unsupported=True,
    ),
    Case("order of arrays", (), "SELECT x FROM (SELECT ARRAY[1] AS x) AS q ORDER BY x", unsupported=True),
    Case(
        "assignment to elements of arrays",
        ("CREATE TABLE t (a INT[])",),
        "UPDATE t SET a[1] = 2",
        unsupported=True,
    ),
    Case("arrays with other lower bounds", (), "SELECT '[0:1]={1,2}'::int[]", unsupported=True),
    Case("unnest() of several arrays", (), "SELECT * FROM unnest(ARRAY[1], ARRAY[2])", unsupported=True),
    Case("LISTEN / NOTIFY", (), "LISTEN news", unsupported=True),
    Case("LISTEN / NOTIFY", (), "NOTIFY news, 'hello'", unsupported=True),
    Case("users and privileges", (), "CREATE ROLE ada LOGIN PASSWORD 'secret'", unsupported=True),
    Case("users and privileges", NUMBERS, "GRANT SELECT ON numbers TO PUBLIC", unsupported=True),
    Case("CREATE DATABASE / SCHEMA", (), "CREATE DATABASE other", unsupported=True),
    Case("CREATE DATABASE / SCHEMA", (), "CREATE SCHEMA other", unsupported=True),
    Case("partitioned tables", (), "CREATE TABLE t (a INT) PARTITION BY RANGE (a)", unsupported=True),
    Case("table inheritance", NUMBERS, "CREATE TABLE t (a INT) INHERITS (numbers)", unsupported=True),
    Case("geometry", (), "SELECT point '(1, 2)' <-> point '(4, 6)'", unsupported=True),
    Case(
        "full-text search",
        PEOPLE,
        "SELECT name FROM people WHERE to_tsvector(name) @@ to_tsquery('ada')",
        unsupported=True,
    ),
    Case("ranges", (), "SELECT int4range(1, 5) @> 3", unsupported=True),
    Case("LOAD DATA / COPY", NUMBERS, "COPY numbers FROM STDIN", unsupported=True),
    Case("two-phase commit", (), "PREPARE TRANSACTION 'one'", unsupported=True),
    Case("PREPARE / EXECUTE", (), "PREPARE s AS SELECT 1", unsupported=True),
    Case(
        "GROUPING SETS / ROLLUP",
        ORDERS,
        "SELECT customer_id, SUM(price) FROM orders GROUP BY ROLLUP (customer_id)",
        unsupported=True,
    ),
    Case("LATERAL", ORDERS, "SELECT * FROM customers c, LATERAL (SELECT c.id + 1 AS x) AS l", unsupported=True),
    Case("advisory locks", (), "SELECT pg_advisory_lock(1)", unsupported=True),
    Case("composite types", (), "CREATE TYPE pair AS (a INT, b INT)", unsupported=True),
    Case("CREATE DOMAIN", (), "CREATE DOMAIN posint AS INT CHECK (VALUE > 0)", unsupported=True),
    Case("CREATE EXTENSION", (), "CREATE EXTENSION hstore", unsupported=True),
    Case("materialized views", NUMBERS, "CREATE MATERIALIZED VIEW v AS SELECT n FROM numbers", unsupported=True),
    Case(
        "MERGE",
        COUNTERS,
        "MERGE INTO counters c USING (SELECT 'a' AS w) s ON s.w = c.word WHEN MATCHED THEN DELETE",
        unsupported=True,
    ),
    Case(
        "data-modifying CTEs",
        NUMBERS,
        "WITH gone AS (DELETE FROM numbers RETURNING n) SELECT COUNT(*) FROM gone",
        unsupported=True,
    ),
    Case("row-level security and rules", NUMBERS, "ALTER TABLE numbers ENABLE ROW LEVEL SECURITY", unsupported=True),
    Case("EXCLUDE constraints", (), "CREATE TABLE t (a INT, EXCLUDE USING gist (a WITH =))", unsupported=True),
]

_BEYOND = [
    Case(
        "JSON operators",
        DOCUMENTS,
        "SELECT id FROM documents WHERE body ? %s AND id < %s",
        ("tags", 2),
        rows=[(1,)],
    ),
    Case("CREATE TABLE (LIKE ...)", COUNTERS, "CREATE TABLE copy (LIKE counters INCLUDING ALL)", unsupported=True),
    Case("SELECT ... INTO", COUNTERS, "SELECT word INTO copy FROM counters", unsupported=True),
    Case("AT TIME ZONE", (), "SELECT now() AT TIME ZONE 'UTC'", unsupported=True),
    Case("GIN and GIST indexes", DOCUMENTS, "CREATE INDEX by_body ON documents USING gin (body)", unsupported=True),
    Case(
        "ON CONFLICT ON CONSTRAINT",
        COUNTERS,
        "INSERT INTO counters VALUES ('b', 9, 9) ON CONFLICT ON CONSTRAINT counters_pkey DO NOTHING",
        unsupported=True,
    ),
    Case("LOCK TABLE", COUNTERS, "LOCK TABLE counters IN EXCLUSIVE MODE", unsupported=True),
    Case("operators |/ and @", (), "SELECT |/ 16, @ -5", unsupported=True),
    Case("WITHIN GROUP", NUMBERS, "SELECT mode() WITHIN GROUP (ORDER BY n) FROM numbers", unsupported=True),
    Case("DISTINCT ON with *", ORDERS, "SELECT DISTINCT ON (customer_id) * FROM orders", unsupported=True),
    Case(
        "generate_series of timestamps",
        (),
        "SELECT d FROM generate_series('2024-02-28'::timestamp, '2024-03-01', '1 day') AS d",
        unsupported=True,
    ),
    Case(
        "functions in FROM",
        DOCUMENTS,
        "SELECT t FROM documents, jsonb_array_elements_text(body) AS t",
        unsupported=True,
    ),
    Case("UUID", ("CREATE TABLE t (id UUID PRIMARY KEY)",), "INSERT INTO t VALUES ('x')", fails=True),
    Case(
        "JSON functions",
        (),
        "SELECT jsonb_build_object('a', 1, 'b', NULL), json_build_array(1, 'x'), jsonb_array_length('[1, 2]')",
        rows=[('{"a":1,"b":null}', '[1,"x"]', 2)],
    ),
]

UNSUPPORTED = [*_UNSUPPORTED, *_BEYOND]
