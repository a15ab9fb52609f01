"""Functions."""

from __future__ import annotations

from tests.flavours.cases.case import Case
from tests.flavours.cases.postgresql.schemas import COUNTERS, DOCUMENTS, NUMBERS

EVENTS = (
    "CREATE TABLE events (id INTEGER PRIMARY KEY, at TIMESTAMP NOT NULL)",
    "INSERT INTO events VALUES (1, '2024-01-31 10:20:30'), (2, '2024-02-29 23:59:59'), (3, '2023-12-31 00:00:00')",
)

_FEW_NUMBERS = ("CREATE TABLE few (n INT)", "INSERT INTO few VALUES (1), (2), (4), (NULL)")

FUNCTIONS = [
    Case(
        "string functions",
        (),
        "SELECT length('é'), char_length('é'), octet_length('é'), upper('ab'), lower('AB'), "
        "reverse('abc'), initcap('hello wORLD')",
        rows=[(1, 1, 2, "AB", "ab", "cba", "Hello World")],
    ),
    Case(
        "string functions",
        (),
        "SELECT left('abcdef', 2), left('abcdef', -2), right('abcdef', 2), "
        "substring('abcdef' from 2 for 3), substring('abcdef', 4), substr('abc', 0), substr('abc', 0, 2)",
        rows=[("ab", "abcd", "ef", "bcd", "def", "abc", "a")],
    ),
    Case(
        "string functions",
        (),
        "SELECT split_part('www.a.org', '.', 2), split_part('a.b', '.', 3), strpos('abc', 'c'), position('z' in 'abc')",
        rows=[("a", "", 3, 0)],
    ),
    Case(
        "string functions",
        (),
        "SELECT lpad('7', 3, '0'), rpad('ab', 4, '.'), lpad('abcd', 2), repeat('ab', 3)",
        rows=[("007", "ab..", "ab", "ababab")],
    ),
    Case(
        "string functions",
        (),
        "SELECT trim('  a '), ltrim('xxa', 'x'), rtrim('ayy', 'y'), btrim('xyax', 'xy'), "
        "trim(leading '0' from '007'), trim(both from ' b ')",
        rows=[("a", "a", "a", "a", "7", "b")],
    ),
    Case(
        "string functions",
        (),
        "SELECT replace('aXbX', 'X', '-'), translate('abc', 'ab', 'x'), ascii('A'), chr(65), "
        "overlay('Txxxxas' placing 'hom' from 2 for 4), starts_with('abc', 'ab')",
        rows=[("a-b-", "xc", 65, "A", "Thomas", 1)],
    ),
    Case(
        "string functions",
        (),
        "SELECT quote_literal('it''s'), quote_ident('two words'), format('%s is %I, %L', 1, 'a b', 'c')",
        rows=[("'it''s'", '"two words"', "1 is \"a b\", 'c'")],
    ),
    Case(
        "hashes and encodings",
        (),
        "SELECT md5('a'), encode(sha256('a'::bytea), 'hex'), encode('abc'::bytea, 'base64')",
        rows=[
            (
                "0cc175b9c0f1b6a831c399e269772661",
                "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
                "YWJj",
            )
        ],
    ),
    Case("UUID", (), "SELECT length(gen_random_uuid()::text), gen_random_uuid() <> gen_random_uuid()", rows=[(36, 1)]),
    Case(
        "mathematical functions",
        (),
        "SELECT abs(-3), ceil(1.2), ceiling(-1.2), floor(-1.2), sign(-9), mod(7, 3), "
        "power(2, 3), sqrt(16), cbrt(27), div(7, 2)",
        rows=[(3, 2, -1, -2, -1, 1, 8, 4, 3, 3)],
    ),
    Case(
        "mathematical functions",
        (),
        "SELECT round(2.5), round(-2.5), round(3.14159, 2), round(1234, -2), trunc(1.999, 1), "
        "trunc(-1.9), gcd(12, 18), factorial(5)",
        rows=[(3, -3, 3.14, 1200, 1.9, -1, 6, 120)],
    ),
    Case(
        "mathematical functions",
        (),
        "SELECT round(ln(10.0), 4), log(1000), log(2.0, 8.0), round(exp(1.0), 4), "
        "round(pi()::numeric, 4), degrees(pi()), width_bucket(5, 0, 10, 5)",
        rows=[(2.3026, 3, 3, 2.7183, 3.1416, 180, 3)],
    ),
    Case("random numbers", (), "SELECT random() >= 0 AND random() < 1", rows=[(1,)]),
    Case(
        "random numbers",
        NUMBERS,
        "SELECT COUNT(*) FROM (SELECT n FROM numbers ORDER BY RANDOM() LIMIT 2) AS chosen",
        rows=[(2,)],
    ),
    Case(
        "now()/current_date",
        (),
        "SELECT now() > '2020-01-01', length(current_date::text), CURRENT_TIMESTAMP = now(), "
        "clock_timestamp() > '2020-01-01', length(localtimestamp(0)::text), current_time IS NOT NULL",
        rows=[(1, 10, 1, 1, 19, 1)],
    ),
    Case(
        "now()/current_date",
        EVENTS,
        "SELECT COUNT(*) FROM events WHERE at < now() - interval '1 day' AND at < CURRENT_DATE",
        rows=[(3,)],
    ),
    Case(
        "now()/current_date",
        ("BEGIN", "CREATE TABLE t (a TIMESTAMPTZ)", "INSERT INTO t VALUES (now())"),
        "SELECT a = now() AND a = transaction_timestamp() FROM t",
        rows=[(1,)],
    ),
    Case(
        "date arithmetic with INTERVAL",
        (),
        "SELECT timestamp '2024-01-31' + interval '1 month', "
        "'2024-03-31'::date - 1, timestamp '2024-01-01 10:00:00' + interval '90 minutes', date '2024-02-28' + 2",
        rows=[("2024-02-29 00:00:00", "2024-03-30", "2024-01-01 11:30:00", "2024-03-01")],
    ),
    Case(
        "date arithmetic with INTERVAL",
        EVENTS,
        "SELECT at + INTERVAL '1 month', at - INTERVAL '2 weeks' FROM events ORDER BY id",
        rows=[
            ("2024-02-29 10:20:30", "2024-01-17 10:20:30"),
            ("2024-03-29 23:59:59", "2024-02-15 23:59:59"),
            ("2024-01-31 00:00:00", "2023-12-17 00:00:00"),
        ],
    ),
    Case(
        "date arithmetic with INTERVAL",
        EVENTS,
        "SELECT id FROM events WHERE at >= %s::timestamp - %s * INTERVAL '1 day' ORDER BY id",
        ("2024-03-01 00:00:00", 31),
        rows=[(1,), (2,)],
    ),
    Case(
        "date arithmetic with INTERVAL",
        (),
        "SELECT date '2024-02-29' + interval '1 year 2 months 3 days 04:05:06', "
        "make_interval(days => 2) + date '2024-01-01', '2024-01-01'::timestamp - '1 hour'::interval",
        rows=[("2025-05-02 04:05:06", "2024-01-03 00:00:00", "2023-12-31 23:00:00")],
    ),
    Case(
        "date differences",
        (),
        "SELECT date '2024-03-01' - date '2024-02-28', "
        "EXTRACT(EPOCH FROM timestamp '2024-01-02 12:30:00' - timestamp '2024-01-01') / 3600, "
        "timestamp '2024-01-02 01:00:00' - timestamp '2024-01-01 23:30:00'",
        rows=[(2, 36.5, "01:30:00")],
    ),
    Case(
        "date differences",
        (),
        "SELECT EXTRACT(YEAR FROM age(timestamp '2024-06-14', timestamp '2000-06-15')), "
        "date_part('day', timestamp '2024-03-01' - timestamp '2024-02-01')",
        rows=[(23, 29)],
    ),
    Case(
        "OVERLAPS",
        (),
        "SELECT (DATE '2024-01-01', DATE '2024-02-01') OVERLAPS (DATE '2024-01-31', DATE '2024-03-01')",
        rows=[(1,)],
    ),
    Case(
        "EXTRACT",
        EVENTS,
        "SELECT EXTRACT(YEAR FROM at), EXTRACT(MONTH FROM at), date_part('day', at), "
        "EXTRACT(MINUTE FROM at), EXTRACT(SECOND FROM at) FROM events WHERE id = 1",
        rows=[(2024, 1, 31, 20, 30)],
    ),
    Case(
        "EXTRACT",
        EVENTS,
        "SELECT EXTRACT(DOW FROM at), EXTRACT(ISODOW FROM at), EXTRACT(DOY FROM at), "
        "EXTRACT(WEEK FROM at), EXTRACT(QUARTER FROM at), EXTRACT(EPOCH FROM at) FROM events ORDER BY id",
        rows=[(3, 3, 31, 5, 1, 1706696430), (4, 4, 60, 9, 1, 1709251199), (0, 7, 365, 52, 4, 1703980800)],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        EVENTS,
        "SELECT date_trunc('month', at), "
        "date_trunc('hour', at), date_trunc('week', at), date_trunc('quarter', at) FROM events WHERE id = 2",
        rows=[("2024-02-01 00:00:00", "2024-02-29 23:00:00", "2024-02-26 00:00:00", "2024-01-01 00:00:00")],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        EVENTS,
        "SELECT date_trunc('month', at)::date AS month, COUNT(*) FROM events GROUP BY 1 ORDER BY 1",
        rows=[("2023-12-01", 1), ("2024-01-01", 1), ("2024-02-01", 1)],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        EVENTS,
        "SELECT to_char(at, 'YYYY-MM'), "
        "to_char(at, 'DD.MM.YY HH24:MI:SS'), to_char(at, 'FMDay FMDD FMMonth YYYY, FMHH12:MI AM'), "
        "to_char(at, 'Dy Mon DDD') FROM events WHERE id = 1",
        rows=[("2024-01", "31.01.24 10:20:30", "Wednesday 31 January 2024, 10:20 AM", "Wed Jan 031")],
    ),
    Case(
        "date_trunc / DATE_FORMAT / STR_TO_DATE / TO_CHAR",
        (),
        "SELECT to_date('31.01.2024', 'DD.MM.YYYY'), to_timestamp('2024-01-02 03:04', 'YYYY-MM-DD HH24:MI')",
        rows=[("2024-01-31", "2024-01-02 03:04:00")],
    ),
    Case(
        "TO_CHAR of numbers",
        (),
        "SELECT to_char(1234567.891, 'FM9,999,999.00'), to_char(7, 'FM000'), to_number('1,234.5', '9,999.9')",
        rows=[("1,234,567.89", "007", 1234.5)],
    ),
    Case(
        "Unix time",
        (),
        "SELECT to_timestamp(86400), EXTRACT(EPOCH FROM timestamp '1970-01-02')::bigint",
        rows=[("1970-01-02 00:00:00", 86400)],
    ),
    Case(
        "make_date, make_timestamp",
        (),
        "SELECT make_date(2024, 2, 29), make_timestamp(2024, 1, 2, 3, 4, 5)",
        rows=[("2024-02-29", "2024-01-02 03:04:05")],
    ),
    Case(
        "JSON operators",
        DOCUMENTS,
        "SELECT body->>'name', body->'age', body->'tags'->>0, body#>>'{at,city}' FROM documents ORDER BY id",
        rows=[("Ada", 36, "x", "London"), ("Bob", None, None, None)],
    ),
    Case("JSON operators", DOCUMENTS, """SELECT id FROM documents WHERE body @> '{"name": "Ada"}'""", rows=[(1,)]),
    Case("JSON operators", DOCUMENTS, "SELECT id FROM documents WHERE body ? 'tags'", rows=[(1,)]),
    Case("JSON operators", DOCUMENTS, "SELECT id FROM documents WHERE (body->>'age')::int > 30", rows=[(1,)]),
    Case(
        "JSON operators",
        DOCUMENTS,
        """UPDATE documents SET body = body || '{"age": 40}' WHERE id = 2""",
        then="SELECT (body->>'age')::int, body->>'name' FROM documents WHERE id = 2",
        rows=[(40, "Bob")],
    ),
    Case(
        "JSON operators",
        (),
        """SELECT '{"a": 1, "b": 2}'::jsonb - 'a', '{"a": [1, 2]}'::json->'a'->1""",
        rows=[('{"b":2}', 2)],
    ),
    Case(
        "JSON functions",
        DOCUMENTS,
        "SELECT jsonb_set(body, '{name}', '\"Al\"')->>'name', "
        "jsonb_extract_path_text(body, 'at', 'city') FROM documents WHERE id = 1",
        rows=[("Al", "London")],
    ),
    Case(
        "JSON aggregates",
        COUNTERS,
        "SELECT json_agg(word ORDER BY word), jsonb_object_agg(word, n) FROM counters",
        rows=[('["a","b"]', '{"a":1,"b":2}')],
    ),
    # functions that the cases above leave out
    Case("trigonometric functions", (), "SELECT sinh(0), round(sinh(1)::numeric, 6)", rows=[(0, 1.175201)]),
    Case(
        "trigonometric functions",
        (),
        "SELECT round(sin(1)::numeric, 6), round(cos(1)::numeric, 6), round(tan(1)::numeric, 6), "
        "round(asin(1)::numeric, 6), acos(1), round(atan(1)::numeric, 6), round(atan2(1, 2)::numeric, 6), "
        "round(radians(180)::numeric, 6)",
        rows=[(0.841471, 0.540302, 1.557408, 1.570796, 0, 0.785398, 0.463648, 3.141593)],
    ),
    Case("mathematical functions", (), "SELECT gcd(12, 18), lcm(4, 6), pow(2, 3)", rows=[(6, 12, 8)]),
    Case(
        "now()/current_date",
        (),
        "SELECT date('2024-02-29 10:20:30'::timestamp), current_timestamp(3) IS NOT NULL, "
        "statement_timestamp() IS NOT NULL",
        rows=[("2024-02-29", 1, 1)],
    ),
    Case(
        "JSON functions",
        (),
        """SELECT jsonb_extract_path('{"a": {"b": [1, 2]}}'::jsonb, 'a', 'b'), to_jsonb('[5]'::json), """
        """json_build_object('a', 1, 'b', 'x'), jsonb_build_array(1, 'x', NULL), json_typeof('[1]'::json), """
        """json_array_length('[1, 2]'::json), json_extract_path_text('{"a": 1}'::json, 'a')""",
        rows=[("[1,2]", "[5]", '{"a":1,"b":"x"}', '[1,"x",null]', "array", 2, "1")],
    ),
    Case(
        "JSON aggregates",
        _FEW_NUMBERS,
        "SELECT json_object_agg(n, n * 2 ORDER BY n) FROM few WHERE n < 3",
        rows=[('{"1":2,"2":4}',)],
    ),
    Case(
        "statistical aggregates",
        _FEW_NUMBERS,
        "SELECT round(var_pop(n), 6), round(stddev_samp(n), 6), bit_xor(n) FROM few",
        rows=[(1.555556, 1.527525, 7)],
    ),
    Case(
        "window functions",
        _FEW_NUMBERS,
        "SELECT n, percent_rank() OVER w, cume_dist() OVER w, first_value(n) OVER w, last_value(n) OVER w, "
        "nth_value(n, 2) OVER w, dense_rank() OVER w, lead(n) OVER w FROM few WHERE n IS NOT NULL "
        "WINDOW w AS (ORDER BY n) ORDER BY n",
        rows=[
            (1, 0, 0.333333333, 1, 1, None, 1, 2),
            (2, 0.5, 0.666666667, 1, 2, 2, 2, 4),
            (4, 1, 1, 1, 4, 2, 3, None),
        ],
    ),
    Case("functions with a wrong number of arguments", (), "SELECT upper('a', 'b')", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT left('a')", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT concat()", fails=True),
]
