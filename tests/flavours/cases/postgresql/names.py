"""Names of the columns of a query, and values that are read and written in forms of their own."""

from __future__ import annotations

from tests.flavours.cases.case import Case

T = (
    "CREATE TABLE t (a INT, b TEXT, c NUMERIC(10,2), d DATE, j JSONB, ok BOOLEAN, f DOUBLE PRECISION, at TIMESTAMP, "
    "r REAL)",
    "INSERT INTO t VALUES (1, 'x', 1.5, '2020-01-01', '{\"a\": [1]}', true, 1.5, '2020-01-01 10:00', 0.1)",
)
REALS = (
    "CREATE TABLE reals (id INT, r REAL, f DOUBLE PRECISION)",
    "INSERT INTO reals VALUES (1, 0.1, 0.1), (2, 16777216, 1e15), (3, 0.2, 2.5), (4, 1.2345678, 1)",
)

_NAMES: list[tuple[str, tuple[str, ...]]] = [
    (
        "SELECT date_part('day', at), extract(day from at), position('x' in b), count(*) filter (where a "
        "> 0), 2^3, now()::date, case when a > 0 then b else b end, case when a > 0 then 1 end, case when"
        " ok then 1 else a + 1 end FROM t GROUP BY at, b, a, ok",
        ("date_part", "extract", "position", "count", "?column?", "now", "b", "case", "case"),
    ),
    (
        "SELECT string_agg(b, ','), json_agg(a), sum(a), avg(c)::numeric, count(distinct a), "
        "max(a)::text, jsonb_agg(b order by b), bool_and(ok), count(*) FROM t",
        ("string_agg", "json_agg", "sum", "avg", "count", "max", "jsonb_agg", "bool_and", "count"),
    ),
    (
        "SELECT a::numeric, '1'::numeric, c::text, 5::int, a + 1, -a, (a), (a + 1)::int, a::text::int, "
        "'5'::text::int, b || 'x', ok AND true, NOT ok, a IS NULL FROM t",
        (
            "a",
            "numeric",
            "c",
            "int4",
            "?column?",
            "?column?",
            "a",
            "int4",
            "a",
            "int4",
            "?column?",
            "?column?",
            "?column?",
            "?column?",
        ),
    ),
    (
        'SELECT a, t.a, (t.a), "a", t.b AS z, coalesce(a, 1), nullif(a, 1), greatest(a, 2), least(a, 2), '
        "upper(b), (SELECT max(a) FROM t), (SELECT 1), EXISTS (SELECT 1) FROM t",
        ("a", "a", "a", "a", "z", "coalesce", "nullif", "greatest", "least", "upper", "max", "?column?", "exists"),
    ),
    (
        "SELECT row_number() OVER (ORDER BY a), sum(a) OVER (), lag(a) OVER (ORDER BY a), rank() OVER "
        "(ORDER BY b) FROM t",
        ("row_number", "sum", "lag", "rank"),
    ),
    (
        "SELECT current_date, current_timestamp, localtimestamp, now(), current_user, current_schema, "
        "current_database(), version()",
        (
            "current_date",
            "current_timestamp",
            "localtimestamp",
            "now",
            "current_user",
            "current_schema",
            "current_database",
            "version",
        ),
    ),
    (
        "SELECT true, null, 1, 'x', 1.5, interval '1 day', date '2020-01-01', timestamp '2020-01-01 "
        "10:00', 'a' || 'b', 1 = 1, 'x' ~ 'y', 'a' LIKE 'b', 1 BETWEEN 0 AND 2, 1 IN (1, 2)",
        (
            "?column?",
            "?column?",
            "?column?",
            "?column?",
            "?column?",
            "interval",
            "date",
            "timestamp",
            "?column?",
            "?column?",
            "?column?",
            "?column?",
            "?column?",
            "?column?",
        ),
    ),
    (
        "SELECT trim(b), trim(leading 'x' from b), trim(trailing 'x' from b), ltrim(b), substring(b from "
        "1 for 1), substring(b, 1), overlay(b placing 'q' from 1), length(b), left(b, 1), initcap(b), "
        "char_length(b) FROM t",
        (
            "btrim",
            "ltrim",
            "rtrim",
            "ltrim",
            "substring",
            "substring",
            "overlay",
            "length",
            "left",
            "initcap",
            "char_length",
        ),
    ),
    (
        "SELECT j -> 'a', j ->> 'a', j #> '{a}', j #>> '{a}', j - 'a', j ? 'a', j @> '{}', jsonb_typeof(j) FROM t",
        ("?column?", "?column?", "?column?", "?column?", "?column?", "?column?", "?column?", "jsonb_typeof"),
    ),
    (
        "SELECT round(c), round(c, 1), ceil(f), floor(f), abs(a), mod(a, 2), power(a, 2), a % 2, a / 2, "
        "sqrt(4.0), trunc(c) FROM t",
        ("round", "round", "ceil", "floor", "abs", "mod", "power", "?column?", "?column?", "sqrt", "trunc"),
    ),
    (
        "SELECT '1'::bigint, '1'::smallint, '1'::real, '1'::double precision, '1'::float, 't'::bool, "
        "'x'::char(3), 'x'::varchar(3), '10:00'::time, '2020-01-01'::timestamptz, '{}'::jsonb, "
        "'{}'::json, 'x'::bytea, '5 days'::interval, gen_random_uuid()::text",
        (
            "int8",
            "int2",
            "float4",
            "float8",
            "float8",
            "bool",
            "bpchar",
            "varchar",
            "time",
            "timestamptz",
            "jsonb",
            "json",
            "bytea",
            "interval",
            "gen_random_uuid",
        ),
    ),
    (
        "SELECT s.count, s.sum FROM (SELECT count(*), sum(a) FROM t) s",
        ("count", "sum"),
    ),
    (
        "SELECT * FROM (SELECT count(*), a + 1, upper(b) FROM t GROUP BY a, b) s",
        ("count", "?column?", "upper"),
    ),
    (
        "WITH s AS (SELECT max(a), b::varchar(4) FROM t GROUP BY b) SELECT * FROM s",
        ("max", "b"),
    ),
    (
        "SELECT max FROM (SELECT max(a) FROM t) s",
        ("max",),
    ),
    (
        "INSERT INTO t (a) VALUES (5) RETURNING a, a + 1, upper(b), a::text, (a * 2)::numeric",
        ("a", "?column?", "upper", "a", "numeric"),
    ),
    (
        "UPDATE t SET a = a + 1 RETURNING a, a * 2, coalesce(b, 'x')",
        ("a", "?column?", "coalesce"),
    ),
    (
        "DELETE FROM t RETURNING a, -a, b || 'x', *",
        ("a", "?column?", "?column?", "a", "b", "c", "d", "j", "ok", "f", "at", "r"),
    ),
    (
        "SELECT max(a) FROM t UNION SELECT 5",
        ("max",),
    ),
    (
        "VALUES (1, 2)",
        ("column1", "column2"),
    ),
    (
        "SELECT to_char(d, 'YYYY'), age(at, at), date_trunc('day', at), to_date('2020', 'YYYY'), "
        "make_date(2020, 1, 1), md5(b), encode('abc', 'hex') FROM t",
        ("to_char", "age", "date_trunc", "to_date", "make_date", "md5", "encode"),
    ),
    (
        'SELECT a AS "A", b "B" FROM t',
        ("A", "B"),
    ),
    (
        "SELECT DISTINCT upper(b), a + 1 FROM t",
        ("upper", "?column?"),
    ),
    (
        "SELECT CASE a WHEN 1 THEN 'x' ELSE upper(b) END, CASE WHEN ok THEN a ELSE a::bigint END, CASE "
        "WHEN ok THEN 1 ELSE '2'::int END FROM t",
        ("upper", "a", "case"),
    ),
    (
        "SELECT sum(a) + 1, sum(a)::int, (sum(a)), avg(r), sum(r), r + r FROM t GROUP BY r",
        ("?column?", "sum", "sum", "avg", "sum", "?column?"),
    ),
    (
        "SELECT pg_catalog.upper(b), CAST(a AS text), CAST(1 AS numeric(5,2)), 1::numeric(5,2) FROM t",
        ("upper", "a", "numeric", "numeric"),
    ),
    (
        "SELECT (DATE '2024-01-01', DATE '2024-02-01') OVERLAPS (DATE '2024-01-31', DATE '2024-03-01'), "
        "generate_series FROM generate_series(1, 2)",
        ("overlaps", "generate_series"),
    ),
    (
        "SELECT concat('a', b), concat_ws(',', b), format('%s', b), repeat(b, 2), replace(b, 'x', 'y'), "
        "split_part(b, ',', 1), strpos(b, 'x'), ascii(b), chr(65) FROM t",
        ("concat", "concat_ws", "format", "repeat", "replace", "split_part", "strpos", "ascii", "chr"),
    ),
    (
        "SELECT jsonb_build_object('a', a), to_json(b), json_build_array(1), jsonb_set(j, '{a}', '1'), "
        "jsonb_array_length(j->'a') FROM t",
        ("jsonb_build_object", "to_json", "json_build_array", "jsonb_set", "jsonb_array_length"),
    ),
]

_VALUES = [
    Case("numbered parameters", T, "SELECT a FROM t WHERE a=$1 AND b=$2", (1, "x"), rows=[(1,)]),
    Case("numbered parameters", (), "SELECT $1::int+$2::int,'$1,$2'", (1, 2), rows=[(3, "$1,$2")]),
    Case(
        "exact numbers",
        T,
        "SELECT c::text, c::numeric::text, '1.50'::numeric::text, a::numeric::text, ('1.50'::numeric + 1)::text, "
        "round(c, 1)::text FROM t",
        rows=[("1.50", "1.50", "1.50", "1", "2.50", "1.5")],
    ),
    Case("REAL arithmetic", REALS, "SELECT sum(r), avg(r) FROM reals WHERE id IN (1, 3)", rows=[(0.3, 0.150000002)]),
    Case("REAL arithmetic", REALS, "SELECT sum(r) FROM reals", rows=[(16777218.0,)]),
    Case(
        "REAL arithmetic",
        REALS,
        "SELECT r + r, r - 0.1::real, r * r, r / 3::real, r + 1, r + f, (r + r)::text FROM reals ORDER BY id",
        rows=[
            (0.2, 0, 0.010000001, 0.033333335, 1.100000001, 0.200000001, "0.2"),
            (33554432, 16777216, 281474980000000, 5592405.5, 16777217, 1000000016777216, "3.3554432e+07"),
            (0.4, 0.1, 0.040000003, 0.06666667, 1.200000003, 2.700000003, "0.4"),
            (2.4691355, 1.1345677, 1.5241575, 0.4115226, 2.234567761, 2.234567761, "2.4691355"),
        ],
    ),
    Case("REAL arithmetic", REALS, "SELECT 1e38::real * 10::real", fails=True),
    Case("window sums of REAL", REALS, "SELECT sum(r) OVER (ORDER BY id) FROM reals", unsupported=True),
    Case(
        "encode() and decode()",
        (),
        r"SELECT encode('abc', 'hex'), encode('\x0102', 'hex'), encode('\377a\\b', 'escape'), encode('abc', 'base64')",
        rows=[("616263", "0102", r"\377a\\b", "YWJj")],
    ),
    Case(
        "date input formats",
        (),
        "SELECT '1962/2/18'::date, '19620218'::date, '2/18/1962'::date, 'Feb 18, 1962'::date, "
        "'18 February 1962'::date, '18-Feb-1962'::date, '1962-Feb-18'::date, "
        "timestamp '1962/2/18 1:02:03 PM', 'Feb 18 1962 12:00 am'::timestamp",
        rows=[(*["1962-02-18"] * 7, "1962-02-18 13:02:03", "1962-02-18 00:00:00")],
    ),
    Case(
        "date input formats",
        ("CREATE TABLE t (d DATE)", "INSERT INTO t VALUES ('1962/2/18')"),
        "SELECT d FROM t WHERE d BETWEEN '1962/02/01' AND '02/28/1962'",
        rows=[("1962-02-18",)],
    ),
]

NAMES = [*(Case("names of result columns", T, sql, names=names) for sql, names in _NAMES), *_VALUES]
