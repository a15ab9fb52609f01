"""Cases of functions that the cases of other features leave out: each row of a registry has one."""

from __future__ import annotations

from flavours.case import Case

__all__ = ["MYSQL_FUNCTIONS", "POSTGRESQL_FUNCTIONS"]

_NUMBERS = ("CREATE TABLE numbers (n INT)", "INSERT INTO numbers VALUES (1), (2), (4), (NULL)")

MYSQL_FUNCTIONS = [
    Case("string functions", (), "SELECT BIT_LENGTH('é'), BIT_LENGTH(125), BIT_LENGTH(NULL)", rows=[(16, 24, None)]),
    Case(
        "trigonometric functions",
        (),
        "SELECT ROUND(SIN(1), 6), ROUND(COS(1), 6), ROUND(TAN(1), 6), ROUND(ASIN(1), 6), ACOS(1), ROUND(ATAN(1), 6), "
        "ROUND(ATAN2(1, 2), 6), ROUND(RADIANS(180), 6)",
        rows=[(0.841471, 0.540302, 1.557408, 1.570796, 0, 0.785398, 0.463648, 3.141593)],
    ),
    Case("ATAN of two arguments", (), "SELECT ATAN(1, 2)", unsupported=True),
    Case(
        "JSON functions",
        (),
        """SELECT JSON_INSERT('{"a": 1}', '$.a', 2, '$.b', 3), JSON_REPLACE('{"a": 1}', '$.a', 2, '$.b', 3)""",
        rows=[('{"a":1,"b":3}', '{"a":2}')],
    ),
    Case(
        "statistical aggregates",
        _NUMBERS,
        "SELECT ROUND(VARIANCE(n), 6), ROUND(VAR_POP(n), 6), ROUND(STDDEV(n), 6) FROM numbers",
        rows=[(1.555556, 1.555556, 1.247219)],
    ),
    Case(
        "window functions",
        _NUMBERS,
        "SELECT n, PERCENT_RANK() OVER w, CUME_DIST() OVER w, FIRST_VALUE(n) OVER w, LAST_VALUE(n) OVER w, "
        "NTH_VALUE(n, 2) OVER w, DENSE_RANK() OVER w, LEAD(n) OVER w FROM numbers WHERE n IS NOT NULL "
        "WINDOW w AS (ORDER BY n) ORDER BY n",
        rows=[
            (1, 0, 0.333333333, 1, 1, None, 1, 2),
            (2, 0.5, 0.666666667, 1, 2, 2, 2, 4),
            (4, 1, 1, 1, 4, 2, 3, None),
        ],
    ),
    Case("functions with a wrong number of arguments", (), "SELECT UPPER('a', 'b')", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT CONCAT()", fails=True),
    Case("functions with a wrong number of arguments", (), "SELECT PI(1)", fails=True),
]

POSTGRESQL_FUNCTIONS = [
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
        _NUMBERS,
        "SELECT json_object_agg(n, n * 2 ORDER BY n) FROM numbers WHERE n < 3",
        rows=[('{"1":2,"2":4}',)],
    ),
    Case(
        "statistical aggregates",
        _NUMBERS,
        "SELECT round(var_pop(n), 6), round(stddev_samp(n), 6), bit_xor(n) FROM numbers",
        rows=[(1.555556, 1.527525, 7)],
    ),
    Case(
        "window functions",
        _NUMBERS,
        "SELECT n, percent_rank() OVER w, cume_dist() OVER w, first_value(n) OVER w, last_value(n) OVER w, "
        "nth_value(n, 2) OVER w, dense_rank() OVER w, lead(n) OVER w FROM numbers WHERE n IS NOT NULL "
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
